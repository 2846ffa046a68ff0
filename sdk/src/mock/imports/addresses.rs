//! Addresses on links of this driver (ip-address(8)).

use crate::{
    Error, IpNetwork,
    links::Link,
    mock::{
        object::{Object, net},
        state::{State, denied, operation},
    },
};

/// Adds an address to a link: one of the network's subnets, or one that the operator granted
/// ([`Host::allow`](crate::mock::Host::allow)).
pub fn add(link: &Link, address: IpNetwork) -> Result<(), Error> {
    let object = Object::Address { link: link.name(), address };
    operation(|state| {
        state.link(&link.name())?;
        check_own(state, address, "use")?;
        put(state, object, format!("cannot set address {address} on {}", link.name()))
    })
}

/// Removes an address that this driver added.
pub fn remove(link: &Link, address: IpNetwork) -> Result<(), Error> {
    let object = Object::Address { link: link.name(), address };
    operation(|state| take(state, &object, format!("address {address}")))
}

/// Makes what is not there yet.
pub(super) fn put(state: &mut State, object: Object, what: String) -> Result<(), Error> {
    if state.world.objects.iter().any(|row| row.is == object) {
        return Err(Error::exists(format!("{what}: there is one already")));
    }
    state.make(object);
    Ok(())
}

/// Takes away what the driver made.
pub(super) fn take(state: &mut State, object: &Object, what: String) -> Result<(), Error> {
    let count = state.world.objects.len();
    state.retain(|_, other| other != object);
    match state.world.objects.len() < count {
        true => Ok(()),
        false => Err(Error::not_found(format!("there is no {what} of this driver"))),
    }
}

/// An address, or a whole subnet, must be the network's or granted.
pub(super) fn check_own(state: &State, address: IpNetwork, verb: &str) -> Result<(), Error> {
    let Some(wanted) = net(address) else {
        return Err(Error::invalid(format!(
            "{} cannot have prefix length {}",
            address.address, address.prefix_length
        )));
    };
    // Docker's null IPAM driver hands out "0.0.0.0/0": no subnet of anybody's.
    let own = state.call.subnets.iter().filter(|subnet| subnet.prefix_length > 0);
    let mut own = own.chain(&state.allowed).copied().filter_map(net);
    match own.any(|own| own.contains(&wanted)) {
        true => Ok(()),
        false => Err(denied(&format!("{verb} {address}, outside the network's subnets"))),
    }
}
