//! What somebody else does to our objects is put back within a second, and told.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;
use wasmnet::{
    events::{Event, Reader, What, Wrong},
    kernel::{Beside, LinkName, Neighbour, Object, ObjectKey, Route, Snapshot, linux::Linux},
    ledger::{Changes, Entry, Scope},
    model::Network,
    reconcile,
    store::Lasting,
};

use crate::bench::{Bench, bridge, endpoint, endpoint_id, linux, network, network_id};

/// How long a repair may take, as a rule: the machine may have much else to do.
const SOON: Duration = Duration::from_secs(1);
/// How long it may take in any case.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is done to a link or what is on it: a shell command in which BRIDGE and PORT are
/// names, the object that has to be put back, and in what it was changed.
const DRIFTS: [(&str, &str, &[&str]); 18] = [
    ("ip link del BRIDGE", "link BRIDGE", &[]),
    ("ip link set BRIDGE down", "link BRIDGE", &["up"]),
    ("ip link set BRIDGE mtu 1300", "link BRIDGE", &["mtu"]),
    // IPv6 needs 1280, and all of it goes.
    ("ip link set BRIDGE mtu 1200", "address BRIDGE fd00:1::1/64", &[]),
    ("ip link set BRIDGE alias mine", "link BRIDGE", &["alias"]),
    ("ip link set BRIDGE address 02:00:00:00:00:07", "link BRIDGE", &["address"]),
    ("ip address del 10.1.0.1/16 dev BRIDGE", "address BRIDGE 10.1.0.1/16", &[]),
    ("ip address del fd00:1::1/64 dev BRIDGE", "address BRIDGE fd00:1::1/64", &[]),
    ("ip address flush dev BRIDGE", "address BRIDGE 10.1.0.1/16", &[]),
    ("ip link set PORT nomaster", "link PORT", &["isolated", "master"]),
    (
        "ip link add other type bridge; ip link set PORT master other",
        "link PORT",
        &["isolated", "master"],
    ),
    ("ip link set PORT down", "link PORT", &["up"]),
    ("ip link set PORT mtu 1300", "link PORT", &["mtu"]),
    ("ip link set PORT alias mine", "link PORT", &["alias"]),
    ("bridge link set dev PORT isolated off", "link PORT", &["isolated"]),
    ("bridge link set dev PORT hairpin on", "link PORT", &["hairpin"]),
    ("ip route del 10.99.0.0/24", "route BRIDGE 10.99.0.0/24 10.1.0.77", &[]),
    ("ip neigh del 10.1.0.78 dev BRIDGE", "neighbour BRIDGE 10.1.0.78", &[]),
];

#[test]
fn what_is_done_to_links_is_undone_within_a_second() {
    let mut took = Vec::new();
    for (command, object, fields) in DRIFTS {
        linux(|kernel| async {
            let mut town = Town::new(kernel).await;
            let before = town.look().await;
            town.sh(command);
            let done = Instant::now();
            let wrong = if fields.is_empty() { Wrong::Missing } else { Wrong::Changed };
            let fields = fields.iter().map(|&field| field.to_owned()).collect();
            let what = What::Repaired { object: town.named(object), wrong, fields };
            let event = town.wait_event(command, |event| event.what == what).await;
            assert_eq!(event.about.network, Some(network_id(1)), "{command}");
            town.wait_same(command, &before).await;
            took.push(done.elapsed());
        });
    }
    assert_soon(took);
}

/// Most took less than a second.
fn assert_soon(mut took: Vec<Duration>) {
    took.sort_unstable();
    assert!(took[took.len() / 2] < SOON, "{took:?}");
}

#[test]
fn a_bridge_that_another_stands_in_for_is_made_ours() {
    linux(|kernel| async move {
        let mut town = Town::new(kernel).await;
        let before = town.look().await;
        // Whoever is first: ours may be back already.
        let command = "ip link del BRIDGE; ip link add BRIDGE type bridge 2>/dev/null || true";
        town.sh(command);
        let object = town.named("link BRIDGE");
        town.wait_event(command, |event| repaired(event) == Some(&object)).await;
        town.wait_same(command, &before).await;
    });
}

