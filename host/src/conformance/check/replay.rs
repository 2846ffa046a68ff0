//! A new engine repeats what the old one had asked for, where the driver wants that.

use super::super::{Error, clerk::Clerk, play::Findings, report::Kind, subject::Subject};

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let capabilities = subject.driver.ipam_capabilities.as_ref();
    if !capabilities.is_some_and(|(capabilities, _)| capabilities.requires_request_replay) {
        found.note("the driver does not ask for requests to be repeated");
        return Ok(());
    }
    let clerk = Clerk::begin(subject).await?;
    let (subnet, wish) = ("10.91.0.0/24", "10.91.0.7");
    let (Ok(pool), Ok(_)) = (
        clerk.pool(subnet).await,
        async {
            let pool = clerk.pool("10.92.0.0/24").await?;
            clerk.address(&pool, "10.92.0.7").await
        }
        .await,
    ) else {
        return Ok(());
    };
    if let Err(refusal) = clerk.address(&pool, wish).await {
        found.refused(format!("RequestAddress of {wish}"), refusal);
        return Ok(());
    }
    let clerk = clerk.restart().await?;
    clerk.new_engine().await;
    found.case();
    match clerk.pool(subnet).await {
        Ok(again) if again == pool => {}
        Ok(again) => found.add(
            Kind::Unsteady,
            format!("RequestPool of {subnet} by a new engine"),
            format!("{again:?}, and before {pool:?}"),
        ),
        Err(refusal) => {
            found.refused(format!("RequestPool of {subnet} by a new engine"), refusal);
        }
    }
    found.case();
    if let Err(refusal) = clerk.address(&pool, wish).await {
        found.refused(format!("RequestAddress of {wish} by a new engine"), refusal);
    }
    Ok(())
}
