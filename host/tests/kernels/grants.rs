//! The bridge driver asks for what it uses and for nothing else; what it is not granted
//! it does not get.

use std::{net::Ipv4Addr, sync::Arc};

use wasmnet::{
    dispatch::{Error, Slot},
    grants::{Code, Grants},
    id::DriverName,
    kernel::{Kernel, Object, Simulated},
    model::{PoolRequest, PortBinding, Protocol},
    runtime::CallError,
};

use crate::{
    bench::{Bench, bridge, endpoint, endpoint_id, ipam, network, network_id, simulated},
    both::lan,
};

/// What the bridge driver asks for.
async fn wanted() -> Grants {
    let bench = Bench::start(Arc::new(Simulated::default())).await;
    asked_for(&bench, &bridge())
}

fn asked_for(bench: &Bench, name: &DriverName) -> Grants {
    match bench.dispatcher.drivers().all().iter().find(|(known, _)| *known == name) {
        Some((_, Slot::Ready(driver))) => driver.manifest.grants.clone(),
        _ => panic!("no driver"),
    }
}

/// Uses everything that the driver asks for, as an engine would have it do.
async fn everything(bench: &Bench) -> Result<(), Error> {
    let (driver, to) = (bridge(), &bench.dispatcher);
    let key = |key: &str| format!("com.docker.network.bridge.{key}");
    let mut open = network(1);
    open.options.insert(key("gateway_mode_ipv6"), "nat-unprotected".into());
    to.create_network(&driver, open).await?;
    let mut adopted = network(2);
    adopted.options.insert(key("name"), "lan0".into());
    to.create_network(&driver, adopted).await?;
    to.create_endpoint(&driver, &network_id(1), endpoint(7, 1, 2)).await?;
    to.join(&driver, &network_id(1), &endpoint_id(7), "/x").await?;
    for port in [1, 65535] {
        to.program(&driver, &network_id(1), &endpoint_id(7), vec![binding(port)]).await?;
    }
    Ok(())
}

fn binding(port: u16) -> PortBinding {
    PortBinding {
        protocol: Protocol::Tcp,
        container_port: 80,
        host_address: Some(Ipv4Addr::UNSPECIFIED.into()),
        host_ports: (port, port),
    }
}

async fn bench_with(grants: Option<Grants>) -> Bench {
    let kernel = Arc::new(Simulated::default());
    kernel.create(&Object::Link(lan())).await.unwrap();
    Bench::with_grants(kernel, grants).await
}

fn code(result: Result<(), Error>) -> Option<String> {
    let error = result.err()?;
    let text = error.external();
    let denied = Code::ALL.into_iter().find(|code| text.contains(&format!("({code},")));
    Some(denied.map_or(text, |code| code.to_string()))
}

/// The grants less one thing each, and the code with which that is missed.
fn less(all: &Grants) -> Vec<(Grants, Code)> {
    let mut cases = Vec::new();
    let mut case = |code, take: &dyn Fn(&mut Grants)| {
        let mut grants = all.clone();
        take(&mut grants);
        assert_ne!(grants, *all);
        cases.push((grants, code));
    };
    for kind in &all.links {
        case(Code::DeniedLinkKind, &|grants| {
            grants.links.remove(kind);
        });
    }
    for key in &all.sysctls {
        case(Code::DeniedSysctl, &|grants| {
            grants.sysctls.remove(key);
        });
    }
    for (index, _) in all.adopt.iter().enumerate() {
        case(Code::DeniedAdopt, &|grants| {
            grants.adopt.remove(index);
        });
    }
    for (index, _) in all.publish.iter().enumerate() {
        case(Code::DeniedPublish, &|grants| {
            grants.publish.remove(index);
        });
        case(Code::DeniedPublish, &|grants| grants.publish[index].first += 1);
        case(Code::DeniedPublish, &|grants| grants.publish[index].last -= 1);
    }
    for (index, _) in all.addresses.iter().enumerate() {
        case(Code::DeniedAddress, &|grants| {
            grants.addresses.remove(index);
        });
    }
    for (index, _) in all.routes.iter().enumerate() {
        case(Code::DeniedRoute, &|grants| {
            grants.routes.remove(index);
        });
    }
    if all.masquerade {
        case(Code::DeniedMasquerade, &|grants| grants.masquerade = false);
    }
    if all.host_networks {
        case(Code::DeniedHostNetworks, &|grants| grants.host_networks = false);
    }
    if all.cluster {
        case(Code::DeniedCluster, &|grants| grants.cluster = false);
    }
    if all.direct_access {
        case(Code::DeniedDirectAccess, &|grants| grants.direct_access = false);
    }
    cases
}

