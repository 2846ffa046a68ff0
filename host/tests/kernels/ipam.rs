use std::{collections::BTreeSet, process::Command, sync::Arc};

use ipnet::IpNet;
use wasmnet::{
    kernel::{Address, Kernel, Link, Object, Simulated},
    model::{Options, PoolRequest},
};

use crate::bench::{Bench, ipam, linux, simulated};

fn pool(subnet: Option<&str>) -> PoolRequest {
    PoolRequest {
        address_space: "wasm-local".to_owned(),
        ipv6: false,
        subnet: subnet.map(|subnet| subnet.parse().unwrap()),
        sub_pool: None,
        options: Options::new(),
    }
}

/// A bridge with an address.
async fn add_bridge(kernel: &dyn Kernel, net: &str) {
    let link = Link { up: true, ..Link::bridge("br9".parse().unwrap()) };
    kernel.create(&Object::Link(link.clone())).await.unwrap();
    let net = net.parse().unwrap();
    kernel.create(&Object::Address(Address { link: link.name, net })).await.unwrap();
}

fn nets(texts: &[&str]) -> BTreeSet<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

#[test]
fn the_hosts_networks_are_those_of_its_routes_and_addresses() {
    linux(|kernel| async move {
        add_bridge(&*kernel, "172.17.0.1/16").await;
        sh("ip route add 10.1.0.0/16 dev br9; ip route add blackhole 10.2.0.0/16; \
            ip route add 10.3.0.0/16 dev br9 table 77; ip route add default dev br9; \
            ip route add 0.0.0.0/1 dev br9; ip route add 128.0.0.0/1 dev br9; \
            ip -6 route add fd09::/48 dev br9; ip -6 route add default dev br9; \
            ip address add 192.0.2.1/32 dev br9");
        let expected = [
            "172.17.0.0/16",
            "10.1.0.0/16",
            "10.2.0.0/16",
            "10.3.0.0/16",
            "fd09::/48",
            "192.0.2.1/32",
        ];
        assert_eq!(kernel.networks().await.unwrap(), nets(&expected));
    });
    simulated(|kernel| async move {
        add_bridge(&*kernel, "172.17.0.1/16").await;
        assert_eq!(kernel.networks().await.unwrap(), nets(&["172.17.0.0/16"]));
    });
}

#[test]
fn automatic_pools_keep_off_them() {
    simulated(|kernel| async move {
        add_bridge(&*kernel, "172.17.9.9/32").await;
        let bench = Bench::start(kernel).await;
        let chosen = bench.dispatcher.request_pool(&ipam(), &pool(None)).await.unwrap();
        assert_eq!(chosen.subnet, "172.18.0.0/16".parse().unwrap());
    });
}

#[test]
fn an_engines_session_ends_with_the_engine_and_not_with_the_host() {
    simulated(|_| async {
        let bench = Bench::start(Arc::new(Simulated::default())).await;
        let request = pool(Some("10.1.0.0/16"));
        bench.dispatcher.engine_started(&ipam()).await;
        bench.dispatcher.request_pool(&ipam(), &request).await.unwrap();
        bench.dispatcher.request_pool(&ipam(), &request).await.unwrap_err();
        let bench = bench.restart().await;
        bench.dispatcher.request_pool(&ipam(), &request).await.unwrap_err();
        bench.dispatcher.engine_started(&ipam()).await;
        let bench = bench.restart().await;
        bench.dispatcher.request_pool(&ipam(), &request).await.unwrap();
        bench.dispatcher.request_pool(&ipam(), &request).await.unwrap_err();
    });
}

#[test]
fn a_lease_that_was_given_to_somebody_else_is_not_given_back() {
    simulated(|_| async {
        let bench = Bench::start(Arc::new(Simulated::default())).await;
        let (to, driver) = (&bench.dispatcher, ipam());
        let id = to.request_pool(&driver, &pool(Some("10.1.0.0/16"))).await.unwrap().id;
        to.request_address(&driver, &id, None, &Options::new()).await.unwrap();
        let leases = to.leases(&driver, &id, None).await.unwrap();
        let lease = &leases[0];
        to.release_lease(&driver, &id, lease.address, lease.since - 1).await.unwrap();
        assert_eq!(to.leases(&driver, &id, None).await.unwrap(), leases);
        to.release_lease(&driver, &id, lease.address, lease.since).await.unwrap();
        assert_eq!(to.pools(&driver).await.unwrap()[0].held, 0);
    });
}
