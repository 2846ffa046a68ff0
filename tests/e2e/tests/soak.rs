//! The soak tests, a minute long and half of one; `cargo xtask soak` makes them longer.

use wasmnet_e2e::soak::{self, Options};

#[test]
fn everybody_works_while_the_daemon_is_killed_again_and_again() {
    soak::run(&Options::from_environment(60));
}

#[test]
fn hosts_of_a_cluster_find_together_again_whatever_fails() {
    soak::cluster::run(&Options::from_environment(30));
}
