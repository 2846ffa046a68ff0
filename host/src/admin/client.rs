//! The command line's side of the admin socket.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::HOST,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where something is compiled, which has a bound of its own.
const LONG_PATIENCE: Duration = Duration::from_secs(180);

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
    #[error("the daemon did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The connection broke.
    #[error("the daemon broke the connection")]
    Broken(#[source] hyper::Error),
    /// It refused.
    #[error("the daemon refused: {0}")]
    Refused(String),
    /// What is asked cannot be written.
    #[error("cannot write the request")]
    Ask(#[source] serde_json::Error),
    /// It answered something else.
    #[error("the daemon's answer cannot be read; is it of another version?")]
    Answer(#[source] serde_json::Error),
}

/// Asks the daemon whose admin socket is at `socket` for what is at `path`.
pub async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, Error> {
    serde_json::from_slice(&whole(socket, Method::GET, path, Bytes::new()).await?)
        .map_err(Error::Answer)
}

/// Has the daemon do what is at `path`.
pub async fn post<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, Error> {
    serde_json::from_slice(&whole(socket, Method::POST, path, Bytes::new()).await?)
        .map_err(Error::Answer)
}

/// The same where it may have to compile components first.
pub async fn post_slow<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, Error> {
    let answer = async { collect(exchange(socket, Method::POST, path, Bytes::new()).await?).await };
    serde_json::from_slice(&within(LONG_PATIENCE, answer).await?).map_err(Error::Answer)
}

/// The same, with something to say.
pub async fn post_json<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    body: &impl Serialize,
) -> Result<T, Error> {
    let body = serde_json::to_vec(body).map_err(Error::Ask)?;
    let answer = whole(socket, Method::POST, path, body.into()).await?;
    serde_json::from_slice(&answer).map_err(Error::Answer)
}

/// What is at `path`, as plain text.
pub async fn get_text(socket: &Path, path: &str) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&whole(socket, Method::GET, path, Bytes::new()).await?).into_owned())
}

/// Asks for what comes in lines, and gives each to `line` when it comes, until there are
/// no more or `line` wants no more.
pub async fn get_lines<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    mut line: impl FnMut(T) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut body = within(PATIENCE, exchange(socket, Method::GET, path, Bytes::new())).await?;
    let mut text = Vec::new();
    // As long as it takes: there may be nothing to tell for days.
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(&frame.map_err(Error::Broken)?.into_data().unwrap_or_default());
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else { continue };
        for row in text.drain(..=end).as_slice().split(|byte| *byte == b'\n') {
            if !row.is_empty()
                && line(serde_json::from_slice(row).map_err(Error::Answer)?).is_break()
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn whole(socket: &Path, method: Method, path: &str, body: Bytes) -> Result<Bytes, Error> {
    within(PATIENCE, async { collect(exchange(socket, method, path, body).await?).await }).await
}

async fn within<T>(
    patience: Duration,
    exchange: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(patience, exchange).await.map_err(|_elapsed| Error::Late(patience))?
}

async fn collect(body: Incoming) -> Result<Bytes, Error> {
    Ok(body.collect().await.map_err(Error::Broken)?.to_bytes())
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Incoming, Error> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Connect { path: socket.to_owned(), source })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Error::Broken)?;
    tokio::spawn(connection);
    let mut request = Request::new(Full::new(body));
    // Our own paths, so they parse; if one did not, "/" would be refused.
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("wasmnet"));
    let response = sender.send_request(request).await.map_err(Error::Broken)?;
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    let body = collect(response.into_body()).await?;
    Err(Error::Refused(sentence(&body)))
}

/// What the daemon says in a refusal.
fn sentence(body: &[u8]) -> String {
    let said = serde_json::from_slice::<serde_json::Value>(body).ok();
    let said = said.and_then(|body| body.get("error")?.as_str().map(str::to_owned));
    said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}
