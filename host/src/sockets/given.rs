//! Sockets that somebody keeps for the daemon, as systemd does (sd_listen_fds(3)): they are
//! there before the daemon is, and stay when it ends.

use std::{
    io,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

use listenfd::ListenFd;
use rustix::net::sockopt;

use super::{Error, Socket};

/// The sockets that were handed over and are not taken yet.
#[derive(Debug, Default)]
pub struct Given(Vec<(PathBuf, UnixListener)>);

// === impl Given ===

impl Given {
    /// Takes what the environment tells of. To be called once, before anything else is opened.
    pub fn from_environment() -> Result<Self, Error> {
        let mut sockets = ListenFd::from_env();
        let mut given = Vec::new();
        for number in 0..sockets.len() {
            let failed = |source| Error::Given { number, source };
            if let Some(listener) = sockets.take_unix_listener(number).map_err(failed)? {
                given.push((path_of(&listener).map_err(failed)?, listener));
            }
        }
        Ok(Self(given))
    }

    /// Whether the socket of this path is among them.
    pub fn has(&self, path: &Path) -> bool {
        self.position(path).is_some()
    }

    /// The socket of this path: the one that was handed over, or else a new one.
    pub fn take_or_bind(&mut self, path: &Path) -> Result<Socket, Error> {
        let Some(position) = self.position(path) else { return Socket::bind(path) };
        let (path, listener) = self.0.swap_remove(position);
        let failed = |source| Error::Bind { path: path.clone(), source };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
        Ok(Socket { listener: Some(listener), _file: None })
    }

    /// The paths of those that nobody took.
    pub fn left(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    fn position(&self, path: &Path) -> Option<usize> {
        self.0.iter().position(|(given, _)| is_same(given, path))
    }
}

/// Where a listening socket is.
fn path_of(listener: &UnixListener) -> io::Result<PathBuf> {
    if !sockopt::socket_acceptconn(listener)? {
        return Err(io::Error::other("it does not listen"));
    }
    let address = listener.local_addr()?;
    let path = address.as_pathname().ok_or_else(|| io::Error::other("it has no path"))?;
    Ok(path.to_owned())
}

/// Whether two paths are one: a folder may have two names, as /run and /var/run.
fn is_same(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| path.parent().and_then(|folder| folder.canonicalize().ok());
    one == other
        || (one.file_name() == other.file_name()
            && folder(one).is_some_and(|one| folder(other) == Some(one)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn given(path: &Path) -> Given {
        let listener = UnixListener::bind(path).unwrap();
        Given(vec![(path_of(&listener).unwrap(), listener)])
    }

    #[tokio::test]
    async fn a_given_socket_is_found_by_another_name_of_its_folder_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();

        let mut given = given(&real.join("a.sock"));
        assert!(!given.has(&real.join("b.sock")));
        assert!(given.has(&link.join("a.sock")));
        drop(given.take_or_bind(&link.join("a.sock")).unwrap());
        assert!(real.join("a.sock").exists(), "a given socket's file was removed");
        assert_eq!(given.left().count(), 0);
    }

    #[tokio::test]
    async fn a_socket_that_is_not_given_is_made_closed_to_others_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.sock");
        let mut given = given(&folder.path().join("a.sock"));
        let socket = given.take_or_bind(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
        assert_eq!(given.left().count(), 1);
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        use rustix::net::{AddressFamily, SocketType, socket};
        let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        assert!(path_of(&UnixListener::from(socket)).is_err());
    }
}
