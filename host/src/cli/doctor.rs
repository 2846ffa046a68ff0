//! `wasmnet doctor`.

use std::{path::Path, time::Duration};

use super::{args::Doctor, output, show::Error};
use crate::{
    admin::{
        client::{get, post_json},
        view::{DriverView, NetworkView, Status},
    },
    doctor::{Finding, engine, host, ipam, neighbours, peers},
};

/// How long something must be wrong to be so.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// Looks at everything and says what is wrong; with `--fix` mends what can be mended.
/// True if nothing is left that is wrong.
pub(super) async fn run(socket: &Path, options: &Doctor, json: bool) -> Result<bool, Error> {
    let mut findings = examine(socket, &options.docker).await?;
    if options.fix {
        for fix in findings.iter().filter_map(|finding| finding.fix.as_ref()) {
            let _done: serde_json::Value = post_json(socket, "/v1/doctor/fix", fix).await?;
        }
        findings = examine(socket, &options.docker).await?;
    }
    if json {
        output::json(&findings)?;
    } else if findings.is_empty() {
        output::lines("nothing is wrong")?;
    } else {
        let line = |finding: &Finding| format!("{}; {}", finding.wrong, finding.advice);
        output::lines(&findings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(findings.is_empty())
}

async fn examine(socket: &Path, docker: &Path) -> Result<Vec<Finding>, Error> {
    let mut findings: Vec<Finding> = get(socket, "/v1/doctor").await?;
    let networks: Vec<NetworkView> = get(socket, "/v1/networks").await?;
    let drivers: Vec<DriverView> = get(socket, "/v1/drivers").await?;
    findings.extend(engine::examine(docker, &networks, &drivers).await);
    findings.extend(host::examine(&networks));
    findings.extend(neighbours::examine());
    findings.extend(others(socket).await?);
    findings.extend(leases(socket, docker).await?);
    Ok(findings)
}

/// The cluster and its other hosts. They are looked at twice: a host may have come just now.
async fn others(socket: &Path) -> Result<Vec<Finding>, Error> {
    let first = others_once(socket).await?;
    if first.is_empty() {
        return Ok(first);
    }
    tokio::time::sleep(peers::SECOND_LOOK).await;
    let still = others_once(socket).await?;
    Ok(first.into_iter().filter(|finding| still.contains(finding)).collect())
}

async fn others_once(socket: &Path) -> Result<Vec<Finding>, Error> {
    let status: Status = get(socket, "/v1/status").await?;
    let networks: Vec<NetworkView> = get(socket, "/v1/networks").await?;
    Ok(status.cluster.map(|cluster| peers::examine(&cluster, &networks)).unwrap_or_default())
}

/// Addresses and pools that nobody has any more. They are looked at twice: what is on its
/// way is nothing wrong.
async fn leases(socket: &Path, docker: &Path) -> Result<Vec<Finding>, Error> {
    let first = leases_once(socket, docker).await?;
    if first.is_empty() {
        return Ok(first);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let still = leases_once(socket, docker).await?;
    Ok(first.into_iter().filter(|finding| still.contains(finding)).collect())
}

async fn leases_once(socket: &Path, docker: &Path) -> Result<Vec<Finding>, Error> {
    let (pools, _silent) = super::ipam::read(socket).await?;
    let local = pools.iter().filter(|pool| pool.local);
    let known: Vec<ipam::Known<'_>> = local
        .map(|pool| ipam::Known {
            driver: &pool.driver,
            report: &pool.report,
            leases: &pool.leases,
        })
        .collect();
    // Whether Docker can be asked at all is told elsewhere.
    Ok(ipam::examine(docker, &known).await.unwrap_or_default())
}
