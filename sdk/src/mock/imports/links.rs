//! Network links of this driver (ip-link(8)).
//!
//! A driver can only hold links that it made. The host picks their names unless the user
//! asked for one. A *label* is the driver's own word for a link within the scope of the call
//! ("bridge", "port"); it never reaches the kernel.

use crate::{
    Error, ErrorCode, IpAddress,
    mock::{
        object::{self, LinkKind, Object},
        state::{LINKS_MAX, State, denied, error, operation, step, with},
    },
};

pub use crate::bindings::network::wasmnet::driver::links::{
    BridgeOptions, IpvlanFlag, IpvlanMode, IpvlanOptions, MacvlanMode, MacvlanOptions, VethOptions,
    VxlanOptions,
};

/// The kernel's link names have at most this many bytes.
const NAME_MAX: usize = 15;
/// The VXLAN network identifiers that can be used (RFC 7348).
const VNIS: std::ops::RangeInclusive<u32> = 1..=0xff_ffff;

/// A link of this driver in the host's network namespace. The handle lives as long as the
/// call; dropping it does nothing to the link.
#[derive(Debug)]
pub struct Link {
    name: String,
}

// === impl Link ===

impl Link {
    /// The name in the kernel, 1 to 15 bytes.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// The peer's name, for a veth pair: the end that goes into the container.
    pub fn peer_name(&self) -> Option<String> {
        with(|state| state.link(&self.name).ok().and_then(|link| link.peer.clone()))
    }

    /// The MTU that was asked for, in bytes; none if the kernel's default was kept.
    pub fn mtu(&self) -> Option<u32> {
        with(|state| state.link(&self.name).ok().and_then(|link| link.mtu))
    }

    /// Sets the MTU, in bytes; of both ends for a veth pair.
    pub fn set_mtu(&self, mtu: u32) -> Result<(), Error> {
        operation(|state| state.link(&self.name).map(|link| link.mtu = Some(mtu)))
    }

    /// Sets the link up or down.
    pub fn set_up(&self, up: bool) -> Result<(), Error> {
        operation(|state| state.link(&self.name).map(|link| link.up = up))
    }

    /// Deletes the link, with its addresses and routes, once the call has succeeded.
    pub fn delete(&self) -> Result<(), Error> {
        operation(|state| {
            state.link(&self.name)?;
            state.retain(|_, object| object.link() != self.name);
            Ok(())
        })
    }
}

/// Makes a bridge and sets it up.
pub fn create_bridge(label: &str, options: &BridgeOptions) -> Result<Link, Error> {
    make(label, LinkKind::Bridge, |state| {
        if let Some(name) = &options.name {
            check_name(state, name)?;
        }
        let name = options.name.clone().unwrap_or_else(|| state.pick_name());
        let mac = options.mac.unwrap_or_else(|| state.pick_mac());
        Ok(New { mtu: options.mtu, mac: Some(mac), ..New::up(name) })
    })
}

/// Takes a bridge that is there already, made by somebody else, and sets it up.
/// It is never deleted, and keeps its addresses.
pub fn adopt_bridge(label: &str, name: &str, mtu: Option<u32>) -> Result<Link, Error> {
    make(label, LinkKind::AdoptedBridge, |state| {
        said(state, name)?;
        if state.links().any(|(_, link)| link.name == name) {
            return Err(taken(name));
        }
        match state.others.get(name) {
            Some((_, true)) => Ok(New { mtu, ..New::up(name.to_owned()) }),
            Some((_, false)) => Err(error(
                ErrorCode::Kernel,
                format!("link {name} is not a bridge, so it cannot be a network's"),
            )),
            None => Err(Error::not_found(format!("there is no link {name}"))),
        }
    })
}

