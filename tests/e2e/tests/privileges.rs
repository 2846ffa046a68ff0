//! What the daemon may do, and who may touch what it has.

use std::{fs, os::unix::fs::MetadataExt};

use wasmnet_e2e::{BRIDGE, Daemon, Site, serve};
use wasmnet_lab::{Host, Lab, Output};

/// CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW, as /proc shows them.
const KEPT: u64 = 1 << 10 | 1 << 12 | 1 << 13;

/// Lines of /proc/PID/status that tell of rights.
const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// A field of /proc/PID/status, in hex.
pub fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    u64::from_str_radix(line.unwrap_or_else(|| panic!("no {name} in {status}")).trim(), 16).unwrap()
}

#[test]
fn every_thread_has_given_up_what_it_does_not_need() {
    let lab = Lab::new();
    let host = lab.host("a");
    let daemon = Daemon::start(&host);
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let mut threads = 0;
    for task in tasks {
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else { continue };
        threads += 1;
        for set in SETS {
            assert_eq!(field(&status, set) & !KEPT, 0, "{set} of a thread: {status}");
        }
        assert_eq!(field(&status, "CapEff"), KEPT, "{status}");
        assert_eq!(field(&status, "NoNewPrivs"), 1, "{status}");
    }
    assert!(threads > 2, "only {threads} threads were looked at");
}

#[test]
fn two_capabilities_are_enough() {
    let site = Site::with_capabilities(&["net_admin", "net_bind_service"]);
    site.network("net1", "--subnet 10.85.1.0/24 --ipv6 --subnet fd00:85:1::/64");
    site.container("one", "--network net1 --publish 80:80");
    site.container("two", "--network net1");
    site.assert_pings("two", "one");
    site.assert_pings("two", &site.lab.outside().address().to_string());
    let ports = site.daemon.json(&["port", "ls"]);
    assert_eq!(ports[0]["host"], "0.0.0.0:80", "{ports}");
    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
}

#[test]
fn a_port_below_1024_without_the_right_is_refused_with_a_sentence() {
    let site = Site::with_capabilities(&["net_admin"]);
    site.network("net1", "");
    let start = "run --detach --network net1 --stop-signal KILL --publish";
    let output = site.try_docker(&format!("{start} 80:80 busybox sleep 3600"));
    assert_eq!(lacks(&output, "CAP_NET_BIND_SERVICE"), 1, "{output}");
    site.docker(&format!("{start} 8080:80 --name good busybox sleep 3600"));
    site.assert_pings("good", &site.lab.outside().address().to_string());
}

#[test]
fn legacy_tables_without_the_right_are_told() {
    // As where Docker uses iptables-legacy.
    let use_legacy = |host: &Host| host.sh("iptables-legacy -P FORWARD DROP");
    let site = Site::with_capabilities(&["net_admin"]);
    use_legacy(&site.host);
    let output = site.try_docker(&format!("network create --driver {BRIDGE} net1"));
    assert_eq!(lacks(&output, "CAP_NET_RAW"), 1, "{output}");
    drop(site);

    let site = Site::with_capabilities(&["net_admin", "net_raw"]);
    use_legacy(&site.host);
    site.network("net1", "");
    site.container("one", "--network net1");
    site.assert_pings("one", &site.lab.outside().address().to_string());
    let rules = site.host.sh("iptables-legacy -S FORWARD");
    assert!(rules.contains("-i wn+") && rules.contains("-o wn+"), "{rules}");
}

/// How many lines say that this capability is missing.
fn lacks(output: &Output, capability: &str) -> usize {
    assert!(!output.success(), "docker succeeded: {output}");
    let sentence = format!("wasmnet was started without the capability {capability}, which ");
    output.stderr.lines().filter(|line| line.contains(&sentence)).count()
}

