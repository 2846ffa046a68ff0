//! The command line: what it shows is what is.

use serde_json::Value;
use wasmnet_e2e::{BRIDGE, Site, binary};
use wasmnet_lab::{Host, Lab, Output, assert_same_state};

/// Every command that asks a daemon.
const COMMANDS: [&[&str]; 8] = [
    &["status"],
    &["network", "ls"],
    &["network", "inspect", "0"],
    &["endpoint", "ls"],
    &["driver", "ls"],
    &["events"],
    &["events", "--follow"],
    &["metrics"],
];

/// Runs `wasmnet ARGUMENTS`.
fn wasmnet(host: &Host, arguments: &[&str]) -> Output {
    let binary = binary();
    host.try_run(&[&[binary.as_str()], arguments].concat())
}

/// What `wasmnet ARGUMENTS` prints, in lines.
fn lines(host: &Host, arguments: &[&str]) -> Vec<String> {
    let output = wasmnet(host, arguments);
    assert!(output.success(), "{arguments:?}: {output}");
    assert_eq!(output.stderr, "", "{arguments:?} writes to standard error");
    output.stdout.lines().map(str::to_owned).collect()
}

/// A command's one sentence, when it is to fail.
#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "the exit code is not 1: {output}");
    assert_eq!(output.stdout, "", "{output}");
    assert_eq!(output.stderr.lines().count(), 1, "not one line: {output}");
    assert!(output.stderr.starts_with("wasmnet: "), "{output}");
    output.stderr.trim_end().to_owned()
}

/// A site with two networks, two containers on the first and one on both.
struct Town {
    site: Site,
    /// Network ids, as the engine has them.
    ids: [String; 2],
}

// === impl Town ===

impl Town {
    fn new() -> Self {
        let site = Site::new();
        site.network("net1", "--subnet 10.11.0.0/24 -o com.docker.network.driver.mtu=1400");
        site.network("net2", "--internal --subnet 10.12.0.0/24 --gateway 10.12.0.9");
        site.container("one", "--network net1");
        site.container("two", "--network net1");
        site.docker("network connect net2 two");
        let ids = ["net1", "net2"]
            .map(|name| site.docker(&format!("network inspect --format {{{{.Id}}}} {name}")));
        Self { site, ids }
    }

    /// A container's settings on a network, as the engine has them.
    fn engine_endpoint(&self, container: &str, network: &str) -> Value {
        let answer =
            self.site.host.docker_api("GET", &format!("/containers/{container}/json"), None);
        answer.body["NetworkSettings"]["Networks"][network].clone()
    }

    /// The endpoints as [network's index, container] with what the engine says of each.
    fn engine_endpoints(&self) -> Vec<(usize, Value)> {
        [("one", "net1", 0), ("two", "net1", 0), ("two", "net2", 1)]
            .map(|(container, network, index)| (index, self.engine_endpoint(container, network)))
            .to_vec()
    }
}

/// The element of a JSON list that has this id.
fn by_id<'a>(list: &'a Value, id: &str) -> &'a Value {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let found: Vec<&Value> = list.iter().filter(|element| element["id"] == id).collect();
    assert_eq!(found.len(), 1, "not one element with id {id}: {list:?}");
    found[0]
}

