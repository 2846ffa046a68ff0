//! Drivers that attack: each attempt is denied or contained, with one sentence; nothing
//! changes, nothing is left, and nobody else notices.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use serde_json::json;
use wasmnet_e2e::{BRIDGE, GOSSIP, HOSTILE, Plugin, Site, calls};
use wasmnet_lab::{Place, assert_same_state, wait_for};

/// How long the user may have to wait for the sentence.
const IN_TIME: Duration = Duration::from_secs(8);
/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the driver says when the host let it run into nothing.
const OVER: &str = "the attack is over";

/// Attacks on wires of the host, and on what others have on them.
const ON_WIRES: [(&str, &str, &str); 28] = [
    (
        "macvlan",
        "eth0",
        "may not make links on eth0; the operator has not granted that (denied-parent",
    ),
    ("macvlan", "lo", "denied-parent"),
    ("macvlan", "docker0", "denied-parent"),
    ("macvlan", "calm0", "there is a link calm0 on this host already"),
    ("macvlan", "wire9", "there is no link wire9"),
    ("macvlan", "../eth0", "link name"),
    ("macvlan-unnamed", "", "may not make links on wire0; no driver may (denied-parent"),
    ("macvlan-unnamed", "wire1", "no driver may (denied-parent"),
    ("parent-mtu", "eth0", "denied-parent"),
    ("parent-mtu", "calm0", "there is a link calm0 on this host already"),
    ("vlan", "eth0.7", "may not make VLAN links on eth0; the operator has not granted that"),
    ("vlan", "lo.7", "denied-parent"),
    ("vlan", "docker0.7", "denied-parent"),
    ("vlan", "wire0.0", "0 is no VLAN identifier"),
    ("vlan", "wire0.4095", "4095 is no VLAN identifier"),
    ("vlan", "wire9.7", "there is no link wire9"),
    // Somebody's, whatever it is.
    ("vlan", "lan0.7", "there is a link lan0.7 on this host already"),
    ("vlan-unnamed", "", "a name that no option of the network has; no driver may"),
    ("vlan-unnamed", "wire0.8", "denied-link-name"),
    ("vlan-names", "", "link name"),
    ("vxlan", "0/4789/198.51.100.1", "0 is no VXLAN network identifier"),
    ("vxlan", "16777216/4789/198.51.100.1", "16777216 is no VXLAN network identifier"),
    ("vxlan", "42/4789/198.51.100.1", "identifier 42 is in use on this host with UDP port 4789"),
    ("vxlan", "43/5300/198.51.100.1", "UDP port 5300 is in use on this host"),
    ("answer", "", "is not made on another link"),
    ("forwarding", "", "is no VXLAN tunnel endpoint"),
    ("forwarding-of-others", "", "crashed in create-network (unknown handle index"),
    ("open", "calm0", "there is no link"),
];

/// Attacks on what another driver shares with other nodes.
const ON_CLUSTERS: [(&str, &str, &str); 11] = [
    ("peek", "", "the network does not follow group \"secret\""),
    ("follow", "", "what other nodes publish is not known yet"),
    ("follow-many", "", "a network may follow at most 16 groups"),
    ("publish-many", "", "at most 1024 kernel operations"),
    ("publish-huge", "", "must not be longer than 4096 bytes"),
    ("publish-keys", "", OVER),
    ("withdraw", "", OVER),
    ("agreed-read", "", OVER),
    ("agreed-write", "", OVER),
    ("agreed-huge", "", "must not be longer than 4096 bytes"),
    ("agreed-key", "", "keys of 1 to 255 bytes"),
];

