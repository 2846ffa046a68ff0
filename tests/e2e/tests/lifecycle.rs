//! Containers come, go and change networks: as with the built-in driver.

use std::thread;

use serde_json::Value;
use wasmnet_e2e::{BRIDGE, Site, without_jumps};
use wasmnet_lab::assert_same_state;

/// The networks of these tests, and the address that the container has on each.
const NETWORKS: [(&str, &str, &str); 2] =
    [("net1", "10.81.1.0/24", "10.81.1.10"), ("net2", "10.81.2.0/24", "10.81.2.10")];

#[test]
fn a_running_container_changes_networks_as_with_the_built_in_driver() {
    compare(|site, seen| {
        site.docker("network connect --ip 10.81.2.10 net2 one");
        seen.look("connected to both");
        site.docker("network disconnect net1 one");
        seen.look("disconnected from the first");
        site.docker("network connect --ip 10.81.1.10 --alias other net1 one");
        seen.look("connected to the first again");
        site.docker("network disconnect net2 one");
        seen.look("disconnected from the second");
        site.docker("network disconnect net1 one");
        seen.look("disconnected from both");
        site.docker("network connect --ip 10.81.1.10 net1 one");
        seen.look("connected after nothing");
    });
}

#[test]
fn a_container_is_stopped_and_started_as_with_the_built_in_driver() {
    compare(|site, seen| {
        site.docker("network connect --ip 10.81.2.10 net2 one");
        site.docker("stop one");
        seen.look("stopped");
        site.docker("start one");
        seen.look("started");
        site.docker("restart one");
        seen.look("restarted");
        site.docker("kill one");
        site.docker("wait one");
        seen.look("killed");
        site.docker("network disconnect net2 one");
        site.docker("start one");
        seen.look("started with one network less");
        site.docker("stop one");
        site.docker("network connect --ip 10.81.2.10 net2 one");
        site.docker("start one");
        seen.look("started with one network more");
        site.docker("pause one");
        site.docker("unpause one");
        seen.look("unpaused");
        // Killed by somebody who is not the engine.
        site.host.sh("kill -9 $(docker inspect --format '{{.State.Pid}}' one); docker wait one");
        site.docker("start one");
        seen.look("started after its process was killed");
    });
}

#[test]
fn a_container_connected_and_disconnected_again_and_again_stays_as_with_the_built_in_driver() {
    compare(|site, seen| {
        for round in 1..=10 {
            site.docker("network connect --ip 10.81.2.10 net2 one");
            seen.look(&format!("connected {round} times"));
            site.docker("network disconnect net2 one");
        }
        seen.look("disconnected");
    });
}

#[test]
fn what_the_engine_refuses_it_refuses_as_with_the_built_in_driver() {
    compare(|site, seen| {
        seen.refused("network rm net1");
        seen.refused("network connect net1 one");
        seen.refused("network disconnect net2 one");
        seen.refused("run --rm --network net1 --ip 10.81.1.10 busybox true");
        seen.refused("run --rm --network net1 --ip 10.99.0.1 busybox true");
        seen.refused("network connect --ip 10.81.1.10 net2 one");
        // A container whose program does not exist has had its network for a moment.
        seen.refused("run --rm --name two --network net1 --ip 10.81.1.20 busybox nothing");
        seen.look("after all that");
        site.container("two", "--network net1 --ip 10.81.1.20");
        site.docker("rm --force two");
    });
}

#[test]
fn ten_containers_start_at_once() {
    let site = &Site::new();
    let before = site.host.netns_state();
    site.network("net1", "--subnet 10.81.1.0/24");
    let names: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || site.container(name, "--network net1"));
        }
    });
    let addresses: Vec<String> = names.iter().map(|name| site.address(name, "net1")).collect();
    let macs = site.docker(&format!(
        "inspect --format {{{{.NetworkSettings.Networks.net1.MacAddress}}}} {}",
        names.join(" ")
    ));
    let mut macs: Vec<&str> = macs.lines().collect();
    for (name, address) in names.iter().zip(&addresses) {
        site.assert_pings(name, "10.81.1.1");
        site.assert_pings("c0", address);
    }
    for distinct in [&mut addresses.iter().map(String::as_str).collect(), &mut macs] {
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 10, "{distinct:?}");
        assert!(!distinct.contains(&""), "{distinct:?}");
    }
    site.wait_ledger(1, 10);

    thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || site.docker(&format!("rm --force {name}")));
        }
    });
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn networks_come_and_go_at_once() {
    let site = &Site::new();
    let before = without_jumps(&site.host.netns_state());
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || live(site, number));
        }
    });
    site.assert_nothing_left();
    assert_same_state(&before, &without_jumps(&site.host.netns_state()));
}

/// A network's whole life, twice, with a container in it.
fn live(site: &Site, number: usize) {
    let (name, container) = (format!("net{number}"), format!("c{number}"));
    for _ in 0..2 {
        site.network(&name, &format!("--subnet 10.82.{number}.0/24"));
        site.container(&container, &format!("--network {name}"));
        site.assert_pings(&container, &format!("10.82.{number}.1"));
        site.docker(&format!("rm --force {container}"));
        site.docker(&format!("network rm {name}"));
    }
}

/// Runs the same steps with the built-in driver and ours, and compares what was seen.
fn compare(steps: impl Fn(&Site, &mut Seen<'_>)) {
    let site = Site::new();
    let built_in = walk(&site, "bridge", &steps);
    let before = site.host.netns_state();
    let ours = walk(&site, BRIDGE, &steps);
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());

    assert!(ours.len() == built_in.len() && !ours.is_empty(), "nothing was compared");
    let pairs = built_in.iter().zip(&ours);
    let differing: Vec<String> = pairs
        .filter(|(built_in, ours)| built_in != ours)
        .map(|(built_in, ours)| difference(built_in, ours))
        .collect();
    assert!(differing.is_empty(), "- built-in driver, + ours:\n{}", differing.join("\n"));
}

