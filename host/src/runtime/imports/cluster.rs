//! `cluster`: what the nodes of a cluster know in common.

use std::time::Duration;

use super::{error_out, system::nanoseconds};
use crate::{
    cluster,
    ledger::TxError,
    runtime::{
        bindings::network::wasmnet::driver::{
            cluster::{Entry, Host, Node, Standing},
            types::Error,
        },
        call::CallState,
        convert::address_out,
    },
};

type Outcome<T> = wasmtime::Result<Result<T, Error>>;

fn out<T, U>(answer: Result<T, TxError>, convert: impl FnOnce(T) -> U) -> Outcome<U> {
    Ok(answer.map(convert).map_err(|error| error_out(&error)))
}

fn node_out(node: cluster::Node) -> Node {
    let cluster::Node { id, name, address } = node;
    Node { id: id.into(), name, address: address_out(address) }
}

fn entry_out(entry: cluster::Entry) -> Entry {
    let cluster::Entry { key, node, value, revision } = entry;
    Entry { key, node: node_out(node), value, revision }
}

// === impl CallState ===

impl Host for CallState {
    async fn this_node(&mut self) -> Outcome<Node> {
        out(self.transaction()?.this_node().await, node_out)
    }

    async fn nodes(&mut self) -> Outcome<Vec<Node>> {
        let nodes = self.transaction()?.nodes().await;
        out(nodes, |nodes| nodes.into_iter().map(node_out).collect())
    }

    async fn presence(&mut self) -> Outcome<Standing> {
        let standing = self.transaction()?.standing().await;
        out(standing, |cluster::Standing { term, age }| Standing { term, age: nanoseconds(age) })
    }

    async fn away(&mut self, node: String) -> Outcome<Option<u64>> {
        out(self.transaction()?.away(&node).await, |away| away.map(nanoseconds))
    }

    async fn follow(&mut self, group: String) -> Outcome<()> {
        out(self.transaction()?.follow(&group).await, |()| ())
    }

    async fn publish(&mut self, group: String, key: String, value: Vec<u8>) -> Outcome<()> {
        out(self.transaction()?.publish_entry(&group, &key, value).await, |()| ())
    }

    async fn withdraw(&mut self, group: String, key: String) -> Outcome<()> {
        out(self.transaction()?.withdraw_entry(&group, &key).await, |()| ())
    }

    async fn entries(&mut self, group: String, key: Option<String>) -> Outcome<Vec<Entry>> {
        let entries = self.transaction()?.entries(&group, key.as_deref()).await;
        out(entries, |entries| entries.into_iter().map(entry_out).collect())
    }

    async fn get(&mut self, key: String) -> Outcome<Option<Vec<u8>>> {
        out(self.transaction()?.agreed(&key).await, |value| value)
    }

    async fn keys(&mut self, prefix: String) -> Outcome<Vec<String>> {
        out(self.transaction()?.agreed_keys(&prefix).await, |keys| keys)
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        old: Option<Vec<u8>>,
        new: Option<Vec<u8>>,
    ) -> Outcome<bool> {
        out(self.transaction()?.agree(&key, old, new).await, |done| done)
    }

    async fn call_later(&mut self, after: u64) -> Outcome<()> {
        out(self.transaction()?.call_later(Duration::from_nanos(after)).await, |()| ())
    }

    async fn wait(
        &mut self,
        key: String,
        old: Option<Vec<u8>>,
        patience: u32,
    ) -> Outcome<Option<Vec<u8>>> {
        let patience = Duration::from_millis(patience.into());
        out(self.transaction()?.wait_agreed(&key, old, patience).await, |value| value)
    }
}
