use serde_json::json;
use wasmnet_e2e::Nodes;

/// One value, whoever asks first; and it outlives who wrote it.
#[test]
fn nodes_agree_on_one_value() {
    let cluster = Nodes::new(2, 1);
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    one.network("g", json!({ "group": "g", "agree": "color/of:red" })).ok();
    let options = json!({ "group": "g", "agree": "color/of:blue" });
    let error = other.network("g", options).error();
    assert!(error.contains("others agreed on another color/of"), "{error}");
    other.network("g", json!({ "group": "g", "agree": "color/of:red" })).ok();
    other.endpoint("g", "first", 11).ok();
    one.call("DeleteNetwork", &json!({ "NetworkID": "g" })).ok();
    let facts = other.facts("g");
    assert_eq!((facts["agreed"].as_str(), facts["keys"].as_str()), ("red", "color/of"));
}

/// Of several that ask at once for another value each, one gets it.
#[test]
fn of_several_at_once_one_wins() {
    let cluster = Nodes::new(2, 3);
    let won = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for (number, node) in cluster.nodes.iter().enumerate() {
            for at in 0..8 {
                let won = &won;
                scope.spawn(move || {
                    let agree = format!("one:{number}-{at}");
                    let id = format!("net{at}");
                    let reply = node.network(&id, json!({ "group": "g", "agree": agree }));
                    if reply.status == 200 {
                        won.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    } else {
                        assert!(reply.error().contains("others agreed"), "{reply:?}");
                    }
                });
            }
        }
    });
    assert_eq!(won.into_inner(), 1);
}

/// A plan agrees on nothing.
#[test]
fn a_plan_agrees_on_nothing() {
    let cluster = Nodes::new(1, 1);
    let node = &cluster.nodes[0];
    node.host.run(&[
        &wasmnet_e2e::binary(),
        "plan",
        "create-network",
        "--driver",
        "gossip",
        "--opt",
        "group=g",
        "--opt",
        "agree=color:blue",
    ]);
    node.network("g", json!({ "group": "g", "agree": "color:red" })).ok();
    assert_eq!(node.cluster()["followed"], 1);
}
