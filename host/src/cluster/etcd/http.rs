//! One member of an etcd cluster: connections that are kept, and what goes over them.

use std::{
    fmt, io,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, sync::watch};

use super::{SetupError, wire::Refusal};
use crate::tls::Tls;

/// Connections that are kept for the next requests.
const KEPT: usize = 4;
/// Longest answer, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// How long to wait for a member to begin a stream.
const STREAM_PATIENCE: Duration = Duration::from_secs(2);
/// When a connection without traffic is asked for a sign of life, and how often, in seconds.
const QUIET: Duration = Duration::from_secs(2);

/// Where a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
}

/// It is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not an endpoint of etcd, as in \"http://192.0.2.1:2379\"", .0.escape_default())]
pub struct InvalidEndpoint(String);

/// A member.
pub(super) struct Member {
    endpoint: Endpoint,
    tls: Option<(tokio_rustls::TlsConnector, ServerName<'static>)>,
    idle: Mutex<Vec<Sender>>,
    /// Counts up when it is found not to answer, and when another is asked.
    lost: watch::Sender<u64>,
}

/// What came of a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No answer came.
    #[error("{reason}")]
    Broken {
        /// Whether it may have got the request.
        sent: bool,
        reason: String,
    },
    /// An answer came: no.
    #[error("{}", .0.message())]
    Refused(Refusal),
}

type Sender = http1::SendRequest<Full<Bytes>>;

// === impl Failure ===

impl Failure {
    /// Whether what was asked for may be done, now or later.
    pub(super) fn may_be_done(&self) -> bool {
        match self {
            Self::Broken { sent, .. } => *sent,
            Self::Refused(refusal) => refusal.may_be_done(),
        }
    }
}

// === impl Endpoint ===

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(invalid()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        if uri.path() != "/" || uri.query().is_some() || text.contains('@') {
            return Err(invalid());
        }
        Ok(Self { tls, host: host.to_owned(), port: uri.port_u16().unwrap_or(2379) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Whether this is where an etcd member can be.
pub(crate) fn check(endpoint: &str) -> Result<(), InvalidEndpoint> {
    endpoint.parse::<Endpoint>().map(drop)
}

// === impl Member ===

impl Member {
    pub(super) fn new(endpoint: Endpoint, tls: &Tls) -> Result<Self, SetupError> {
        let name = || {
            let host = endpoint.host.trim_matches(['[', ']']).to_owned();
            ServerName::try_from(host).map_err(|_| InvalidEndpoint(endpoint.to_string()))
        };
        let tls = match endpoint.tls {
            true => Some((tls.connector()?, name()?)),
            false => None,
        };
        Ok(Self { endpoint, tls, idle: Mutex::default(), lost: watch::Sender::new(0) })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Notes that it does not answer: what waits for it to say something need not.
    pub(super) fn is_lost(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.is_left();
    }

    /// Notes that another is asked from now on.
    pub(super) fn is_left(&self) {
        self.lost.send_modify(|count| *count += 1);
    }

    /// Changes when it is found not to answer, and when another is asked.
    pub(super) fn lost(&self) -> watch::Receiver<u64> {
        self.lost.subscribe()
    }

    /// Asks, and waits for the whole answer.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &str,
        token: Option<&str>,
        patience: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let mut sent = false;
        let exchange = async {
            let (mut sender, answer) = self.exchange(path, body, token, &mut sent).await?;
            let answer = whole(answer).await?;
            // Another request can go over it as soon as it is ready.
            if sender.ready().await.is_ok() {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < KEPT {
                    idle.push(sender);
                }
            }
            Ok(answer)
        };
        let answer = tokio::time::timeout(patience, exchange).await;
        answer.unwrap_or_else(|_elapsed| {
            Err(Failure::Broken { sent, reason: "it does not answer".to_owned() })
        })
    }

    /// Asks for something that has no end.
    pub(super) async fn stream(
        &self,
        path: &str,
        body: &str,
        token: Option<&str>,
    ) -> Result<Incoming, Failure> {
        let mut sent = false;
        let exchange = self.exchange(path, body, token, &mut sent);
        let exchange = tokio::time::timeout(STREAM_PATIENCE, exchange).await;
        let late = || Failure::Broken { sent: true, reason: "it does not answer".to_owned() };
        Ok(exchange.unwrap_or_else(|_elapsed| Err(late()))?.1)
    }

    async fn exchange(
        &self,
        path: &str,
        body: &str,
        token: Option<&str>,
        sent: &mut bool,
    ) -> Result<(Sender, Incoming), Failure> {
        let broken = |sent| {
            move |error: hyper::Error| Failure::Broken { sent, reason: crate::error::chain(&error) }
        };
        let mut request = self.request(path, body, token)?;
        loop {
            let (mut sender, kept) = match self.kept() {
                Some(sender) => (sender, true),
                None => (self.connect().await?, false),
            };
            *sent = true;
            match sender.try_send_request(request).await {
                Ok(response) if response.status().is_success() => {
                    return Ok((sender, response.into_body()));
                }
                Ok(response) => {
                    let status = response.status().as_u16();
                    let said = whole(response.into_body()).await?;
                    return Err(Failure::Refused(Refusal::new(status, &said)));
                }
                Err(mut error) => match error.take_message() {
                    // The member had closed it meanwhile.
                    Some(unsent) if kept => request = unsent,
                    unsent => return Err(broken(unsent.is_none())(error.into_error())),
                },
            }
        }
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|sender| !sender.is_closed())
    }

    fn request(
        &self,
        path: &str,
        body: &str,
        token: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let odd = |error: String| Failure::Broken { sent: false, reason: error };
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let host = format!("{}:{}", self.endpoint.host, self.endpoint.port);
        let headers = request.headers_mut();
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|error| odd(error.to_string()));
        headers.insert(HOST, value(&host)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A member that has lost the others ends its watches.
        headers.insert("grpc-metadata-hasleader", HeaderValue::from_static("true"));
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, value(token)?);
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        let failed = |error: io::Error| Failure::Broken { sent: false, reason: error.to_string() };
        let host = self.endpoint.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.endpoint.port)).await.map_err(failed)?;
        keep_watch(&stream).map_err(failed)?;
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(failed)?;
                handshake(stream).await
            }
        }
    }
}

async fn handshake(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<Sender, Failure> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::Broken { sent: false, reason: crate::error::chain(&error) })?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Has the kernel notice within seconds when the other side is gone without a word.
fn keep_watch(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, QUIET)?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(1))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

async fn whole(body: Incoming) -> Result<Vec<u8>, Failure> {
    let body = Limited::new(body, ANSWER_MAX).collect().await;
    let body = body.map_err(|error| Failure::Broken { sent: true, reason: error.to_string() })?;
    Ok(body.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        for (text, shown) in [
            ("http://192.0.2.1:2379", "http://192.0.2.1:2379"),
            ("https://etcd.example", "https://etcd.example:2379"),
            ("http://[2001:db8::1]:23790/", "http://[2001:db8::1]:23790"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for text in ["", "192.0.2.1:2379", "ftp://a", "http://", "http://a/b", "http://u:p@a"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
