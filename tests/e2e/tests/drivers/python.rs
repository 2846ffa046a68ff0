use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use wasmnet_e2e::{Site, binary};
use wasmnet_lab::{Host, Lab, Process, wait_for};

use super::{checkout, documented::commands, folder, json};

/// What everybody here is told: where NetBox is, and from where subnets come.
const CONFIG: [(&str, &str); 5] = [
    ("server", "http://127.0.0.1:8099"),
    ("token", "secret"),
    ("host", "lab"),
    ("parent", "10.64.0.0/12"),
    ("parent6", "fd64::/48"),
];

/// Compiling Python takes a quarter of a minute, on a machine that does nothing else.
const COMPILING: Duration = Duration::from_secs(180);

/// Makes the component of examples/netbox-python, by the commands of its README.
fn component(folder: &Path) -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python");
    assert!(
        tools.join("bin/componentize-py").exists(),
        "this needs componentize-py: run `cargo xtask test`, which installs what is missing"
    );
    // A copy: the sources' folder stays as it is.
    let source = Path::new(checkout()).join("examples/netbox-python");
    let copy = folder.join("examples/netbox-python");
    fs::create_dir_all(&copy).unwrap();
    for file in ["driver.py", "netbox.py", "manifest.toml"] {
        fs::copy(source.join(file), copy.join(file)).unwrap();
    }
    symlink(Path::new(checkout()).join("wit"), folder.join("wit")).unwrap();
    symlink(binary(), folder.join("wasmnet")).unwrap();
    let (tools, path) = (tools.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-exc", &commands(&source.join("README.md"))])
        .current_dir(&copy)
        .env("PATH", format!("{}:{tools}/bin:{path}", folder.display()))
        .env("PYTHONPATH", tools.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    copy.join("netbox.wasm")
}

/// NetBox, as far as the driver knows it, on 127.0.0.1:8099.
fn serve(host: &Host) -> Process {
    let program = Path::new(checkout()).join("tests/e2e/tests/python/netbox.py");
    let program = program.display().to_string();
    let server = host.spawn(&["python3", &program, "8099", "secret", "10.64.0.0/12", "fd64::/48"]);
    wait_for("the server", Duration::from_secs(20), || {
        let answer = host.try_run(&["curl", "-s", "http://127.0.0.1:8099/"]);
        if answer.success() { Ok(()) } else { Err(answer) }
    });
    server
}

/// What NetBox has of ours, as text.
fn in_netbox(host: &Host, kind: &str) -> Vec<String> {
    let url = format!("http://127.0.0.1:8099/api/ipam/{kind}/?description=wasmnet%20lab");
    let answer = host.run(&["curl", "-sf", "-H", "Authorization: Token secret", &url]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let key = if kind == "prefixes" { "prefix" } else { "address" };
    let found = answer["results"].as_array().unwrap().iter();
    found.map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

/// It is in Python, asks another server, and is a driver like all others.
#[test]
fn a_driver_in_python_gives_addresses_from_netbox() {
    let folder = folder();
    let component = component(folder.path()).display().to_string();
    let facts = json(folder.path(), &["driver", "inspect", &component]);
    assert_eq!(facts["roles"], serde_json::json!(["ipam"]), "{facts}");
    assert_eq!(facts["wanted"], serde_json::json!({ "http": ["*:*"] }), "{facts}");

    let lab = Lab::new();
    let site = Site::in_lab(&lab, "a", "");
    let server = serve(&site.host);
    keeps_the_contract(&site.host, &component);

    let config: String =
        CONFIG.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    let file =
        |grants: &str| format!("component = {component:?}\n[grants]\n{grants}\n[config]\n{config}");
    site.host.put("drivers.d/netbox.toml", file("http = [\"127.0.0.1:8099\"]"));
    site.host.put("drivers.d/closed.toml", file(""));
    site.host.exec(&[&binary(), "driver", "reload"]).limit(COMPILING).run();

    let output = site.try_docker("network create --driver wasm-bridge --ipam-driver closed no");
    assert!(output.stderr.contains("the operator has not granted that"), "{output}");
    assert!(output.stderr.contains("denied-http"), "{output}");

    let create = "network create --driver wasm-bridge --ipam-driver netbox";
    site.docker(&format!("{create} net1"));
    site.docker(&format!("{create} --subnet 10.70.0.0/16 net2"));
    assert_eq!(in_netbox(&site.host, "prefixes"), ["10.64.0.0/24", "10.70.0.0/16"]);
    let output = site.try_docker(&format!("{create} --subnet 10.70.8.0/24 net3"));
    assert!(output.stderr.contains("overlaps with 10.70.0.0/16"), "{output}");
    site.container("one", "--network net1");
    site.container("two", "--network net2 --ip 10.70.7.7");
    site.docker("network connect net2 one");
    site.assert_pings("one", "10.70.7.7");
    let addresses = [site.address("one", "net1"), site.address("one", "net2")];
    site.assert_pings("two", &addresses[1]);
    let given = in_netbox(&site.host, "ip-addresses");
    for address in [format!("{}/24", addresses[0]), "10.70.7.7/16".to_owned()] {
        assert!(given.contains(&address), "{address}: {given:?}");
    }
    let output = site.try_docker("run --rm --network net2 --ip 10.70.7.7 busybox true");
    assert!(output.stderr.contains("10.70.7.7 is in use"), "{output}");

    // What goes is given back.
    site.docker("rm --force two");
    site.docker("network disconnect net2 one");
    site.docker("network rm net2");
    assert_eq!(in_netbox(&site.host, "prefixes"), ["10.64.0.0/24"]);
    let given = in_netbox(&site.host, "ip-addresses");
    assert!(!given.iter().any(|one| one.starts_with("10.70.")), "{given:?}");

    // Without NetBox nobody gets an address, and who has one goes on.
    drop(server);
    let output = site.try_docker("run --rm --network net1 busybox true");
    assert!(output.stderr.contains("cannot connect to 127.0.0.1:8099"), "{output}");
    site.assert_pings("one", "10.64.0.1");
}

/// As the operator would check it, with the same settings.
#[track_caller]
fn keeps_the_contract(host: &Host, component: &str) {
    let config: Vec<String> = CONFIG.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let binary = binary();
    let mut command = vec![binary.as_str(), "conformance", component];
    for setting in &config {
        command.extend(["--config", setting]);
    }
    let report = host.exec(&command).limit(COMPILING).run();
    for check in ["pools", "addresses", "books"] {
        assert!(report.contains(&format!("  ok       {check}")), "{report}");
    }
    assert!(!report.contains("skipped"), "{report}");
}
