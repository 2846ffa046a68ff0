//! The IPAM half of the protocol, with a small driver that keeps its books in `store`.

use serde_json::{Value, json};
use wasmnet_e2e::{Bench, Plugin, Reply, SHELF, Site, driver_config};

/// RequestPool for a subnet; "" leaves the choice to the driver.
fn request_pool(plugin: &mut Plugin, subnet: &str) -> Reply {
    let body = json!({
        "AddressSpace": "shelf-local", "Pool": subnet, "SubPool": "", "Options": null, "V6": false,
    });
    plugin.call("IpamDriver.RequestPool", &body)
}

/// RequestAddress; "" leaves the choice to the driver.
fn request_address(plugin: &mut Plugin, pool: &str, address: &str) -> Reply {
    let body = json!({ "PoolID": pool, "Address": address, "Options": null });
    plugin.call("IpamDriver.RequestAddress", &body)
}

fn release_address(plugin: &mut Plugin, pool: &str, address: &str) -> Reply {
    plugin.call("IpamDriver.ReleaseAddress", &json!({ "PoolID": pool, "Address": address }))
}

fn release_pool(plugin: &mut Plugin, pool: &str) -> Reply {
    plugin.call("IpamDriver.ReleasePool", &json!({ "PoolID": pool }))
}

fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer[key].as_str().unwrap_or_else(|| panic!("no {key}: {answer}"))
}

#[test]
fn what_it_is_and_where_addresses_are_from() {
    let bench = Bench::new(&[("shelf", SHELF)]);
    let mut plugin = bench.plugin("shelf");
    assert_eq!(plugin.ask("Plugin.Activate").ok()["Implements"], json!(["IpamDriver"]));
    let capabilities = plugin.ask("IpamDriver.GetCapabilities").ok();
    assert_eq!(capabilities["RequiresMACAddress"], false);
    assert_eq!(capabilities["RequiresRequestReplay"], false);
    let spaces = plugin.ask("IpamDriver.GetDefaultAddressSpaces").ok();
    assert_eq!(spaces["LocalDefaultAddressSpace"], "shelf-local");
    assert_eq!(spaces["GlobalDefaultAddressSpace"], "shelf-global");
    assert_eq!(plugin.ask("NetworkDriver.GetCapabilities").status, 404);
    let view = bench.daemon.json(&["driver", "ls"]);
    let view = view.as_array().unwrap().iter().find(|view| view["name"] == "shelf").unwrap();
    assert_eq!(view["roles"], json!(["ipam"]));
}

#[test]
fn pools_and_addresses_are_given_once_and_come_back() {
    let mut bench = Bench::new(&[("shelf", SHELF)]);
    let before = bench.host.netns_state();
    let mut plugin = bench.plugin("shelf");
    let own = request_pool(&mut plugin, "").ok();
    let other = request_pool(&mut plugin, "").ok();
    assert_ne!(own["Pool"], other["Pool"], "an engine that is given one pool twice asks for ever");
    assert!(own["Data"].is_object(), "{own}");
    let asked = request_pool(&mut plugin, "10.70.0.0/30").ok();
    assert_eq!(asked["Pool"], "10.70.0.0/30");
    let pool = text(&asked, "PoolID");

    let gateway = json!({
        "PoolID": pool,
        "Address": "",
        "Options": { "RequestAddressType": "com.docker.network.gateway" },
    });
    let first = plugin.call("IpamDriver.RequestAddress", &gateway).ok();
    assert_eq!(first["Address"], "10.70.0.1/30");
    assert_eq!(request_address(&mut plugin, pool, "").ok()["Address"], "10.70.0.2/30");

    // The books outlive the daemon.
    bench.daemon.kill();
    bench.daemon.start_again();
    let mut plugin = bench.plugin("shelf");
    let full = request_address(&mut plugin, pool, "").error();
    assert_eq!(full, "shelf: all addresses are taken");
    let taken = request_address(&mut plugin, pool, "10.70.0.2").error();
    assert_eq!(taken, "shelf: the address is taken");
    request_pool(&mut plugin, "10.70.0.0/30").error();

    for _ in 0..2 {
        release_address(&mut plugin, pool, "10.70.0.2").ok();
    }
    assert_eq!(request_address(&mut plugin, pool, "10.70.0.2").ok()["Address"], "10.70.0.2/30");
    for _ in 0..2 {
        release_pool(&mut plugin, pool).ok();
    }
    let gone = request_address(&mut plugin, pool, "").error();
    assert!(gone.contains("there is no pool"), "{gone}");
    release_address(&mut plugin, pool, "10.70.0.1").ok();

    for answer in [&own, &other] {
        release_pool(&mut plugin, text(answer, "PoolID")).ok();
    }
    bench.wait_nothing_left();
    wasmnet_lab::assert_same_state(&before, &bench.host.netns_state());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let bench = Bench::new(&[("shelf", SHELF)]);
    let mut plugin = bench.plugin("shelf");
    for method in ["RequestPool", "ReleasePool", "RequestAddress", "ReleaseAddress"] {
        let method = format!("IpamDriver.{method}");
        let reply = plugin.ask(&method);
        assert_eq!(reply.status, 400, "{method} without a body: {reply:?}");
        assert!(reply.error().contains("empty request body"), "{reply:?}");
    }
    for subnet in ["10.1.0.0/33", "10.1.0.0", "nonsense", "10.1.0.0/24\n"] {
        let reply = request_pool(&mut plugin, subnet);
        assert_eq!(reply.status, 400, "pool {subnet:?}: {reply:?}");
        assert!(reply.error().contains("Pool"), "{reply:?}");
    }
    let pool = request_pool(&mut plugin, "10.70.0.0/24").ok();
    let pool = text(&pool, "PoolID");
    for address in ["10.70.0.256", "nonsense", "10.70.0.1/24"] {
        let reply = request_address(&mut plugin, pool, address);
        assert_eq!(reply.status, 400, "address {address:?}: {reply:?}");
        assert!(reply.error().contains("Address"), "{reply:?}");
    }
    release_address(&mut plugin, pool, "").error();
    let outside = request_address(&mut plugin, pool, "10.71.0.1").error();
    assert_eq!(outside, "shelf: 10.71.0.1 is not in the pool");
    let ipv6 = json!({ "AddressSpace": "shelf-local", "Pool": "", "SubPool": "", "V6": true });
    let ipv6 = plugin.call("IpamDriver.RequestPool", &ipv6).error();
    assert_eq!(ipv6, "shelf: there is no IPv6 on this shelf");
    release_pool(&mut plugin, pool).ok();
    bench.wait_nothing_left();
}

