use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::json;
use wasmnet_e2e::{Node, Nodes, calls};
use wasmnet_lab::{EtcdOptions, Lab};

/// The longest that a call may take which needs an agreement that cannot be had.
const PATIENCE: Duration = Duration::from_secs(4);

/// What needs no agreement goes on; the rest fails with a sentence, and in time; and all that
/// was published meanwhile arrives.
#[test]
fn the_store_is_stopped_and_comes_back() {
    let mut cluster = Nodes::new(2, 1);
    cluster.gossip("g");
    cluster.etcd.kill(0);
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    one.endpoint("g", "e20", 20).ok();
    one.call("DeleteEndpoint", &calls::ids("g", "first")).ok();
    let began = Instant::now();
    let error = one.network("h", json!({ "group": "h", "agree": "color:red" })).error();
    let sentence = "the cluster store cannot be reached: ";
    assert!(error.contains(sentence) && error.contains("waits for it"), "{error}");
    assert!(began.elapsed() < PATIENCE, "after {:?}", began.elapsed());
    one.network("i", json!({ "group": "i" })).ok();
    one.wait_reach(false);
    other.wait_reach(false);
    assert!(!one.cluster()["reason"].as_str().unwrap().is_empty());
    assert_eq!(one.events("cluster-lost").len(), 1);
    // Nobody is removed because nobody can be seen.
    other.assert_heard("g", 10, "n0");
    assert_eq!(other.facts("g")["nodes"], "n0 n1");

    cluster.etcd.start(0);
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    other.wait_heard("g", 20, "n0");
    other.wait_heard("g", 10, "");
    other.assert_heard("g", 11, "n1");
    one.wait_reach(true);
    assert_eq!(one.events("cluster-back").len(), 1);
    one.network("h", json!({ "group": "h", "agree": "color:red" })).ok();
}

/// A store that takes what it is sent and says nothing.
#[test]
fn the_store_hangs_and_goes_on() {
    let cluster = Nodes::new(2, 1);
    cluster.gossip("g");
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    cluster.etcd.freeze(0, true);
    let began = Instant::now();
    let error = one.network("h", json!({ "group": "h", "agree": "color:red" })).error();
    assert!(error.contains("the cluster store cannot be reached"), "{error}");
    assert!(began.elapsed() < PATIENCE, "after {:?}", began.elapsed());
    one.endpoint("g", "e20", 20).ok();
    one.wait_reach(false);
    cluster.etcd.freeze(0, false);
    other.wait_heard("g", 20, "n0");
    other.assert_heard("g", 10, "n0");
}

/// Changes that nobody can be told of any more are found by looking at everything.
#[test]
fn the_store_forgets_what_has_changed() {
    let mut cluster = Nodes::new(2, 1);
    cluster.gossip("g");
    cluster.nodes[0].endpoint("g", "e19", 19).ok();
    cluster.nodes[1].wait_heard("g", 19, "n0");
    cluster.nodes[1].daemon.kill();
    let one = &cluster.nodes[0];
    one.endpoint("g", "e20", 20).ok();
    one.call("DeleteEndpoint", &calls::ids("g", "e19")).ok();
    one.wait_heard("g", 20, "n0");
    one.wait_heard("g", 19, "");
    cluster.etcd.compact();
    cluster.nodes[1].daemon.start_again();
    cluster.nodes[1].wait_heard("g", 20, "n0");
    cluster.nodes[1].wait_heard("g", 19, "");
    // And with watches that stand.
    cluster.etcd.compact();
    cluster.nodes[0].endpoint("g", "e21", 21).ok();
    cluster.nodes[1].wait_heard("g", 21, "n0");
}

/// Two of three members are enough, whichever the nodes were talking to.
#[test]
fn one_of_three_members_dies_and_another_hangs_later() {
    let mut cluster = Nodes::new(2, 3);
    cluster.gossip("g");
    for member in 0..3 {
        cluster.etcd.kill(member);
        let number = 20 + member;
        let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
        one.endpoint("g", &format!("e{number}"), number).ok();
        other.wait_heard("g", number, "n0");
        let id = format!("a{member}");
        wasmnet_lab::wait_for("an agreement without a member", Duration::from_secs(30), || {
            let agree = format!("color{member}:red");
            let reply = one.network(&id, json!({ "group": id, "agree": agree }));
            if reply.status == 200 { Ok(()) } else { Err(reply.text) }
        });
        other.assert_heard("g", 10, "n0");
        cluster.etcd.start(member);
    }
    cluster.etcd.freeze(0, true);
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    one.endpoint("g", "e30", 30).ok();
    other.wait_heard("g", 30, "n0");
    other.assert_heard("g", 10, "n0");
}

