//! Much at once, at random, while the daemon is killed again and again.
//!
//! Users ask the engine for networks, containers, connections and ports, all at the same
//! time, and every few seconds the daemon is killed and started again. After each round
//! nobody asks, and engine, daemon and kernel must say the same, and packets must go where
//! they should. In the end all is removed and nothing may be left.
//!
//! The same seed gives the same questions and times, not the same order of events: the
//! journal, which is kept when something was wrong, tells that.

pub mod cluster;
mod operations;
mod picture;
mod random;
mod report;
mod traffic;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use wasmnet_lab::assert_same_state;

use self::{
    operations::{Beliefs, User},
    picture::Picture,
    random::Random,
    report::Report,
};
use crate::{Daemon, Site, without_jumps};

/// How many ask at the same time.
const USERS: usize = 5;
/// Operations between two checks.
const ROUND: usize = 100;
/// How long what has been answered may take to be done.
const SETTLING: Duration = Duration::from_secs(5);
/// In this time the daemon gets rid of what the engine has given up without its hearing of
/// it: an endpoint may be on the host for a minute, and somebody looks every ten seconds.
const FORGETTING: Duration = Duration::from_secs(80);
/// What tells that the daemon may not have heard of it.
const UNHEARD: &str = " of the daemon only: ";
/// The generator of who kills the daemon.
const KILLER: u64 = 1000;
/// How many findings are enough.
const ENOUGH: usize = 20;

/// How long it goes on: until one of both is reached.
#[derive(Debug)]
pub struct Options {
    /// So many operations.
    pub operations: usize,
    /// So long.
    pub time: Duration,
    /// What the random choices follow from.
    pub seed: u64,
    /// The folder in which the journal is kept in any case; otherwise it is kept in one for
    /// temporary files when something was wrong.
    pub journal: Option<PathBuf>,
}

// === impl Options ===

