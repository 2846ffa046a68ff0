//! Many ways tried, all failures shown.

use std::net::{IpAddr, SocketAddr};

use wasmnet_lab::{Place, Seen, Transport};

/// Ways that were tried, and what was wrong with them.
#[derive(Default)]
#[must_use = "ask `assert_good` in the end"]
pub struct Tries {
    wrong: Vec<String>,
}

// === impl Tries ===

impl Tries {
    /// `by` is to answer.
    pub fn reaches(&mut self, from: &Place, transport: Transport, to: SocketAddr, by: &str) {
        self.seen(from, transport, to, by);
    }

    /// `by` is to answer and to see this address.
    pub fn reaches_as(
        &mut self,
        from: &Place,
        transport: Transport,
        to: SocketAddr,
        by: &str,
        seen: IpAddr,
    ) {
        if let Some(found) = self.seen(from, transport, to, by)
            && found.from != seen
        {
            let found = found.from;
            self.wrong.push(format!("{from} to {transport} {to}: seen as {found}, not {seen}"));
        }
    }

    /// Nobody is to answer.
    pub fn cut_off(&mut self, from: &Place, transport: Transport, to: SocketAddr) {
        if let Ok(seen) = from.ask(transport, to) {
            self.wrong.push(format!("{from} to {transport} {to}: open, {seen:?}"));
        }
    }

    /// Fails the test if anything was wrong.
    #[track_caller]
    pub fn assert_good(self, when: &str) {
        assert!(self.wrong.is_empty(), "{when}:\n{}", self.wrong.join("\n"));
    }

    fn seen(
        &mut self,
        from: &Place,
        transport: Transport,
        to: SocketAddr,
        by: &str,
    ) -> Option<Seen> {
        match from.ask(transport, to) {
            Ok(seen) if seen.by == by => return Some(seen),
            Ok(seen) => self.wrong.push(format!("{from} to {transport} {to}: {seen:?}")),
            Err(error) => self.wrong.push(format!("{from} to {transport} {to}: {error}")),
        }
        None
    }
}