/// Leases run by clocks that nobody sets.
#[test]
fn a_clock_that_is_set_is_no_death() {
    let (lab, clock) = (Lab::new(), tempfile::NamedTempFile::new().unwrap());
    let set = |to: &str| std::fs::write(&clock, to).unwrap();
    set("+0");
    let wrapper = [
        "env",
        &format!("LD_PRELOAD={}", faketime().display()),
        &format!("FAKETIME_TIMESTAMP_FILE={}", clock.path().display()),
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
    let etcd = lab.etcd(1);
    let nodes = vec![
        Node::new(&lab, &etcd, 0, &[]),
        Node::started_by(&wrapper, &lab, &etcd, 1),
        Node::new(&lab, &etcd, 2, &[]),
    ];
    let mut cluster = Nodes { nodes, etcd, lab };
    cluster.gossip("g");
    for (address, to) in [(20, "+3d"), (21, "-3d")] {
        set(to);
        // When this one is missed, a lease that nobody has renewed since then is over.
        cluster.nodes[2].daemon.kill();
        cluster.nodes[0].wait_heard("g", 12, "");
        cluster.nodes[1].wait_heard("g", 12, "");
        let day = |node: usize| {
            let gone = cluster.nodes[node].events("node-gone");
            assert!(gone.iter().all(|event| event["node"]["name"] == "n2"), "{gone:?}");
            gone.last().unwrap()["time"].as_str().unwrap()[..10].to_owned()
        };
        assert_ne!(day(0), day(1), "the clock was not set");
        cluster.nodes[0].assert_heard("g", 11, "n1");
        cluster.nodes[1].assert_heard("g", 10, "n0");
        cluster.nodes[1].endpoint("g", &format!("e{address}"), address).ok();
        cluster.nodes[0].wait_heard("g", address, "n1");
        cluster.nodes[2].daemon.start_again();
        cluster.nodes[1].wait_heard("g", 12, "n2");
        cluster.nodes[0].wait_heard("g", 12, "n2");
    }
}

/// The library by which a program sees another time than the machine.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let libraries =
        folders.map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    libraries
        .into_iter()
        .find(|library| library.exists())
        .expect("this needs faketime: run `cargo xtask test`, which installs what is missing")
}

/// A daemon that starts while the store is away removes nothing, and is told later.
#[test]
fn a_daemon_starts_while_the_store_is_away() {
    let mut cluster = Nodes::new(2, 1);
    cluster.gossip("g");
    cluster.etcd.kill(0);
    cluster.nodes[1].daemon.kill();
    cluster.nodes[1].daemon.start_again();
    cluster.nodes[1].wait_reach(false);
    cluster.nodes[1].assert_heard("g", 10, "n0");
    cluster.nodes[0].endpoint("g", "e20", 20).ok();
    cluster.etcd.start(0);
    cluster.nodes[1].wait_heard("g", 20, "n0");
    cluster.nodes[1].assert_heard("g", 10, "n0");
}

/// TLS with certificates on both sides, and a password.
#[test]
fn the_store_wants_to_know_who_asks() {
    let lab = Lab::new();
    let host = lab.host("etcd0");
    let [etcd_cert, client_cert, ca] = make_certificates(&host);
    let key = |certificate: &str| certificate.replace(".pem", ".key");
    let tls = [etcd_cert.clone(), key(&etcd_cert), ca.clone()];
    let etcd = lab.etcd_on(&host, EtcdOptions { tls: Some(tls) });
    for (method, body) in [
        ("auth/user/add", r#"{"name":"root","password":"secret"}"#),
        ("auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("auth/enable", "{}"),
    ] {
        let answer = etcd.ask(method, body);
        assert!(answer.success(), "{method}: {answer}");
    }
    let password = host.put("password", "secret\n").display().to_string();
    let wrong = host.put("wrong", "guess\n").display().to_string();
    let config = |password: &str| {
        let files = format!("ca = {ca:?}\ncert = {client_cert:?}\nkey = {:?}", key(&client_cert));
        [files, format!("user = \"root\"\npassword-file = {password:?}")]
    };
    let [files, user] = config(&password);
    let one = Node::new(&lab, &etcd, 0, &[&files, &user]);
    let other = Node::new(&lab, &etcd, 1, &[&files, &user]);
    for (node, address) in [(&one, 10), (&other, 11)] {
        node.network("g", json!({ "group": "g", "agree": "color:red" })).ok();
        node.endpoint("g", "first", address).ok();
    }
    one.wait_heard("g", 11, "n1");
    other.wait_heard("g", 10, "n0");

    let [files, user] = config(&wrong);
    let stranger = Node::new(&lab, &etcd, 2, &[&files, &user]);
    let error = stranger.network("g", json!({ "group": "g", "agree": "color:red" })).error();
    assert!(error.contains("invalid user ID or password"), "{error}");
    stranger.wait_reach(false);
    let without = Node::new(&lab, &etcd, 3, &[]);
    let error = without.network("g", json!({ "group": "g", "agree": "color:red" })).error();
    assert!(error.contains("the cluster store cannot be reached"), "{error}");
}

/// A CA, and certificates of etcd and of its clients, as PEM files.
fn make_certificates(host: &wasmnet_lab::Host) -> [String; 3] {
    let dir = host.path_in_data_dir("tls").display().to_string();
    host.sh(&format!(
        "mkdir -p {dir}; cd {dir}
        # No common name in the client's: etcd would take it for a user's.
        new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj'
        $new /CN=ca -x509 -days 2 -keyout ca.key -out ca.pem
        printf 'subjectAltName=IP:%s\\nextendedKeyUsage=serverAuth,clientAuth\\n' {address} >etcd.ext
        printf 'extendedKeyUsage=clientAuth\\n' >client.ext
        for name in etcd client; do
            $new /O=$name -keyout $name.key -out $name.csr
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \\
                -extfile $name.ext -out $name.pem
        done",
        address = host.address()
    ));
    ["etcd.pem", "client.pem", "ca.pem"].map(|name| format!("{dir}/{name}"))
}
