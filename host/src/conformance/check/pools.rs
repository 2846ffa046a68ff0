//! Pools are given once and come back.

use super::super::{
    Error,
    clerk::{Clerk, Pool},
    play::Findings,
    report::Kind,
    subject::Subject,
};

const SUBNET: &str = "10.91.0.0/24";

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    spaces(subject, found);
    let clerk = Clerk::begin(subject).await?;
    found.case();
    let pool = match clerk.pool(SUBNET).await {
        Ok(pool) => pool,
        Err(refusal) => {
            found.refused(format!("RequestPool of {SUBNET}"), refusal);
            return Ok(());
        }
    };
    overlaps(&clerk, &pool, found).await;
    back(&clerk, &pool, found).await;
    chosen(&clerk, found).await;
    other_family(&clerk, found).await;
    Ok(())
}

fn spaces(subject: &Subject, found: &mut Findings) {
    found.case();
    let Some((_, spaces)) = &subject.driver.ipam_capabilities else { return };
    if spaces.local.is_empty() || spaces.global.is_empty() {
        found.add(Kind::Answer, "GetDefaultAddressSpaces", "an address space has no name");
    }
}

/// What somebody has, nobody else gets.
async fn overlaps(clerk: &Clerk<'_>, pool: &Pool, found: &mut Findings) {
    for subnet in [SUBNET, "10.91.0.0/16", "10.91.0.128/25"] {
        found.case();
        match clerk.pool(subnet).await {
            Ok(other) => {
                let says = format!("it gives {} while {} is in use", other.subnet, pool.subnet);
                found.add(Kind::Answer, format!("RequestPool of {subnet}"), says);
            }
            Err(refusal) if refusal.is_a_no() => {}
            Err(refusal) => found.refused(format!("RequestPool of {subnet}"), refusal),
        }
    }
}

/// What was given back can be had again; to give back twice is fine.
async fn back(clerk: &Clerk<'_>, pool: &Pool, found: &mut Findings) {
    for again in ["", " again"] {
        found.case();
        if let Err(refusal) = clerk.release_pool(pool).await {
            found.refused(format!("ReleasePool{again}"), refusal);
        }
    }
    found.case();
    match clerk.pool(SUBNET).await {
        Ok(pool) => drop(clerk.release_pool(&pool).await),
        Err(refusal) => found.add(
            Kind::Retry,
            format!("RequestPool of {SUBNET}, which was given back"),
            refusal.says,
        ),
    }
}

/// The driver chooses.
async fn chosen(clerk: &Clerk<'_>, found: &mut Findings) {
    found.case();
    let at = "RequestPool of no subnet in particular";
    let first = match clerk.pool("").await {
        Ok(pool) => pool,
        Err(refusal) if refusal.is_a_no() => return found.note(format!("{at}: {}", refusal.says)),
        Err(refusal) => return found.refused(at, refusal),
    };
    match clerk.pool("").await {
        Ok(other) if overlap(&first, &other) => {
            let says = format!("it gives {} while {} is in use", other.subnet, first.subnet);
            found.add(Kind::Answer, at, says);
        }
        Ok(other) => drop(clerk.release_pool(&other).await),
        Err(refusal) => found.refused(at, refusal),
    }
    let _ = clerk.release_pool(&first).await;
}

fn overlap(one: &Pool, other: &Pool) -> bool {
    one.subnet.contains(&other.subnet) || other.subnet.contains(&one.subnet)
}

async fn other_family(clerk: &Clerk<'_>, found: &mut Findings) {
    found.case();
    let at = "RequestPool of fd91::/64";
    match clerk.pool("fd91::/64").await {
        Ok(pool) => drop(clerk.release_pool(&pool).await),
        Err(refusal) if refusal.is_a_no() => found.note(format!("{at}: {}", refusal.says)),
        Err(refusal) => found.refused(at, refusal),
    }
}