/// Makes a veth pair whose host end is a port of `master`, and sets the host end up. The peer
/// stays down in the host's namespace until the engine moves it into the container.
pub fn create_veth(label: &str, master: &Link, options: VethOptions) -> Result<Link, Error> {
    make(label, LinkKind::Veth, |state| {
        state.link(&master.name)?;
        let name = state.pick_name();
        let (peer, master) = (Some(format!("{name}p")), Some(master.name.clone()));
        Ok(New { mtu: options.mtu, mac: options.peer_mac, peer, master, ..New::up(name) })
    })
}

/// Makes a VTEP as a port of `master` and sets it up.
pub fn create_vxlan(label: &str, master: &Link, options: VxlanOptions) -> Result<Link, Error> {
    let VxlanOptions { vni, port, local, mtu } = options;
    make(label, LinkKind::Vxlan { vni, port, local }, |state| {
        if !VNIS.contains(&vni) {
            return Err(Error::invalid(format!(
                "{vni} is no VXLAN network identifier; use one from 1 to 16777215"
            )));
        }
        state.link(&master.name)?;
        let same = |kind: &LinkKind| matches!(kind, LinkKind::Vxlan { vni: v, port: p, .. } if (*v, *p) == (vni, port));
        if state.links().any(|(_, link)| same(&link.kind)) {
            return Err(error(
                ErrorCode::InUse,
                format!(
                    "VXLAN network identifier {vni} is in use on this host with UDP port {port}; choose another"
                ),
            ));
        }
        let master = Some(master.name.clone());
        Ok(New { mtu: Some(mtu), master, ..New::up(state.pick_name()) })
    })
}

/// Makes a macvlan link. In a call about an endpoint it is the container's interface and
/// stays down until the engine has moved it there; else it is the host's and is set up.
pub fn create_macvlan(label: &str, options: &MacvlanOptions) -> Result<Link, Error> {
    let kind = LinkKind::Macvlan { parent: options.parent.clone(), mode: options.mode };
    make(label, kind, |state| {
        let most = check_parent(state, &options.parent)?;
        if let Some(mtu) = options.mtu.filter(|mtu| *mtu > most) {
            return Err(error(ErrorCode::Kernel, format!("MTU {mtu} is more than the parent's")));
        }
        let up = state.call.scope.endpoint.is_none();
        Ok(New { mtu: options.mtu, mac: options.mac, up, ..New::up(state.pick_name()) })
    })
}

/// Makes an ipvlan link: as for [`create_macvlan`].
pub fn create_ipvlan(label: &str, options: &IpvlanOptions) -> Result<Link, Error> {
    let IpvlanOptions { parent, mode, flag, mtu } = options;
    let kind = LinkKind::Ipvlan { parent: parent.clone(), mode: *mode, flag: *flag };
    make(label, kind, |state| {
        let most = check_parent(state, parent)?;
        if let Some(mtu) = mtu.filter(|mtu| *mtu > most) {
            return Err(error(ErrorCode::Kernel, format!("MTU {mtu} is more than the parent's")));
        }
        let up = state.call.scope.endpoint.is_none();
        Ok(New { mtu: *mtu, up, ..New::up(state.pick_name()) })
    })
}

/// Makes the VLAN link PARENT.ID on a link of the host's. It is the host's here, and stays.
pub fn create_vlan(parent: &str, id: u16) -> Result<(), Error> {
    let name = format!("{parent}.{id}");
    operation(|state| {
        said(state, &name)?;
        if state.has_link(&name) {
            return Err(taken(&name));
        }
        let mtu = state.others.get(parent).map(|(mtu, _)| *mtu);
        let mtu = mtu.ok_or_else(|| Error::not_found(format!("there is no link {parent}")))?;
        state.others.insert(name.clone(), (mtu, false));
        Ok(())
    })
}

/// The MTU in bytes of a link that others are to be made on. Says beforehand whether there
/// is one of this name and the driver may use it.
pub fn parent_mtu(parent: &str) -> Result<u32, Error> {
    operation(|state| check_parent(state, parent))
}