#[test]
fn json_agrees_with_the_engine_and_the_kernel() {
    let town = Town::new();
    let site = &town.site;

    let networks = site.daemon.json(&["network", "ls"]);
    assert_eq!(networks.as_array().unwrap().len(), 2, "{networks}");
    let first = by_id(&networks, &town.ids[0]);
    assert_eq!(first["driver"], BRIDGE);
    assert_eq!(first["subnets"], serde_json::json!(["10.11.0.0/24"]));
    assert_eq!(first["gateways"], serde_json::json!(["10.11.0.1"]));
    assert_eq!(first["internal"], false);
    assert_eq!(first["options"]["com.docker.network.driver.mtu"], "1400");
    assert_eq!(first["endpoints"].as_array().unwrap().len(), 2, "{first}");
    let second = by_id(&networks, &town.ids[1]);
    assert_eq!(second["gateways"], serde_json::json!(["10.12.0.9"]));
    assert_eq!(second["internal"], true);
    assert_eq!(second["endpoints"].as_array().unwrap().len(), 1, "{second}");

    let inspected = site.daemon.json(&["network", "inspect", &town.ids[1], &town.ids[0][..12]]);
    assert_eq!(&inspected[0], second, "network inspect shows another order or other facts");
    assert_eq!(&inspected[1], first);

    let endpoints = site.daemon.json(&["endpoint", "ls"]);
    assert_eq!(endpoints.as_array().unwrap().len(), 3, "{endpoints}");
    let links = site.host.run(&["ip", "-o", "link"]);
    for (network, engine) in town.engine_endpoints() {
        let endpoint = by_id(&endpoints, engine["EndpointID"].as_str().unwrap());
        assert_eq!(endpoint["network"], town.ids[network]);
        assert_eq!(endpoint["driver"], BRIDGE);
        assert_eq!(endpoint["addresses"], serde_json::json!([engine["IPAddress"]]));
        assert_eq!(endpoint["mac"], engine["MacAddress"]);
        let link = endpoint["link"].as_str().unwrap_or_else(|| panic!("no link: {endpoint}"));
        assert!(links.contains(&format!(" {link}@")), "{link} is not on the host:\n{links}");
        let sandbox = endpoint["sandbox"].as_str().unwrap_or_default();
        assert!(sandbox.contains("/netns/"), "{endpoint}");
        let gateway = &endpoint["join"]["gateway"];
        match network {
            0 => assert_eq!(gateway, "10.11.0.1"),
            _ => assert!(gateway.is_null(), "an internal network leads nowhere: {endpoint}"),
        }
    }
    let of_second = site.daemon.json(&["endpoint", "ls", "--network", &town.ids[1][..12]]);
    assert_eq!(of_second, second["endpoints"]);

    for link in networks.as_array().unwrap().iter().flat_map(|network| {
        let objects = network["objects"].as_array().unwrap().iter();
        objects.filter_map(|object| object["key"].as_str()?.strip_prefix("link "))
    }) {
        assert!(links.contains(link), "{link} is in the ledger and not on the host:\n{links}");
    }
}

#[test]
fn status_and_drivers_are_right() {
    let town = Town::new();
    let site = &town.site;
    let status = site.daemon.json(&["status"]);
    assert_eq!((&status["networks"], &status["endpoints"]), (&2.into(), &3.into()), "{status}");
    assert_eq!(status["doomed"], 0, "{status}");
    assert!(status["uptime"].as_u64().unwrap() < 600, "{status}");
    assert!(!status["version"].as_str().unwrap().is_empty());

    let drivers = site.daemon.json(&["driver", "ls"]);
    assert_eq!(status["drivers"], drivers, "status and driver ls differ");
    let bridge = drivers.as_array().unwrap().iter().find(|driver| driver["name"] == BRIDGE);
    let bridge = bridge.unwrap_or_else(|| panic!("no {BRIDGE}: {drivers}"));
    assert_eq!(bridge["ready"], true);
    assert_eq!(bridge["roles"], serde_json::json!(["network"]));
    assert_eq!(bridge["networks"], 2);
    assert_eq!(bridge["digest"].as_str().unwrap().len(), 64);
    for capability in ["links", "addresses", "firewall"] {
        assert!(bridge["imports"].as_array().unwrap().contains(&capability.into()), "{bridge}");
    }

    site.docker("rm --force one two");
    site.docker("network rm net1 net2");
    site.assert_nothing_left();
}

