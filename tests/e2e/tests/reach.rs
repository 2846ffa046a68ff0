//! Who reaches whom.

use wasmnet_e2e::Site;

#[test]
fn containers_reach_each_other_the_host_and_the_outside() {
    let site = Site::new();
    let before = site.host.netns_state();
    site.network("net1", "");
    site.container("one", "--network net1");
    site.container("two", "--network net1");

    site.assert_pings("one", &site.address("two", "net1"));
    site.assert_pings("one", "two");
    site.assert_pings("two", "one");
    site.assert_pings("one", &site.lab.outside().address().to_string());
    site.assert_pings("one", &site.host.address().to_string());
    site.host.run(&["ping", "-c", "1", "-W", "2", &site.address("one", "net1")]);

    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
    wasmnet_lab::assert_same_state(&before, &site.host.netns_state());
}