/// The MTU in bytes of the host's link that has this address: here any has.
pub fn underlay_mtu(_local: IpAddress) -> Result<u32, Error> {
    operation(|state| Ok(state.others.get("eth0").map_or(1500, |(mtu, _)| *mtu)))
}

/// The link with this label: in the call's endpoint if it has one, else in its network.
pub fn open(label: &str) -> Result<Link, Error> {
    step(|state| {
        let scope = state.call.scope.clone();
        let link = state.labelled(&scope, label);
        let link = link.or_else(|| state.labelled(&scope.network(), label));
        let name = link.map(|link| link.name.clone());
        let name =
            name.ok_or_else(|| Error::not_found(format!("there is no link \"{label}\" here")))?;
        Ok(Link { name })
    })
}

/// What a new link has beside label and kind.
struct New {
    name: String,
    mtu: Option<u32>,
    mac: Option<crate::MacAddress>,
    master: Option<String>,
    peer: Option<String>,
    up: bool,
}

// === impl New ===

impl New {
    fn up(name: String) -> Self {
        Self { name, mtu: None, mac: None, master: None, peer: None, up: true }
    }
}

fn make(
    label: &str,
    kind: LinkKind,
    new: impl FnOnce(&mut State) -> Result<New, Error>,
) -> Result<Link, Error> {
    operation(|state| {
        let scope = state.call.scope.clone();
        if state.labelled(&scope, label).is_some() {
            return Err(Error::exists(format!("there is a link \"{label}\" here already")));
        }
        state.call.links += 1;
        if state.call.links > LINKS_MAX {
            return Err(Error::exhausted(format!("a call may make at most {LINKS_MAX} links")));
        }
        let New { name, mtu, mac, master, peer, up } = new(state)?;
        let place = [scope.network.as_deref(), scope.endpoint.as_deref(), Some(label)];
        let place = place.into_iter().flatten().collect::<Vec<_>>().join("/");
        let label = label.to_owned();
        let handle = Link { name: name.clone() };
        state.make(Object::Link(object::Link {
            place,
            label,
            name,
            kind,
            mtu,
            mac,
            master,
            peer,
            up,
        }));
        Ok(handle)
    })
}

/// A name that the user chose must be one, said in an option, and free.
fn check_name(state: &State, name: &str) -> Result<(), Error> {
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':');
    if !fits {
        return Err(Error::invalid(format!(
            "\"{name}\" is not a link name: use 1 to {NAME_MAX} letters, digits and signs"
        )));
    }
    let picked = name.strip_prefix("wn").is_some_and(|digits| digits.len() == 12);
    if picked {
        return Err(Error::invalid(format!(
            "link name {name} is of the form the host picks names by; choose another"
        )));
    }
    said(state, name)?;
    if state.has_link(name) { Err(taken(name)) } else { Ok(()) }
}

fn said(state: &State, name: &str) -> Result<(), Error> {
    match state.call.named.iter().any(|said| said == name) {
        true => Ok(()),
        false => {
            Err(denied(&format!("call a link {name}, a name that no option of the network has")))
        }
    }
}

fn taken(name: &str) -> Error {
    Error::exists(format!(
        "there is a link {name} on this host already; choose another name or remove it"
    ))
}

/// Whether the driver may build on a link; its MTU.
fn check_parent(state: &State, parent: &str) -> Result<u32, Error> {
    let own = state.links().find(|(_, link)| link.name == parent);
    match (own, state.others.get(parent)) {
        (Some((scope, link)), _) if scope.network == state.call.scope.network => {
            Ok(link.mtu.unwrap_or(1500))
        }
        (Some(_), _) => Err(taken(parent)),
        (None, _) if !state.call.named.iter().any(|said| said == parent) => {
            Err(denied(&format!("make links on {parent}")))
        }
        (None, Some((mtu, _))) => Ok(*mtu),
        (None, None) => Err(Error::not_found(format!("there is no link {parent}"))),
    }
}
