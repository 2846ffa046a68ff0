//! The command line's side of the admin socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("no wasmnet daemon answers on {}; start it with \"wasmnet serve\", or name its --run-dir", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("the daemon did not answer within {} s", PATIENCE.as_secs())]
    Late,
    /// The connection broke.
    #[error("the daemon broke the connection")]
    Broken(#[source] hyper::Error),
    /// It refused.
    #[error("the daemon refused: {0}")]
    Refused(String),
    /// It answered something else.
    #[error("the daemon's answer cannot be read; is it of another version?")]
    Answer(#[source] serde_json::Error),
}

/// Asks the daemon whose admin socket is at `socket` for what is at `path`.
pub async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, Error> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Connect { path: socket.to_owned(), source })?;
    let body = tokio::time::timeout(PATIENCE, exchange(stream, path))
        .await
        .map_err(|_elapsed| Error::Late)??;
    serde_json::from_slice(&body).map_err(Error::Answer)
}

async fn exchange(stream: UnixStream, path: &str) -> Result<Bytes, Error> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Error::Broken)?;
    tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    // Our own paths, so they parse; if one did not, "/" would be refused.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("wasmnet"));
    let response = sender.send_request(request).await.map_err(Error::Broken)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(Error::Broken)?.to_bytes();
    if status.is_success() {
        Ok(body)
    } else {
        Err(Error::Refused(String::from_utf8_lossy(&body).into_owned()))
    }
}
