//! A directory that is the daemon's alone.
//!
//! Whoever can write the state, or the compiled code, owns the daemon. So such a directory
//! is opened once and everything in it by way of that handle (cap-std). A symbolic link, or
//! what belongs to somebody else, is refused, be it the directory or a file in it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{Mode, OFlags};

/// What files that are not finished end in.
const UNFINISHED: &str = "new";
/// Rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// An open directory that only its owner can enter.
#[derive(Debug)]
pub struct PrivateDir {
    dir: Dir,
    path: PathBuf,
}

/// Why a directory, or a file in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made, opened, read or written.
    #[error("cannot use {}", .path.display())]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a symbolic link.
    #[error("{} is a symbolic link; put what it points to in its place", .0.display())]
    Link(PathBuf),
    /// It is no file.
    #[error("{} is no file; remove it", .0.display())]
    NotAFile(PathBuf),
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}; it must belong to the user that runs wasmnet", .path.display())]
    Owner {
        /// The directory or file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// Others use it, and would be shut out.
    #[error("directory {} is not wasmnet's alone: {} is open to others; choose another", .path.display(), .shared.display())]
    Shared {
        /// The directory.
        path: PathBuf,
        /// What others use of it.
        shared: PathBuf,
    },
}

// === impl PrivateDir ===

impl PrivateDir {
    /// Opens a directory, which is made if it is missing, and closes it to others.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::check(path)?;
        let failed = |source| Error::Open { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let file = open_folder(path).map_err(failed)?;
        // What was checked may have been another one.
        check_owner(path, &file.metadata().map_err(failed)?)?;
        file.set_permissions(fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self { dir: Dir::from_std_file(file), path: path.to_owned() })
    }

    /// Says whether a directory could be opened so, if it is there, and changes nothing.
    pub fn check(path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata.map_err(failed)?,
        };
        if metadata.is_symlink() {
            return Err(Error::Link(path.to_owned()));
        }
        if !metadata.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        check_owner(path, &metadata)?;
        if metadata.mode() & OTHERS == 0 {
            return Ok(());
        }
        // To close /run or /var/lib would break the host.
        for entry in path.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            if metadata.is_dir() && metadata.mode() & OTHERS != 0 {
                return Err(Error::Shared { path: path.to_owned(), shared: entry.path() });
            }
        }
        Ok(())
    }

    /// Where a file of it is, for messages.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file for reading and writing; it is made if it is missing.
    pub fn open_file(&self, name: &str) -> Result<fs::File, Error> {
        let mut options = options();
        options.read(true).write(true).create(true);
        self.opened(name, self.dir.open_with(name, &options))
    }

    /// A file's bytes, if there is one.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut options = options();
        options.read(true);
        let mut file = match self.dir.open_with(name, &options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => self.opened(name, opened)?,
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes)
            .map_err(|source| Error::Open { path: self.path_of(name), source })?;
        Ok(Some(bytes))
    }

    /// Writes a file so that nobody ever sees half of it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::Open { path: self.path_of(name), source };
        let unfinished = format!("{name}.{}.{UNFINISHED}", std::process::id());
        match self.dir.remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut options = options();
        options.write(true).create_new(true);
        let mut file = self.opened(&unfinished, self.dir.open_with(&unfinished, &options))?;
        io::Write::write_all(&mut file, bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        self.dir.rename(&unfinished, &self.dir, name).map_err(failed)
    }

    /// A file that was opened, if it is one and its owner is right.
    fn opened(&self, name: &str, opened: io::Result<cap_std::fs::File>) -> Result<fs::File, Error> {
        let path = self.path_of(name);
        let file = match opened {
            Ok(file) => file.into_std(),
            Err(source) => {
                // The reason behind the refusal says more than the refusal.
                if let Ok(metadata) = path.symlink_metadata() {
                    if metadata.is_symlink() {
                        return Err(Error::Link(path));
                    }
                    check_owner(&path, &metadata)?;
                }
                return Err(Error::Open { path, source });
            }
        };
        let metadata =
            file.metadata().map_err(|source| Error::Open { path: path.clone(), source })?;
        if !metadata.is_file() {
            return Err(Error::NotAFile(path));
        }
        check_owner(&path, &metadata)?;
        Ok(file)
    }
}

fn open_folder(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    Ok(rustix::fs::open(path, flags, Mode::empty()).map(fs::File::from)?)
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let owner = metadata.uid();
    if owner == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(Error::Owner { path: path.to_owned(), owner })
    }
}

/// No link is followed, a named pipe keeps nobody waiting, and a new file is its owner's.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_closed_to_others_and_no_link_or_way_out_is_followed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let dir = PrivateDir::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        dir.write("a", b"1").unwrap();
        dir.write("a", b"2").unwrap();
        assert_eq!(dir.read("a").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(path.join("a").metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(dir.read("b").unwrap(), None);

        fs::write(parent.path().join("outside"), "x").unwrap();
        assert!(dir.read("../outside").is_err());
        for (name, target) in [("way-out", "../outside"), ("within", "a")] {
            std::os::unix::fs::symlink(target, path.join(name)).unwrap();
            assert!(matches!(dir.read(name), Err(Error::Link(_))), "{name}");
            assert!(matches!(dir.open_file(name), Err(Error::Link(_))), "{name}");
        }
        // Whoever writes a file puts it in the link's place.
        dir.write("way-out", b"3").unwrap();
        assert_eq!(dir.read("way-out").unwrap().as_deref(), Some(&b"3"[..]));
        assert_eq!(fs::read(parent.path().join("outside")).unwrap(), b"x");

        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(PrivateDir::open(&link), Err(Error::Link(_))));
    }

    #[test]
    fn what_is_no_file_or_somebody_elses_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(parent.path()).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        let pipe = parent.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(dir.open_file("pipe"), Err(Error::NotAFile(_))));
        dir.write("theirs", b"1").unwrap();
        std::os::unix::fs::chown(parent.path().join("theirs"), Some(65534), None).unwrap();
        assert!(matches!(dir.read("theirs"), Err(Error::Owner { owner: 65534, .. })));
        assert!(matches!(dir.open_file("theirs"), Err(Error::Owner { .. })));
    }

    #[test]
    fn somebody_elses_directory_is_refused() {
        let path = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(path.path(), Some(65534), None).unwrap();
        assert!(matches!(PrivateDir::open(path.path()), Err(Error::Owner { owner: 65534, .. })));
    }

    #[test]
    fn a_directory_that_others_use_is_not_closed_to_them() {
        let path = tempfile::tempdir().unwrap();
        let set_mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let theirs = path.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        set_mode(&theirs, 0o755);
        set_mode(path.path(), 0o755);
        assert!(matches!(PrivateDir::open(path.path()), Err(Error::Shared { .. })));
        assert_eq!(path.path().metadata().unwrap().mode() & 0o777, 0o755);

        set_mode(&theirs, 0o700);
        PrivateDir::open(path.path()).unwrap();
        assert_eq!(path.path().metadata().unwrap().mode() & 0o777, 0o700);
    }
}
