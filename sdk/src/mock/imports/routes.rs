//! Routes through links of this driver, in the host's main table (ip-route(8)).

use super::addresses::{check_own, put, take};
use crate::{
    Error, IpAddress, IpNetwork,
    links::Link,
    mock::{object::Object, state::operation},
};

/// Adds a route through a link, by a gateway or directly connected.
pub fn add(link: &Link, destination: IpNetwork, gateway: Option<IpAddress>) -> Result<(), Error> {
    let object = Object::Route { link: link.name(), destination, gateway };
    operation(|state| {
        state.link(&link.name())?;
        check_own(state, destination, "route")?;
        if destination.subnet() != destination {
            return Err(Error::invalid(format!("destination {destination} has host bits set")));
        }
        let ipv4 = |address| matches!(address, IpAddress::Ipv4(_));
        if gateway.is_some_and(|gateway| ipv4(gateway) != ipv4(destination.address)) {
            return Err(Error::invalid(format!(
                "the gateway to {destination} is of the other family"
            )));
        }
        put(state, object, format!("cannot set the route to {destination} through {}", link.name()))
    })
}

/// Removes a route that this driver added.
pub fn remove(
    link: &Link,
    destination: IpNetwork,
    gateway: Option<IpAddress>,
) -> Result<(), Error> {
    let object = Object::Route { link: link.name(), destination, gateway };
    operation(|state| take(state, &object, format!("route to {destination}")))
}
