//! Bringing the kernel back to what the ledger says.
//!
//! Subscribe, full sync, then differences: the daemon listens to the kernel before
//! it looks at it, makes everything again that is missing before the first call is let
//! in, and from then on looks at what an announcement points to. Every few minutes it
//! looks at everything, in case an announcement was lost.
//!
//! Planning ([`plan`]), the time for it ([`schedule`]) and doing are apart. A network is
//! repaired under its lock, from a snapshot taken under that lock, so a repair never meets
//! half a call. What the daemon does itself is announced too: mostly it is as the ledger
//! says and nothing follows, else a look finds nothing to do.

mod examine;
mod plan;
mod schedule;
mod stranded;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::{self, JoinSet},
    time::{Instant, MissedTickBehavior},
};

pub use self::examine::examine;
use self::{
    plan::{Plan, Repair},
    schedule::{Cause, Schedule},
    stranded::Sight,
};
use crate::{
    dispatch::Dispatcher,
    error::chain,
    events::{About, What, of_changes},
    id::NetworkId,
    kernel::{self, Beside, Event, Kernel, LinkName, Object, Undo},
    ledger::{self, Changes, Scope},
    since_boot::SinceBoot,
    store::Lasting,
};

/// How often everything is compared although nothing was announced.
const FULL_SYNC: Duration = Duration::from_secs(300);
/// How long changes of the firewall are gathered before it is looked at.
const GATHER: Duration = Duration::from_millis(50);
/// How often it is looked at where changes are not announced (iptables-legacy).
const LOOK: Duration = Duration::from_millis(500);
/// How often in a row a network is looked at while there is something to put back.
const ROUNDS: usize = 3;
/// How often endpoints are looked at that no container may have.
const LOOK_FOR_STRANDED: Duration = Duration::from_secs(10);
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
    for network in differing(dispatcher).await {
        repair_network(dispatcher, &network, Cause::Anything, !rebooted).await;
    }
    bind_ports(dispatcher).await;
    if rebooted {
        restore_networks(dispatcher).await;
    }
    Ok(())
}

/// Tells the drivers, and whoever listens, that the networks stand again.
async fn restore_networks(dispatcher: &Dispatcher) {
    let networks: Vec<_> = {
        let state = dispatcher.ledger().read();
        let scope = |(id, record): (&NetworkId, &ledger::NetworkRecord)| {
            Scope::network(record.driver.clone(), id.clone())
        };
        state.networks.iter().map(scope).collect()
    };
    for scope in networks {
        let network = scope.network.clone();
        if let Err(error) = dispatcher.restore_network(&network).await {
            tracing::warn!(%network, error = %chain(&error), "the driver could not restore its network");
        }
        dispatcher.events().send(scope.into(), What::NetworkRestored);
    }
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
    let mut look_for_stranded = tokio::time::interval(LOOK_FOR_STRANDED);
    look_for_stranded.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When the firewall is to be looked at: one look for many changes.
    let mut firewall_due: Option<Instant> = None;
    let mut schedule = Schedule::default();
    // Apart, so that a slow network does not keep others waiting.
    let mut repairs = JoinSet::new();
    let mut repaired: HashMap<task::Id, NetworkId> = HashMap::new();
    loop {
        let now = Instant::now();
        for (network, cause) in schedule.start(now) {
            let (dispatcher, of) = (Arc::clone(&dispatcher), network.clone());
            let repair =
                repairs.spawn(async move { repair_network(&dispatcher, &of, cause, true).await });
            repaired.insert(repair.id(), network);
        }
        let (due, firewall) = (schedule.due(), firewall_due);
        let full = tokio::select! {
            event = kernel.next_event() => match event {
                Event::Firewall => {
                    firewall_due.get_or_insert(Instant::now() + GATHER);
                    false
                }
                Event::Overrun => true,
                event => {
                    let concerned = plan::concerned(&dispatcher.ledger().read(), &event);
                    for network in concerned {
                        let cause = Cause::Events(vec![event.clone()]);
                        schedule.announce(network, cause, Instant::now());
                    }
                    false
                }
            },
            Some(ended) = repairs.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => {
                        tracing::error!(%error, "a repair failed inside the host");
                        error.id()
                    }
                };
                if let Some(network) = repaired.remove(&id) {
                    schedule.finished(&network, Instant::now());
                }
                false
            }
            () = tokio::time::sleep_until(due.unwrap_or(now)), if due.is_some() => false,
            () = tokio::time::sleep_until(firewall.unwrap_or(now)), if firewall.is_some() => {
                firewall_due = None;
                repair_firewall(&dispatcher).await;
                false
            }
            _ = look.tick() => {
                if kernel.is_firewall_silent().await {
                    repair_firewall(&dispatcher).await;
                }
                false
            }
            _ = look_for_stranded.tick() => {
                look_for_stranded_ends(&dispatcher).await;
                false
            }
            _ = full_sync.tick() => true,
        };
        if full {
            repair_firewall(&dispatcher).await;
            dispatcher.ledger().reap(&*kernel, None).await;
            for network in differing(&dispatcher).await {
                schedule.announce(network, Cause::Anything, Instant::now());
            }
        }
    }
}