/// The title of a view and the lines that are in one of the two only.
fn difference(built_in: &str, ours: &str) -> String {
    let only = |sign: &str, here: &str, there: &str| {
        let lines = here.lines().filter(|line| !there.lines().any(|other| other == *line));
        lines.map(|line| format!("\n{sign} {line}")).collect::<String>()
    };
    let title = ours.lines().next().unwrap_or_default();
    format!("{title}{}{}", only("-", built_in, ours), only("+", ours, built_in))
}

/// Makes networks and container "one", runs the steps and removes everything.
fn walk(site: &Site, driver: &str, steps: impl Fn(&Site, &mut Seen<'_>)) -> Vec<String> {
    for (network, subnet, _) in NETWORKS {
        site.docker(&format!("network create --driver {driver} --subnet {subnet} {network}"));
    }
    site.container("one", "--network net1 --ip 10.81.1.10 --hostname one");
    let mut seen = Seen { site, views: Vec::new() };
    seen.look("started first");
    steps(site, &mut seen);
    let views = seen.views;
    site.docker("rm --force one");
    site.docker("network rm net1 net2");
    views
}

/// What was seen of container "one" after each step.
struct Seen<'s> {
    site: &'s Site,
    views: Vec<String>,
}

// === impl Seen ===

impl Seen<'_> {
    /// Takes down how the container is.
    fn look(&mut self, step: &str) {
        // The kernel's numbers of links differ from one container to the next, and with
        // them the order; and when a link has the number of another's end on the host, `ip`
        // takes it for that end. The built-in driver asks for no queue length where we leave
        // the kernel's: without a queue (noqueue) it says nothing.
        let script = "{ ip -o link; ip -o address; } |
                sed -E 's/^[0-9]+: //; s/@[a-z0-9]+//; s/,M-DOWN//; s/ qlen [0-9]+/ /; s/ +/ /g' | sort
            ip route | sort; ip -6 route | sort
            grep -v '^#' /etc/hosts | sort; cat /etc/resolv.conf";
        let inside = self.site.exec("one", script).stdout;
        let mut view = format!("=== {step}\n{}\n{inside}\n", self.inspected());
        if self.site.engine_since(28) {
            view = Self::by_network(&view);
        }
        for (network, subnet, _) in NETWORKS {
            let gateway = subnet.replace("0/24", "1");
            let connected = inside.contains(&subnet.replace("0/24", "10/24"));
            let reached = connected && self.site.pings("one", &gateway);
            view.push_str(&format!("gateway of {network} reached: {reached}\n"));
        }
        self.views.push(view);
    }

    /// A view with links and MAC addresses named after their networks. Engines since 28
    /// start a container's networks in any order, so that `eth0` is one or the other, and
    /// their built-in driver picks MAC addresses at random.
    fn by_network(view: &str) -> String {
        let mut named = view.to_owned();
        for (network, _, address) in NETWORKS {
            let address = format!(" inet {address}/");
            let link = view.lines().find(|line| line.contains(&address));
            let Some((link, _)) = link.and_then(|line| line.split_once(' ')) else { continue };
            let of_link = format!("{link}: ");
            let mac = view.lines().find(|line| line.starts_with(&of_link));
            let mac = mac.and_then(|line| line.split_once("link/ether ")?.1.split(' ').next());
            named = named.replace(link, &format!("link-of-{network}"));
            let mac = mac.unwrap_or_else(|| panic!("{link} has no MAC address: {view}"));
            named = named.replace(mac, &format!("mac-of-{network}"));
        }
        let (title, lines) = named.split_once('\n').unwrap();
        let mut lines: Vec<&str> = lines.lines().collect();
        lines.sort_unstable();
        format!("{title}\n{}\n", lines.join("\n"))
    }

    /// Runs a command that must fail and takes down how it was refused.
    fn refused(&mut self, command: &str) {
        let output = self.site.try_docker(command);
        assert!(!output.success(), "docker {command} was not refused: {output}");
        // Ids are never the same, be they whole or their first 12 digits.
        let is_id = |text: &str| {
            matches!(text.len(), 12 | 64) && text.chars().all(|letter| letter.is_ascii_hexdigit())
        };
        let words: Vec<&str> = output
            .stderr
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty() && !is_id(word))
            .collect();
        self.views.push(format!("=== {command}: {}\n{}\n", output.status, words.join(" ")));
    }

    /// The container's networks as `docker inspect` shows them, without ids.
    fn inspected(&self) -> String {
        let path = "/containers/one/json";
        let mut answer = self.site.host.docker_api("GET", path, None).body;
        let id = answer["Id"].as_str().unwrap_or_default().chars().take(12).collect::<String>();
        let mut lines = Vec::new();
        let networks = answer["NetworkSettings"]["Networks"].as_object_mut().unwrap();
        for (name, network) in networks {
            let network = network.as_object_mut().unwrap();
            network.retain(|key, _| !matches!(key.as_str(), "NetworkID" | "EndpointID"));
            for names in ["Aliases", "DNSNames"] {
                if let Some(Value::Array(names)) = network.get_mut(names) {
                    names.retain(|name| *name != id.as_str());
                }
            }
            lines.push(format!("{name}: {}", Value::Object(network.clone())));
        }
        lines.sort();
        lines.join("\n")
    }
}