#[test]
fn what_the_daemon_has_is_closed_to_others() {
    let lab = Lab::new();
    let host = lab.host("a");
    // Whatever the starting shell says, and whatever was there.
    host.sh("mkdir /run/wasmnet && chmod 755 /run/wasmnet");
    let daemon = Daemon::start_by(&host, &["sh", "-c", "umask 000; exec \"$@\"", "sh"], &[]);
    let mode = |path: &str| {
        let path = format!("/proc/{}/root{path}", host.init_pid());
        fs::metadata(&path).unwrap_or_else(|error| panic!("{path}: {error}")).mode() & 0o7777
    };
    let state = host.path_in_data_dir("state").display().to_string();
    for folder in ["/run/wasmnet", &state, &format!("{state}/cache")] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    let file = format!("{state}/state.redb");
    for file in ["/run/wasmnet/admin.sock", &format!("/run/docker/plugins/{BRIDGE}.sock"), &file] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    let code = host.sh(&format!("find {state}/cache -type f -not -perm 600"));
    assert_eq!(code, "", "compiled code is open to others");
    assert_eq!(mode("/run/docker/plugins"), 0o755, "Docker's folder was changed");
    drop(daemon);
}

#[test]
fn links_and_what_belongs_to_somebody_else_are_refused() {
    // What is done before, and what the sentence says; STATE stands for the state directory.
    let cases = [
        ("mkdir /run/real; ln -s /run/real STATE", "STATE is a symbolic link"),
        ("mkdir STATE; chown 65534 STATE", "STATE belongs to user 65534"),
        ("mkdir STATE; ln -s /run/real STATE/state.redb", "STATE/state.redb is a symbolic link"),
        ("mkdir STATE; echo >STATE/real; ln -s real STATE/state.redb", "is a symbolic link"),
        (
            "mkdir STATE; echo >STATE/state.redb; chown 65534 STATE/state.redb",
            "STATE/state.redb belongs to user 65534",
        ),
        ("mkdir STATE; mkfifo STATE/state.redb", "STATE/state.redb is no file"),
        ("mkdir -p STATE /run/real; ln -s /run/real STATE/cache", "STATE/cache is a symbolic link"),
        (
            "mkdir -m 700 STATE; mkdir STATE/cache; chown 65534 STATE/cache",
            "STATE/cache belongs to user 65534",
        ),
        ("mkdir -m 755 STATE STATE/theirs", "STATE is not wasmnet's alone"),
        ("mkdir /run/real; ln -s /run/real /run/wasmnet", "/run/wasmnet is a symbolic link"),
        ("mkdir /run/wasmnet; chown 65534 /run/wasmnet", "/run/wasmnet belongs to user 65534"),
        ("mkdir -m 755 /run/wasmnet /run/wasmnet/theirs", "/run/wasmnet is not wasmnet's alone"),
        ("ln -s /run/real /run/docker/plugins/wasm-bridge.sock", "exists and is no socket"),
    ];
    let lab = Lab::new();
    let host = lab.host("a");
    let state = host.path_in_data_dir("state").display().to_string();
    for (before, expected) in cases {
        host.sh(&before.replace("STATE", &state));
        let output = host.try_run(&serve(&host).each_ref().map(String::as_str));
        assert_eq!(output.status.code(), Some(1), "{before}: {output}");
        let said: Vec<&str> =
            output.stderr.lines().filter(|line| line.starts_with("wasmnet: ")).collect();
        assert_eq!(said.len(), 1, "{before}: {output}");
        assert!(said[0].contains(&expected.replace("STATE", &state)), "{before}: {output}");
        let sockets = host.sh("find /run/docker/plugins /run/wasmnet -type s 2>/dev/null || true");
        assert_eq!(sockets, "", "{before}: sockets though it was refused");
        host.sh(&format!(
            "rm -rf {state} /run/real /run/wasmnet /run/docker/plugins/wasm-bridge.sock"
        ));
    }
    // Nothing of that is left, so it starts.
    drop(Daemon::start(&host));
}
