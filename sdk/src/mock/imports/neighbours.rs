//! Permanent neighbour entries on links of this driver (ip-neighbour(8)).

use super::addresses::take;
use crate::{
    Error, IpAddress, MacAddress,
    links::Link,
    mock::{object::Object, state::operation},
};

/// Adds or replaces the permanent ARP or ND entry of `address`.
pub fn add(link: &Link, address: IpAddress, mac: MacAddress) -> Result<(), Error> {
    let name = link.name();
    operation(|state| {
        state.link(&name)?;
        state.retain(|_, object| !matches!(object, Object::Neighbour { link, address: same, .. } if *link == name && *same == address));
        state.make(Object::Neighbour { link: name, address, mac });
        Ok(())
    })
}

/// Removes an entry that this driver added.
pub fn remove(link: &Link, address: IpAddress, mac: MacAddress) -> Result<(), Error> {
    let object = Object::Neighbour { link: link.name(), address, mac };
    operation(|state| take(state, &object, format!("neighbour {address}")))
}

/// Answers on a link for the IPv6 addresses of the link it is made on.
pub fn answer_for_parent(link: &Link) -> Result<(), Error> {
    let name = link.name();
    operation(|state| state.link(&name).map(drop))
}

/// Says, or says anew, behind which VTEP an Ethernet address is: adds or replaces the
/// permanent entry of a VXLAN link's forwarding database (bridge(8), `fdb`).
pub fn add_forwarding(link: &Link, mac: MacAddress, vtep: IpAddress) -> Result<(), Error> {
    let name = link.name();
    operation(|state| {
        state.link(&name)?;
        state.retain(|_, object| !is_of(object, &name, mac));
        state.make(Object::Forwarding { link: name, mac, vtep });
        Ok(())
    })
}

/// Removes a forwarding entry that this driver added.
pub fn remove_forwarding(link: &Link, mac: MacAddress) -> Result<(), Error> {
    let name = link.name();
    operation(|state| {
        let rows = &state.world.objects;
        let object = rows.iter().find(|row| is_of(&row.is, &name, mac)).map(|row| row.is.clone());
        match object {
            Some(object) => take(state, &object, String::new()),
            None => Err(Error::not_found("there is no such forwarding entry of this driver")),
        }
    })
}

fn is_of(object: &Object, name: &str, mac: MacAddress) -> bool {
    matches!(object, Object::Forwarding { link, mac: same, .. } if link == name && *same == mac)
}