#[test]
fn many_at_once_get_an_address_each() {
    let bench = Bench::new(&[("shelf", SHELF)]);
    let mut plugin = bench.plugin("shelf");
    let pool = request_pool(&mut plugin, "10.70.0.0/24").ok();
    let pool = text(&pool, "PoolID");
    let mut callers: Vec<Plugin> = (0..40).map(|_| bench.plugin("shelf")).collect();
    let body = json!({ "PoolID": pool, "Address": "", "Options": null });
    for caller in &mut callers {
        caller.send("IpamDriver.RequestAddress", &body);
    }
    let mut addresses: Vec<String> = callers
        .iter_mut()
        .map(|caller| text(&caller.receive().ok(), "Address").to_owned())
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 40, "an address was given twice: {addresses:?}");
}

#[test]
fn dockers_own_bridge_takes_its_addresses() {
    let config = driver_config(&[("shelf", SHELF)]);
    let site = Site::prepared(&["--config", "/run/shelf.toml"], |host| {
        host.exec(&["sh", "-c", "cat >/run/shelf.toml"]).stdin(config).run();
    });
    site.docker("network create --driver bridge --ipam-driver shelf own");
    site.docker(
        "network create --driver bridge --ipam-driver shelf --subnet 10.70.0.0/24 --gateway 10.70.0.9 asked",
    );
    site.docker(
        "network create --driver wasm-bridge --ipam-driver shelf --aux-address printer=10.71.0.2 --subnet 10.71.0.0/24 both",
    );
    site.container("one", "--network own");
    site.container("two", "--network asked --ip 10.70.0.77");
    site.container("three", "--network asked");
    site.container("four", "--network both");

    assert_eq!(site.address("one", "own"), "10.200.1.2");
    assert_eq!(site.address("two", "asked"), "10.70.0.77");
    assert_eq!(site.address("three", "asked"), "10.70.0.1");
    assert_eq!(site.address("four", "both"), "10.71.0.3", "10.71.0.2 is the printer's");
    site.assert_pings("three", "10.70.0.77");
    site.assert_pings("three", "10.70.0.9");
    site.assert_pings("four", "10.71.0.1");
    let taken = site.try_docker("run --rm --network asked --ip 10.70.0.77 busybox true");
    assert!(taken.stderr.contains("shelf: the address is taken"), "{taken}");

    site.docker("rm --force three");
    site.container("next", "--network asked");
    assert_eq!(site.address("next", "asked"), "10.70.0.1", "the address did not come back");

    let twice = "network create --driver bridge --ipam-driver shelf --subnet 10.70.0.0/24 again";
    let twice = site.try_docker(twice);
    assert!(twice.stderr.contains("shelf: pool 10.70.0.0-24 is taken"), "{twice}");
    site.docker("rm --force one two next four");
    site.docker("network rm own asked both");
    site.assert_nothing_left();
}
