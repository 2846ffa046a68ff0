//! Unix sockets with HTTP on them.
//!
//! A socket's file appears only when it answers: it is bound under another name and
//! then renamed. A file left by a daemon that died is replaced, one that somebody
//! answers on is not.

use std::{
    convert::Infallible,
    fs, io,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{net::UnixListener, sync::watch};

/// Longest path of a socket, in bytes: sun_path has 107 and the NUL, and the name that the
/// socket has until it answers is longer than its own.
const PATH_MAX: usize = 107 - UNFINISHED.len();

/// How long to wait when the process has no file descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket, whose file goes away with it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder cannot be used.
    #[error("cannot use folder {} for sockets", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody answers on it.
    #[error("socket {} is in use by another program; stop it first", .0.display())]
    InUse(PathBuf),
    /// There is a file that is no socket.
    #[error("{} exists and is no socket; remove it", .0.display())]
    NotASocket(PathBuf),
    /// Its path is too long for the kernel.
    #[error("socket path {} is longer than {PATH_MAX} bytes; choose a shorter folder", .0.display())]
    TooLong(PathBuf),
    /// It cannot be bound.
    #[error("cannot listen on {}", .path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Says whether a socket could be bound, and changes nothing.
pub fn check(path: &Path) -> Result<(), Error> {
    if path.as_os_str().len() > PATH_MAX {
        return Err(Error::TooLong(path.to_owned()));
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Bind { path: path.to_owned(), source }),
        Ok(metadata) => {
            use std::os::unix::fs::FileTypeExt;
            if !metadata.file_type().is_socket() {
                Err(Error::NotASocket(path.to_owned()))
            } else if UnixStream::connect(path).is_ok() {
                Err(Error::InUse(path.to_owned()))
            } else {
                Ok(())
            }
        }
    }
}

/// Says whether a folder could be made or used, and changes nothing.
pub fn check_folder(path: &Path) -> Result<(), Error> {
    let unusable = |source| Error::Folder { path: path.to_owned(), source };
    let existing = path.ancestors().find(|folder| folder.symlink_metadata().is_ok());
    let Some(existing) = existing.filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    if !existing.is_dir() {
        return Err(unusable(io::ErrorKind::NotADirectory.into()));
    }
    rustix::fs::access(existing, rustix::fs::Access::WRITE_OK)
        .map_err(|errno| unusable(errno.into()))
}

/// Makes a folder for sockets if it is missing.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| Error::Folder { path: path.to_owned(), source })
}

/// What a socket's name ends in until it answers. Docker looks for `.sock` only.
const UNFINISHED: &str = ".new";

// === impl Socket ===

impl Socket {
    /// Binds a socket that only root can open.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        check(path)?;
        let failed = |source| Error::Bind { path: path.to_owned(), source };
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&unfinished).map_err(failed)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        fs::rename(&unfinished, path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), listener: Some(listener) })
    }

    /// Answers requests until `stop` is true, then removes the file, lets requests
    /// under way finish, and returns.
    pub async fn serve<F, B>(
        mut self,
        mut stop: watch::Receiver<bool>,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let Some(listener) = self.listener.take() else { return };
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = until(&mut stop) => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: others will be closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Kept alive for as long as the engine wants: a connection closed while a
            // request is on its way makes it repeat the request without its body.
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
        drop(listener);
        drop(self);
        graceful.shutdown().await;
    }
}

/// Waits until `stop` is true, or nobody is left to make it so.
async fn until(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}