/// Attacks while a network is made: name, target, and what the user is told.
const ON_NETWORKS: [(&str, &str, &str); 48] = [
    ("loop", "", "did not answer within 5 s"),
    ("recursion", "", "crashed in create-network ("),
    ("memory", "", "crashed in create-network ("),
    ("long-text", "", "crashed in create-network ("),
    ("odd-text", "", "first second [2J"),
    ("operations", "", "at most 1024 kernel operations"),
    ("links", "", "a call may make at most 8 links"),
    ("log", "", OVER),
    // Rust's println! panics when what it prints is no longer taken.
    ("print", "", "crashed in create-network ("),
    ("random", "", OVER),
    ("store-full", "", "the driver's store is full"),
    ("store-keys", "", OVER),
    ("names", "", "is of the form the host picks names by"),
    ("name", "lo", "there is a link lo on this host already"),
    ("name", "eth0", "there is a link eth0 on this host already"),
    ("name", "docker0", "there is a link docker0 on this host already"),
    ("unasked-name", "", "denied-link-name"),
    ("adopt", "lo", "link lo is not a bridge"),
    ("adopt", "eth0", "link eth0 is not a bridge"),
    ("adopt", "docker0", "one of Docker's own"),
    ("adopt", "calm0", "there is a link calm0 on this host already"),
    ("adopt", "lan0", "denied-adopt"),
    ("adopt", "nowhere0", "there is no link nowhere0"),
    ("open", "calm0", "there is no link"),
    ("open", "port", "there is no link"),
    ("handle", "", "crashed in create-network (unknown handle index"),
    ("address", "198.51.100.2/24", "denied-address"),
    ("address", "10.99.0.1/16", "denied-address"),
    ("address", "0.0.0.0/0", "denied-address"),
    ("address", "2001:db8::1/64", "denied-address"),
    ("route", "0.0.0.0/0", "denied-route"),
    ("route", "::/0", "denied-route"),
    ("route", "198.51.100.0/24", "denied-route"),
    ("route", "10.99.0.0/16", "denied-route"),
    ("subnet", "0.0.0.0/0", "denied-address"),
    ("subnet", "10.99.0.0/16", "denied-address"),
    ("masquerade", "", "denied-masquerade"),
    ("sysctl", "forwarding", "denied-sysctl"),
    ("sysctl", "../all/forwarding", "is not the name of a link's setting"),
    ("sysctl", "proxy_arp", "denied-sysctl"),
    ("sysctl", "/etc/passwd", "is not the name of a link's setting"),
    ("sysctl", "", "is not the name of a link's setting"),
    ("trust", "", "denied-direct-access"),
    ("expose", "", "denied-direct-access"),
    ("files", "", OVER),
    ("socket", "", OVER),
    ("environment", "", OVER),
    ("name", "wn0123456789ab", "is of the form the host picks names by"),
];

/// Attacks while a container starts.
const ON_CONTAINERS: [(&str, &str, &str); 16] = [
    ("multicast-mac", "", "cannot be an interface's MAC address"),
    ("other-address", "", "changed the IPv4 address"),
    ("long-prefix", "", "prefix length 99"),
    ("wrong-family", "", "create-endpoint cannot be used"),
    ("source", "eth0", "\"eth0\" is no link of this endpoint"),
    ("source", "lo", "\"lo\" is no link of this endpoint"),
    ("source", "docker0", "\"docker0\" is no link of this endpoint"),
    ("source", "calm0", "\"calm0\" is no link of this endpoint"),
    ("long-source", "", "crashed in join ("),
    ("odd-source", "", "is no link of this endpoint"),
    ("prefix", "", "cannot begin a link's name"),
    ("long-join-prefix", "", "a name of 1048576 bytes cannot begin"),
    ("gateway-family", "", "is not IPv4"),
    ("route-length", "", "prefix length 99"),
    ("publish-for-another", "10.98.0.2", "denied-publish-target"),
    ("publish-another-port", "", "denied-publish"),
];

/// A host with the attacker, and a network of another driver beside it.
struct Scene {
    site: Site,
    neighbour: String,
}

// === impl Scene ===

