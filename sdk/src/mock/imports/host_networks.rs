//! What addresses the host itself uses.

use crate::{Error, IpNetwork, mock::state::step};

/// What a test said with [`Host::uses`](crate::mock::Host::uses).
pub fn in_use() -> Result<Vec<IpNetwork>, Error> {
    step(|state| Ok(state.in_use.clone()))
}
