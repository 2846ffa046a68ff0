//! The checks, in the order in which they are made.

mod addresses;
mod books;
mod conversations;
mod deaths;
mod faults;
mod leaks;
mod life;
mod limits;
mod options;
mod pools;
mod repeats;
mod replay;
mod restarts;

use futures::future::BoxFuture;

use super::{
    Error,
    play::Findings,
    report::Report,
    subject::{Ground, Subject},
};

/// A check.
pub(super) struct Check {
    name: &'static str,
    /// What holds if nothing is found.
    pub title: &'static str,
    role: Role,
    /// The check without which this one would only find the same again.
    needs: Option<&'static str>,
    /// Whether it is made on the real kernel, too.
    on_kernel: bool,
    run: Run,
}

/// Whom a check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Network,
    Ipam,
}

type Run = for<'a> fn(&'a Subject, &'a mut Findings) -> BoxFuture<'a, Result<(), Error>>;

/// What a check on the real kernel is called.
const ON_KERNEL: &str = "kernel-";

macro_rules! check {
    ($module:ident, $role:ident, needs $needs:expr, on_kernel $on_kernel:literal, $title:literal) => {
        Check {
            name: stringify!($module),
            title: $title,
            role: Role::$role,
            needs: $needs,
            on_kernel: $on_kernel,
            run: |subject, found| Box::pin($module::check(subject, found)),
        }
    };
}

/// All of them.
pub(super) static CHECKS: [Check; 13] = [
    check!(life, Network, needs None, on_kernel true,
        "networks and containers come and go, and every answer is one that engines take"),
    check!(conversations, Network, needs Some("life"), on_kernel true,
        "what three engines said while somebody used Docker is answered"),
    check!(repeats, Network, needs Some("life"), on_kernel false,
        "calls can be repeated, and ids can be unknown"),
    check!(faults, Network, needs Some("life"), on_kernel false,
        "any operation of the kernel's may fail: the user hears of it, and the next try works"),
    check!(deaths, Network, needs Some("life"), on_kernel false,
        "the daemon may die at any operation: afterwards the call works"),
    check!(restarts, Network, needs Some("life"), on_kernel true,
        "the daemon may be started anew between any two calls, and the machine, too"),
    check!(leaks, Network, needs Some("life"), on_kernel false,
        "nothing is left, and nothing grows"),
    check!(limits, Network, needs Some("life"), on_kernel false,
        "a call stays within its limits, and without rights or room it ends in good order"),
    check!(options, Network, needs Some("life"), on_kernel false,
        "wrong options are refused in a sentence, and others' options do not matter"),
    check!(pools, Ipam, needs None, on_kernel false,
        "pools are given once and come back"),
    check!(addresses, Ipam, needs Some("pools"), on_kernel false,
        "addresses are the pool's, are given once, and come back"),
    check!(replay, Ipam, needs Some("pools"), on_kernel false,
        "a new engine's requests are answered as the old one's were"),
    check!(books, Ipam, needs Some("pools"), on_kernel false,
        "the books last, nothing grows, and wrong requests are refused in a sentence"),
];

// === impl Check ===

impl Check {
    /// Whether it is for this driver, and this ground.
    pub(super) fn fits(&self, subject: &Subject) -> bool {
        let role = match self.role {
            Role::Network => subject.driver.network_capabilities.is_some(),
            Role::Ipam => subject.driver.ipam_capabilities.is_some(),
        };
        role && (self.on_kernel || subject.ground == Ground::Memory)
    }

    /// Its name on this ground.
    pub(super) fn name(&self, subject: &Subject) -> String {
        named(self.name, subject)
    }

    /// Why there is no use in it, if so.
    pub(super) fn needs_more(&self, subject: &Subject, report: &Report) -> Option<String> {
        let needs = named(self.needs?, subject);
        let failed = report.check(&needs).is_some_and(|check| !check.findings.is_empty());
        failed.then(|| format!("{needs} has findings, which come first"))
    }

    pub(super) async fn run(&self, subject: &Subject, found: &mut Findings) -> Result<(), Error> {
        (self.run)(subject, found).await
    }
}

fn named(name: &str, subject: &Subject) -> String {
    match subject.ground {
        Ground::Memory => name.to_owned(),
        Ground::Kernel => format!("{ON_KERNEL}{name}"),
    }
}
