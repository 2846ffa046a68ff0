//! `store`: the driver's own keys.

use super::error_out;
use crate::{
    ledger::Keys,
    runtime::{
        bindings::network::wasmnet::driver::{
            store::{Host, Scope},
            types::Error,
        },
        call::CallState,
    },
};

type Outcome<T> = wasmtime::Result<Result<T, Error>>;

fn keys_of(scope: Scope) -> Keys {
    match scope {
        Scope::Driver => Keys::Driver,
        Scope::Network => Keys::Network,
        Scope::Endpoint => Keys::Endpoint,
    }
}

// === impl CallState ===

impl Host for CallState {
    async fn get(&mut self, scope: Scope, key: String) -> Outcome<Option<Vec<u8>>> {
        let value = self.transaction()?.get(keys_of(scope), &key).await;
        Ok(value.map_err(|error| error_out(&error)))
    }

    async fn set(&mut self, scope: Scope, key: String, value: Vec<u8>) -> Outcome<()> {
        let done = self.transaction()?.set(keys_of(scope), &key, Some(value)).await;
        Ok(done.map_err(|error| error_out(&error)))
    }

    async fn delete(&mut self, scope: Scope, key: String) -> Outcome<()> {
        let done = self.transaction()?.set(keys_of(scope), &key, None).await;
        Ok(done.map_err(|error| error_out(&error)))
    }

    async fn keys(&mut self, scope: Scope, prefix: String) -> Outcome<Vec<String>> {
        let keys = self.transaction()?.keys(keys_of(scope), &prefix).await;
        Ok(keys.map_err(|error| error_out(&error)))
    }

    async fn compare_and_set(
        &mut self,
        scope: Scope,
        key: String,
        old: Option<Vec<u8>>,
        new: Vec<u8>,
    ) -> Outcome<bool> {
        let done = self.transaction()?.compare_and_set(keys_of(scope), &key, old, new).await;
        Ok(done.map_err(|error| error_out(&error)))
    }
}
