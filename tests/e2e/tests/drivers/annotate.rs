use std::fs;

use wasmnet_e2e::SHELF;

use super::{folder, json, refused, said};

const MANIFEST: &str = r#"
name = "acme"
version = "2.0.1"
description = "Made in another language."

[grants]
links = ["bridge", "veth"]
publish = ["8000-8999"]
"#;

#[test]
fn a_component_gets_a_manifest_and_another_one_in_its_place() {
    let folder = folder();
    let here = folder.path();
    fs::write(here.join("M.toml"), MANIFEST).unwrap();
    fs::write(here.join("other.toml"), "name = \"other\"\nversion = \"3\"").unwrap();
    said(here, &["driver", "annotate", SHELF, "--manifest", "M.toml", "-o", "acme.wasm"]);
    let facts = json(here, &["driver", "inspect", "acme.wasm"]);
    assert_eq!((&facts["name"], &facts["version"]), (&"acme".into(), &"2.0.1".into()));
    assert_eq!(facts["wanted"]["publish"], serde_json::json!(["8000-8999"]));
    assert_eq!(facts["roles"], serde_json::json!(["ipam"]));

    let before = fs::metadata(here.join("acme.wasm")).unwrap().len();
    said(here, &["driver", "annotate", "acme.wasm", "--manifest", "other.toml"]);
    let facts = json(here, &["driver", "inspect", "acme.wasm"]);
    assert_eq!((&facts["name"], &facts["wanted"]), (&"other".into(), &serde_json::json!({})));
    assert!(fs::metadata(here.join("acme.wasm")).unwrap().len() < before, "the old one is there");
}

#[test]
fn what_cannot_be_annotated_stays_as_it_is() {
    let folder = folder();
    let here = folder.path();
    fs::write(here.join("M.toml"), MANIFEST).unwrap();
    fs::write(here.join("wrong.toml"), "name = \"acme\"\nversion = \"1\"\nlinks = [\"bridge\"]")
        .unwrap();
    fs::write(here.join("text.wasm"), "no component").unwrap();
    for (file, manifest, says) in [
        ("text.wasm", "M.toml", "not WebAssembly"),
        ("text.wasm", "wrong.toml", "wrong.toml, line 3: unknown field `links`"),
        ("text.wasm", "missing.toml", "missing.toml"),
        ("missing.wasm", "M.toml", "missing.wasm"),
    ] {
        let sentence = refused(here, &["driver", "annotate", file, "--manifest", manifest]);
        assert!(sentence.contains(says), "{sentence}");
    }
    assert_eq!(fs::read_to_string(here.join("text.wasm")).unwrap(), "no component");
    assert_eq!(fs::read_dir(here).unwrap().count(), 3, "something is left");
}
