//! etcd, by the JSON face of its API (`/v3/…`), which every member has on its client port.
//!
//! All members answer alike, so whichever answered last is asked first, and the others when
//! it does not. Watches stand there, too: of a member that nobody asks nobody would see that
//! it hangs. A write that may have arrived is not sent again: whoever wanted it has to
//! look whether it was done.

mod http;
mod watch;
mod wire;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use self::http::InvalidEndpoint;
pub(crate) use self::http::check;
use self::{
    http::{Endpoint, Failure, Member},
    wire::{Granted, KeptAlive, Life, Range, Refusal, Token, Txn},
};
use super::{Error, Lease, Listing, Row, Session, Store, Watch, Write};
use crate::tls::{self, Tls};

/// How long a request may take, all members together.
const PATIENCE: Duration = Duration::from_millis(1900);
/// How long one of several members may take.
const PATIENCE_EACH: Duration = Duration::from_millis(700);
/// Rows that are asked for at once.
const PAGE: usize = 1000;

/// How etcd is reached.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Its members: "https://192.0.2.1:2379".
    pub endpoints: Vec<String>,
    /// Whom to trust, in a PEM file; none: whom the host trusts.
    pub ca: Option<PathBuf>,
    /// This host's certificate and its key, in PEM files.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The user's name, and the file with the password.
    pub user: Option<(String, PathBuf)>,
}

/// Why etcd cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An endpoint is none.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// A file or a certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// An etcd cluster.
pub struct Etcd {
    members: Arc<Vec<Member>>,
    /// Which one answered last.
    current: AtomicUsize,
    user: Option<(String, String)>,
    token: Mutex<Option<String>>,
}

// === impl Etcd ===

impl Etcd {
    /// Gets ready to talk to it.
    pub fn new(options: &Options) -> Result<Self, SetupError> {
        let tls = Tls::load(options.ca.as_deref(), options.certificate.as_ref())?;
        let members = options.endpoints.iter().map(|text| {
            let endpoint: Endpoint = text.parse()?;
            Member::new(endpoint, &tls)
        });
        let members: Vec<Member> = members.collect::<Result<_, SetupError>>()?;
        let user = options.user.as_ref().map(|(name, file)| {
            let password = tls::read(file)?;
            let password = String::from_utf8_lossy(&password).trim_end().to_owned();
            Ok::<_, SetupError>((name.clone(), password))
        });
        Ok(Self {
            members: Arc::new(members),
            current: AtomicUsize::new(0),
            user: user.transpose()?,
            token: Mutex::default(),
        })
    }

    /// Asks something that may be asked twice.
    async fn ask<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Error> {
        self.send(path, &body, true).await
    }

    /// Has something done that must not be done twice.
    async fn have_done<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Error> {
        self.send(path, &body, false).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        repeatable: bool,
    ) -> Result<T, Error> {
        let body = body.to_string();
        let (until, mut reasons) = (Instant::now() + PATIENCE, Vec::new());
        let first = self.current();
        for at in 0..self.members.len() {
            let index = (first + at) % self.members.len();
            let Some(member) = self.members.get(index) else { break };
            let last = at + 1 == self.members.len();
            let left = until.saturating_duration_since(Instant::now());
            let patience = if last { left } else { PATIENCE_EACH.min(left) };
            let answer = self.send_to(member, path, &body, patience).await;
            match answer {
                Ok(answer) => {
                    self.turn_to(index);
                    return serde_json::from_slice(&answer)
                        .map_err(|error| Error::Refused(format!("its answer is odd: {error}")));
                }
                Err(Failure::Refused(refusal)) if !refusal.is_of_member() => {
                    return Err(refusal.into());
                }
                Err(failure) if !repeatable && failure.may_be_done() => {
                    member.is_lost();
                    // It may answer what takes no agreement, and be asked for ever.
                    self.turn_to((index + 1) % self.members.len());
                    return Err(Error::Unknown);
                }
                Err(failure) => {
                    member.is_lost();
                    reasons.push(format!("{}: {failure}", member.endpoint()));
                }
            }
        }
        Err(Error::Unreachable(reasons.join(", ")))
    }

    /// The member to ask first.
    fn current(&self) -> usize {
        self.current.load(Ordering::SeqCst)
    }

