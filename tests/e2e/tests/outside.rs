//! Drivers that look outside: at servers and files that the operator has granted.

use serde_json::json;
use wasmnet_e2e::{CURIOUS, Daemon, Plugin, binary, calls};
use wasmnet_lab::{Host, Lab, Process, wait_for};

/// Answers a few requests on 127.0.0.1:8099.
fn serve(host: &Host) -> Process {
    host.put("www/pool", "10.1.0.0/16");
    let bytes = vec![b'x'; (1 << 20) + 1];
    host.put("www/long", bytes);
    let www = host.path_in_data_dir("www").display().to_string();
    let server =
        host.spawn(&["busybox", "httpd", "-f", "-p", "127.0.0.1:8099", "-h", www.as_str()]);
    wait_for("the server", std::time::Duration::from_secs(10), || {
        let answer = host.try_run(&["curl", "-sf", "http://127.0.0.1:8099/pool"]);
        if answer.success() { Ok(()) } else { Err(answer) }
    });
    server
}

/// What the driver says when a network is made with these options.
fn saw(host: &Host, driver: &str, options: &serde_json::Value) -> String {
    let mut plugin = Plugin::connect(host, driver);
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n", 9, options)).error()
}

#[test]
fn servers_and_files_are_there_for_who_is_granted_them() {
    let lab = Lab::new();
    let host = lab.host("a");
    let _server = serve(&host);
    let secret = host.put("secret", "the secret").display().to_string();
    let open = host.put("open/names", "the names").display().to_string();
    let link = host.path_in_data_dir("open/link").display().to_string();
    host.run(&["ln", "-s", &secret, &link]);
    let folder = host.path_in_data_dir("open").display().to_string();
    let config = format!(
        "[[driver]]\nname = \"granted\"\ncomponent = {CURIOUS:?}\n\
         grants = {{ http = [\"127.0.0.1:8099\", \"127.0.0.1:8098\"], files = [\"{folder}/*\"] }}\n\
         [[driver]]\nname = \"not-granted\"\ncomponent = {CURIOUS:?}\n"
    );
    let config = host.put("config.toml", config);
    let _daemon = Daemon::start_with(&host, &["--config", config.to_str().unwrap()]);

    let url = "http://127.0.0.1:8099/pool";
    for (options, says) in [
        (json!({ "get": url }), "saw 200: 10.1.0.0/16"),
        (json!({ "get": "http://127.0.0.1:8099/none" }), "saw 404"),
        (json!({ "get": url, "field": "x-token: 7" }), "saw 200"),
        (json!({ "get": url, "field": "host:other" }), "its header has"),
        (json!({ "get": url, "method": "CONNECT" }), "its method is none"),
        (json!({ "get": "ftp://127.0.0.1:8099/" }), "its URL must be"),
        (json!({ "get": "http://127.0.0.1:8098/" }), "cannot connect to 127.0.0.1:8098"),
        (json!({ "get": "https://127.0.0.1:8099/" }), "127.0.0.1:8099"),
        (json!({ "get": "http://127.0.0.1:8099/long" }), "more than 1048576 bytes"),
        (json!({ "get": "http://127.0.0.1:2375/" }), "(denied-http, see"),
        (json!({ "get": "http://127.0.0.2:8099/" }), "may not send requests to 127.0.0.2:8099"),
        (json!({ "read": open }), "saw read: the names"),
        (json!({ "read": format!("{folder}/none") }), "cannot read"),
        (json!({ "read": secret }), "(denied-file, see"),
        (json!({ "read": link }), "(denied-file, see"),
        (json!({ "read": format!("{folder}/../secret") }), "no plain absolute path"),
        (json!({ "read": "open/names" }), "no plain absolute path"),
    ] {
        let error = saw(&host, "granted", &options);
        assert!(error.contains(says), "{options}: {error}");
    }
    for options in [json!({ "get": url }), json!({ "read": open })] {
        let error = saw(&host, "not-granted", &options);
        assert!(error.contains("the operator has not granted that"), "{options}: {error}");
    }
    for code in ["denied-http", "denied-file"] {
        let explained = host.run(&[&binary(), "explain", code]);
        assert!(explained.contains(" = ["), "{explained}");
    }
    // A plan asks, and changes nothing.
    let plan = |more: &str| {
        let binary = binary();
        let mut command = vec![binary.as_str(), "plan", "create-network", "--driver", "granted"];
        let get = format!("get={url}");
        command.extend(["--opt", &get, "--opt", more]);
        host.try_run(&command).stderr
    };
    assert!(plan("method=GET").contains("saw 200"), "{}", plan("method=GET"));
    assert!(
        plan("method=POST").contains("a plan sends no POST requests"),
        "{}",
        plan("method=POST")
    );
}

/// A server that takes the request and says nothing ends with the call.
#[test]
fn a_silent_server_holds_nobody_up() {
    let lab = Lab::new();
    let host = lab.host("a");
    let _silent = host.spawn(&["busybox", "nc", "-ll", "-p", "8099", "-e", "sleep", "600"]);
    let config = host.put(
        "config.toml",
        format!(
            "[[driver]]\nname = \"granted\"\ncomponent = {CURIOUS:?}\n\
             grants = {{ http = [\"127.0.0.1:8099\"] }}\nlimits = {{ deadline = \"2s\" }}\n"
        ),
    );
    let daemon = Daemon::start_with(&host, &["--config", config.to_str().unwrap()]);
    let began = std::time::Instant::now();
    let error = saw(&host, "granted", &json!({ "get": "http://127.0.0.1:8099/" }));
    assert!(error.contains("did not answer within 2 s"), "{error}");
    // It is not the driver who is slow.
    assert!(
        error.contains(", of which it waited 1.") || error.contains(" 2.0 s for the host"),
        "{error}"
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(daemon.json(&["status"])["networks"], 0);
}
