//! Addresses are the pool's, are given once, and come back.

use std::{collections::BTreeSet, net::IpAddr};

use super::super::{
    Error,
    clerk::{Clerk, Pool},
    play::Findings,
    report::Kind,
    subject::Subject,
};

/// A pool with six addresses.
const SMALL: &str = "10.91.0.0/29";
/// More than it has.
const TOO_MANY: usize = 9;

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let clerk = Clerk::begin(subject).await?;
    let pool = match clerk.pool(SMALL).await {
        Ok(pool) => pool,
        Err(refusal) => {
            found.refused(format!("RequestPool of {SMALL}"), refusal);
            return Ok(());
        }
    };
    let given = all(&clerk, &pool, found).await;
    back(&clerk, &pool, &given, found).await;
    wishes(&clerk, &pool, found).await;
    Ok(())
}

/// One after another, until there are no more.
async fn all(clerk: &Clerk<'_>, pool: &Pool, found: &mut Findings) -> Vec<IpAddr> {
    let mut given: Vec<IpAddr> = Vec::new();
    for _ in 0..TOO_MANY {
        found.case();
        let at = format!("RequestAddress, after {} of {SMALL}", given.len());
        match clerk.address(pool, "").await {
            Ok(ip) if given.contains(&ip) => {
                found.add(Kind::Answer, at, format!("it gives {ip} to two"));
                return given;
            }
            Ok(ip) => given.push(ip),
            Err(refusal) if refusal.is_a_no() && given.len() > 1 => return given,
            Err(refusal) => {
                found.refused(at, refusal);
                return given;
            }
        }
    }
    found.add(Kind::Answer, "RequestAddress", format!("{SMALL} has no end"));
    given
}

/// What was given back can be had again; to give back twice is fine, and what nobody has, too.
async fn back(clerk: &Clerk<'_>, pool: &Pool, given: &[IpAddr], found: &mut Findings) {
    let Some(first) = given.first().copied() else { return };
    for again in ["", " again"] {
        found.case();
        if let Err(refusal) = clerk.release(pool, first).await {
            found.refused(format!("ReleaseAddress{again}"), refusal);
        }
    }
    found.case();
    // It may rest for a while, but there is no other.
    match clerk.address(pool, "").await {
        Ok(ip) if ip != first && given.contains(&ip) => {
            found.add(Kind::Answer, "RequestAddress", format!("it gives {ip} to two"));
        }
        Ok(_) => {}
        Err(refusal) => {
            found.add(Kind::Retry, "RequestAddress, after one was given back", refusal.says)
        }
    }
    let all: BTreeSet<IpAddr> = given.iter().copied().chain([first]).collect();
    for ip in all {
        let _ = clerk.release(pool, ip).await;
    }
}

/// Addresses that somebody asks for by name.
async fn wishes(clerk: &Clerk<'_>, pool: &Pool, found: &mut Findings) {
    found.case();
    let at = "RequestAddress of 10.91.0.5";
    if let Err(refusal) = clerk.address(pool, "10.91.0.5").await {
        return found.refused(at, refusal);
    }
    for (address, what) in [("10.91.0.5", "which somebody has"), ("10.92.0.5", "of another subnet")]
    {
        found.case();
        let at = format!("RequestAddress of {address}, {what}");
        match clerk.address(pool, address).await {
            Ok(ip) => found.add(Kind::Answer, at, format!("it gives {ip}")),
            Err(refusal) if refusal.is_a_no() || refusal.kind == Kind::Answer => {
                if !refusal.is_a_no() {
                    found.refused(at, refusal);
                }
            }
            Err(refusal) => found.refused(at, refusal),
        }
    }
}
