use std::{fs, path::Path, process::Command};

use wasmnet_e2e::{BRIDGE, BRIDGE_COMPONENT, Bench, SHELF};

use super::{checkout, folder, json, refused, said};

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

/// A driver for another version of the contract, as long as "0.1.0": all of the file stays where
/// it is.
fn wanting(version: &str) -> Vec<u8> {
    let mut bytes = fs::read(SHELF).unwrap();
    let name = b"wasmnet:driver/ipam-driver@0.1.0";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|at| &bytes[*at..*at + name.len()] == name).collect();
    assert!(!places.is_empty());
    for at in places {
        let end = at + name.len();
        bytes[end - version.len()..end].copy_from_slice(version.as_bytes());
    }
    bytes
}

#[test]
fn the_guide_tells_what_becomes_of_other_versions() {
    let folder = folder();
    let here = folder.path();
    let page = fs::read_to_string(Path::new(checkout()).join("docs/versions.md")).unwrap();
    for (version, advice) in [
        ("0.1.3", "it needs a newer wasmnet"),
        ("0.2.0", "it needs a newer wasmnet"),
        ("0.0.9", "build it anew with this version's SDK"),
    ] {
        fs::write(here.join("other.wasm"), wanting(version)).unwrap();
        let facts = json(here, &["driver", "inspect", "other.wasm"]);
        let says = format!("the driver wants contract {version}, this host has 0.1.0; {advice}");
        assert_eq!(facts["refused"], says.as_str());
        assert!(page.contains(&says), "the guide has another sentence: {says}");
    }
}

#[test]
fn a_driver_for_another_contract_is_told_before_it_is_compiled() {
    let folder = folder();
    let here = folder.path();
    fs::write(here.join("other.wasm"), wanting("0.7.0")).unwrap();
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