    /// Has another member asked first from now on, and watched.
    fn turn_to(&self, index: usize) {
        let before = self.current.swap(index, Ordering::SeqCst);
        if before != index
            && let Some(member) = self.members.get(before)
        {
            member.is_left();
        }
    }

    async fn send_to(
        &self,
        member: &Member,
        path: &str,
        body: &str,
        patience: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let until = Instant::now() + patience;
        let left = || until.saturating_duration_since(Instant::now());
        let token = self.have_token(member, left()).await?;
        match member.post(path, body, token.as_deref(), left()).await {
            Err(Failure::Refused(refusal)) if refusal.is_of_token() && token.is_some() => {
                self.set_token(None);
                let token = self.have_token(member, left()).await?;
                member.post(path, body, token.as_deref(), left()).await
            }
            answer => answer,
        }
    }

    /// The token that says who we are, if etcd wants to know.
    async fn have_token(
        &self,
        member: &Member,
        patience: Duration,
    ) -> Result<Option<String>, Failure> {
        let Some((name, password)) = &self.user else { return Ok(None) };
        if let Some(token) = self.token() {
            return Ok(Some(token));
        }
        let body = json!({ "name": name, "password": password }).to_string();
        let answer = member.post("/v3/auth/authenticate", &body, None, patience).await?;
        let Token { token } = serde_json::from_slice(&answer)
            .map_err(|error| Failure::Refused(Refusal::odd(&error)))?;
        self.set_token(Some(token.clone()));
        Ok(Some(token))
    }

    fn token(&self) -> Option<String> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_token(&self, token: Option<String>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

#[async_trait]
impl Store for Etcd {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.endpoint().to_string()).collect()
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let range: Range = self.ask("/v3/kv/range", json!({ "key": encode(key) })).await?;
        Ok(range.rows()?.pop().map(|row| row.value))
    }

    async fn list(&self, prefix: &str, keys_only: bool) -> Result<Listing, Error> {
        let (end, mut from) = (encode_bytes(&end_of(prefix)), prefix.as_bytes().to_vec());
        let mut listing = Listing::default();
        loop {
            let body = json!({
                "key": encode_bytes(&from),
                "range_end": end,
                "limit": PAGE.to_string(),
                "keys_only": keys_only,
                "revision": listing.revision.to_string(),
            });
            let range: Range = self.ask("/v3/kv/range", body).await?;
            // All pages as they were with the first.
            if listing.revision == 0 {
                listing.revision = range.header.revision;
            }
            let (more, rows) = (range.more, range.rows()?);
            if let Some(last) = rows.last() {
                from = [last.key.as_bytes(), b"\0"].concat();
            }
            let empty = rows.is_empty();
            listing.rows.extend(rows);
            if !more || empty {
                return Ok(listing);
            }
        }
    }

