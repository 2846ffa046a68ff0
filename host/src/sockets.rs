//! Unix sockets with HTTP on them.
//!
//! A socket's file appears only when it answers: it is bound under another name and
//! then renamed. A file left by a daemon that died is replaced, one that somebody
//! answers on is not. Or somebody keeps the socket for the daemon ([`Given`]): then what
//! is asked while no daemon runs waits in it.

mod given;

use std::{
    convert::Infallible,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::{
    net::{UnixListener, UnixStream as Connection},
    sync::watch,
    task::JoinSet,
};

pub use self::given::Given;
use crate::private_dir::{self, PrivateDir};

/// Longest path of a socket, in bytes: sun_path has 107 and the NUL, and the name that the
/// socket has until it answers is longer than its own.
const PATH_MAX: usize = 107 - UNFINISHED.len();

/// How long to wait when the process has no file descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A bound socket. Its file goes away with it, unless somebody else keeps it.
#[derive(Debug)]
pub struct Socket {
    listener: Option<UnixListener>,
    _file: Option<File>,
}

/// A socket's file, which is removed.
#[derive(Debug)]
struct File(PathBuf);

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
    /// Its folder is not the daemon's alone.
    #[error(transparent)]
    Private(#[from] private_dir::Error),
    /// A socket that was handed over cannot be used.
    #[error("socket {number} that was handed over (LISTEN_FDS) cannot be used")]
    Given {
        /// Which, from 0.
        number: usize,
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

/// The same for a folder that is the daemon's alone.
pub fn check_private_folder(path: &Path) -> Result<(), Error> {
    // Whose it is says more than that it cannot be written.
    PrivateDir::check(path)?;
    check_folder(path)
}

/// Makes a folder for sockets if it is missing. Others may enter it: it is Docker's.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| Error::Folder { path: path.to_owned(), source })
}

/// Makes a folder for sockets if it is missing, and closes it to others.
pub fn make_private_folder(path: &Path) -> Result<(), Error> {
    PrivateDir::open(path)?;
    Ok(())
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
        let listener = listen(&unfinished).map_err(failed)?;
        fs::rename(&unfinished, path).map_err(failed)?;
        Ok(Self { listener: Some(listener), _file: Some(File(path.to_owned())) })
    }

    /// Answers requests until `stop` is true, then removes the file, answers what has
    /// been asked, and returns.
    pub async fn serve<F, B>(
        mut self,
        mut stop: watch::Receiver<bool>,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let Some(listener) = self.listener.take() else { return };
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_ended) = connections.join_next() => continue,
                () = until(&mut stop) => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, stop.clone(), answer.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others will be closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        drop(self);
        while connections.join_next().await.is_some() {}
    }
}

/// Answers what comes on a connection, until its other end closes it or `stop` is true.
async fn converse<F, B>(
    stream: Connection,
    mut stop: watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let ear: io::Result<OwnedFd> = stream.as_fd().try_clone_to_owned();
    // Kept alive for as long as the engine wants: a connection closed while a request is on
    // its way makes it repeat the request without its body.
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service_fn(answer))
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = until(&mut stop) => {
            // In one moment: what has been asked can still be read and will be answered, and
            // whoever asks from now on cannot write a byte, and so asks again elsewhere with
            // all of it.
            let deaf = ear.and_then(|ear| {
                Ok(rustix::net::shutdown(ear, rustix::net::Shutdown::Read)?)
            });
            if deaf.is_err() {
                connection.as_mut().graceful_shutdown();
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Listens on a new socket that only its owner can open, from the first moment on: the
/// kernel gives the file the rights that the socket has.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// Waits until `stop` is true, or nobody is left to make it so.
async fn until(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

// === impl File ===

impl Drop for File {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the socket");
        }
    }
}