#[test]
fn the_driver_asks_for_nothing_that_it_does_not_need() {
    simulated(|_| async {
        let all = wanted().await;
        let bench = bench_with(Some(all.clone())).await;
        assert_eq!(code(everything(&bench).await), None);
        for (grants, missed) in less(&all) {
            let bench = bench_with(Some(grants.clone())).await;
            let denied = code(everything(&bench).await);
            assert_eq!(denied, Some(missed.to_string()), "with {grants:?}");
        }
    });
}

#[test]
fn nor_does_the_ipam_driver() {
    simulated(|kernel| async {
        let bench = Bench::start(kernel).await;
        let all = asked_for(&bench, &ipam());
        assert_eq!(all, toml::from_str("host-networks = true\ncluster = true").unwrap());
        let any = PoolRequest {
            address_space: "wasm-local".to_owned(),
            ipv6: false,
            subnet: None,
            sub_pool: None,
            options: Default::default(),
        };
        let this = PoolRequest { subnet: "10.1.0.0/16".parse().ok(), ..any.clone() };
        let blue = ("cluster".to_owned(), "blue".to_owned());
        let shared = PoolRequest { options: [blue].into(), ..this.clone() };
        for (grants, missed) in [(all.clone(), None)]
            .into_iter()
            .chain(less(&all).into_iter().map(|(grants, code)| (grants, Some(code))))
        {
            let bench = Bench::with_grants(Arc::new(Simulated::default()), Some(grants)).await;
            let chosen = bench.dispatcher.request_pool(&ipam(), &any).await;
            let of = |missed: Option<Code>, code| missed.filter(|is| *is == code);
            let denied = of(missed, Code::DeniedHostNetworks).map(|code| code.to_string());
            assert_eq!(code(chosen.map(drop)), denied);
            // There are no other hosts here to share a pool with.
            let answer = code(bench.dispatcher.request_pool(&ipam(), &shared).await.map(drop));
            match of(missed, Code::DeniedCluster) {
                Some(denied) => assert_eq!(answer, Some(denied.to_string())),
                None => assert!(answer.is_some_and(|text| text.contains("nothing of a cluster"))),
            }
            // Who asks for a subnet gets it without looking at the host.
            bench.dispatcher.request_pool(&ipam(), &this).await.unwrap();
        }
    });
}

#[test]
fn a_denied_call_leaves_nothing_and_says_why() {
    simulated(|_| async {
        let bench = bench_with(Some(Grants::default())).await;
        let before = bench.snapshot().await;
        let error = bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap_err();
        assert_eq!(
            error.external(),
            "denied: the driver may not make bridges; the operator has not granted that \
             (denied-link-kind, see `wasmnet explain denied-link-kind`)"
        );
        assert!(
            matches!(&error, Error::Call(CallError::Driver { code: "denied", .. })),
            "{error:?}"
        );
        assert_eq!(bench.snapshot().await, before);
        bench.assert_ledger_empty();
    });
}

#[test]
fn a_range_of_ports_gives_one_that_is_granted() {
    simulated(|_| async {
        let mut grants = wanted().await;
        grants.publish = vec!["8005-8006".parse().unwrap()];
        let bench = bench_with(Some(grants)).await;
        let (driver, to) = (bridge(), &bench.dispatcher);
        to.create_network(&driver, network(1)).await.unwrap();
        to.create_endpoint(&driver, &network_id(1), endpoint(7, 1, 2)).await.unwrap();
        let range = PortBinding { host_ports: (8000, 8010), ..binding(0) };
        to.program(&driver, &network_id(1), &endpoint_id(7), vec![range]).await.unwrap();
        let state = to.ledger().read();
        let ports: Vec<u16> = state
            .objects
            .standing()
            .into_iter()
            .filter_map(|(_, entry)| match &entry.object {
                Object::Port(port) => Some(port.host?.port()),
                _ => None,
            })
            .collect();
        assert_eq!(ports, [8005]);
    });
}
