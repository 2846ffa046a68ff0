//! The books last, nothing grows, and wrong requests are refused in a sentence.

use super::super::{
    Error, clerk::Clerk, play::Findings, report::Kind, subject::Subject, verdict::Refusal,
};

const SUBNET: &str = "10.91.0.0/24";
/// Lives of a pool one after another, and addresses in each.
const LIVES: usize = 4;
const ADDRESSES: usize = 5;

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    last(subject, found).await?;
    grow(subject, found).await?;
    wrong(subject, found).await
}

/// The daemon is started anew between all requests.
async fn last(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let clerk = Clerk::begin(subject).await?;
    let Ok(pool) = clerk.pool(SUBNET).await else { return Ok(()) };
    let mut clerk = clerk.restart().await?;
    let mut given = Vec::new();
    for _ in 0..ADDRESSES {
        found.case();
        match clerk.address(&pool, "").await {
            Ok(ip) if given.contains(&ip) => found.add(
                Kind::Retry,
                "RequestAddress, after the daemon was started anew",
                format!("it gives {ip} to two"),
            ),
            Ok(ip) => given.push(ip),
            Err(refusal) => {
                let at = "RequestAddress, after the daemon was started anew";
                found.add(Kind::Retry, at, refusal.says);
                return Ok(());
            }
        }
        clerk = clerk.restart().await?;
    }
    for ip in given {
        if let Err(refusal) = clerk.release(&pool, ip).await {
            found.refused("ReleaseAddress, after the daemon was started anew", refusal);
        }
    }
    Ok(())
}

/// Pools that come and go leave nothing behind.
async fn grow(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let clerk = Clerk::begin(subject).await?;
    let mut counts = Vec::new();
    for life in 0..LIVES {
        found.case();
        let Ok(pool) = clerk.pool(&format!("10.91.{life}.0/24")).await else { return Ok(()) };
        let mut given = Vec::new();
        for _ in 0..ADDRESSES {
            given.extend(clerk.address(&pool, "").await);
        }
        for ip in given {
            let _ = clerk.release(&pool, ip).await;
        }
        let _ = clerk.release_pool(&pool).await;
        counts.push(clerk.play.keys().len());
    }
    if let [first, .., last] = counts.as_slice() {
        if counts.is_sorted_by(|one, next| one < next) {
            let says = format!("the driver's keys grow from {first} to {last}");
            found.add(Kind::Left, format!("{LIVES} pools one after another"), says);
        } else if *last > 0 {
            found.note(format!("{last} keys stay when all is given back"));
        }
    }
    Ok(())
}

/// Requests that make no sense.
async fn wrong(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let mut judge = |at: String, refused: Result<(), Refusal>| {
        found.case();
        match refused {
            Ok(()) => {}
            Err(refusal) if refusal.is_a_no() => {}
            Err(refusal) => found.refused(at, refusal),
        }
    };
    for (key, value) in [("rest", "-1"), ("pool", "nobody's"), ("\u{0}", "\n"), ("x", "y")] {
        let clerk = Clerk::begin(subject).await?;
        let mut options = subject.options.clone();
        options.insert(key.to_owned(), value.to_owned());
        let answer = clerk.pool_with(SUBNET, "", false, &options).await;
        let at = format!("RequestPool with {}={}", key.escape_default(), value.escape_default());
        judge(at, answer.map(drop));
    }
    let clerk = Clerk::begin(subject).await?;
    for (subnet, range) in
        [("0.0.0.0/0", ""), ("10.91.0.0/32", ""), ("10.91.0.0/31", ""), (SUBNET, "10.92.0.0/25")]
    {
        let answer = clerk.pool_with(subnet, range, false, &subject.options).await;
        judge(format!("RequestPool of {subnet}, range \"{range}\""), answer.map(drop));
    }
    let nobodys =
        super::super::clerk::Pool { id: "nobody's".to_owned(), subnet: ipnet::IpNet::default() };
    let answer = clerk.address(&nobodys, "").await;
    judge("RequestAddress of a pool that nobody has".to_owned(), answer.map(drop));
    let answer = clerk.release(&nobodys, [10, 91, 0, 1].into()).await;
    judge("ReleaseAddress of a pool that nobody has".to_owned(), answer);
    Ok(())
}
