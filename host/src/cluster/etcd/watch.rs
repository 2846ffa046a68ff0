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
    /// Changes when the member is found not to answer.
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
