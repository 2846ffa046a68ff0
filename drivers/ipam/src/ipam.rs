//! The logic: pools, and addresses of them.
//!
//! Nothing here takes longer because there is much in the books: what could (forgetting a
//! subnet's leases, taking expired ones back) is done a few at a time.

mod addresses;
mod blocks;
mod choose;
mod join;
mod leases;
mod pools;
mod reports;
mod singles;
mod tend;

/// Addresses and pools, on these books and in this world.
#[derive(Debug)]
pub struct Ipam<S, W> {
    /// The books.
    pub store: S,
    /// What is outside.
    pub world: W,
}