    async fn compare_and_set(
        &self,
        session: &Session,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, Error> {
        let key = encode(key);
        let compare = match old {
            Some(old) => json!({
                "key": key, "result": "EQUAL", "target": "VALUE", "value": encode_bytes(old),
            }),
            None => json!({
                "key": key, "result": "EQUAL", "target": "VERSION", "version": "0",
            }),
        };
        let write = match new {
            Some(new) => json!({ "request_put": { "key": key, "value": encode_bytes(new) } }),
            None => json!({ "request_delete_range": { "key": key } }),
        };
        // To leave what is absent absent is to look.
        let success = if old.is_none() && new.is_none() { vec![] } else { vec![write] };
        let look = json!({ "request_range": { "key": encode(&session.key), "count_only": true } });
        let body = json!({
            "compare": [lasts(session), compare], "success": success, "failure": [look],
        });
        let txn: Txn = self.have_done("/v3/kv/txn", body).await?;
        match txn.succeeded {
            true => Ok(true),
            false if txn.found() => Ok(false),
            false => Err(Error::Superseded),
        }
    }

    async fn grant(&self, time: Duration) -> Result<Lease, Error> {
        let seconds = time.as_secs().max(1);
        let body = json!({ "TTL": seconds.to_string() });
        let granted: Granted = self.ask("/v3/lease/grant", body).await?;
        Ok(Lease(granted.id))
    }

    async fn keep_alive(&self, lease: Lease) -> Result<bool, Error> {
        let body = json!({ "ID": lease.0.to_string() });
        let kept: KeptAlive = self.ask("/v3/lease/keepalive", body).await?;
        Ok(kept.result.time > 0)
    }

    async fn lease_of(&self, key: &str) -> Result<Option<Lease>, Error> {
        let body = json!({ "key": encode(key), "keys_only": true });
        let range: Range = self.ask("/v3/kv/range", body).await?;
        Ok(range.lease())
    }

    async fn keys_of(&self, lease: Lease) -> Result<Vec<String>, Error> {
        let body = json!({ "ID": lease.0.to_string(), "keys": true });
        let life: Life = self.ask("/v3/lease/timetolive", body).await?;
        life.keys()
    }

    async fn begin(&self, session: &Session) -> Result<(), Error> {
        let (first, key) = (encode(&session.prefix), encode(&session.key));
        let behind = encode_bytes(&[session.key.as_bytes(), b"\0"].concat());
        let end = encode_bytes(&end_of(&session.prefix));
        let body = json!({ "success": [
            // What is put must not be in what is deleted.
            { "request_delete_range": { "key": first, "range_end": key } },
            { "request_delete_range": { "key": behind, "range_end": end } },
            { "request_put": { "key": key, "lease": session.lease.0.to_string() } },
        ] });
        let _: Txn = self.have_done("/v3/kv/txn", body).await?;
        Ok(())
    }

    async fn write(&self, session: &Session, writes: &[Write]) -> Result<(), Error> {
        let lease = session.lease.0.to_string();
        let write = |write: &Write| match write {
            Write::Put(key, value) => json!({
                "request_put": { "key": encode(key), "value": encode_bytes(value), "lease": lease }
            }),
            Write::Delete(key) => json!({ "request_delete_range": { "key": encode(key) } }),
        };
        let success: Vec<Value> = writes.iter().map(write).collect();
        // Not twice: the first might be done after a later write of this session's.
        let body = json!({ "compare": [lasts(session)], "success": success });
        let txn: Txn = self.have_done("/v3/kv/txn", body).await?;
        if txn.succeeded { Ok(()) } else { Err(Error::Superseded) }
    }

    async fn watch(&self, prefix: &str, from: u64) -> Result<Box<dyn Watch>, Error> {
        let body = json!({ "create_request": {
            "key": encode(prefix),
            "range_end": encode_bytes(&end_of(prefix)),
            "start_revision": from.to_string(),
        } })
        .to_string();
        let (member, lost) = loop {
            let index = self.current();
            let Some(member) = self.members.get(index) else {
                return Err(Error::Unreachable("there are no endpoints".to_owned()));
            };
            let lost = member.lost();
            // What turned to another before was not heard here.
            if self.current() == index {
                break (member, lost);
            }
        };
        let told = |failure: Failure| match failure {
            Failure::Refused(refusal) if !refusal.is_of_member() => refusal.into(),
            failure => Error::Unreachable(format!("{}: {failure}", member.endpoint())),
        };
        let token = self.have_token(member, PATIENCE).await.map_err(told)?;
        let body = member.stream("/v3/watch", &body, token.as_deref());
        Ok(Box::new(watch::EtcdWatch::new(body.await.map_err(told)?, lost)))
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the password.
        f.debug_struct("Etcd").field("endpoints", &self.endpoints()).finish_non_exhaustive()
    }
}

/// That a session has not ended.
fn lasts(session: &Session) -> Value {
    json!({
        "key": encode(&session.key), "result": "GREATER", "target": "VERSION", "version": "0",
    })
}

fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

fn encode_bytes(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The first key behind all that begin with `prefix`.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // No byte of UTF-8 is the greatest.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn row(key: &str, value: &str, revision: u64) -> Result<Row, Error> {
    Ok(Row { key: decode_text(key)?, value: decode(value)?, revision })
}

fn decode_text(text: &str) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&decode(text)?).into_owned())
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let bytes = BASE64_STANDARD.decode(text);
    bytes.map_err(|error| Error::Refused(format!("its answer is odd: {error}")))
}
