//! A watch: a stream of JSON messages, one a line.

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch::Receiver;

use super::wire::Watched;
use crate::cluster::{Change, Error, Watch};

/// Longest message, in bytes; etcd writes no more than this at once.
const MESSAGE_MAX: usize = 64 << 20;

pub(super) struct EtcdWatch {
    body: Incoming,
    buffer: Vec<u8>,
    /// Changes when the member is found not to answer, and when another is asked.
    lost: Receiver<u64>,
}

// === impl EtcdWatch ===

impl EtcdWatch {
    pub(super) fn new(body: Incoming, lost: Receiver<u64>) -> Self {
        Self { body, buffer: Vec::new(), lost }
    }

    /// The next whole message, if it is there already.
    fn message(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        Some(self.buffer.drain(..=end).collect())
    }
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Change>, Error> {
        let ended = || Error::Unreachable("the watch has ended".to_owned());
        loop {
            while let Some(message) = self.message() {
                let watched: Watched = serde_json::from_slice(&message)
                    .map_err(|error| Error::Refused(format!("its answer is odd: {error}")))?;
                let changes = watched.changes()?;
                if !changes.is_empty() {
                    return Ok(changes);
                }
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame.ok_or_else(ended)?,
                _ = self.lost.changed() => return Err(ended()),
            };
            let frame = frame.map_err(|error| Error::Unreachable(error.to_string()))?;
            self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
            if self.buffer.len() > MESSAGE_MAX {
                return Err(Error::Refused("its answer is too long".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
        net::{TcpListener, TcpStream},
        sync::Notify,
    };

    use crate::cluster::{Etcd, EtcdOptions, Store};

    /// Reads a request; says what it was sent to.
    async fn request(stream: &mut BufReader<TcpStream>) -> String {
        let (mut path, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            if let Some(rest) = line.strip_prefix("POST ") {
                path = rest.split(' ').next().unwrap().to_owned();
            } else if let Some(rest) = line.to_lowercase().strip_prefix("content-length: ") {
                length = rest.trim().parse().unwrap();
            } else if line.trim().is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        path
    }

    async fn answer(stream: &mut BufReader<TcpStream>, header: &str, body: &str) {
        let answer = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    /// One request is answered late by a member that has failed another meanwhile. A watch
    /// must not be left standing at a member that nobody asks.
    #[tokio::test]
    async fn a_watch_stands_where_questions_go() {
        let members = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let endpoints = members.each_ref().map(|member| member.local_addr().unwrap());
        let [one, other] = members.map(|member| {
            member.set_nonblocking(true).unwrap();
            TcpListener::from_std(member).unwrap()
        });
        let etcd = &Etcd::new(&EtcdOptions {
            endpoints: endpoints.map(|at| format!("http://{at}")).to_vec(),
            ..EtcdOptions::default()
        })
        .unwrap();
        let (asked, watched) = (&Notify::new(), &Notify::new());
        let slow_member = async {
            let mut first = BufReader::new(one.accept().await.unwrap().0);
            assert_eq!(request(&mut first).await, "/v3/kv/range");
            asked.notify_one();
            drop(one.accept().await.unwrap());
            watched.notified().await;
            answer(&mut first, "content-length: 2", "{}").await;
        };
        let good_member = async {
            let mut stream = BufReader::new(other.accept().await.unwrap().0);
            assert_eq!(request(&mut stream).await, "/v3/kv/range");
            answer(&mut stream, "content-length: 2", "{}").await;
            assert_eq!(request(&mut stream).await, "/v3/watch");
            answer(&mut stream, "transfer-encoding: chunked", "").await;
            stream
        };
        let watcher = async {
            asked.notified().await;
            etcd.get("another").await.unwrap();
            let mut watch = etcd.watch("prefix", 1).await.unwrap();
            watched.notify_one();
            let next = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
            assert!(next.expect("nobody would see that it hangs").is_err());
        };
        let late = async { etcd.get("key").await.unwrap() };
        let (_, _stream, (), _) = tokio::join!(slow_member, good_member, watcher, late);
    }
}
