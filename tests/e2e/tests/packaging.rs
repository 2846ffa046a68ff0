//! The systemd units.

use std::process::Command;

use wasmnet_e2e::{Daemon, Site, Unit};

/// Highest exposure that `systemd-analyze security` may find. Without any of the settings it
/// is 9.6.
const EXPOSURE_MAX: f64 = 2.5;

#[test]
fn the_service_is_exposed_little() {
    let unit = Unit::read("wasmnet.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", unit.path()])
        .output()
        .expect("run systemd-analyze");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.contains("Overall exposure level"));
    let level = line.and_then(|line| line.split_once(": ")?.1.split(' ').next()?.parse().ok());
    let level: f64 = level.unwrap_or_else(|| panic!("no level: {output:?}"));
    assert!(level <= EXPOSURE_MAX, "{said}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let units = ["wasmnet.service", "wasmnet.socket"].map(Unit::read);
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(units.each_ref().map(Unit::path))
        .output()
        .expect("run systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    // It is not installed here, and the machine's own units are not ours.
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("wasmnet") && !line.contains("is not executable"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_daemon_works_with_the_units_capabilities_and_has_no_others() {
    let service = Unit::read("wasmnet.service");
    let allowed: Vec<String> = service
        .words("CapabilityBoundingSet")
        .iter()
        .map(|word| word.strip_prefix("CAP_").unwrap().to_lowercase())
        .collect();
    assert_eq!(allowed, ["net_admin", "net_bind_service", "net_raw"]);

    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let site = Site::with_capabilities(&allowed);
    site.network("net1", "--subnet 10.86.1.0/24");
    site.container("one", "--network net1 --publish 80:80 --publish 53:53/udp");
    site.container("two", "--network net1");
    site.assert_pings("two", "one");
    let ports = site.daemon.json(&["port", "ls"]);
    assert!(ports.to_string().contains("0.0.0.0:53"), "{ports}");

    let status = std::fs::read_to_string(format!("/proc/{}/status", site.daemon.pid())).unwrap();
    let has = super::privileges::field(&status, "CapEff");
    assert_eq!(has.count_ones(), 3, "{status}");
    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
}

#[test]
fn there_is_a_socket_for_each_built_in_driver_and_the_command_line() {
    let lab = wasmnet_lab::Lab::new();
    let host = lab.host("a");
    let daemon = Daemon::start(&host);
    let drivers = daemon.json(&["driver", "ls"]);
    let mut expected: Vec<String> = drivers
        .as_array()
        .unwrap()
        .iter()
        .map(|driver| format!("/run/docker/plugins/{}.sock", driver["name"].as_str().unwrap()))
        .chain(["/run/wasmnet/admin.sock".to_owned()])
        .collect();
    let socket = Unit::read("wasmnet.socket");
    let mut listed = socket.words("ListenStream");
    expected.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, expected);
    assert_eq!(socket.words("SocketMode"), ["0600"]);
}