/// Compares everything with the ledger now, and puts it back.
pub async fn repair_all(dispatcher: &Dispatcher) {
    repair_firewall(dispatcher).await;
    dispatcher.ledger().reap(&**dispatcher.kernel(), None).await;
    for network in differing(dispatcher).await {
        repair_network(dispatcher, &network, Cause::Anything, true).await;
    }
}

/// Evicts the endpoints that the engine seems to have forgotten.
async fn look_for_stranded_ends(dispatcher: &Arc<Dispatcher>) {
    if dispatcher.ledger().read().endpoints.is_empty() {
        return;
    }
    let Ok(snapshot) = dispatcher.kernel().look(&Beside::default()).await else { return };
    let now = SinceBoot::now();
    let sights = stranded::look(&dispatcher.ledger().read(), &snapshot, now);
    for (key, sight) in sights {
        let dispatcher = Arc::clone(dispatcher);
        // Apart: a network's lock may be held for a while.
        tokio::spawn(async move {
            match sight {
                Sight::Stranded => dispatcher.note_stranded(&key, Some(now)).await,
                Sight::Fetched => dispatcher.note_stranded(&key, None).await,
                Sight::Lost => {
                    let why = "no container has its link";
                    dispatcher.evict(&key.network, &key.endpoint, why).await;
                }
            }
        });
    }
}

async fn repair_firewall(dispatcher: &Dispatcher) {
    match dispatcher.kernel().repair_firewall().await {
        Ok(Some(drift)) => {
            tracing::warn!(%drift, "firewall repaired");
            let what = What::FirewallRepaired { what: drift.to_string() };
            dispatcher.events().send(About::default(), what);
        }
        Ok(None) => {}
        Err(error) => tracing::error!(error = %chain(&error), "cannot repair the firewall"),
    }
}

/// The networks that seem not to be as the ledger says. Calls go on meanwhile, so they
/// have to be looked at again under their locks.
async fn differing(dispatcher: &Dispatcher) -> Vec<NetworkId> {
    let ledger = dispatcher.ledger();
    let beside = plan::beside(&ledger.read(), None);
    let snapshot = match dispatcher.kernel().look(&beside).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "cannot compare with the kernel");
            return Vec::new();
        }
    };
    let state = ledger.read();
    let differs = |network: &&NetworkId| plan::plan(&state, &snapshot, network) != Plan::default();
    state.networks.keys().filter(differs).cloned().collect()
}

