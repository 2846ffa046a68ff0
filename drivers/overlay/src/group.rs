//! What the hosts of a network agree on before they begin: its VNI, and that they mean the
//! same network.
//!
//! Three kinds of agreed values: `group/GROUP` says what the network is, with a number that
//! every host counts up when it joins; `vni/N` says whose N is; `member/GROUP/NODE` that a
//! node has it. The last node to leave deletes the first two: it looks for members after it
//! has read the number, and deletes only if the number is still that, so a node that joins
//! meanwhile is either seen or makes the deletion fail.

use wasmnet_sdk::{Error, ErrorCode, Network, cluster, log};

use crate::settings::{self, Settings};

/// Far above 4096, from where Docker's Swarm counts and what Calico uses: a host can have one
/// VTEP of a VNI and UDP port only, whoever made it.
const FIRST_VNI: u32 = 0x10_0000;
const LAST_VNI: u32 = 0xff_ffff;
/// How often somebody else may be faster.
const ATTEMPTS: usize = 64;

/// What the hosts agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The network identifier.
    pub vni: u32,
    /// The UDP port of all VTEPs.
    port: u16,
    /// The subnets, sorted.
    subnets: Vec<String>,
    /// Counted up by everybody who joins.
    joins: u64,
}

/// Joins the network's group, which is made if there is none.
pub fn join(network: &Network, settings: &Settings) -> Result<Agreed, Error> {
    let node = cluster::this_node()?.id;
    let group = settings.group.as_str();
    // First, so that whoever leaves as the last sees us.
    put(&member_key(group, &node), b"")?;
    for _ in 0..ATTEMPTS {
        let key = group_key(group);
        let old = cluster::get(&key)?;
        let agreed = match old.as_deref().map(Agreed::read) {
            Some(agreed) => {
                let agreed = agreed?;
                agreed.check(network, settings)?;
                Agreed { joins: agreed.joins + 1, ..agreed }
            }
            None => Agreed {
                vni: take_vni(group, settings.vni)?,
                port: settings.port,
                subnets: subnets(network),
                joins: 1,
            },
        };
        if cluster::compare_and_set(&key, old.as_deref(), Some(agreed.write().as_bytes()))? {
            return Ok(agreed);
        }
    }
    Err(busy(group))
}

/// Leaves it; the last one forgets it.
pub fn leave(group: &str) -> Result<(), Error> {
    let node = cluster::this_node()?.id;
    remove(&member_key(group, &node))?;
    for _ in 0..ATTEMPTS {
        let key = group_key(group);
        let Some(old) = cluster::get(&key)? else { return Ok(()) };
        if !cluster::keys(&member_key(group, ""))?.is_empty() {
            return Ok(());
        }
        let vni = Agreed::read(&old)?.vni;
        if cluster::compare_and_set(&key, Some(&old), None)? {
            let vni = vni_key(vni);
            return cluster::compare_and_set(&vni, Some(group.as_bytes()), None).map(drop);
        }
    }
    Err(busy(group))
}

/// Takes the VNI that the user chose, or the lowest that is free.
fn take_vni(group: &str, chosen: Option<u32>) -> Result<u32, Error> {
    let take = |vni: u32| {
        let key = vni_key(vni);
        if cluster::compare_and_set(&key, None, Some(group.as_bytes()))? {
            return Ok(true);
        }
        // Ours from an attempt that somebody was faster than, or that ended in between.
        Ok::<_, Error>(cluster::get(&key)?.as_deref() == Some(group.as_bytes()))
    };
    if let Some(vni) = chosen {
        return match take(vni)? {
            true => Ok(vni),
            false => Err(Error {
                code: ErrorCode::InUse,
                message: format!("VXLAN network identifier {vni} is another network's"),
            }),
        };
    }
    let taken: std::collections::BTreeSet<u32> = cluster::keys("vni/")?
        .iter()
        .filter_map(|key| key.strip_prefix("vni/")?.parse().ok())
        .collect();
    for vni in (FIRST_VNI..=LAST_VNI).filter(|vni| !taken.contains(vni)).take(ATTEMPTS) {
        if take(vni)? {
            return Ok(vni);
        }
    }
    Err(Error {
        code: ErrorCode::Exhausted,
        message: "no VXLAN network identifier is free".to_owned(),
    })
}

fn subnets(network: &Network) -> Vec<String> {
    let mut subnets: Vec<String> =
        settings::subnets(network).map(|subnet| subnet.to_string()).collect();
    subnets.sort_unstable();
    subnets
}

fn put(key: &str, value: &[u8]) -> Result<(), Error> {
    match cluster::compare_and_set(key, None, Some(value))? {
        true => Ok(()),
        // It is there already: nobody else writes it.
        false => Ok(()),
    }
}

fn remove(key: &str) -> Result<(), Error> {
    match cluster::get(key)? {
        Some(old) => cluster::compare_and_set(key, Some(&old), None).map(drop),
        None => Ok(()),
    }
}

fn group_key(group: &str) -> String {
    format!("group/{group}")
}

fn member_key(group: &str, node: &str) -> String {
    format!("member/{group}/{node}")
}

fn vni_key(vni: u32) -> String {
    format!("vni/{vni}")
}

fn busy(group: &str) -> Error {
    log::write(log::Level::Warn, &format!("too many hosts change group {group} at once"));
    Error {
        code: ErrorCode::Unavailable,
        message: "too many hosts make or delete this network at once; try again".to_owned(),
    }
}

// === impl Agreed ===

impl Agreed {
    /// Lines of KEY=VALUE; what is not known is left for later versions.
    fn write(&self) -> String {
        let Self { vni, port, subnets, joins } = self;
        format!("vni={vni}\nport={port}\nsubnets={}\njoins={joins}\n", subnets.join(","))
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(bytes);
        let value =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let read = || {
            Some(Self {
                vni: value("vni")?.parse().ok()?,
                port: value("port")?.parse().ok()?,
                subnets: value("subnets")?.split(',').map(str::to_owned).collect(),
                joins: value("joins")?.parse().ok()?,
            })
        };
        read().ok_or_else(|| {
            Error::invalid("what the cluster store has of this network cannot be understood")
        })
    }

    /// Whether it is what this host's user asked for.
    fn check(&self, network: &Network, settings: &Settings) -> Result<(), Error> {
        let group = &settings.group;
        let differs = |what: &str, theirs: &str, ours: &str| {
            Err(Error::invalid(format!(
                "network {group} has {what} {theirs} on the other hosts, and not {ours}; create it \
                 with the same"
            )))
        };
        let ours = subnets(network);
        if self.subnets != ours {
            return differs("subnet", &self.subnets.join(", "), &ours.join(", "));
        }
        if self.port != settings.port {
            return differs("UDP port", &self.port.to_string(), &settings.port.to_string());
        }
        match settings.vni {
            Some(vni) if vni != self.vni => {
                differs("VXLAN network identifier", &self.vni.to_string(), &vni.to_string())
            }
            _ => Ok(()),
        }
    }
}
