//! The session in which this host writes to the store, and what it can rely on in it.
//!
//! A write that gets no answer may be done long after, when a member of the store thaws or a
//! new leader catches up; whatever was read in between is then wrong. So each session stands
//! in the store under a key of its own, a write is done only while that key is there, and
//! after a write without an answer nothing is read or written until a new session has begun.

use tokio::sync::watch;

use super::{Cluster, Error, Lease};

/// A time in which a node writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What is written goes with it, and so does the session.
    pub lease: Lease,
    /// What the keys of all sessions of the node begin with.
    pub prefix: String,
    /// Its key, which no other has ever had. It stands for as long as the session lasts.
    pub key: String,
}

/// The session there is, if there is one.
#[derive(Debug, Default)]
pub(super) struct Current(watch::Sender<Option<Session>>);

// === impl Session ===

impl Session {
    /// Begins one of this host's, which ends those before.
    pub(super) async fn begin(cluster: &Cluster, lease: Lease) -> Result<Self, Error> {
        let prefix = cluster.settings.prefix.sessions(&cluster.identity.id);
        let key = format!("{prefix}{:016x}", random()?);
        let session = Self { lease, prefix, key };
        cluster.store.begin(&session).await?;
        cluster.session.0.send_replace(Some(session.clone()));
        Ok(session)
    }
}

// === impl Current ===

impl Current {
    /// Waits for a session.
    pub(super) async fn wait(&self) -> Session {
        let mut current = self.0.subscribe();
        loop {
            if let Some(session) = &*current.borrow_and_update() {
                return session.clone();
            }
            // The sender lives as long as `self`.
            let _ = current.changed().await;
        }
    }

    /// Ends whichever there is, as far as this host is concerned.
    pub(super) fn end(&self) {
        self.0.send_replace(None);
    }

    /// Ends one in which something was written that may have been done or not.
    pub(super) fn doubt(&self, session: &Session) {
        self.0.send_if_modified(|current| current.take_if(|current| current == session).is_some());
    }

    /// Waits until a session has ended.
    pub(super) async fn ended(&self, session: &Session) {
        let ended = |current: &Option<Session>| current.as_ref() != Some(session);
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(ended).await;
    }
}

/// A number that nothing had before.
pub(super) fn random() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Refused(format!("there is no randomness: {error}")))?;
    Ok(u64::from_le_bytes(bytes))
}
