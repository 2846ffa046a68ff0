//! Files that are no drivers.

use std::fs;

use wasmnet_e2e::{CHAOS, Plugin, Site, driver_config};

use super::assert_sentence;

/// Driver, file name and what is wrong with the file.
const FILES: [(&str, &str, &str); 7] = [
    ("text", "text.wasm", "the file is not WebAssembly"),
    ("empty", "empty.wasm", "the file is not WebAssembly"),
    ("core", "core.wasm", "the file is a core WebAssembly module, not a component"),
    ("version", "version.wasm", "the file is of an unknown version of WebAssembly"),
    ("cut", "cut.wasm", "the component does not compile"),
    ("compiled", "driver.cwasm", "the file is compiled code; only .wasm components are accepted"),
    ("bare", "bare.wasm", "the component is no driver for this host"),
];

/// What is in such a file.
fn contents(driver: &str) -> Vec<u8> {
    match driver {
        "text" => b"#!/bin/sh\necho hello\n".to_vec(),
        "empty" => Vec::new(),
        "core" => b"\0asm\x01\0\0\0".to_vec(),
        "version" => b"\0asm\x2a\0\0\0".to_vec(),
        "cut" => {
            let mut bytes = fs::read(CHAOS).unwrap();
            bytes.truncate(bytes.len() / 2);
            bytes
        }
        "compiled" => fs::read("/bin/true").unwrap(),
        "bare" => b"\0asm\x0d\0\x01\0".to_vec(),
        other => panic!("no file for {other}"),
    }
}

#[test]
fn a_file_that_is_no_driver_is_told_and_the_others_work() {
    let paths = FILES.map(|(driver, file, _)| (driver, format!("/run/drivers/{file}")));
    let drivers: Vec<(&str, &str)> =
        paths.iter().map(|(driver, path)| (*driver, path.as_str())).collect();
    let site = Site::prepared(&["--config", "/run/drivers/config.toml"], |host| {
        host.sh("mkdir /run/drivers");
        let put = |path: &str, bytes: Vec<u8>| {
            host.exec(&["sh", "-c", "cat >\"$0\"", path]).stdin(bytes).run();
        };
        put("/run/drivers/config.toml", driver_config(&drivers).into_bytes());
        for (driver, path) in &drivers {
            put(path, contents(driver));
        }
    });
    let before = site.host.netns_state();

    let listed = site.daemon.json(&["driver", "ls"]);
    let table = site.host.run(&[&wasmnet_e2e::binary(), "driver", "ls"]);
    for (driver, _, why) in FILES {
        let view = listed.as_array().unwrap().iter().find(|view| view["name"] == driver);
        let view = view.unwrap_or_else(|| panic!("driver ls has no {driver}: {listed}"));
        assert_eq!(view["ready"], false, "{view}");
        let reason = view["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with(why), "{driver}: {reason}");
        assert!(!reason.contains('\n'), "{driver}: more than one line: {reason}");
        assert!(table.contains(why), "the table does not say why {driver} is not there:\n{table}");

        // The engine must get an answer here, or it gives the name up for good.
        let mut plugin = Plugin::connect(&site.host, driver);
        assert_eq!(plugin.ask("Plugin.Activate").ok()["Implements"][0], "NetworkDriver");
        assert_eq!(plugin.ask("NetworkDriver.GetCapabilities").ok()["Scope"], "local");

        let output = site.try_docker(&format!("network create --driver {driver} bad"));
        let sentence = format!("driver {driver} is not loaded: {why}");
        assert_sentence(&output, &sentence, driver);
    }
    wasmnet_lab::assert_same_state(&before, &site.host.netns_state());

    site.network("good", "");
    site.container("good1", "--network good");
    site.assert_pings("good1", &site.host.address().to_string());
}
