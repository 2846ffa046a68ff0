//! `wasmnet doctor`.

use std::path::Path;

use super::{args::Doctor, output, show::Error};
use crate::{
    admin::{
        client::{get, post_json},
        view::{DriverView, NetworkView},
    },
    doctor::{Finding, engine, host},
};

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
    Ok(findings)
}
