use serde_json::json;
use wasmnet_e2e::Node;
use wasmnet_lab::Lab;

/// Without a `[cluster]` all works on the one node there is, and what was agreed lasts.
#[test]
fn one_node_needs_no_store_of_others() {
    let lab = Lab::new();
    let mut node = Node::with_config(lab.host("n0"), "");
    node.network("g", json!({ "group": "g", "agree": "color:red" })).ok();
    node.endpoint("g", "first", 10).ok();
    node.wait_heard("g", 10, "n0");
    node.network("h", json!({ "group": "g" })).ok();
    node.endpoint("h", "first", 11).ok();
    node.wait_heard("g", 11, "n0");
    node.wait_heard("h", 10, "n0");

    let id = node.cluster()["node"].clone();
    node.daemon.kill();
    node.daemon.start_again();
    assert_eq!(node.cluster()["node"], id);
    assert_eq!(node.cluster()["store"], "embedded");
    assert_eq!(node.facts("g")["agreed"], "red");
    node.call("DeleteEndpoint", &json!({ "NetworkID": "h", "EndpointID": "first" })).ok();
    node.wait_heard("g", 11, "");
    node.assert_heard("g", 10, "n0");
    assert!(node.events("cluster-lost").is_empty());
}

/// What the operator writes is what others see.
#[test]
fn a_node_has_the_name_and_address_of_its_config() {
    let lab = Lab::new();
    let host = lab.host("n0");
    let address = host.address().to_string();
    let node = Node::with_config(host.clone(), "");
    assert_eq!(node.cluster()["nodes"][0]["address"], address);
    assert_eq!(node.cluster()["nodes"][0]["name"], "n0");
    drop(node);
    let node = Node::with_config(host, "[node]\nname = \"east\"\naddress = \"2001:db8::7\"\n");
    let nodes = &node.cluster()["nodes"];
    assert_eq!(nodes[0]["address"], "2001:db8::7", "{nodes}");
    assert_eq!(nodes[0]["name"], "east");
}
