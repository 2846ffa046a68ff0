//! Bringing the kernel back to what the ledger says.
//!
//! Subscribe, full sync, then differences: the daemon listens to the kernel before
//! it looks at it, makes everything again that is missing before the first call is let
//! in, and from then on looks at what an announcement points to. Every few minutes it
//! looks at everything, in case an announcement was lost.
//!
//! Planning ([`plan`]) and doing are apart. A network is repaired under its lock, from a
//! snapshot taken under that lock, so a repair never meets half a call.

mod plan;

use tokio::time::{Instant, MissedTickBehavior};

use std::{path::Path, sync::Arc, time::Duration};

use self::plan::Repair;
use crate::{
    dispatch::Dispatcher,
    error::chain,
    id::NetworkId,
    kernel::{self, Event, Kernel, LinkName, Object, ObjectKey},
    ledger::{self, Changes},
    store::Lasting,
};

/// How often everything is compared although nothing was announced.
const FULL_SYNC: Duration = Duration::from_secs(300);
/// How long changes of the firewall are gathered before it is looked at.
const GATHER: Duration = Duration::from_millis(50);
/// How often it is looked at where changes are not announced (iptables-legacy).
const LOOK: Duration = Duration::from_millis(500);
/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why the first sync did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel's state could not be read.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The ledger could not be written.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// Brings kernel and ledger together before the first call: after a reboot the
/// networks are made again and the old boot's endpoints forgotten; after a crash
/// what an unfinished call left behind is removed.
pub async fn start(dispatcher: &Dispatcher) -> Result<(), Error> {
    let (ledger, kernel) = (dispatcher.ledger(), dispatcher.kernel());
    let boot_id = boot_id(Path::new(BOOT_ID));
    let known = ledger.read().boot_id.clone();
    let rebooted = known.is_some() && known != boot_id;
    if rebooted {
        forget_endpoints(dispatcher).await?;
    }
    if known != boot_id {
        ledger.commit(Changes { boot_id, ..Changes::default() }, Lasting::Durable).await?;
    }
    ledger.reap(&**kernel, None).await;

    let snapshot = kernel.snapshot().await?;
    let orphans = plan::orphans(&ledger.read(), &snapshot);
    for name in orphans {
        tracing::warn!(link = %name, "removing a link that an unfinished call left behind");
        remove_orphan(&**kernel, &name).await;
    }
    let firewall = ledger.read().objects.firewall();
    kernel.reset_firewall(&firewall).await?;
    let networks: Vec<NetworkId> = ledger.read().networks.keys().cloned().collect();
    for network in &networks {
        repair_network(dispatcher, network).await;
    }
    bind_ports(dispatcher).await;
    if rebooted {
        for network in &networks {
            if let Err(error) = dispatcher.restore_network(network).await {
                tracing::warn!(%network, error = %chain(&error), "the driver could not restore its network");
            }
        }
    }
    Ok(())
}

/// Binds the published ports again: sockets died with the last daemon. Where somebody
/// has taken the port since, NAT still serves it.
async fn bind_ports(dispatcher: &Dispatcher) {
    let ports: Vec<Object> = dispatcher
        .ledger()
        .read()
        .objects
        .standing()
        .into_iter()
        .filter(|(_, entry)| matches!(entry.object, Object::Port(_)))
        .map(|(_, entry)| entry.object.clone())
        .collect();
    for port in ports {
        if let Err(error) = dispatcher.kernel().create(&port).await {
            tracing::warn!(error = %chain(&error), "a published port is no longer ours alone");
        }
    }
}