impl Scene {
    fn new() -> Self {
        let config = format!(
            "component = \"{HOSTILE}\"\n[grants]\ncluster = true\nparents = [\"wire*\"]\n\
             links = [\"bridge\", \"veth\", \"macvlan\", \"vlan\", \"vxlan\"]\n\
             adopt = [\"lo\", \"eth*\", \"docker*\", \"calm*\", \"nowhere*\"]\n\
             sysctls = [\"accept_ra\"]\npublish = [\"8000-8999\"]\n"
        );
        let gossip = format!("component = \"{GOSSIP}\"\n[grants]\ncluster = true\n");
        let site = Site::prepared(&["--config", "/run/wasm/config.toml"], |host| {
            host.sh("mkdir -p /run/wasm/drivers.d; touch /run/wasm/config.toml");
            for (name, config) in [("hostile", config), ("gossip", gossip)] {
                let file = format!("cat >/run/wasm/drivers.d/{name}.toml");
                host.exec(&["sh", "-c", &file]).stdin(config).run();
            }
            // Links of the operator's, and a tunnel.
            host.sh("ip link add lan0 type bridge; ip link set lan0 up
                ip link add lan0.7 type bridge
                ip link add wire0 type veth peer name wire1; ip link set wire0 up
                ip link add tunnel0 type vxlan id 42 dstport 4789; ip link set tunnel0 up");
        });
        site.network("calm", "--subnet 10.98.0.0/16 --opt com.docker.network.bridge.name=calm0");
        site.container("calm1", "--network calm");
        site.container("calm2", "--network calm");
        let neighbour = site.address("calm2", "calm");
        Self { site, neighbour }
    }

    fn assert_calm(&self) {
        self.site.assert_pings("calm1", &self.neighbour);
        self.site.assert_pings("calm1", &self.site.lab.outside().address().to_string());
    }

    fn ledger(&self) -> [u64; 5] {
        let status = self.site.daemon.json(&["status"]);
        ["networks", "endpoints", "objects", "keys", "doomed"]
            .map(|key| status[key].as_u64().unwrap())
    }

    /// Runs `docker`, which has to fail in time with this in one line of its own; says what
    /// is wrong otherwise.
    fn refused(&self, command: &str, says: &str) -> Result<(), String> {
        let start = Instant::now();
        let output = self.site.try_docker(command);
        let took = start.elapsed();
        let lines: Vec<&str> =
            output.stderr.lines().filter(|line| line.contains("hostile: ")).collect();
        let [line] = lines.as_slice() else {
            return Err(format!("not one line of the driver's: {output}"));
        };
        let wrong = if output.success() {
            "docker succeeded"
        } else if !line.contains(says) {
            "it says something else"
        } else if line.len() > 2000 || line.chars().any(char::is_control) {
            "no line for a terminal"
        } else if took > IN_TIME {
            "the user waited for too long"
        } else {
            return Ok(());
        };
        Err(format!(
            "{wrong}, {took:?}, not \"{says}\": {}",
            line.chars().take(300).collect::<String>()
        ))
    }

    /// Fails the test unless each attack on a network fails with its sentence, and nothing else
    /// comes of it.
    fn assert_vain(&self, attacks: &[(&str, &str, &str)]) {
        let (kernel, ledger) = (self.site.host.netns_state(), self.ledger());
        let pid = self.site.daemon.json(&["status"])["pid"].clone();
        let mut wrong = Vec::new();
        for (attack, target, says) in attacks {
            let case = format!("{attack} {target}");
            let options = format!("-o attack={attack} -o target={target}");
            let create =
                format!("network create --driver hostile --subnet 10.97.0.0/16 {options} bad");
            let refused = self.refused(&create, says);
            wrong.extend(refused.err().map(|error| format!("{case}: {error}")));
            self.wait_as_before(&kernel, ledger, &case);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.assert_calm();
        assert_eq!(self.site.daemon.json(&["status"])["pid"], pid, "the daemon is another");
    }

    fn wait_as_before(&self, kernel: &str, ledger: [u64; 5], case: &str) {
        wait_for(&format!("{case}: the ledger to be as before"), PATIENCE, || {
            let found = self.ledger();
            if found == ledger { Ok(()) } else { Err(format!("{found:?} instead of {ledger:?}")) }
        });
        let deadline = Instant::now() + PATIENCE;
        while self.site.host.netns_state() != kernel && Instant::now() < deadline {}
        assert_same_state(kernel, &self.site.host.netns_state());
    }
}

#[test]
fn attacks_while_a_network_is_made_come_to_nothing() {
    Scene::new().assert_vain(&ON_NETWORKS);
}

#[test]
fn attacks_on_wires_come_to_nothing() {
    let scene = Scene::new();
    // The port is somebody's.
    let bind = || UdpSocket::bind(("0.0.0.0", 5300)).unwrap();
    let _socket = Place::host(&scene.site.host).within(bind);
    scene.assert_vain(&ON_WIRES);
}

#[test]
fn attacks_on_what_others_share_come_to_nothing() {
    let scene = Scene::new();
    let mut gossip = Plugin::connect(&scene.site.host, "gossip");
    let options = json!({ "group": "secret", "agree": "secret:red" });
    gossip.call("NetworkDriver.CreateNetwork", &calls::network("g", 96, &options)).ok();
    let first = calls::endpoint("g", "first", "10.96.0.7");
    gossip.call("NetworkDriver.CreateEndpoint", &first).ok();
    let mut facts = || {
        let answer = gossip.call("NetworkDriver.EndpointOperInfo", &calls::ids("g", "first"));
        answer.ok()["Value"].clone()
    };
    wait_for("the other driver to be told", PATIENCE, || facts()["heard/7"] == "a");
    let before = facts();
    assert_eq!((&before["agreed"], &before["keys"]), (&json!("red"), &json!("secret")));
    scene.assert_vain(&ON_CLUSTERS);
    // A group of that name can be followed, and is another one.
    scene.site.docker("network create --driver hostile -o attack=listen bad");
    wait_for("the group to be known", PATIENCE, || {
        scene.refused("run --network bad busybox true", OVER)
    });
    assert_eq!(facts(), before, "the other driver was told something");
}

#[test]
fn attacks_while_a_container_starts_come_to_nothing() {
    let scene = Scene::new();
    let mut wrong = Vec::new();
    for (attack, target, says) in ON_CONTAINERS {
        let case = format!("{attack} {target}");
        let options = format!("-o attack={attack} -o target={target}");
        scene.site.docker(&format!(
            "network create --driver hostile --subnet 10.97.0.0/16 {options} bad"
        ));
        scene.site.docker("create --name victim --network bad --publish 8080:80 busybox sleep 9");
        let (kernel, ledger) = (scene.site.host.netns_state(), scene.ledger());
        let refused = scene.refused("start victim", says);
        wrong.extend(refused.err().map(|error| format!("{case}: {error}")));
        scene.wait_as_before(&kernel, ledger, &case);
        scene.site.docker("rm victim");
        scene.site.docker("network rm bad");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.assert_calm();
}

#[test]
fn two_endpoints_of_one_network_cannot_have_one_mac_address() {
    let scene = Scene::new();
    scene.site.docker("network create --driver hostile -o attack=same-mac bad");
    scene.site.container("first", "--network bad");
    scene.refused("run --network bad busybox true", "has MAC address").unwrap();
}

#[test]
fn others_calls_take_no_longer_during_an_attack() {
    const ENDPOINTS: u8 = 60;
    let scene = Scene::new();
    let id = scene.site.docker("network inspect --format {{.Id}} calm");
    // Endpoints come and go at the other driver's socket.
    let median_and_p99 = || {
        let mut plugin = Plugin::connect(&scene.site.host, BRIDGE);
        let mut times: Vec<Duration> = (0..ENDPOINTS)
            .map(|number| {
                let (name, address) = (format!("e{number}"), format!("10.98.7.{number}"));
                let start = Instant::now();
                let endpoint = calls::endpoint(&id, &name, &address);
                plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok();
                plugin.call("NetworkDriver.Join", &calls::join(&id, &name, "s")).ok();
                plugin.call("NetworkDriver.Leave", &calls::ids(&id, &name)).ok();
                plugin.call("NetworkDriver.DeleteEndpoint", &calls::ids(&id, &name)).ok();
                start.elapsed()
            })
            .collect();
        times.sort();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    let before = median_and_p99();
    let attacks = std::thread::scope(|threads| {
        let attacker = threads.spawn(|| {
            let create = "network create --driver hostile -o attack=loop bad";
            scene.refused(create, "did not answer within 5 s").unwrap();
        });
        let during = median_and_p99();
        attacker.join().unwrap();
        during
    });
    // Two processors: the loop has one of them. The bound is far from what a shared thread,
    // or a lock, would cost: the five seconds of the loop.
    assert!(attacks.1 < before.1 * 4 + Duration::from_millis(500), "{before:?}, then {attacks:?}");
}
