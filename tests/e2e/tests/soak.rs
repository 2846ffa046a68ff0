//! The soak test, a minute long; `cargo xtask soak` makes it longer.

use wasmnet_e2e::soak::{self, Options};

#[test]
fn everybody_works_while_the_daemon_is_killed_again_and_again() {
    soak::run(&Options::from_environment());
}
