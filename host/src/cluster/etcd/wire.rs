//! What etcd answers: protocol buffers as JSON. 64-bit numbers are strings, bytes are
//! base64, and what is zero or empty is not there.

use serde::{Deserialize, Deserializer};

use super::{decode_text, row};
use crate::cluster::{Change, Error, Lease, Row};

/// gRPC's codes that are of the member that was asked and not of the request: deadline
/// exceeded, unavailable.
const OF_MEMBER: [u32; 2] = [4, 14];
/// How etcd begins to say that it takes such a client certificate for a user of its own.
const COMMON_NAME: &str = "CommonName of client";
/// gRPC's code for who is not known.
const UNAUTHENTICATED: u32 = 16;

/// In every answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Range {
    pub(super) header: Header,
    kvs: Vec<KeyValue>,
    pub(super) more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    key: String,
    value: String,
    #[serde(deserialize_with = "number")]
    mod_revision: u64,
    #[serde(deserialize_with = "signed")]
    lease: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Txn {
    pub(super) succeeded: bool,
    responses: Vec<Done>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    response_range: Counted,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counted {
    #[serde(deserialize_with = "number")]
    count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Granted {
    #[serde(rename = "ID", deserialize_with = "signed")]
    pub(super) id: i64,
}

/// The one message of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct KeptAlive {
    pub(super) result: Life,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Life {
    /// In seconds; none: it has ended.
    #[serde(rename = "TTL", deserialize_with = "signed")]
    pub(super) time: i64,
    /// What goes with it, if that was asked for.
    keys: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Token {
    pub(super) token: String,
}

/// A message of a watch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Watched {
    result: Option<Events>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Events {
    canceled: bool,
    cancel_reason: String,
    #[serde(deserialize_with = "number")]
    compact_revision: u64,
    events: Vec<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    /// "DELETE"; none: "PUT".
    #[serde(rename = "type")]
    kind: String,
    kv: KeyValue,
}

/// It does not want to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    message: String,
    error: Option<Value>,
    code: u32,
}

type Value = serde_json::Value;

// === impl Range ===

impl Range {
    pub(super) fn rows(self) -> Result<Vec<Row>, Error> {
        self.kvs.iter().map(KeyValue::row).collect()
    }

    /// The lease of the first row.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.kvs.first().map(|row| Lease(row.lease)).filter(|lease| *lease != Lease(0))
    }
}

// === impl Txn ===

impl Txn {
    /// Whether what it looked for is there.
    pub(super) fn found(&self) -> bool {
        self.responses.iter().any(|done| done.response_range.count > 0)
    }
}

// === impl Life ===

impl Life {
    pub(super) fn keys(&self) -> Result<Vec<String>, Error> {
        self.keys.iter().map(|key| decode_text(key)).collect()
    }
}

// === impl KeyValue ===

impl KeyValue {
    fn row(&self) -> Result<Row, Error> {
        row(&self.key, &self.value, self.mod_revision)
    }
}

// === impl Watched ===

impl Watched {
    pub(super) fn changes(self) -> Result<Vec<Change>, Error> {
        if let Some(error) = self.error {
            return Err(Error::Unreachable(message_of(&error)));
        }
        let events = self.result.unwrap_or_default();
        if events.compact_revision > 0 {
            return Err(Error::Compacted);
        }
        if events.canceled {
            return Err(Error::Unreachable(events.cancel_reason));
        }
        let change = |event: Event| {
            let row = event.kv.row()?;
            Ok(match event.kind.as_str() {
                "DELETE" => Change::Deleted(row.key),
                _ => Change::Put(row),
            })
        };
        events.events.into_iter().map(change).collect()
    }
}

// === impl Refusal ===

impl Refusal {
    /// What somebody says who may be no etcd at all.
    pub(super) fn new(status: u16, body: &[u8]) -> Self {
        let mut refusal: Self = serde_json::from_slice(body).unwrap_or_default();
        if String::from_utf8_lossy(body).starts_with(COMMON_NAME) {
            refusal.message = "with users, etcd's JSON API takes no client certificate that has \
                               a common name (CN); use one without"
                .to_owned();
        } else if refusal.message.is_empty() {
            refusal.message = refusal.error.as_ref().map_or_else(
                || {
                    format!(
                        "it answers with HTTP status {status}; is it etcd 3.4 or later, with \
                         --enable-grpc-gateway?"
                    )
                },
                message_of,
            );
        }
        refusal
    }

    /// An answer that cannot be understood.
    pub(super) fn odd(error: &serde_json::Error) -> Self {
        Self { message: format!("its answer is odd: {error}"), ..Self::default() }
    }

    /// Whether another member may answer otherwise.
    pub(super) fn is_of_member(&self) -> bool {
        OF_MEMBER.contains(&self.code)
    }

    /// Whether what it could not finish may happen yet: all but who had no leader to tell.
    pub(super) fn may_be_done(&self) -> bool {
        self.message() != "no leader"
    }

    /// Whether another token may help.
    pub(super) fn is_of_token(&self) -> bool {
        self.code == UNAUTHENTICATED || self.message.contains("invalid auth token")
    }

    pub(super) fn message(&self) -> &str {
        self.message.trim_start_matches("etcdserver: ")
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal.message() {
            "requested lease not found" => Self::NoLease,
            message if message.contains("revision has been compacted") => Self::Compacted,
            message => Self::Refused(message.to_owned()),
        }
    }
}

fn message_of(error: &Value) -> String {
    let message = error.get("message").unwrap_or(error);
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    signed(from).map(|number| u64::try_from(number).unwrap_or_default())
}

fn signed<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| serde::de::Error::custom("not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_says_is_understood() {
        let text = r#"{"result":{"header":{"revision":"7"},"events":[
            {"kv":{"key":"L2E=","value":"Yg==","mod_revision":"7","lease":"1"}},
            {"type":"DELETE","kv":{"key":"L2M=","mod_revision":"7"}}]}}"#;
        let watched: Watched = serde_json::from_str(text).unwrap();
        let row = Row { key: "/a".to_owned(), value: b"b".to_vec(), revision: 7 };
        let changes = watched.changes().unwrap();
        assert_eq!(changes, [Change::Put(row), Change::Deleted("/c".to_owned())]);

        let compacted = r#"{"result":{"canceled":true,"compact_revision":"9"}}"#;
        let compacted: Watched = serde_json::from_str(compacted).unwrap();
        assert!(matches!(compacted.changes(), Err(Error::Compacted)));

        let body = br#"{"error":"etcdserver: requested lease not found","code":5,"message":"etcdserver: requested lease not found"}"#;
        assert!(matches!(Refusal::new(404, body).into(), Error::NoLease));
        let no_leader = Refusal::new(503, br#"{"error":"etcdserver: no leader","code":14}"#);
        assert!(no_leader.is_of_member());
        assert_eq!(no_leader.message(), "no leader");
        assert!(!no_leader.may_be_done());
        let late = Refusal::new(503, br#"{"error":"etcdserver: request timed out","code":14}"#);
        assert!(late.is_of_member() && late.may_be_done());
        let other: Error = Refusal::new(404, b"404 page not found").into();
        assert!(other.to_string().contains("--enable-grpc-gateway"), "{other}");
        let kept: KeptAlive = serde_json::from_str(r#"{"result":{"ID":"5"}}"#).unwrap();
        assert_eq!(kept.result.time, 0);
    }
}
