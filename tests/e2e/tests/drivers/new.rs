use std::fs;

use super::{cargo, checkout, folder, json, refused, said, target, wasmnet};

/// Makes a crate from a template, builds and tests it, and looks at what comes of it.
fn works_at_once(template: &str, role: &str, tests: usize) {
    let folder = folder();
    // Other tests may build others at the same time, in the same target directory.
    let name = format!("acme-{template}");
    let arguments = ["new", &name, "--template", template, "--sdk", checkout()];
    let next = said(folder.path(), &arguments);
    assert!(next.contains(&format!("cd {name}")), "{next}");

    let krate = folder.path().join(&name);
    let tested = cargo(&krate, &["test"]);
    assert!(tested.contains(&format!("test result: ok. {tests} passed")), "{tested}");
    assert!(!tested.contains("warning"), "{tested}");
    cargo(&krate, &["build", "--release", "--target", "wasm32-wasip2"]);
    let file = format!("{}.wasm", name.replace('-', "_"));
    let component = target().join("wasm32-wasip2/release").join(file);
    let facts = json(&krate, &["driver", "inspect", component.to_str().unwrap()]);
    assert_eq!(facts["name"], name.as_str());
    assert_eq!(facts["roles"], serde_json::json!([role]));
    assert_eq!(facts["refused"], serde_json::Value::Null);
    let right = said(&krate, &["conformance", component.to_str().unwrap()]);
    assert!(!right.contains("FAILED") && !right.contains("skipped"), "{right}");
    assert!(facts["size"].as_u64().unwrap() < 256 << 10, "large: {facts}");
}

#[test]
fn a_bridge_driver_builds_and_passes_its_tests() {
    works_at_once("bridge", "network", 4);
}

#[test]
fn an_ipam_driver_builds_and_passes_its_tests() {
    works_at_once("ipam", "ipam", 3);
}

#[test]
fn a_blank_driver_builds_and_passes_its_tests() {
    works_at_once("blank", "network", 2);
}

#[test]
fn without_a_checkout_the_sdk_is_the_released_one() {
    let folder = folder();
    said(folder.path(), &["new", "acme"]);
    let manifest = fs::read_to_string(folder.path().join("acme/Cargo.toml")).unwrap();
    assert!(manifest.contains("\nwasmnet-sdk = \"0.1.0\"\n"), "{manifest}");
}

#[test]
fn what_cannot_be_made_is_told_and_changes_nothing() {
    let folder = folder();
    let here = folder.path();
    for wrong in ["Acme", "a/b", "..", "1st"] {
        let sentence = refused(here, &["new", wrong]);
        assert!(sentence.contains("cannot be a driver's name"), "{sentence}");
    }
    assert!(refused(here, &["new", "std"]).contains("has that name for itself"));
    let sentence = refused(here, &["new", "acme", "--sdk", "/nowhere"]);
    assert!(sentence.contains("no SDK at /nowhere"), "{sentence}");
    assert_eq!(fs::read_dir(here).unwrap().count(), 0);

    fs::write(here.join("acme"), "mine").unwrap();
    let sentence = refused(here, &["new", "acme"]);
    assert!(sentence.contains("acme is there already"), "{sentence}");
    assert_eq!(fs::read_to_string(here.join("acme")).unwrap(), "mine");

    let unknown = wasmnet(here, &["new", "other", "--template", "mesh"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}