impl Options {
    /// What `WASMNET_SOAK_OPERATIONS`, `…_SECONDS`, `…_SEED` and `…_JOURNAL` say; `default`
    /// seconds, if there is neither of the first two, and another seed each time.
    pub fn from_environment(default: u64) -> Self {
        let (operations, seconds) = (variable("OPERATIONS"), variable("SECONDS"));
        let forever = if operations.is_some() { u64::from(u32::MAX) } else { default };
        let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Self {
            operations: operations.unwrap_or(usize::MAX),
            time: Duration::from_secs(seconds.unwrap_or(forever)),
            seed: variable("SEED").unwrap_or_else(now),
            journal: env::var_os("WASMNET_SOAK_JOURNAL").map(PathBuf::from),
        }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(format!("WASMNET_SOAK_{name}")).ok()?;
    let value = text.parse().ok();
    Some(value.unwrap_or_else(|| panic!("WASMNET_SOAK_{name} is no number: {text}")))
}

/// Lets users and killer at a host.
///
/// # Panics
/// With all that was wrong.
pub fn run(options: &Options) {
    say(&format!("seed {}", options.seed));
    let mut site = Site::new();
    let before = without_jumps(&site.host.netns_state());
    let (beliefs, report) = (Beliefs::default(), Report::new());
    let mut unheard = BTreeMap::new();
    let mut round = 0;
    while report.elapsed() < options.time
        && report.operations() < options.operations
        && report.findings().len() < ENOUGH
    {
        let end = (report.operations() + ROUND).min(options.operations);
        play(&mut site, &beliefs, &report, end, options.seed.wrapping_add(round));
        check(&site, &report, &mut unheard);
        beliefs.refresh(&site.host);
        say(&report.to_string());
        round += 1;
    }
    remove_all(&site, &report);
    say(&report.to_string());
    let findings = report.findings();
    if let Some(folder) = &options.journal {
        keep(&site, &report, folder);
    }
    if !findings.is_empty() {
        let kept = env::temp_dir().join(format!("wasmnet-soak-{}", options.seed));
        let kept = options.journal.clone().unwrap_or(kept);
        keep(&site, &report, &kept);
        let kept = kept.display();
        panic!("seed {}, journal in {kept}:\n{}", options.seed, findings.join("\n"));
    }
    site.assert_nothing_left();
    assert_same_state(&before, &without_jumps(&site.host.netns_state()));
}

/// A round: users ask until there have been so many operations, and the daemon is killed.
fn play(site: &mut Site, beliefs: &Beliefs, report: &Report, end: usize, seed: u64) {
    let (host, daemon) = (&site.host, &mut site.daemon);
    let (over, working) = (AtomicBool::new(false), AtomicUsize::new(USERS));
    thread::scope(|scope| {
        for number in 0..USERS {
            let (over, working) = (&over, &working);
            let random = Random::new(seed, u64::try_from(number).unwrap());
            scope.spawn(move || {
                let mut user = User { number, host, beliefs, report, random };
                while report.operations() < end {
                    user.act();
                }
                // Until the last has his answer the daemon is killed.
                if working.fetch_sub(1, Ordering::Relaxed) == 1 {
                    over.store(true, Ordering::Relaxed);
                }
            });
        }
        kill_again_and_again(daemon, report, &over, Random::new(seed, KILLER));
    });
}

fn kill_again_and_again(
    daemon: &mut Daemon,
    report: &Report,
    over: &AtomicBool,
    mut random: Random,
) {
    loop {
        let due = Instant::now() + random.milliseconds(2000, 5000);
        while Instant::now() < due {
            if over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        daemon.kill();
        report.write("the daemon is killed");
        read_log(daemon, report);
        daemon.start_again();
        report.write("the daemon is ready again");
        report.count("kills", 1);
    }
}

/// What the daemon must never say, and what is worth counting.
fn read_log(daemon: &Daemon, report: &Report) {
    for line in daemon.log().lines() {
        report.write(&format!("    daemon: {line}"));
        let is = |text: &str| line.contains(text);
        if is("panicked") || is("failed inside the host") || is(" ERROR ") {
            report.find(format!("the daemon says: {line}"));
        } else if is("firewall repaired") {
            report.count("repairs of the firewall", 1);
        } else if is("repaired: somebody") {
            report.count("repairs of objects", 1);
        } else if is("stale endpoint removed") {
            report.count("evicted endpoints", 1);
        } else if is("removing a link that an unfinished call left behind") {
            report.count("links of unfinished calls", 1);
        }
    }
}

/// Looks whether everybody says the same, and whether packets go where they should.
/// `unheard` is what the daemon alone knows, and since when.
fn check(site: &Site, report: &Report, unheard: &mut BTreeMap<String, Instant>) {
    let deadline = Instant::now() + SETTLING;
    let (picture, contradictions) = loop {
        let picture = Picture::take(&site.host);
        let contradictions = picture.contradictions();
        if contradictions.is_empty() || Instant::now() > deadline {
            break (picture, contradictions);
        }
        thread::sleep(Duration::from_millis(200));
    };
    let now = Instant::now();
    unheard.retain(|contradiction, _| contradictions.contains(contradiction));
    for contradiction in contradictions {
        if !contradiction.contains(UNHEARD) {
            report.find(contradiction);
            continue;
        }
        let since = *unheard.entry(contradiction.clone()).or_insert_with(|| {
            report.count("losses unheard of", 1);
            report.write(&contradiction);
            now
        });
        if now - since > FORGETTING {
            report.find(contradiction);
        }
    }
    traffic::faults(site, &picture, report).into_iter().for_each(|found| report.find(found));
    report.count("checks", 1);
    report.write("checked");
}

/// Removes everything the engine has.
fn remove_all(site: &Site, report: &Report) {
    let list = |path: &str| site.host.docker_api("GET", path, None).body;
    let remove = |path: String| {
        let answer = site.host.docker_api("DELETE", &path, None);
        if answer.code >= 300 {
            report.find(format!("DELETE {path} in the end: {answer:?}"));
        }
    };
    for container in list("/containers/json?all=1").as_array().unwrap() {
        remove(format!("/containers/{}?force=1", container["Id"].as_str().unwrap()));
    }
    for network in list("/networks").as_array().unwrap() {
        if network["Driver"] == crate::BRIDGE {
            remove(format!("/networks/{}", network["Id"].as_str().unwrap()));
        }
    }
    read_log(&site.daemon, report);
}

/// Keeps what tells how it came to that.
fn keep(site: &Site, report: &Report, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("journal"), report.journal()).unwrap();
    fs::write(folder.join("engine"), site.engine.log()).unwrap();
}

#[allow(clippy::print_stderr, reason = "what a long run is at")]
fn say(text: &str) {
    eprintln!("soak: {text}");
}
