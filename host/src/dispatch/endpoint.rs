//! Endpoints.

use std::collections::BTreeMap;

use super::{Dispatcher, Error, check, network::forced, now};
use crate::{
    events::{About, What},
    id::{DriverName, EndpointId, NetworkId, short},
    ledger::{Changes, EndpointKey, EndpointRecord, Joined, NetworkRecord, Scope},
    model::{EndpointRequest, EndpointSettings, JoinInfo, Network, Options, PortBinding},
    runtime::{Call, CallError, Driver, Endpoint},
    since_boot::SinceBoot,
    store::Lasting,
};

/// The steps of an endpoint's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// It is no longer its container's way out.
    Revoke,
    /// It is no longer in its sandbox.
    Leave,
    /// It is gone.
    Delete,
}

// === impl Dispatcher ===

impl Dispatcher {
    /// Makes an endpoint and says what the driver chose for it.
    pub async fn create_endpoint(
        &self,
        name: &DriverName,
        network: &NetworkId,
        request: EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        let order = self.lock_network(network).await;
        let of = self.need_network(name, network)?;
        let existing = self.ledger.read().endpoint(network, &request.id).cloned();
        if let Some(record) = existing {
            let repeated = record.request == request;
            return if repeated {
                Ok(record.settings)
            } else {
                Err(Error::EndpointExists(request.id))
            };
        }
        self.evict_holders(name, &of, &request).await;

        let driver = self.driver(name)?;
        let key = EndpointKey { network: network.clone(), endpoint: request.id.clone() };
        let transaction = self.begin(name, Some(scope_of(name, &key)), Some(&of.network));
        let answer =
            driver.create_endpoint(self.call(&driver, &transaction), &of.network, &request).await;
        let answer = driver
            .judge(answer)
            .and_then(|settings| check::settings(&self.ledger.read(), network, &request, settings));
        let settings = self.settle(&transaction, &order, answer).await?;
        let record = EndpointRecord {
            request,
            settings,
            joined: None,
            programmed: None,
            created: now(),
            stranded: None,
        };
        transaction.set_endpoint(key, Some(record)).await;
        self.commit(&transaction).await?;
        Ok(settings)
    }

    /// Connects an endpoint to a sandbox and says what the engine is to set up there.
    pub async fn join(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
        sandbox: &str,
    ) -> Result<JoinInfo, Error> {
        let order = self.lock_network(network).await;
        let (of, record) = self.need_endpoint(name, network, endpoint)?;
        if let Some(joined) = record.joined {
            let repeated = joined.sandbox == sandbox;
            return if repeated { Ok(joined.info) } else { Err(Error::Joined(endpoint.clone())) };
        }
        let driver = self.driver(name)?;
        let key = EndpointKey { network: network.clone(), endpoint: endpoint.clone() };
        let scope = scope_of(name, &key);
        let transaction = self.begin(name, Some(scope.clone()), Some(&of.network));
        let answer = driver
            .join(self.call(&driver, &transaction), &of.network, view(&record), sandbox)
            .await;
        let changes = transaction.changes().await;
        let answer = driver.judge(answer).and_then(|info| {
            check::join(&self.ledger.read(), &changes, &scope, &info).map(|()| info)
        });
        let info = self.settle(&transaction, &order, answer).await?;
        let joined = Some(Joined { sandbox: sandbox.to_owned(), info: info.clone() });
        transaction.set_endpoint(key, Some(EndpointRecord { joined, ..record })).await;
        self.commit(&transaction).await?;
        Ok(info)
    }

    /// The endpoint has become its container's way out: publishes its ports.
    pub async fn program(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
        ports: Vec<PortBinding>,
    ) -> Result<(), Error> {
        let order = self.lock_network(network).await;
        let (of, mut record) = self.need_endpoint(name, network, endpoint)?;
        if record.programmed.as_ref() == Some(&ports) {
            return Ok(());
        }
        if record.programmed.take().is_some() {
            // Other ports than before: the old ones go first, the new may be among them.
            self.farewell_locked(name, network, endpoint, Farewell::Revoke).await?;
        }
        let driver = self.driver(name)?;
        let key = EndpointKey { network: network.clone(), endpoint: endpoint.clone() };
        let transaction = self.begin(name, Some(scope_of(name, &key)), Some(&of.network));
        let call = self.call(&driver, &transaction);
        let answer = driver.program(call, &of.network, view(&record), &ports).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        let programmed = Some(ports);
        transaction.set_endpoint(key, Some(EndpointRecord { programmed, ..record })).await;
        // If a crash takes it back and nothing was published, there is nothing to revoke.
        self.commit_record(&transaction).await
    }

