//! What the nodes of a cluster know in common. A driver sees only its own. Here this host is
//! node "this"; what others publish a test says
//! ([`Docker::published_elsewhere`](crate::mock::Docker::published_elsewhere)).

use crate::{
    Error, IpAddress,
    mock::state::{Row, State, step},
};

pub use crate::bindings::network::wasmnet::driver::cluster::{Entry, Node, Standing};

const GROUP_MAX: usize = 128;
const KEY_MAX: usize = 255;
const VALUE_MAX: usize = 4096;

/// This host.
pub fn this_node() -> Result<Node, Error> {
    step(|_| Ok(node("this")))
}

/// The hosts that are there, this one included, by id.
pub fn nodes() -> Result<Vec<Node>, Error> {
    step(|state| {
        let mut names: Vec<&str> =
            state.elsewhere.iter().map(|(_, _, node, _)| node.as_str()).collect();
        names.push("this");
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(node).collect())
    })
}

/// How this node stands with the others: they always see it.
pub fn presence() -> Result<Standing, Error> {
    step(|_| Ok(Standing { term: 1, age: 0 }))
}

/// For how long a node has not been there, in nanoseconds. Here nobody is known to be gone.
pub fn away(_node: &str) -> Result<Option<u64>, Error> {
    step(|_| Ok(None))
}

/// Follows a group for the call's network for as long as it stands.
pub fn follow(group: &str) -> Result<(), Error> {
    step(|state| {
        let row = (network(state)?, checked(group)?.to_owned());
        if !state.world.followed.contains(&row) {
            state.world.followed.push(row);
        }
        Ok(())
    })
}

/// Publishes a value for the call's endpoint, or else its network: it goes with that.
pub fn publish(group: &str, key: &str, value: &[u8]) -> Result<(), Error> {
    step(|state| {
        network(state)?;
        let key = (checked(group)?.to_owned(), checked_key(key)?.to_owned());
        if value.len() > VALUE_MAX {
            return Err(Error::invalid(format!(
                "a value that the cluster shares must not be longer than {VALUE_MAX} bytes"
            )));
        }
        let scope = state.call.scope.clone();
        state.world.published.insert(key, Row { scope, is: value.to_vec() });
        Ok(())
    })
}

/// Takes back what this call's endpoint or network published; what is not there is fine.
pub fn withdraw(group: &str, key: &str) -> Result<(), Error> {
    step(|state| {
        let scope = state.call.scope.clone();
        let key = (checked(group)?.to_owned(), checked_key(key)?.to_owned());
        if state.world.published.get(&key).is_some_and(|row| row.scope == scope) {
            state.world.published.remove(&key);
        }
        Ok(())
    })
}

/// The entries of a group that the call's network follows, as far as this node knows: with
/// this key, or all; by key and node.
pub fn entries(group: &str, key: Option<&str>) -> Result<Vec<Entry>, Error> {
    step(|state| {
        let follower = (network(state)?, group.to_owned());
        if !state.world.followed.contains(&follower) {
            return Err(Error::invalid(format!("the network does not follow group \"{group}\"")));
        }
        let own = state.world.published.iter().map(|((of, key), row)| (of, key, "this", &row.is));
        let others =
            state.elsewhere.iter().map(|(of, key, node, value)| (of, key, node.as_str(), value));
        let entries = own
            .chain(others)
            .zip(1..)
            .filter(|((of, is, _, _), _)| *of == group && key.is_none_or(|key| *is == key));
        let mut entries: Vec<Entry> = entries
            .map(|((_, key, by, value), revision)| Entry {
                key: key.clone(),
                node: node(by),
                value: value.clone(),
                revision,
            })
            .collect();
        entries.sort_by(|one, other| (&one.key, &one.node.id).cmp(&(&other.key, &other.node.id)));
        Ok(entries)
    })
}

/// An agreed value: the same for all nodes, kept until it is changed.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    step(|state| Ok(state.agreed.get(checked_key(key)?).cloned()))
}

/// The keys of agreed values that begin with `prefix`, sorted.
pub fn keys(prefix: &str) -> Result<Vec<String>, Error> {
    step(|state| Ok(state.agreed.keys().filter(|key| key.starts_with(prefix)).cloned().collect()))
}

/// Writes `new` (none: deletes it) if the value is `old` (none: absent) and says whether it
/// did. At once, and not undone when the call fails.
pub fn compare_and_set(key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool, Error> {
    step(|state| {
        let key = checked_key(key)?;
        if state.agreed.get(key).map(Vec::as_slice) != old {
            return Ok(false);
        }
        match new {
            Some(new) => drop(state.agreed.insert(key.to_owned(), new.to_vec())),
            None => drop(state.agreed.remove(key)),
        }
        Ok(true)
    })
}

/// Waits until an agreed value is not `old`. Here nobody else changes it: it is what it is.
pub fn wait(key: &str, _old: Option<&[u8]>, _patience: u32) -> Result<Option<Vec<u8>>, Error> {
    get(key)
}

/// Has `agreed_changed` called later: by a test
/// ([`Ipam::agreed_changed`](crate::mock::Ipam::agreed_changed)).
pub fn call_later(_after: u64) -> Result<(), Error> {
    step(|_| Ok(()))
}

fn node(name: &str) -> Node {
    // Each name has an address of its own in 192.0.2.0/24 (RFC 5737), this node the first.
    let last = name.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    let last = if name == "this" { 1 } else { 2 + last % 250 };
    let address = IpAddress::Ipv4((192, 0, 2, last));
    Node { id: name.to_owned(), name: name.to_owned(), address }
}

fn network(state: &State) -> Result<String, Error> {
    let network = state.call.scope.network.clone();
    network.ok_or_else(|| {
        Error::invalid("this call is about no network, so it can share nothing of one")
    })
}

fn checked(group: &str) -> Result<&str, Error> {
    match group.len() {
        1..=GROUP_MAX => Ok(group),
        _ => Err(Error::invalid("the name of a group must be 1 to 128 bytes long")),
    }
}

fn checked_key(key: &str) -> Result<&str, Error> {
    match key.len() {
        1..=KEY_MAX => Ok(key),
        _ => Err(Error::invalid("what the cluster shares has keys of 1 to 255 bytes")),
    }
}
