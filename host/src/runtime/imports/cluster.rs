//! `cluster`: what the nodes of a cluster know in common.

use crate::runtime::{
    bindings::network::wasmnet::driver::{
        cluster::{Entry, Host, Node},
        types::{Error, ErrorCode},
    },
    call::CallState,
};

type Outcome<T> = wasmtime::Result<Result<T, Error>>;

fn unavailable<T>() -> Outcome<T> {
    let message = "this host has no cluster store".to_owned();
    Ok(Err(Error { code: ErrorCode::Unavailable, message }))
}

// === impl CallState ===

impl Host for CallState {
    async fn this_node(&mut self) -> Outcome<Node> {
        unavailable()
    }

    async fn nodes(&mut self) -> Outcome<Vec<Node>> {
        unavailable()
    }

    async fn follow(&mut self, _group: String) -> Outcome<()> {
        unavailable()
    }

    async fn publish(&mut self, _group: String, _key: String, _value: Vec<u8>) -> Outcome<()> {
        unavailable()
    }

    async fn withdraw(&mut self, _group: String, _key: String) -> Outcome<()> {
        unavailable()
    }

    async fn entries(&mut self, _group: String, _key: Option<String>) -> Outcome<Vec<Entry>> {
        unavailable()
    }

    async fn get(&mut self, _key: String) -> Outcome<Option<Vec<u8>>> {
        unavailable()
    }

    async fn keys(&mut self, _prefix: String) -> Outcome<Vec<String>> {
        unavailable()
    }

    async fn compare_and_set(
        &mut self,
        _key: String,
        _old: Option<Vec<u8>>,
        _new: Option<Vec<u8>>,
    ) -> Outcome<bool> {
        unavailable()
    }
}
