//! HTTP requests that drivers send to servers which the operator has granted.
//!
//! One request, one connection, and all of it within bounds: what a server answers is no
//! reason for the daemon to grow. Redirects are the driver's to follow, since they may lead
//! to a server that is not granted.

use std::{fmt, io, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING},
    http::uri::Scheme,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::{
    error::chain,
    tls::{self, Tls},
};

/// Longest body of a request and of an answer, in bytes.
pub const BODY_MAX: usize = 1 << 20;
/// Fields of a header.
const FIELDS_MAX: usize = 64;
/// How long a request may take, if the call's own time does not end before.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a driver wants to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// "GET", "POST" and so on.
    pub method: String,
    /// "http://…" or "https://…".
    pub url: String,
    /// Names and values of the header.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// As in 200.
    pub status: u16,
    /// Names and values of the header.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server's name or address; IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    tls: bool,
    uri: Uri,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is none.
    #[error("the request cannot be sent: {0}")]
    Request(Mistake),
    /// Nobody is there.
    #[error("cannot connect to {server}")]
    Connect {
        /// The server.
        server: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host trusts nobody.
    #[error("TLS cannot be used")]
    Tls(#[from] tls::Error),
    /// The connection broke.
    #[error("{server} does not answer: {}", chain(.source))]
    Broken {
        /// The server.
        server: String,
        /// Why.
        source: hyper::Error,
    },
    /// Time is up.
    #[error("{0} does not answer within {PATIENCE:?}")]
    Late(String),
    /// The answer is too long, or ends too early.
    #[error("{server} answers with more than {BODY_MAX} bytes, or breaks off")]
    Body {
        /// The server.
        server: String,
    },
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The method.
    #[error("its method is none")]
    Method,
    /// The URL.
    #[error("its URL must be http://HOST[:PORT]/… or https://…, without user or fragment")]
    Url,
    /// The header.
    #[error(
        "its header has more than {FIELDS_MAX} fields, or a field that cannot be sent, or one that \
         the host sets itself (host, content-length, transfer-encoding)"
    )]
    Header,
    /// The body.
    #[error("its body is longer than {BODY_MAX} bytes")]
    Body,
}

// === impl Target ===

impl Target {
    /// Where this request goes.
    pub fn of(request: &Request) -> Result<Self, Error> {
        let wrong = || Error::Request(Mistake::Url);
        let uri: Uri = request.url.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        // Authority::port() is none for a port that is none, too.
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default() {
            "" if tls => 443,
            "" => 80,
            port => port.trim_start_matches(':').parse().map_err(|_| wrong())?,
        };
        Ok(Self { host, port, tls, uri })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Sends a request and waits for the whole answer.
pub async fn send(target: Target, request: Request) -> Result<Response, Error> {
    let request = prepare(&target, request)?;
    let server = target.to_string();
    match tokio::time::timeout(PATIENCE, exchange(target, request)).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Error::Late(server)),
    }
}

fn prepare(target: &Target, request: Request) -> Result<hyper::Request<Full<Bytes>>, Error> {
    let wrong = |mistake| Error::Request(mistake);
    let Request { method, fields, body, .. } = request;
    if body.len() > BODY_MAX {
        return Err(wrong(Mistake::Body));
    }
    if fields.len() > FIELDS_MAX {
        return Err(wrong(Mistake::Header));
    }
    let mut prepared = hyper::Request::new(Full::new(Bytes::from(body)));
    *prepared.method_mut() = match Method::from_bytes(method.as_bytes()) {
        Ok(method) if method != Method::CONNECT => method,
        _ => return Err(wrong(Mistake::Method)),
    };
    let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
    *prepared.uri_mut() = path.parse().map_err(|_| wrong(Mistake::Url))?;
    let headers = prepared.headers_mut();
    for (name, value) in fields {
        let name: HeaderName = name.parse().map_err(|_| wrong(Mistake::Header))?;
        let value: HeaderValue = value.parse().map_err(|_| wrong(Mistake::Header))?;
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(wrong(Mistake::Header));
        }
        headers.append(name, value);
    }
    let host = target.to_string().parse().map_err(|_| wrong(Mistake::Url))?;
    headers.insert(HOST, host);
    Ok(prepared)
}

async fn exchange(target: Target, request: hyper::Request<Full<Bytes>>) -> Result<Response, Error> {
    let server = target.to_string();
    let connect = |source| Error::Connect { server: server.clone(), source };
    let broken = |source| Error::Broken { server: server.clone(), source };
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(connect)?;
    let mut sender = if target.tls {
        let name =
            ServerName::try_from(target.host.clone()).map_err(|_| Error::Request(Mistake::Url))?;
        let connector = Tls::load(None, None)?.connector()?;
        let stream = connector.connect(name, stream).await.map_err(connect)?;
        handshake(stream).await.map_err(broken)?
    } else {
        handshake(stream).await.map_err(broken)?
    };
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status().as_u16();
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let fields = answer.headers().iter().map(field).collect();
    let body = Limited::new(answer.into_body(), BODY_MAX).collect().await;
    let body = body.map_err(|_| Error::Body { server: server.clone() })?.to_bytes().to_vec();
    Ok(Response { status, fields, body })
}

async fn handshake(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<http1::SendRequest<Full<Bytes>>, hyper::Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Request {
        Request { method: "GET".into(), url: url.into(), fields: Vec::new(), body: Vec::new() }
    }

    #[test]
    fn targets_are_read() {
        for (url, host, port) in [
            ("http://Ipam.Example/api?x=1", "ipam.example", 80),
            ("https://192.0.2.1", "192.0.2.1", 443),
            ("http://[2001:db8::1]:8080/", "2001:db8::1", 8080),
        ] {
            let target = Target::of(&request(url)).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port));
        }
        for url in [
            "",
            "/x",
            "ftp://a/",
            "http://",
            "http://a:b@c/",
            "http://a@c/",
            "http://a:99999/",
            "http://a:x/",
        ] {
            let error = Target::of(&request(url)).unwrap_err();
            assert!(matches!(error, Error::Request(Mistake::Url)), "{url}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_not() {
        let target = Target::of(&request("http://a/")).unwrap();
        let with = |name: &str, value: &str| Request {
            fields: vec![(name.into(), value.into())],
            ..request("http://a/")
        };
        for (name, value) in
            [("host", "b"), ("Content-Length", "9"), ("a b", "c"), ("x", "a\r\nhost: b")]
        {
            let error = prepare(&target, with(name, value)).unwrap_err();
            assert!(matches!(error, Error::Request(Mistake::Header)), "{name}: {error}");
        }
        let connect = Request { method: "CONNECT".into(), ..request("http://a/") };
        assert!(prepare(&target, connect).is_err());
        let long = Request { body: vec![0; BODY_MAX + 1], ..request("http://a/") };
        assert!(prepare(&target, long).is_err());
        assert!(prepare(&target, with("accept", "*/*")).is_ok());
    }
}
