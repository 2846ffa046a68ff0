use std::fs;

use serde_json::{Value, json};
use wasmnet_e2e::{CHAOS, CURIOUS};
use wasmnet_lab::{Host, Process, wait_for};

use super::Bed;

/// A registry on the host's own 127.0.0.1:5000; with a password if there is one.
fn serve(host: &Host, password: Option<&str>) -> Process {
    let folder = host.path_in_data_dir("registry").display().to_string();
    let auth = password.map_or(String::new(), |password| {
        let users = host.run(&["htpasswd", "-nbB", "acme", password]);
        let users = host.put("users", users).display().to_string();
        format!("auth:\n  htpasswd:\n    realm: lab\n    path: {users}\n")
    });
    let config = format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {folder}\n\
         http:\n  addr: 127.0.0.1:5000\n{auth}"
    );
    let config = host.put("registry.yml", config).display().to_string();
    let server = host.spawn(&["docker-registry", "serve", &config]);
    wait_for("the registry", std::time::Duration::from_secs(20), || {
        let answer = host.try_run(&["curl", "-s", "-o", "/dev/null", "http://127.0.0.1:5000/v2/"]);
        if answer.success() { Ok(()) } else { Err(answer) }
    });
    server
}

/// A copy of a component on the host.
fn copy(host: &Host, name: &str, component: &str) -> String {
    host.put(name, fs::read(component).unwrap()).display().to_string()
}

