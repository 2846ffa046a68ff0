//! What a repair would do, told and not done.

use super::plan::{self, Plan, Repair};
use crate::{
    dispatch::Dispatcher,
    doctor::{Finding, Fix, Kind},
    error::chain,
    events::Wrong,
    id,
};

/// Compares everything with the ledger, without changing anything.
pub async fn examine(dispatcher: &Dispatcher) -> Vec<Finding> {
    let ledger = dispatcher.ledger();
    let beside = plan::beside(&ledger.read(), None);
    let snapshot = match dispatcher.kernel().look(&beside).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let advice = "see the daemon's log; it needs CAP_NET_ADMIN";
            return vec![Finding::new(Kind::Drift, chain(&error), advice)];
        }
    };
    let state = ledger.read();
    let mut findings = Vec::new();
    for network in state.networks.keys() {
        let Plan { repairs, dead } = plan::plan(&state, &snapshot, network);
        for Repair { object, wrong, fields, .. } in repairs {
            let what = match wrong {
                Wrong::Missing => "is missing".to_owned(),
                Wrong::Changed => {
                    let fields: Vec<&str> = fields.into_iter().collect();
                    format!("has been changed ({})", fields.join(", "))
                }
            };
            let wrong = format!("{} {what}", object.key());
            findings.push(Finding::fixable(Kind::Drift, wrong, Fix::Repair));
        }
        for endpoint in dead {
            let wrong = format!("endpoint {}: its link is gone", id::short(endpoint.as_str()));
            let fix = Fix::DeleteEndpoint { network: network.clone(), endpoint };
            findings.push(Finding::fixable(Kind::Drift, wrong, fix));
        }
    }
    for link in plan::orphans(&state, &snapshot) {
        let wrong = format!("link {link} looks like ours, but no network has it");
        let advice = "restart the daemon, which then removes it";
        findings.push(Finding::new(Kind::Leak, wrong, advice));
    }
    findings
}