#[test]
fn tables_have_a_head_and_a_line_for_each() {
    let town = Town::new();
    let host = &town.site.host;
    let networks = lines(host, &["network", "ls"]);
    assert_eq!(networks.len(), 3, "{networks:?}");
    assert!(networks[0].starts_with("NETWORK "), "{networks:?}");
    for (id, subnet, internal) in
        [(&town.ids[0], "10.11.0.0/24", "no"), (&town.ids[1], "10.12.0.0/24", "yes")]
    {
        let row = networks.iter().find(|row| row.starts_with(&id[..12]));
        let row = row.unwrap_or_else(|| panic!("no line for {id}: {networks:?}"));
        let words: Vec<&str> = row.split_whitespace().collect();
        assert!(words.contains(&subnet) && words.contains(&internal), "{row}");
    }

    let endpoints = lines(host, &["endpoint", "ls"]);
    assert_eq!(endpoints.len(), 4, "{endpoints:?}");
    for (network, engine) in town.engine_endpoints() {
        let id = &engine["EndpointID"].as_str().unwrap()[..12];
        let row = endpoints.iter().find(|row| row.starts_with(id));
        let row = row.unwrap_or_else(|| panic!("no line for {id}: {endpoints:?}"));
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[1], &town.ids[network][..12], "{row}");
        for key in ["IPAddress", "MacAddress"] {
            assert!(words.contains(&engine[key].as_str().unwrap()), "{key} is not in: {row}");
        }
        assert!(words.contains(&"joined"), "{row}");
    }
    assert_eq!(lines(host, &["endpoint", "ls", "--network", &town.ids[1]]).len(), 2);

    let status = lines(host, &["status"]);
    assert!(status[0].starts_with("wasmnet "), "{status:?}");
    assert!(status[1].starts_with("2 networks, 3 endpoints, "), "{status:?}");
    let drivers = lines(host, &["driver", "ls"]);
    assert!(drivers[0].starts_with("DRIVER "), "{drivers:?}");
    let bridge = drivers.iter().find(|row| row.starts_with(BRIDGE));
    assert!(bridge.is_some_and(|row| row.ends_with("ready")), "{drivers:?}");
    assert!(status.ends_with(&drivers), "status shows the drivers: {status:?}");
}

