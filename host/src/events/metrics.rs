//! What is counted since the daemon started, in Prometheus' text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use super::{About, What};
use crate::{id::DriverName, ledger::State};

/// Calls of the engine.
const CALLS: Family = Family {
    name: "wasmnet_calls_total",
    help: "Calls of the engine by driver, method and outcome (\"ok\" or a code).",
    labels: &["driver", "method", "outcome"],
};
/// What drivers were refused.
const DENIALS: Family = Family {
    name: "wasmnet_denials_total",
    help: "What drivers wanted and may not, by code.",
    labels: &["driver", "code"],
};
/// What somebody had changed.
const REPAIRS: Family = Family {
    name: "wasmnet_repairs_total",
    help: "Kernel objects that somebody had changed or removed and that were put back, by kind.",
    labels: &["object"],
};
/// What could not be put back.
const FAILED_REPAIRS: Family = Family {
    name: "wasmnet_repair_failures_total",
    help: "Kernel objects that could not be put back, by kind.",
    labels: &["object"],
};
/// Drivers' crashes.
const TRAPS: Family = Family {
    name: "wasmnet_traps_total",
    help: "Calls in which a driver crashed.",
    labels: &["driver"],
};
/// Endpoints that the engine had not given up.
const EVICTIONS: Family = Family {
    name: "wasmnet_evictions_total",
    help: "Stale endpoints that the host removed by itself.",
    labels: &["driver"],
};
/// The code of a call in which the driver crashed.
pub const TRAP: &str = "trap";

/// Counters of one name.
struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
}

/// All counters.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<(&'static str, Vec<String>), u64>>);

// === impl Metrics ===

impl Metrics {
    /// Counts a call of the engine; an event's failed one is counted by this too.
    pub fn count_call(&self, driver: &DriverName, method: &str, outcome: &str) {
        self.add(&CALLS, [driver.as_str(), method, outcome]);
        if outcome == TRAP {
            self.add(&TRAPS, [driver.as_str()]);
        }
    }

    /// Counts an event.
    pub(super) fn count(&self, about: &About, what: &What) {
        let driver = about.driver.as_ref().map_or("", |driver| driver.as_str());
        match what {
            What::Denied { code, .. } => self.add(&DENIALS, [driver, code]),
            What::Repaired { object, .. } => self.add(&REPAIRS, [kind(object)]),
            What::RepairFailed { object, .. } => self.add(&FAILED_REPAIRS, [kind(object)]),
            What::FirewallRepaired { .. } => self.add(&REPAIRS, ["firewall"]),
            What::EndpointEvicted { .. } => self.add(&EVICTIONS, [driver]),
            _ => {}
        }
    }

    /// All of it as text, with what the ledger holds now.
    pub fn text(&self, state: &State) -> String {
        let mut text = String::new();
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for family in [&CALLS, &DENIALS, &REPAIRS, &FAILED_REPAIRS, &TRAPS, &EVICTIONS] {
            head(&mut text, family.name, family.help, "counter");
            for ((_, values), count) in
                counters.iter().filter(|((name, _), _)| *name == family.name)
            {
                let labels = family.labels.iter().zip(values);
                let labels: Vec<_> =
                    labels.map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
                line(&mut text, family.name, &labels.join(","), *count);
            }
        }
        let gauge = |text: &mut String, name, help, value: usize| {
            head(text, name, help, "gauge");
            line(text, name, "", value as u64);
        };
        let endpoints = state.endpoints.values().map(|of_network| of_network.len()).sum();
        gauge(&mut text, "wasmnet_networks", "Networks that stand.", state.networks.len());
        gauge(&mut text, "wasmnet_endpoints", "Endpoints that stand.", endpoints);
        let help = "Kernel objects in the ledger.";
        gauge(&mut text, "wasmnet_objects", help, state.objects.len());
        let help = "Kernel objects that are still to be deleted.";
        gauge(&mut text, "wasmnet_doomed_objects", help, state.objects.doomed().len());
        text
    }

    fn add<const N: usize>(&self, family: &Family, values: [&str; N]) {
        let values = values.map(str::to_owned).to_vec();
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry((family.name, values)).or_default() += 1;
    }
}

/// The kind of object that a key is of: "link", "address".
fn kind(object: &str) -> &str {
    object.split(' ').next().unwrap_or_default()
}

// Writing to a String cannot fail.

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        let driver: DriverName = "acme".parse().unwrap();
        for outcome in ["ok", "ok", TRAP, "odd\"code\\"] {
            metrics.count_call(&driver, "NetworkDriver.Join", outcome);
        }
        let denied = What::Denied { code: "denied".into(), wanted: "x".into(), grant: None };
        metrics.count(&About::driver(&driver), &denied);
        let text = metrics.text(&State::default());
        for line in [
            "# TYPE wasmnet_calls_total counter",
            "wasmnet_calls_total{driver=\"acme\",method=\"NetworkDriver.Join\",outcome=\"ok\"} 2",
            "wasmnet_calls_total{driver=\"acme\",method=\"NetworkDriver.Join\",outcome=\"odd\\\"code\\\\\"} 1",
            "wasmnet_traps_total{driver=\"acme\"} 1",
            "wasmnet_denials_total{driver=\"acme\",code=\"denied\"} 1",
            "# TYPE wasmnet_networks gauge",
            "wasmnet_networks 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
    }
}
