//! What the daemon finds: drivers, and the kernel beside the ledger.

use std::time::Duration;

use super::{Finding, Fix, Kind};
use crate::{
    dispatch::{Dispatcher, Error, Slot},
    id::DriverName,
    model::LeaseState,
    reconcile,
};

/// How long a difference must last to be one; repairs take less than a second.
const SECOND_LOOK: Duration = Duration::from_millis(1500);

/// Everything that the daemon sees to be wrong.
pub async fn examine(dispatcher: &Dispatcher) -> Vec<Finding> {
    let mut findings = drivers(dispatcher);
    // What is on its way out is no leak; what is left after this the kernel will not give up.
    dispatcher.ledger().reap(&**dispatcher.kernel(), None).await;
    let mut differences = reconcile::examine(dispatcher).await;
    if !differences.is_empty() {
        // Calls and repairs go on meanwhile; only what stays is wrong.
        tokio::time::sleep(SECOND_LOOK).await;
        let still = reconcile::examine(dispatcher).await;
        differences.retain(|finding| still.contains(finding));
    }
    findings.extend(differences);
    let doomed = dispatcher.ledger().read().objects.doomed();
    findings.extend(doomed.iter().map(|(key, _)| {
        let wrong = format!("{key} is deleted, but still in the kernel");
        Finding::fixable(Kind::Leak, wrong, Fix::Repair)
    }));
    findings
}

fn drivers(dispatcher: &Dispatcher) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, slot) in &dispatcher.drivers().all() {
        if let Slot::Failed(reason) = slot {
            let wrong = format!("driver {name} is not loaded: {reason}");
            let advice = format!(
                "mend or remove its entry in the config, then restart the daemon; networks of {name} go on meanwhile"
            );
            findings.push(Finding::new(Kind::Driver, wrong, advice));
        }
        if let Some(confined) = dispatcher.quarantine().confined(name) {
            let failures = confined.failures;
            let reason = confined.reason;
            let wrong = format!(
                "driver {name} is in quarantine: it failed {failures} times in a row, the last time: {reason}"
            );
            let advice = format!("look into its log, then run \"wasmnet driver reset {name}\"");
            findings.push(Finding::new(Kind::Driver, wrong, advice));
        }
    }
    findings
}

/// Mends a finding.
pub async fn mend(dispatcher: &Dispatcher, fix: &Fix) -> Result<(), Error> {
    match fix {
        Fix::Repair => reconcile::repair_all(dispatcher).await,
        Fix::DeleteNetwork { network } => {
            let driver = {
                let state = dispatcher.ledger().read();
                state.networks.get(network).map(|record| record.driver.clone())
            };
            if let Some(driver) = driver {
                dispatcher.delete_network(&driver, network).await?;
            }
        }
        Fix::ReleaseAddress { driver, pool, address, since } => {
            dispatcher.release_lease(driver, pool, *address, *since).await?;
        }
        Fix::ReleasePool { driver, pool } => release_pool(dispatcher, driver, pool).await?,
        Fix::DeleteEndpoint { network, endpoint } => {
            dispatcher.evict(network, endpoint, "Docker does not know it").await;
        }
    }
    Ok(())
}

/// Gives a pool back, and before it what is held of it: its subnet may be shared, and so stay.
async fn release_pool(
    dispatcher: &Dispatcher,
    driver: &DriverName,
    pool: &str,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let leases = dispatcher.leases(driver, pool, after).await?;
        let Some(last) = leases.last().map(|lease| lease.address) else { break };
        for lease in leases.iter().filter(|lease| lease.state == LeaseState::Held) {
            dispatcher.release_address(driver, pool, lease.address).await?;
        }
        if after.is_some_and(|after| last <= after) {
            break;
        }
        after = Some(last);
    }
    dispatcher.release_pool(driver, pool).await
}
