//! What a driver's answers must be like, whatever the driver.

use crate::{
    id::NetworkId,
    kernel::Object,
    ledger::{Changes, Scope, State},
    model::{EndpointRequest, EndpointSettings, JoinInfo},
    runtime::CallError,
};

/// Longest interface prefix; the kernel's names have 15 bytes, the number needs some.
const PREFIX_MAX: usize = 12;

/// Keeps of a driver's settings what the request left open: the engine takes any
/// other field for an attempt to change its own choice, even if it is equal.
pub(super) fn settings(
    state: &State,
    network: &NetworkId,
    request: &EndpointRequest,
    settings: EndpointSettings,
) -> Result<EndpointSettings, CallError> {
    let method = "create-endpoint";
    let other = |what: &str| CallError::Answer {
        method,
        reason: format!("it changed the {what} that was asked for"),
    };
    if request.mac.is_some() && settings.mac.is_some() && settings.mac != request.mac {
        return Err(other("MAC address"));
    }
    if request.ipv4.is_some() && settings.ipv4.is_some() && settings.ipv4 != request.ipv4 {
        return Err(other("IPv4 address"));
    }
    if request.ipv6.is_some() && settings.ipv6.is_some() && settings.ipv6 != request.ipv6 {
        return Err(other("IPv6 address"));
    }
    let chosen = EndpointSettings {
        ipv4: settings.ipv4.filter(|_| request.ipv4.is_none()),
        ipv6: settings.ipv6.filter(|_| request.ipv6.is_none()),
        mac: settings.mac.filter(|_| request.mac.is_none()),
    };
    let taken = chosen.mac.filter(|mac| {
        state
            .endpoints_of(network)
            .any(|(_, other)| other.request.mac.or(other.settings.mac) == Some(*mac))
    });
    if let Some(mac) = taken {
        let reason = format!("another endpoint of the network has MAC address {mac}");
        return Err(CallError::Answer { method, reason });
    }
    Ok(chosen)
}

/// The container's interface must be the endpoint's own.
pub(super) fn join(
    state: &State,
    changes: &Changes,
    scope: &Scope,
    info: &JoinInfo,
) -> Result<(), CallError> {
    let Some(interface) = &info.interface else { return Ok(()) };
    let wrong = |reason: String| CallError::Answer { method: "join", reason };
    let prefix = &interface.prefix;
    let fits = !prefix.is_empty()
        && prefix.len() <= PREFIX_MAX
        && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits {
        return Err(wrong(format!("{} cannot begin a link's name", quoted(prefix))));
    }
    let own = |object: &Object| match object {
        Object::Link(link) => {
            link.container_end().unwrap_or(&link.name).as_str() == interface.source
        }
        _ => false,
    };
    let stored = state
        .objects
        .in_scope(scope)
        .filter(|(key, _)| !changes.objects.contains_key(*key))
        .any(|(_, entry)| own(&entry.object));
    let made = changes
        .objects
        .values()
        .flatten()
        .any(|entry| !entry.doomed && entry.scope == *scope && own(&entry.object));
    if stored || made {
        Ok(())
    } else {
        Err(wrong(format!("{} is no link of this endpoint", quoted(&interface.source))))
    }
}

/// A driver's word in a sentence, or how long it is if nobody would read it.
fn quoted(text: &str) -> String {
    const READABLE: usize = 40;
    match text.len() {
        0..=READABLE => format!("\"{}\"", text.escape_default()),
        length => format!("a name of {length} bytes"),
    }
}
