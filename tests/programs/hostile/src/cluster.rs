//! Attacks on what other drivers share with other nodes: they have a group, a value in it and
//! an agreed key, all three called "secret".

use wasmnet_sdk::{Error, cluster};

use crate::over;

const SECRET: &str = "secret";
/// Keys that would lead to another driver's if they were paths.
const PATHS: [&str; 6] = [
    "../gossip/secret",
    "../../agreed/gossip/secret",
    "/wasmnet/agreed/gossip/secret",
    "/secret",
    "./secret",
    "..",
];

/// Tries one thing, if it is one of these.
pub fn attack(attack: &str) -> Option<Result<(), Error>> {
    Some(match attack {
        "peek" => cluster::entries(SECRET, None).map(drop),
        "follow" => cluster::follow(SECRET).and_then(|()| listen()),
        "listen" => cluster::follow(SECRET),
        "follow-many" => (0..100).try_for_each(|number| cluster::follow(&format!("g{number}"))),
        "publish-many" => (0..100_000).try_for_each(|number| publish(&number.to_string(), b"x")),
        "publish-huge" => publish("key", &vec![1; 1 << 20]),
        "publish-keys" => publish_keys(),
        "withdraw" => cluster::withdraw(SECRET, SECRET).and_then(|()| Err(over())),
        "agreed-read" => agreed_read(),
        "agreed-write" => agreed_write(),
        "agreed-huge" => cluster::compare_and_set("key", None, Some(&vec![1; 1 << 20])).map(drop),
        "agreed-key" => cluster::get(&"k".repeat(1 << 20)).map(drop),
        _ => return None,
    })
}

fn publish(key: &str, value: &[u8]) -> Result<(), Error> {
    cluster::publish(SECRET, key, value)
}

/// A group of the same name is another one.
pub fn listen() -> Result<(), Error> {
    match cluster::entries(SECRET, None)?.len() {
        0 => Err(over()),
        _ => Err(Error::invalid("the host gave another driver's entries")),
    }
}

/// Entries of the group are nobody else's, however they are called.
fn publish_keys() -> Result<(), Error> {
    for key in [SECRET, "../../gossip/secret/secret", "a/b", "a\0b", "a\nb"] {
        publish(key, b"mine")?;
    }
    for key in [String::new(), "k".repeat(256), "k".repeat(1 << 20)] {
        if publish(&key, b"mine").is_ok() {
            return Err(Error::invalid("a key of impossible length was taken"));
        }
    }
    for group in [String::new(), "g".repeat(129)] {
        if cluster::publish(&group, "key", b"mine").is_ok() {
            return Err(Error::invalid("a group of impossible length was taken"));
        }
    }
    Err(over())
}

/// No other driver's values can be found.
fn agreed_read() -> Result<(), Error> {
    for prefix in ["", "..", "../", "/", "../gossip/"] {
        if let Some(key) = cluster::keys(prefix)?.first() {
            return Err(Error::invalid(format!("the host gave key {key:?}")));
        }
    }
    for key in PATHS.into_iter().chain([SECRET]) {
        if cluster::get(key)?.is_some() {
            return Err(Error::invalid(format!("the host gave the value of {key:?}")));
        }
    }
    Err(over())
}

/// What is written is the driver's own, however it is called; it is taken back.
fn agreed_write() -> Result<(), Error> {
    for key in PATHS.into_iter().chain([SECRET]) {
        if !cluster::compare_and_set(key, None, Some(b"mine"))? {
            return Err(Error::invalid(format!("{key:?} is somebody else's")));
        }
        if !cluster::compare_and_set(key, Some(b"mine"), None)? {
            return Err(Error::invalid(format!("{key:?} is not as written")));
        }
    }
    Err(over())
}
