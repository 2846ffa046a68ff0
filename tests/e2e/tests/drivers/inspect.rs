use std::{fs, process::Command};

use wasmnet_e2e::{BRIDGE, BRIDGE_COMPONENT, Bench, SHELF};

use super::{folder, json, refused, said};

#[test]
fn a_file_says_what_it_is_and_wants() {
    let folder = folder();
    let text = said(folder.path(), &["driver", "inspect", BRIDGE_COMPONENT]);
    for line in [
        "bridge 0.1.0: Containers of one host on a Linux bridge, with NAT to the outside.",
        "  contract   0.1.0 (this host: 0.1.0)",
        "  role       network",
        "it asks to be allowed to",
        "  - make bridges and veth pairs",
        "  - change the source address of what leaves the host",
        "  - publish the host's ports 1-65535",
    ] {
        assert!(text.lines().any(|is| is == line), "no \"{line}\" in\n{text}");
    }
    let sum = Command::new("sha256sum").arg(BRIDGE_COMPONENT).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap();
    assert!(text.contains(&format!("sha256:{}", &sum[..64])), "{text}");
    let shelf = said(folder.path(), &["driver", "inspect", SHELF]);
    assert!(shelf.contains("it asks to be allowed to do nothing beyond"), "{shelf}");
}

#[test]
fn a_driver_for_another_contract_is_told_before_it_is_compiled() {
    let folder = folder();
    let here = folder.path();
    // The same length, so that all of the file stays as it is.
    let bytes = fs::read(SHELF).unwrap();
    let name = b"wasmnet:driver/ipam-driver@0.1.0";
    let mut other = bytes.clone();
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|at| &bytes[*at..*at + name.len()] == name).collect();
    assert!(!places.is_empty());
    for at in places {
        other[at + name.len() - 3] = b'7';
    }
    fs::write(here.join("other.wasm"), other).unwrap();
    let facts = json(here, &["driver", "inspect", "other.wasm"]);
    let says = "the driver wants contract 0.7.0, this host has 0.1.0; it needs a newer wasmnet";
    assert_eq!(facts["refused"], says);

    let file = here.join("other.wasm");
    let bench = Bench::new(&[("acme", file.to_str().unwrap())]);
    let drivers = bench.daemon.json(&["driver", "ls"]);
    let acme = drivers.as_array().unwrap().iter().find(|driver| driver["name"] == "acme").unwrap();
    assert_eq!(acme["reason"], says);
}

#[test]
fn a_daemons_driver_is_found_by_its_name() {
    let bench = Bench::new(&[]);
    let facts = bench.daemon.json(&["driver", "inspect", BRIDGE]);
    assert_eq!(facts["name"], BRIDGE);
    let unknown = bench.host.try_run(&[&wasmnet_e2e::binary(), "driver", "inspect", "acme"]);
    assert!(unknown.stderr.contains("there is no driver acme"), "{unknown}");
}

#[test]
fn what_is_no_driver_is_told() {
    let folder = folder();
    let here = folder.path();
    fs::write(here.join("text.wasm"), "no component").unwrap();
    assert!(refused(here, &["driver", "inspect", "text.wasm"]).contains("not WebAssembly"));
    let missing = refused(here, &["driver", "inspect", "./missing"]);
    assert!(missing.contains("cannot read ./missing"), "{missing}");
}