#[test]
fn a_neighbour_entry_that_is_changed_is_put_back() {
    linux(|kernel| async move {
        let mut town = Town::new(kernel).await;
        let before = town.look().await;
        for change in ["lladdr 02:00:00:00:00:09 nud permanent", "nud stale"] {
            let command = format!("ip neigh change 10.1.0.78 dev BRIDGE {change}");
            town.sh(&command);
            let object = town.named("neighbour BRIDGE 10.1.0.78");
            let repaired = |event: &Event| matches!(&event.what, What::Repaired { object: is, .. } if *is == object);
            town.wait_event(&command, repaired).await;
            town.wait_same(&command, &before).await;
        }
    });
}

#[test]
fn what_is_done_to_the_firewall_is_undone_within_a_second() {
    let before_and_after = "nft -nn list table inet wasmnet | sort";
    let mut took = Vec::new();
    for (command, what) in [
        ("nft flush ruleset", "the table was gone"),
        ("nft delete table inet wasmnet", "the table was gone"),
        ("nft flush table inet wasmnet", "the table was gone"),
        ("nft flush chain inet wasmnet into", "rules of the table had been changed"),
        ("nft add rule inet wasmnet forward accept", "rules of the table had been changed"),
        ("nft delete element inet wasmnet bridges '{ BRIDGE }'", "bridges"),
        ("nft flush set inet wasmnet same", "same"),
        ("nft add element inet wasmnet unprotected4 '{ BRIDGE }'", "unprotected4"),
    ] {
        linux(|kernel| async {
            let mut town = Town::new(kernel).await;
            let before = town.sh(before_and_after);
            assert!(before.contains("masquerade4"), "{before}");
            town.sh(command);
            let done = Instant::now();
            let repaired = |event: &Event| matches!(&event.what, What::FirewallRepaired { what: is } if is.contains(what));
            town.wait_event(command, repaired).await;
            took.push(done.elapsed());
            assert_eq!(town.sh(before_and_after), before, "after {command}");
        });
    }
    assert_soon(took);
}

#[test]
fn what_the_daemon_does_itself_is_no_drift() {
    linux(|kernel| async move {
        let mut town = Town::new(kernel).await;
        let to = Arc::clone(&town.bench.dispatcher);
        for number in 2..6 {
            to.create_network(&bridge(), network(number)).await.unwrap();
            for host in 2..5 {
                let id = endpoint_id(number * 10 + host);
                let request = endpoint(number * 10 + host, number, host);
                to.create_endpoint(&bridge(), &network_id(number), request).await.unwrap();
                to.join(&bridge(), &network_id(number), &id, "/x").await.unwrap();
                if host != 4 {
                    to.leave(&bridge(), &network_id(number), &id).await.unwrap();
                    to.delete_endpoint(&bridge(), &network_id(number), &id).await.unwrap();
                }
            }
            if number % 2 == 0 {
                to.delete_network(&bridge(), &network_id(number)).await.unwrap();
            }
        }
        town.bench.settle().await;
        // Announced last, so what was announced before has been looked at as well. (A link
        // that goes down takes IPv6 addresses, routes and neighbours along.)
        for (command, expected) in [
            (
                "ip link set BRIDGE down",
                &[
                    "link BRIDGE",
                    "address BRIDGE fd00:1::1/64",
                    "route BRIDGE 10.99.0.0/24 10.1.0.77",
                    "neighbour BRIDGE 10.1.0.78",
                ][..],
            ),
            ("nft flush ruleset", &["firewall"]),
        ] {
            town.sh(command);
            for expected in expected {
                let expected = town.named(expected);
                let told = town.events_until(command, |event| repaired(event).is_some()).await;
                assert_eq!(repaired(told.last().unwrap()), Some(expected.as_str()), "{told:#?}");
            }
        }
    });
}

/// What was repaired, or should have been.
fn repaired(event: &Event) -> Option<&str> {
    match &event.what {
        What::Repaired { object, .. } | What::RepairFailed { object, .. } => Some(object),
        What::FirewallRepaired { .. } => Some("firewall"),
        _ => None,
    }
}

