//! What a driver may do: the component's manifest asks, the operator grants, and only
//! what both say is allowed.
//!
//! Every import that reaches for something ends in a [`Transaction`](crate::ledger), and
//! there in one question to [`Authority::check`]. What is a driver's own needs no grant:
//! links that it made (the ledger knows them, not their names), addresses and routes
//! within its network's subnets, the name that the user chose for a bridge. All else
//! does. A refusal is a [`Denial`] with a stable [`Code`] that is the same for Docker's
//! user, in the log, in the events and in the metrics, and that `wasmnet explain` knows.

mod authority;
mod code;
mod outside;
mod pattern;
mod table;
mod words;

pub use self::{
    authority::{About, Authority, Permits, Request},
    code::{Code, Denial, Reason},
    outside::{FilePattern, HostPattern, InvalidFile, InvalidHost},
    pattern::{Pattern, PortRange},
    table::{Grants, Kind},
};