#[test]
fn networks_that_are_not_there_are_named() {
    let town = Town::new();
    let host = &town.site.host;
    for arguments in [&["network", "inspect", "xyz"][..], &["endpoint", "ls", "--network", "xyz"]] {
        let sentence = refused(&wasmnet(host, arguments));
        assert!(sentence.contains("no network xyz"), "{arguments:?}: {sentence}");
    }
    // Every id begins with nothing.
    let sentence = refused(&wasmnet(host, &["network", "inspect", ""]));
    assert!(sentence.contains("more than one"), "{sentence}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let town = Town::new();
    let id = town.ids[0].as_str();
    let commands: [&[&str]; 12] = [
        &["events"],
        &["events", "--json"],
        &["metrics"],
        &["status"],
        &["status", "--json"],
        &["network", "ls"],
        &["network", "ls", "--json"],
        &["network", "inspect", id],
        &["endpoint", "ls"],
        &["endpoint", "ls", "--json"],
        &["driver", "ls"],
        &["--help"],
    ];
    for arguments in commands {
        let command = format!("{} {}", binary(), arguments.join(" "));
        // The reader is gone before the command starts.
        let script = format!("exec 3> >(:); wait $!; {command} >&3; echo $? >&2");
        let output = town.site.host.try_run(&["bash", "-c", &script]);
        assert_eq!(output.stderr, "0\n", "{command} with a closed pipe: {output}");

        let script = format!("set -o pipefail; {command} | head -1");
        let output = town.site.host.try_run(&["bash", "-c", &script]);
        assert!(output.success() && output.stderr.is_empty(), "{command} | head -1: {output}");
        assert_eq!(output.stdout.lines().count(), 1, "{command} | head -1: {output}");
    }
}

#[test]
fn without_a_daemon_it_says_so() {
    let lab = Lab::new();
    let host = lab.host("a");
    for command in COMMANDS {
        for more in [&[][..], &["--json"]] {
            let sentence = refused(&wasmnet(&host, &[command, more].concat()));
            assert!(sentence.contains("no wasmnet daemon answers"), "{command:?}: {sentence}");
            assert!(sentence.contains("/run/wasmnet"), "{command:?}: {sentence}");
        }
    }
    let sentence = refused(&wasmnet(&host, &["status", "--run-dir", "/run/elsewhere"]));
    assert!(sentence.contains("/run/elsewhere"), "{sentence}");
}

#[test]
fn every_command_has_help() {
    let lab = Lab::new();
    let host = lab.host("a");
    let commands: [&[&str]; 11] = [
        &[],
        &["events"],
        &["metrics"],
        &["serve"],
        &["status"],
        &["network"],
        &["network", "ls"],
        &["network", "inspect"],
        &["endpoint", "ls"],
        &["driver"],
        &["driver", "ls"],
    ];
    for command in commands {
        let text = lines(&host, &[command, &["--help"]].concat()).join("\n");
        let usage = [&["Usage: wasmnet"], command].concat().join(" ");
        assert!(text.contains(&usage), "{command:?}: {text}");
        assert!(text.contains("--help"), "{command:?}: {text}");
        let widest = text.lines().map(str::len).max().unwrap();
        assert!(widest <= 100, "{command:?} is {widest} columns wide: {text}");
    }
    let version = lines(&host, &["--version"]);
    assert_eq!(version.len(), 1, "{version:?}");
    assert!(version[0].starts_with("wasmnet "), "{version:?}");
}

/// Completions and pages come from the definition that the help comes from.
#[test]
fn completions_and_man_pages_know_every_command() {
    let lab = Lab::new();
    let host = lab.host("a");
    let help = lines(&host, &["--help"]);
    let commands = help.iter().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"serve") && commands.contains(&"man"), "{help:?}");
    let folder = host.path_in_data_dir("man");
    std::fs::create_dir_all(&folder).unwrap();
    lines(&host, &["man", "--to", folder.to_str().unwrap()]);
    for command in commands.iter().filter(|name| **name != "help") {
        let page = folder.join(format!("wasmnet-{command}.1"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("no {page:?}"));
        assert!(page.contains(".TH"), "{page}");
    }
    assert!(!folder.join("wasmnet-compile.1").exists(), "it is the daemon's own");
    assert!(lines(&host, &["man"]).iter().any(|line| line.starts_with(".TH wasmnet 1")));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = lines(&host, &["completions", shell]).join("\n");
        for command in &commands {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
    // The shell itself, and what it offers.
    let offered = host.sh(&format!(
        "bash -c '. <({} completions bash); COMP_WORDS=(wasmnet net); COMP_CWORD=1; \
         _wasmnet wasmnet net wasmnet; echo ${{COMPREPLY[@]}}'",
        binary()
    ));
    assert_eq!(offered.trim(), "network");
    let sentence = refused(&wasmnet(&host, &["man", "--to", "/nowhere/at/all"]));
    assert!(sentence.contains("/nowhere/at/all"), "{sentence}");
}

#[test]
fn a_plan_names_what_a_network_would_be_and_makes_nothing_of_it() {
    let site = Site::new();
    let before = site.host.netns_state();
    let binary = binary();
    let create = [
        binary.as_str(),
        "plan",
        "create-network",
        "--subnet",
        "10.81.1.0/24",
        "--opt",
        "com.docker.network.bridge.name=acme0",
    ];
    let plan = site.host.run(&create);
    for line in ["make link acme0", "make address acme0 10.81.1.1/24", "firewall: policy acme0"] {
        assert!(plan.lines().any(|planned| planned == line), "no \"{line}\":\n{plan}");
    }
    assert_same_state(&before, &site.host.netns_state());
    site.assert_nothing_left();

    site.network("net1", "--subnet 10.81.1.0/24 --opt com.docker.network.bridge.name=acme0");
    let id = site.docker("network inspect --format {{.Id}} net1");
    let inspected = site.daemon.json(&["network", "inspect", &id]);
    let made: Vec<&str> = inspected[0]["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["key"].as_str().unwrap())
        .collect();
    assert_eq!(made.len(), plan.lines().count(), "{made:?} instead of\n{plan}");
    assert!(made.iter().zip(plan.lines()).all(|(made, planned)| planned.contains(made)), "{plan}");

    let refused =
        site.host.try_run(&[&create[..], &["--opt", "com.docker.network.driver.mtu=x"]].concat());
    assert!(!refused.success() && refused.stderr.contains("driver.mtu"), "{refused}");
}