#[test]
fn a_setting_is_put_back_when_everything_is_compared() {
    linux(|kernel| async move {
        let town = Town::new(kernel).await;
        let setting = town.setting();
        let file = format!("/proc/sys/{}", setting.path());
        let other = if setting.value == "0" { "1" } else { "0" };
        std::fs::write(&file, other).unwrap();
        let Town { bench, run, .. } = town;
        stop(run).await;
        let bench = bench.restart().await;
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), setting.value);
        let key = Object::Sysctl(setting).key().to_string();
        let events = bench.dispatcher.events().read(None).take();
        let told = |event: &Arc<Event>| matches!(&event.what, What::Repaired { object, wrong: Wrong::Changed, .. } if *object == key);
        assert!(events.iter().any(told), "{events:?}");
    });
}

#[test]
fn somebody_elses_bridge_that_comes_back_is_taken_again() {
    linux(|kernel| async move {
        sh("ip link add BRIDGE type bridge; ip link set BRIDGE up", "lan0", "");
        let mut network = network(1);
        let name = "com.docker.network.bridge.name";
        network.options.insert(name.to_owned(), "lan0".to_owned());
        let mut town = Town::with(kernel, network).await;
        assert_eq!(town.bridge, "lan0");
        let before = town.look().await;
        town.sh("ip link del BRIDGE");
        let failed = |event: &Event| matches!(&event.what, What::RepairFailed { object, .. } if object == "link lan0");
        town.wait_event("the bridge is gone", failed).await;
        // Up from its first moment, as some tools make it, and with its own address.
        let same_mac = before.links["lan0"].mac.unwrap();
        town.sh(&format!("ip link add BRIDGE up address {same_mac} type bridge"));
        let port = town.named("link PORT");
        let repaired = |event: &Event| {
            matches!(&event.what, What::Repaired { object, fields, .. }
                if *object == port && fields.contains("master"))
        };
        town.wait_event("the bridge is back", repaired).await;
        town.wait_same("the bridge is back", &before).await;
    });
}

/// A network with an endpoint, a route and a neighbour entry; and somebody who repairs.
struct Town {
    bench: Bench,
    run: JoinHandle<()>,
    bridge: String,
    port: String,
    events: Reader,
    /// Read, and not yet waited for.
    told: Vec<Arc<Event>>,
}

// === impl Town ===

impl Town {
    async fn new(kernel: Arc<Linux>) -> Self {
        let mut network = network(1);
        // So that ports are isolated.
        let icc = "com.docker.network.bridge.enable_icc";
        network.options.insert(icc.to_owned(), "false".to_owned());
        let mtu = "com.docker.network.driver.mtu";
        network.options.insert(mtu.to_owned(), "1400".to_owned());
        Self::with(kernel, network).await
    }

