//! Nodes that are not there: the test writes into the store what they would publish.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use wasmnet_lab::{Etcd, Place};

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Writes of one transaction: etcd takes 128.
const BATCH: usize = 100;

/// Nodes of a cluster that the test plays, all in one overlay network.
pub struct Others {
    store: TcpStream,
    group: String,
    nodes: usize,
}

/// An endpoint on one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The node it is on, from 0.
    pub node: usize,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its Ethernet address.
    pub mac: String,
}

// === impl Others ===

impl Others {
    /// So many nodes that have the network of this subnet ("10.71.0.0/16").
    pub fn new(etcd: &Etcd, subnet: &str, nodes: usize) -> Self {
        let host = etcd.host(0);
        let connect = || TcpStream::connect((host.address(), 2379));
        let store = Place::host(host).within(connect).expect("connect to the store");
        store.set_read_timeout(Some(PATIENCE)).unwrap();
        store.set_nodelay(true).unwrap();
        Self { store, group: format!("subnet:{}", subnet.replace('/', "%2F")), nodes }
    }

    /// An endpoint of this number, at `base` + 2 + the number, on one of the nodes in turn.
    pub fn remote(&self, base: Ipv4Addr, number: usize) -> Remote {
        let address = Ipv4Addr::from_bits(base.to_bits() + 2 + u32::try_from(number).unwrap());
        let [a, b, c, d] = address.octets();
        let mac = format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
        Remote { node: number % self.nodes, address, mac }
    }

    /// Publishes endpoints.
    pub fn publish(&mut self, remotes: &[Remote]) {
        for batch in remotes.chunks(BATCH) {
            let put = |remote: &Remote| {
                let (key, value) = (self.key(remote), base64(remote.value().as_bytes()));
                json!({ "requestPut": { "key": base64(key.as_bytes()), "value": value } })
            };
            let writes: Vec<Value> = batch.iter().map(put).collect();
            self.write(&writes);
        }
    }

    /// Takes them back.
    pub fn withdraw(&mut self, remotes: &[Remote]) {
        for batch in remotes.chunks(BATCH) {
            let delete = |remote: &Remote| {
                let key = self.key(remote);
                json!({ "requestDeleteRange": { "key": base64(key.as_bytes()) } })
            };
            let writes: Vec<Value> = batch.iter().map(delete).collect();
            self.write(&writes);
        }
    }

    fn key(&self, remote: &Remote) -> String {
        let Remote { node, address, .. } = remote;
        format!("/wasmnet/entries/wasm-overlay/{}/endpoint%2F{address}/{node:032x}", self.group)
    }

    /// One transaction.
    fn write(&mut self, writes: &[Value]) {
        let body = json!({ "success": writes }).to_string();
        let request = format!(
            "POST /v3/kv/txn HTTP/1.1\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.store.write_all(request.as_bytes()).expect("ask the store");
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while !is_complete(&answer) {
            let read = self.store.read(&mut buffer).expect("the store's answer");
            assert_ne!(read, 0, "the store has closed the connection");
            answer.extend_from_slice(&buffer[..read]);
        }
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"succeeded\":true"), "{text}");
    }
}

/// Whether this is an HTTP answer as long as it says, or with the last of its chunks.
fn is_complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}

// === impl Remote ===

impl Remote {
    /// The host it is on, as the others reach it.
    pub fn vtep(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(
            Ipv4Addr::new(192, 0, 2, 1).to_bits() + u32::try_from(self.node).unwrap(),
        )
    }

    /// "ADDRESS MAC", as [`neighbours`](crate::neighbours) has them.
    pub fn text(&self) -> String {
        format!("{} {}", self.address, self.mac)
    }

    /// All of them as text.
    pub fn texts(remotes: &[Self]) -> BTreeSet<String> {
        remotes.iter().map(Self::text).collect()
    }

    fn value(&self) -> String {
        let Self { node, address, mac } = self;
        let record = format!("mac={mac}\naddress={address}\n");
        let (id, name) = (format!("{node:032x}"), format!("other{node}"));
        let node = json!({ "id": id, "name": name, "address": self.vtep() });
        json!({ "node": node, "value": base64(record.as_bytes()) }).to_string()
    }
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}
