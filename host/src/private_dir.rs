//! A directory that is the daemon's alone.
//!
//! Whoever can write the state, or the compiled code, owns the daemon. So such a directory
//! is opened once and everything in it by way of that handle (cap-std), and one that is a
//! symbolic link, or somebody else's, is refused.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use cap_std::fs::{Dir, OpenOptions};
use rustix::fs::{Mode, OFlags};

/// What files that are not finished end in.
const UNFINISHED: &str = "new";

/// An open directory that only its owner can enter.
#[derive(Debug)]
pub struct PrivateDir {
    dir: Dir,
    path: PathBuf,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made or opened.
    #[error("cannot use directory {}", .path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a symbolic link.
    #[error("{} is a symbolic link; name the directory itself", .0.display())]
    Link(PathBuf),
    /// It belongs to somebody else.
    #[error("directory {} belongs to user {owner}; it must belong to the user that runs wasmnet", .path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
}

// === impl PrivateDir ===

impl PrivateDir {
    /// Opens a directory, which is made if it is missing, and closes it to others.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(Error::Link(path.to_owned()));
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map(fs::File::from)
            .map_err(|errno| failed(errno.into()))?;
        let owner = file.metadata().map_err(failed)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(Error::Owner { path: path.to_owned(), owner });
        }
        file.set_permissions(fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self { dir: Dir::from_std_file(file), path: path.to_owned() })
    }

    /// Where a file of it is, for messages.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file for reading and writing; it is made if it is missing.
    pub fn open_file(&self, name: &str) -> io::Result<fs::File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        Ok(self.dir.open_with(name, &options)?.into_std())
    }

    /// A file's bytes, if there is one.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.dir.read(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file so that nobody ever sees half of it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}.{}.{UNFINISHED}", std::process::id());
        self.dir.write(&unfinished, bytes)?;
        self.dir.open(&unfinished)?.sync_all()?;
        self.dir.rename(&unfinished, &self.dir, name)
    }
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
        assert_eq!(dir.read("a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(dir.read("b").unwrap(), None);

        fs::write(parent.path().join("outside"), "x").unwrap();
        assert!(dir.read("../outside").is_err());
        std::os::unix::fs::symlink("../outside", path.join("way-out")).unwrap();
        assert!(dir.read("way-out").is_err());

        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(PrivateDir::open(&link), Err(Error::Link(_))));
    }

    #[test]
    fn somebody_elses_directory_is_refused() {
        let path = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(path.path(), Some(65534), None).unwrap();
        assert!(matches!(PrivateDir::open(path.path()), Err(Error::Owner { owner: 65534, .. })));
    }
}