    /// The endpoint is no longer its container's way out.
    pub async fn revoke(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Result<(), Error> {
        self.farewell(name, network, endpoint, Farewell::Revoke).await
    }

    /// Disconnects an endpoint from its sandbox.
    pub async fn leave(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Result<(), Error> {
        self.farewell(name, network, endpoint, Farewell::Leave).await
    }

    /// Deletes an endpoint with everything it has.
    pub async fn delete_endpoint(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Result<(), Error> {
        self.farewell(name, network, endpoint, Farewell::Delete).await
    }

    /// Facts about an endpoint; none if the driver has none to give.
    pub async fn endpoint_info(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Result<Options, Error> {
        let _order = self.lock_network(network).await;
        let Ok((of, record)) = self.need_endpoint(name, network, endpoint) else {
            return Ok(Options::new());
        };
        let driver = self.driver(name)?;
        let key = EndpointKey { network: network.clone(), endpoint: endpoint.clone() };
        let transaction = self.begin(name, Some(scope_of(name, &key)), Some(&of.network));
        let call = self.call(&driver, &transaction);
        let answer = driver.endpoint_info(call, &of.network, view(&record)).await;
        let info = driver.judge(answer);
        transaction.roll_back().await;
        Ok(info?)
    }

    /// Deletes an endpoint that died without the engine saying so.
    pub async fn evict(&self, network: &NetworkId, endpoint: &EndpointId, why: &str) {
        let Some(record) = self.ledger.read().networks.get(network).cloned() else { return };
        let _order = self.lock_network(network).await;
        self.evict_locked(&record.driver, network, endpoint, why).await;
    }

    /// Notes since when an endpoint's link is on the host though no container's, or that it
    /// is not. It is kept on disk: a daemon that is killed again and again would otherwise
    /// begin to wait anew each time.
    pub async fn note_stranded(&self, key: &EndpointKey, since: Option<SinceBoot>) {
        let _order = self.lock_network(&key.network).await;
        let record = self.ledger.read().endpoint(&key.network, &key.endpoint).cloned();
        let Some(record) = record else { return };
        let record = EndpointRecord { stranded: since, ..record };
        let endpoints = BTreeMap::from([(key.clone(), Some(record))]);
        let changes = Changes { endpoints, ..Changes::default() };
        if let Err(error) = self.ledger.commit(changes, Lasting::Durable).await {
            tracing::warn!(error = %crate::error::chain(&error), "cannot note a stranded endpoint");
        }
    }

    /// Evicts endpoints that have an address the engine now gives to another: it
    /// would not if they were alive.
    async fn evict_holders(&self, name: &DriverName, of: &NetworkRecord, new: &EndpointRequest) {
        let network = &of.network.id;
        let wanted: Vec<_> = new.addresses(&EndpointSettings::default()).collect();
        let holders: Vec<_> = self
            .ledger
            .read()
            .endpoints_of(network)
            .filter(|(_, record)| record.addresses().any(|address| wanted.contains(&address)))
            .map(|(id, _)| id.clone())
            .collect();
        for holder in holders {
            self.evict_locked(name, network, &holder, "its address was given to another").await;
        }
    }

    async fn evict_locked(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
        why: &str,
    ) {
        let Some(record) = self.ledger.read().endpoint(network, endpoint).cloned() else { return };
        tracing::warn!(%network, endpoint = %short(endpoint.as_str()), why, "stale endpoint removed");
        let mut steps = vec![Farewell::Delete];
        if record.joined.is_some() {
            steps.insert(0, Farewell::Leave);
        }
        if record.programmed.is_some() {
            steps.insert(0, Farewell::Revoke);
        }
        for step in steps {
            if let Err(error) = self.farewell_locked(name, network, endpoint, step).await {
                tracing::warn!(error = %crate::error::chain(&error), "while removing a stale endpoint");
            }
        }
        let key = EndpointKey { network: network.clone(), endpoint: endpoint.clone() };
        let what = What::EndpointEvicted { why: why.to_owned() };
        self.events.send(About::endpoint(name, &key), what);
    }

    async fn farewell(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
        step: Farewell,
    ) -> Result<(), Error> {
        let _order = self.lock_network(network).await;
        self.farewell_locked(name, network, endpoint, step).await
    }

    /// Takes one step of an endpoint's end, even if the driver fails in it.
    async fn farewell_locked(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
        step: Farewell,
    ) -> Result<(), Error> {
        let Ok((of, record)) = self.need_endpoint(name, network, endpoint) else { return Ok(()) };
        if step.is_done(&record) {
            return Ok(());
        }
        let key = EndpointKey { network: network.clone(), endpoint: endpoint.clone() };
        let scope = scope_of(name, &key);
        let begin = || self.begin(name, Some(scope.clone()), Some(&of.network));
        let transaction = begin();
        let asked = match self.driver(name) {
            Ok(driver) => {
                let call = self.call(&driver, &transaction);
                let answer = step.ask(&driver, call, &of.network, view(&record)).await;
                driver.judge(answer).map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        let (transaction, failure) = self.insist(transaction, asked, begin).await;
        match step {
            // Whoever is not its container's way out publishes nothing.
            Farewell::Revoke | Farewell::Leave => transaction.sweep_ports(&scope).await,
            Farewell::Delete => transaction.sweep(&scope).await,
        }
        transaction.set_endpoint(key, step.take(record)).await;
        match step {
            // If a crash takes it back and nothing was published, the endpoint's leave does
            // the same again.
            Farewell::Revoke => self.commit_record(&transaction).await?,
            Farewell::Leave | Farewell::Delete => self.commit(&transaction).await?,
        }
        forced(name, step.method(), failure)
    }

    fn need_endpoint(
        &self,
        name: &DriverName,
        network: &NetworkId,
        endpoint: &EndpointId,
    ) -> Result<(NetworkRecord, EndpointRecord), Error> {
        let of = self.need_network(name, network)?;
        let record = self.ledger.read().endpoint(network, endpoint).cloned();
        record.map(|record| (of, record)).ok_or_else(|| Error::NoEndpoint(endpoint.clone()))
    }
}

fn scope_of(driver: &DriverName, key: &EndpointKey) -> Scope {
    Scope {
        driver: driver.clone(),
        network: key.network.clone(),
        endpoint: Some(key.endpoint.clone()),
    }
}

fn view(record: &EndpointRecord) -> Endpoint<'_> {
    Endpoint { request: &record.request, settings: &record.settings }
}

// === impl Farewell ===

impl Farewell {
    fn method(self) -> &'static str {
        match self {
            Self::Revoke => "revoke-external-connectivity",
            Self::Leave => "leave",
            Self::Delete => "delete-endpoint",
        }
    }

    /// Whether there is nothing left to do.
    fn is_done(self, record: &EndpointRecord) -> bool {
        match self {
            Self::Revoke => record.programmed.is_none(),
            Self::Leave => record.joined.is_none(),
            Self::Delete => false,
        }
    }

    /// What is left of the record.
    fn take(self, record: EndpointRecord) -> Option<EndpointRecord> {
        match self {
            Self::Revoke => Some(EndpointRecord { programmed: None, ..record }),
            Self::Leave => Some(EndpointRecord { programmed: None, joined: None, ..record }),
            Self::Delete => None,
        }
    }

    async fn ask(
        self,
        driver: &Driver,
        call: Call,
        network: &Network,
        endpoint: Endpoint<'_>,
    ) -> Result<(), CallError> {
        match self {
            Self::Revoke => driver.revoke(call, network, endpoint).await,
            Self::Leave => driver.leave(call, network, endpoint).await,
            Self::Delete => driver.delete_endpoint(call, network, endpoint).await,
        }
    }
}