    async fn with(kernel: Arc<Linux>, network: Network) -> Self {
        let bench = Bench::start(kernel).await;
        let to = &bench.dispatcher;
        to.create_network(&bridge(), network).await.unwrap();
        to.create_endpoint(&bridge(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
        to.join(&bridge(), &network_id(1), &endpoint_id(7), "/x").await.unwrap();
        let (bridge, port) = links(&bench);
        add_objects(&bench, &bridge).await;
        let run = tokio::spawn(reconcile::run(Arc::clone(to)));
        let mut events = to.events().read(None);
        events.take();
        Self {
            run,
            events,
            told: Vec::new(),
            bridge: bridge.to_string(),
            port: port.to_string(),
            bench,
        }
    }

    /// Runs a shell command in the namespace.
    fn sh(&self, command: &str) -> String {
        sh(command, &self.bridge, &self.port)
    }

    fn named(&self, text: &str) -> String {
        text.replace("BRIDGE", &self.bridge).replace("PORT", &self.port)
    }

    /// All that the ledger's objects are compared with, links of others left out.
    async fn look(&self) -> Snapshot {
        let beside = {
            let state = self.bench.dispatcher.ledger().read();
            let standing = state.objects.standing();
            Beside::of(standing.into_iter().map(|(_, entry)| &entry.object))
        };
        assert!(beside.routes && beside.neighbours && !beside.settings.is_empty());
        let mut snapshot = self.bench.kernel.look(&beside).await.unwrap();
        let ours = |name: &LinkName| name.is_picked() || *name.as_str() == *self.bridge;
        snapshot.links.retain(|name, _| ours(name));
        snapshot.addresses.retain(|name, _| ours(name));
        // The kernel makes them in its own time.
        for addresses in snapshot.addresses.values_mut() {
            addresses.retain(|net| !net.addr().to_string().starts_with("fe80"));
        }
        snapshot.addresses.retain(|_, addresses| !addresses.is_empty());
        snapshot
    }

    /// Waits until everything is as it was.
    async fn wait_same(&self, when: &str, before: &Snapshot) {
        let same = async {
            while self.look().await != *before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, same).await.is_err() {
            panic!("after {when}: {:#?}\nbefore: {before:#?}", self.look().await);
        }
    }

    /// Waits for an event.
    async fn wait_event(&mut self, when: &str, is: impl Fn(&Event) -> bool) -> Arc<Event> {
        let events = self.events_until(when, is).await;
        Arc::clone(events.last().unwrap())
    }

    /// The events that nobody has waited for yet, up to one.
    async fn events_until(&mut self, when: &str, is: impl Fn(&Event) -> bool) -> Vec<Arc<Event>> {
        let found = async {
            loop {
                if let Some(place) = self.told.iter().position(|event| is(event)) {
                    return self.told.drain(..=place).collect();
                }
                self.told.extend(self.events.next().await);
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(events) => events,
            Err(_) => panic!("after {when} there were only {:#?}", self.told),
        }
    }

    /// A setting of the network's.
    fn setting(&self) -> wasmnet::kernel::Sysctl {
        let state = self.bench.dispatcher.ledger().read();
        let standing = state.objects.standing();
        standing
            .into_iter()
            .find_map(|(_, entry)| match &entry.object {
                Object::Sysctl(setting) if setting.link.as_str() == self.bridge => {
                    Some(setting.clone())
                }
                _ => None,
            })
            .unwrap()
    }
}

/// Runs a shell command in the calling thread's namespace.
fn sh(command: &str, bridge: &str, port: &str) -> String {
    let command = command.replace("BRIDGE", bridge).replace("PORT", port);
    let output = Command::new("sh").args(["-ec", &command]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The network's bridge and the endpoint's port.
fn links(bench: &Bench) -> (LinkName, LinkName) {
    let state = bench.dispatcher.ledger().read();
    let links: BTreeMap<bool, LinkName> = state
        .objects
        .of_network(&network_id(1))
        .filter(|(_, entry)| matches!(entry.object, Object::Link(_)))
        .map(|(_, entry)| (entry.scope.endpoint.is_some(), entry.object.link().clone()))
        .collect();
    (links[&false].clone(), links[&true].clone())
}

/// Makes what the bridge driver makes none of, as another driver's call would.
async fn add_objects(bench: &Bench, link: &LinkName) {
    let route = Route {
        source: None,
        link: link.clone(),
        destination: "10.99.0.0/24".parse().unwrap(),
        gateway: Some("10.1.0.77".parse().unwrap()),
    };
    let neighbour = Neighbour {
        link: link.clone(),
        address: "10.1.0.78".parse().unwrap(),
        mac: wasmnet::mac::Mac([2, 0, 0, 0, 0, 8]),
    };
    let mut changes = Changes::default();
    for (number, object) in
        [Object::Route(route), Object::Neighbour(neighbour)].into_iter().enumerate()
    {
        bench.kernel.create(&object).await.unwrap();
        let scope = Scope::network(bridge(), network_id(1));
        let sequence = 1000 + number as u64;
        let entry = Entry { sequence, scope, label: None, object, doomed: false };
        changes.objects.insert(entry.object.key(), Some(entry));
    }
    bench.dispatcher.ledger().commit(changes, Lasting::Relaxed).await.unwrap();
    let known: BTreeSet<ObjectKey> = {
        let state = bench.dispatcher.ledger().read();
        state.objects.standing().into_iter().map(|(key, _)| key.clone()).collect()
    };
    assert!(known.iter().any(|key| key.as_str().starts_with("route ")), "{known:?}");
}

/// Ends who repairs, so that nobody holds the state.
async fn stop(run: JoinHandle<()>) {
    run.abort();
    let _ = run.await;
}
