//! Tells the drivers of agreed values that are meant to be told, and that the store can be
//! reached. What it is that has changed, they look at themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    Cluster, Listener,
    follow::{first, watch},
    known::{Gathered, Mailbox},
};
use crate::id::DriverName;

/// What the keys begin with that are told.
const TOLD: &str = "tell/";
/// How long to wait before something is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// The same for a driver that fails.
const LAST_DRIVER_PAUSE: Duration = Duration::from_secs(30);
/// How soon a driver that comes or goes is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// When drivers want to be told whatever happens.
#[derive(Debug, Default)]
pub(super) struct Alarms(tokio::sync::watch::Sender<BTreeMap<DriverName, Instant>>);

/// Tells the drivers there are for as long as this is polled. They come and go.
pub(super) async fn run(cluster: Arc<Cluster>, listener: Arc<dyn Listener>) {
    let mut tasks = JoinSet::new();
    let mut told = BTreeMap::<DriverName, AbortHandle>::new();
    loop {
        let sharers = listener.sharers();
        told.retain(|driver, task| {
            let stays = sharers.contains(driver) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        while tasks.try_join_next().is_some() {}
        for driver in sharers {
            told.entry(driver).or_insert_with_key(|driver| {
                let (cluster, listener) = (Arc::clone(&cluster), Arc::clone(&listener));
                tasks.spawn(tell_one(cluster, driver.clone(), listener))
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn tell_one(cluster: Arc<Cluster>, driver: DriverName, listener: Arc<dyn Listener>) {
    let mailbox = Mailbox::default();
    tokio::join!(
        read(&cluster, &driver, &mailbox),
        cluster.alarms.ring(&driver, &mailbox),
        tell(&cluster, &driver, &listener, &mailbox),
    );
}

async fn read(cluster: &Cluster, driver: &DriverName, mailbox: &Mailbox) {
    let prefix = cluster.settings.prefix.agreed(driver, TOLD);
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(listing) = first(cluster, &prefix).await {
            pause = FIRST_PAUSE;
            mailbox.put(Gathered::Any);
            let changed = |_| mailbox.put(Gathered::Any);
            let Err(error) = watch(cluster, &prefix, listing.revision + 1, changed).await;
            tracing::debug!(%driver, %error, "reading what is agreed again");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn tell(
    cluster: &Cluster,
    driver: &DriverName,
    listener: &Arc<dyn Listener>,
    mailbox: &Mailbox,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let gathered = mailbox.take().await;
        // A call would only wait for the store, and keep others waiting.
        while !cluster.reach().reachable {
            tokio::time::sleep(LAST_PAUSE).await;
        }
        let (listener, driver) = (Arc::clone(listener), driver.clone());
        let call = Arc::clone(&cluster.calls).read_owned().await;
        // Apart: a call must not be dropped in the middle.
        let told = tokio::spawn(async move {
            let _call = call;
            listener.agreed_changed(&driver).await
        });
        let error = match told.await {
            Ok(Ok(again)) => {
                pause = FIRST_PAUSE;
                if again {
                    mailbox.put(gathered);
                }
                continue;
            }
            Ok(Err(error)) => error,
            Err(error) => error.to_string(),
        };
        tracing::debug!(%error, "a driver does not take what was agreed; will tell it again");
        mailbox.put(gathered);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_DRIVER_PAUSE);
    }
}

// === impl Alarms ===

impl Alarms {
    /// Has a driver told after a while, if not before.
    pub(super) fn set(&self, driver: &DriverName, after: Duration) {
        let Some(at) = Instant::now().checked_add(after) else { return };
        self.0.send_modify(|alarms| {
            let first = alarms.get(driver).map_or(at, |before| at.min(*before));
            alarms.insert(driver.clone(), first);
        });
    }

    /// Puts a driver's into its mailbox, for as long as this is polled.
    async fn ring(&self, driver: &DriverName, mailbox: &Mailbox) {
        let mut changed = self.0.subscribe();
        loop {
            let at = changed.borrow_and_update().get(driver).copied();
            let ring = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ring => {
                    self.0.send_modify(|alarms| {
                        alarms.remove(driver);
                    });
                    mailbox.put(Gathered::Any);
                }
                // The sender lives as long as `self`.
                _ = changed.changed() => {}
            }
        }
    }
}