/// Listens to the kernel and repairs, for as long as the daemon runs.
pub async fn run(dispatcher: Arc<Dispatcher>) {
    let kernel = Arc::clone(dispatcher.kernel());
    let mut full_sync = tokio::time::interval(FULL_SYNC);
    full_sync.tick().await;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When the firewall is to be looked at: one look for many changes.
    let mut firewall_due: Option<Instant> = None;
    loop {
        let due = firewall_due.unwrap_or_else(Instant::now);
        tokio::select! {
            event = kernel.next_event() => match event {
                Event::LinkGone(name) => link_gone(&dispatcher, &name),
                Event::Firewall => {
                    firewall_due.get_or_insert(Instant::now() + GATHER);
                }
                Event::Overrun => repair_all(&dispatcher).await,
            },
            () = tokio::time::sleep_until(due), if firewall_due.is_some() => {
                firewall_due = None;
                repair_firewall(&*kernel).await;
            }
            _ = look.tick() => {
                if kernel.is_firewall_silent().await {
                    repair_firewall(&*kernel).await;
                }
            }
            _ = full_sync.tick() => repair_all(&dispatcher).await,
        }
    }
}

async fn repair_firewall(kernel: &dyn Kernel) {
    match kernel.repair_firewall().await {
        Ok(true) => tracing::warn!("firewall repaired: somebody had flushed it"),
        Ok(false) => {}
        Err(error) => tracing::error!(error = %chain(&error), "cannot repair the firewall"),
    }
}

/// A link of ours is gone and we did not do it.
fn link_gone(dispatcher: &Arc<Dispatcher>, name: &LinkName) {
    let network = {
        let state = dispatcher.ledger().read();
        let entry = state.objects.get(&ObjectKey::link(name)).filter(|entry| !entry.doomed);
        entry.map(|entry| entry.scope.network.clone())
    };
    if let Some(network) = network {
        // Apart, so that a slow network does not keep others waiting.
        let dispatcher = Arc::clone(dispatcher);
        tokio::spawn(async move { repair_network(&dispatcher, &network).await });
    }
}

async fn repair_all(dispatcher: &Dispatcher) {
    let (ledger, kernel) = (dispatcher.ledger(), dispatcher.kernel());
    repair_firewall(&**kernel).await;
    ledger.reap(&**kernel, None).await;
    let networks: Vec<NetworkId> = ledger.read().networks.keys().cloned().collect();
    for network in networks {
        repair_network(dispatcher, &network).await;
    }
}

/// Makes one network's objects be as the ledger says.
async fn repair_network(dispatcher: &Dispatcher, network: &NetworkId) {
    let mut dead = Vec::new();
    {
        let _order = dispatcher.lock_network(network).await;
        let snapshot = match dispatcher.kernel().snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot compare with the kernel");
                return;
            }
        };
        let repairs = plan::repairs(&dispatcher.ledger().read(), &snapshot, network);
        for repair in repairs {
            match repair {
                Repair::Evict(endpoint) => dead.push(endpoint),
                Repair::Create(object) => repair_object(dispatcher, None, &object).await,
                Repair::Replace(is, object) => {
                    repair_object(dispatcher, Some(&is), &object).await;
                }
            }
        }
    }
    for endpoint in dead {
        dispatcher.evict(network, &endpoint, "its link is gone").await;
    }
}

async fn repair_object(dispatcher: &Dispatcher, is: Option<&Object>, object: &Object) {
    let kernel = dispatcher.kernel();
    let done = match is {
        None => kernel.create(object).await,
        Some(is) => kernel.replace(is, object).await,
    };
    let object = object.key();
    match done {
        Ok(_) => tracing::warn!(%object, "repaired: somebody had changed it"),
        Err(error) => tracing::error!(%object, error = %chain(&error), "cannot repair"),
    }
}

/// Forgets all endpoints and what was theirs: their namespaces died with the old boot.
async fn forget_endpoints(dispatcher: &Dispatcher) -> Result<(), Error> {
    let changes = plan::without_endpoints(&dispatcher.ledger().read());
    tracing::info!(
        endpoints = changes.endpoints.len(),
        "the host was rebooted; making the networks again"
    );
    Ok(dispatcher.ledger().commit(changes, Lasting::Durable).await?)
}

async fn remove_orphan(kernel: &dyn Kernel, name: &LinkName) {
    if let Err(error) = kernel.delete(&plan::stub(name)).await {
        tracing::error!(link = %name, error = %chain(&error), "cannot remove it");
    }
}

fn boot_id(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().map(|id| id.trim().to_owned())
}