#[test]
fn the_same_driver_comes_from_a_file_and_from_a_registry() {
    let bed = Bed::new();
    let _registry = serve(&bed.host, None);
    let reference = "oci://127.0.0.1:5000/drivers/chaos:1.0";
    let output = bed.driver(&["push", CHAOS, reference]);
    assert!(output.success(), "{output}");
    let pinned = output.stdout.lines().next().unwrap().trim_start_matches("pushed ").to_owned();
    assert!(pinned.contains("@sha256:"), "{output}");

    // As other tools want to have it.
    let image = "application/vnd.oci.image.manifest.v1+json";
    let get = |what: &str| {
        let (accept, url) = (format!("Accept: {image}"), "http://127.0.0.1:5000/v2/drivers/chaos");
        let answer = bed.host.run(&["curl", "-sf", "-H", &accept, &format!("{url}/{what}")]);
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let manifest = get("manifests/1.0");
    assert_eq!(manifest["mediaType"], image);
    let ([layer], config) =
        (manifest["layers"].as_array().unwrap().as_slice(), &manifest["config"])
    else {
        panic!("not one layer: {manifest}");
    };
    assert_eq!(layer["mediaType"], "application/wasm");
    assert_eq!(layer["annotations"]["org.opencontainers.image.title"], "chaos.wasm");
    assert_eq!(config["mediaType"], "application/vnd.wasm.config.v0+json");
    let config = get(&format!("blobs/{}", config["digest"].as_str().unwrap()));
    assert_eq!(config["layerDigests"], json!([layer["digest"]]));
    let has = |list: &str, name: &str| {
        config["component"][list].as_array().unwrap().contains(&name.into())
    };
    assert!(has("exports", "wasmnet:driver/network-driver@0.1.0"), "{config}");
    assert!(has("imports", "wasmnet:driver/links@0.1.0"), "{config}");
    let digest_in =
        |text: String| text.lines().find(|line| line.contains("sha256:")).map(str::to_owned);
    let from_file = digest_in(bed.driver(&["inspect", CHAOS]).stdout);
    assert!(from_file.is_some());
    assert_eq!(digest_in(bed.driver(&["inspect", reference]).stdout), from_file);

    assert!(bed.driver(&["install", &pinned, "--yes", "--name", "pinned"]).success());
    assert!(bed.driver(&["install", reference, "--yes"]).success());
    assert!(bed.driver(&["install", CHAOS, "--yes", "--name", "file"]).success());
    let digest = |name: &str| bed.view(name).unwrap()["digest"].clone();
    assert_eq!(digest("pinned"), digest("file"));
    assert_eq!(digest("chaos"), digest("file"));
    let output = bed.driver(&["push", CURIOUS, reference]);
    assert!(output.success(), "{output}");
    assert!(bed.driver(&["upgrade", "chaos", reference, "--yes"]).success());
    assert_ne!(digest("chaos"), digest("file"));

    bed.assert_refused(&["install", "oci://127.0.0.1:5000/drivers/none", "--yes"], "cannot pull");
    bed.assert_refused(&["install", "oci://127.0.0.1:5009/x", "--yes"], "cannot pull");
    bed.assert_refused(&["install", "oci://A/..", "--yes"], "is no reference");
    let wrong = pinned.rsplit_once(':').unwrap().0.to_owned() + ":" + &"0".repeat(64);
    bed.assert_refused(&["install", &wrong, "--yes", "--name", "x"], "cannot pull");
    // In the clear only on this host itself.
    let address = format!("oci://{}:5000/drivers/chaos:1.0", bed.host.address());
    bed.assert_refused(&["install", &address, "--yes", "--name", "x"], "cannot pull");
}

#[test]
fn a_registry_is_shown_what_dockers_user_has_logged_in_with() {
    let bed = Bed::new();
    let _registry = serve(&bed.host, Some("secret"));
    let reference = "oci://127.0.0.1:5000/chaos:1.0";
    bed.assert_refused(&["push", CHAOS, reference], "cannot push");
    // acme:secret
    let login = r#"{"auths":{"127.0.0.1:5000":{"auth":"YWNtZTpzZWNyZXQ="}}}"#;
    bed.host.put("docker/config.json", login);
    let folder = bed.host.path_in_data_dir("docker").display().to_string();
    let with_login = |words: &[&str]| {
        let binary = wasmnet_e2e::binary();
        let argv: Vec<&str> =
            [binary.as_str(), "driver"].into_iter().chain(words.iter().copied()).collect();
        bed.host.exec(&argv).env("DOCKER_CONFIG", &folder).output()
    };
    let output = with_login(&["push", CHAOS, reference]);
    assert!(output.success(), "{output}");
    let output = with_login(&["inspect", reference]);
    assert!(output.success() && output.stdout.contains("chaos"), "{output}");
    bed.assert_refused(&["inspect", reference], "cannot pull");
}

#[test]
fn only_what_a_trusted_key_has_signed_is_loaded_where_that_is_required() {
    let mut bed = Bed::with_config("[trust]\nrequire-signature = true\n");
    let host = bed.host.clone();
    let path = |name: &str| host.path_in_data_dir(name).display().to_string();
    for name in ["etc/trust.d/acme", "stranger"] {
        let (public, secret) = (path(&format!("{name}.pub")), path(&format!("{name}.key")));
        host.run(&["mkdir", "-p", &path("etc/trust.d")]);
        host.run(&["minisign", "-G", "-W", "-f", "-p", &public, "-s", &secret]);
    }
    let sign = |key: &str, file: &str| {
        host.run(&["minisign", "-S", "-s", &path(&format!("{key}.key")), "-m", file]);
    };
    let unsigned = copy(&host, "unsigned.wasm", CHAOS);
    bed.assert_refused(&["install", &unsigned, "--yes"], "require-signature = true");
    let strange = copy(&host, "strange.wasm", CHAOS);
    sign("stranger", &strange);
    bed.assert_refused(&["install", &strange, "--yes"], "by none of the keys");
    let good = copy(&host, "good.wasm", CHAOS);
    sign("etc/trust.d/acme", &good);
    let changed = copy(&host, "changed.wasm", CURIOUS);
    fs::copy(format!("{good}.minisig"), format!("{changed}.minisig")).unwrap();
    bed.assert_refused(&["install", &changed, "--yes"], "by none of the keys");
    host.put("odd.wasm.minisig", "not a signature");
    let odd = copy(&host, "odd.wasm", CHAOS);
    bed.assert_refused(&["install", &odd, "--yes"], "cannot be read");

    bed.assert_refused(&["install", &good], "signed by acme");
    let output = bed.driver(&["install", &good, "--yes"]);
    assert!(output.success(), "{output}");
    // The registry carries the signature along.
    let _registry = serve(&host, None);
    let reference = "oci://127.0.0.1:5000/chaos:1.0";
    let output = bed.driver(&["push", &good, reference]);
    assert!(output.success(), "{output}");
    let output = bed.driver(&["install", reference, "--yes", "--name", "again"]);
    assert!(output.success(), "{output}");

    // The daemon looks for itself, whenever it loads.
    host.run(&["rm", &path("etc/trust.d/acme.pub")]);
    bed.daemon.kill();
    bed.daemon.start_again();
    let view = bed.view("chaos").unwrap();
    assert_eq!(view["ready"], false, "{view}");
    assert!(view["reason"].as_str().unwrap().contains("not trusted"), "{view}");
    assert_eq!(bed.view("wasm-bridge").unwrap()["ready"], true);
}
