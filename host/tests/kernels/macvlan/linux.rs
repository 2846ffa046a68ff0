use std::{process::Command, sync::Arc};

use wasmnet::{
    kernel::{Address, Kernel, LinkName, Object},
    model::Network,
    reconcile,
};

use super::{answers, create, delete, wire, with};
use crate::bench::{Bench, endpoint, linux, macvlan, network_id, until};

#[test]
fn linux_answers_for_a_parent_as_long_as_it_has_the_addresses() {
    linux(|kernel| async move {
        let parent = wire("wire0");
        kernel.create(&Object::Link(parent.clone())).await.unwrap();
        let net = "fd00:1::7/64".parse().unwrap();
        let address = Object::Address(Address { link: parent.name.clone(), net });
        kernel.create(&address).await.unwrap();
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let run = tokio::spawn(reconcile::run(Arc::clone(&bench.dispatcher)));
        let options = ["parent=wire0", "wasmnet.host_access=true"];
        create(&bench, with(1, &options)).await.unwrap();
        assert_eq!(answers(&*kernel).await, ["fd00:1::7"]);
        kernel.delete(&address).await.unwrap();
        until("it is answered for no longer", async || answers(&*kernel).await.is_empty()).await;
        kernel.create(&address).await.unwrap();
        until("it is again", async || answers(&*kernel).await == ["fd00:1::7"]).await;
        run.abort();
        delete(&bench, 1).await;

        bench.assert_ledger_empty();
    });
}

/// Makes a network as Linux can: if it cannot, it names the option that it was built without.
async fn create_on_linux(bench: &Bench, kind: &str, option: &str, network: Network) -> bool {
    sh("ip link add trial0 type veth peer name trial1");
    let has = try_sh(&format!("ip link add link trial0 name trial2 type {kind}"));
    sh("ip link delete trial0");
    match create(bench, network).await {
        Ok(()) => assert!(has, "it has no {kind}"),
        Err(error) => {
            assert!(!has, "{error}");
            assert!(error.contains(&format!("was built without {option}")), "{error}");
        }
    }
    has
}

fn try_sh(script: &str) -> bool {
    Command::new("sh").args(["-ec", script]).output().unwrap().status.success()
}

fn sh(script: &str) {
    assert!(try_sh(script), "{script}");
}

#[test]
fn a_vlan_on_linux_goes_down_and_up_with_its_parent_and_comes_back() {
    linux(|kernel| async move {
        sh("ip link add wire0 type veth peer name wire1; ip link set wire0 up");
        sh("ip link set wire1 up");
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let before = bench.snapshot().await;
        let run = tokio::spawn(reconcile::run(Arc::clone(&bench.dispatcher)));
        let vlan = |number| with(number, &["parent=wire0.50", "wasmnet.host_access=true"]);
        if !create_on_linux(&bench, "vlan id 50", "CONFIG_VLAN_8021Q", vlan(1)).await {
            return;
        }
        let is_up = async || {
            let links = bench.snapshot().await.links;
            links.get("wire0.50").is_some_and(|link| link.up && link.kind == "vlan")
        };
        assert!(is_up().await);
        sh("ip link set wire0 down");
        until("the VLAN is down", async || !is_up().await).await;
        // One more, and one that is made while it is down.
        create(&bench, vlan(2)).await.unwrap();
        let other = with(3, &["parent=wire0.51"]);
        create(&bench, other).await.unwrap();
        sh("ip link set wire0 up");
        until("the VLAN is up", is_up).await;
        until("so is the other", async || bench.snapshot().await.links["wire0.51"].up).await;

        let own = async || {
            let links = bench.snapshot().await.links;
            links.values().filter(|link| link.kind == "macvlan" && link.up).count()
        };
        assert_eq!(own().await, 2);
        sh("ip link set wire0.50 down");
        until("the VLAN is put up", is_up).await;
        sh("ip link delete wire0.50");
        until("all is back", async || is_up().await && own().await == 2).await;
        sh("ip link delete wire0");
        until("all is gone", async || own().await == 0).await;
        sh("ip link add wire0 type veth peer name wire1; ip link set wire0 up");
        sh("ip link set wire1 up");
        until("all is back", async || is_up().await && own().await == 2).await;
        run.abort();
        for number in [1, 3] {
            delete(&bench, number).await;
        }
        assert!(is_up().await, "the second network has it");
        delete(&bench, 2).await;
        assert_eq!(names(&bench).await, before.links.into_keys().collect::<Vec<_>>());
        bench.assert_ledger_empty();
    });
}

async fn names(bench: &Bench) -> Vec<LinkName> {
    bench.snapshot().await.links.into_keys().collect()
}

#[test]
fn ipvlan_on_linux_is_as_it_should_be() {
    for (mode, flag, shown) in [
        ("l2", "bridge", "mode l2 bridge"),
        ("l3", "private", "mode l3 private"),
        ("l3s", "vepa", "mode l3s vepa"),
    ] {
        linux(|kernel| async move {
            sh("ip link add wire0 type veth peer name wire1; ip link set wire0 up");
            let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
            let before = names(&bench).await;
            let (mode, flag) = (format!("mode=ipvlan-{mode}"), format!("ipvlan_flag={flag}"));
            let network = with(1, &["parent=wire0", &mode, &flag]);
            if !create_on_linux(&bench, "ipvlan mode l2", "CONFIG_IPVLAN", network).await {
                return;
            }
            assert_eq!(names(&bench).await, before, "the trial is over");
            let to = &bench.dispatcher;
            to.create_endpoint(&macvlan(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
            sh(&format!("ip -d link show type ipvlan | grep '{shown}'"));
            delete(&bench, 1).await;
            assert_eq!(names(&bench).await, before);
            bench.assert_ledger_empty();
        });
    }
}
