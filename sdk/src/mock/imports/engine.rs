//! The engine on the other side of the plugin socket.

use crate::mock::state::with;

/// Changes when the engine was started anew, and never otherwise: see
/// [`Ipam::restart_engine`](crate::mock::Ipam::restart_engine).
pub fn session() -> u64 {
    with(|state| state.session)
}