/// Makes one network's objects be as the ledger says, and tells of it if that is `news`.
async fn repair_network(dispatcher: &Dispatcher, network: &NetworkId, cause: Cause, news: bool) {
    let mut dead = BTreeSet::new();
    {
        let _order = dispatcher.lock_network(network).await;
        // What a call of our own changed was announced before the ledger had it.
        if let Cause::Events(events) = &cause
            && !plan::still_concern(&dispatcher.ledger().read(), events, network)
        {
            return;
        }
        // A link that comes back brings the kernel's settings along, seen only then.
        for _ in 0..ROUNDS {
            let beside = plan::beside(&dispatcher.ledger().read(), Some(network));
            let snapshot = match dispatcher.kernel().look(&beside).await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "cannot compare with the kernel");
                    return;
                }
            };
            let plan = plan::plan(&dispatcher.ledger().read(), &snapshot, network);
            dead = plan.dead;
            if plan.repairs.is_empty() || !put_all_back(dispatcher, &plan.repairs, news).await {
                break;
            }
        }
    }
    for endpoint in dead {
        dispatcher.evict(network, &endpoint, "its link is gone").await;
    }
}

/// Puts objects back, in order; says whether all are.
async fn put_all_back(dispatcher: &Dispatcher, repairs: &[Repair], news: bool) -> bool {
    let mut all = true;
    // What stands on a link that cannot be had need not be tried.
    let mut without: BTreeSet<&LinkName> = BTreeSet::new();
    for repair in repairs {
        let link = repair.object.link();
        let mut needs = [Some(link), repair.object.stands_on()].into_iter().flatten();
        if needs.any(|link| without.contains(link)) || put_back(dispatcher, repair, news).await {
            continue;
        }
        all = false;
        if matches!(repair.object, Object::Link(_) | Object::Shared(_)) && repair.is.is_none() {
            without.insert(link);
        }
    }
    all
}

/// Puts one object back; says whether it is.
async fn put_back(dispatcher: &Dispatcher, repair: &Repair, news: bool) -> bool {
    let kernel = dispatcher.kernel();
    let done = match &repair.is {
        None => kernel.create(&repair.object).await,
        Some(is) => kernel.replace(is, &repair.object).await,
    };
    let object = repair.object.key();
    let what = match done {
        // It has come back meanwhile; the next look shows how.
        Ok(Undo::Nothing) if matches!(repair.object, Object::Sysctl(_) | Object::Shared(_)) => {
            return true;
        }
        Err(error) if error.is_exists() => return true,
        Ok(_) => {
            tracing::warn!(%object, fields = ?repair.fields, "repaired: somebody had changed it");
            What::Repaired {
                object: object.to_string(),
                wrong: repair.wrong,
                fields: repair.fields.iter().map(|&field| field.to_owned()).collect(),
            }
        }
        Err(error) => {
            tracing::error!(%object, error = %chain(&error), "cannot repair");
            What::RepairFailed { object: object.to_string(), reason: chain(&error) }
        }
    };
    let done = matches!(what, What::Repaired { .. });
    if news || !done {
        dispatcher.events().send(repair.scope.clone().into(), what);
    }
    done
}

/// Forgets all endpoints and what was theirs: their namespaces died with the old boot.
async fn forget_endpoints(dispatcher: &Dispatcher) -> Result<(), Error> {
    let changes = plan::without_endpoints(&dispatcher.ledger().read());
    tracing::info!(
        endpoints = changes.endpoints.len(),
        "the host was rebooted; making the networks again"
    );
    let events = of_changes(&dispatcher.ledger().read(), &changes);
    dispatcher.ledger().commit(changes, Lasting::Durable).await?;
    events.into_iter().for_each(|(about, what)| dispatcher.events().send(about, what));
    Ok(())
}

async fn remove_orphan(kernel: &dyn Kernel, name: &LinkName) {
    if let Err(error) = kernel.delete(&plan::stub(name)).await {
        tracing::error!(link = %name, error = %chain(&error), "cannot remove it");
    }
}

fn boot_id(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().map(|id| id.trim().to_owned())
}
