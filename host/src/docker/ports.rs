//! Published ports as Docker writes them (`com.docker.network.portmap`).

use serde::Deserialize;

use super::wire::{Invalid, RawOptions};
use crate::model::{PortBinding, Protocol};

const PORTMAP: &str = "com.docker.network.portmap";

/// libnetwork's types.PortBinding. `IP` is the container's side and always empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    /// The IP protocol's number.
    proto: u8,
    port: u16,
    #[serde(rename = "HostIP", default)]
    host_ip: String,
    #[serde(default)]
    host_port: u16,
    #[serde(default)]
    host_port_end: u16,
}

/// The published ports among a call's options, sorted: Docker's order is not stable.
pub(super) fn published(options: &RawOptions) -> Result<Vec<PortBinding>, Invalid> {
    let Some(portmap) = options.get(PORTMAP).filter(|portmap| !portmap.is_null()) else {
        return Ok(Vec::new());
    };
    let bindings: Vec<Binding> = serde_json::from_value(portmap.clone()).map_err(Invalid::Json)?;
    let mut ports = bindings.iter().map(port).collect::<Result<Vec<_>, _>>()?;
    ports.sort();
    ports.dedup();
    Ok(ports)
}

fn port(binding: &Binding) -> Result<PortBinding, Invalid> {
    let protocol = match binding.proto {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        132 => Protocol::Sctp,
        other => {
            return Err(Invalid::Port(format!("protocol {other} is not TCP, UDP or SCTP")));
        }
    };
    let first = binding.host_port;
    // Engines leave the end out where there is no range.
    let last = binding.host_port_end.max(first);
    Ok(PortBinding {
        protocol,
        container_port: binding.port,
        host_address: match binding.host_ip.as_str() {
            "" => None,
            ip => Some(ip.parse().map_err(|_| {
                Invalid::Port(format!("\"{}\" is no address", ip.escape_default()))
            })?),
        },
        host_ports: (first, last),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_docker_writes_them() {
        let options: RawOptions = serde_json::from_str(
            r#"{"com.docker.network.portmap":[
                {"Proto":17,"IP":"","Port":53,"HostIP":"127.0.0.1","HostPort":0,"HostPortEnd":0},
                {"Proto":6,"IP":"","Port":80,"HostIP":"","HostPort":8080,"HostPortEnd":8090},
                {"Proto":6,"IP":"","Port":80,"HostIP":"","HostPort":8080,"HostPortEnd":8090}]}"#,
        )
        .unwrap();
        let ports = published(&options).unwrap();
        assert_eq!(ports.len(), 2);
        assert_eq!(ports[0].host_ports, (8080, 8090));
        assert_eq!(ports[1].host_address, Some("127.0.0.1".parse().unwrap()));
        assert!(published(&RawOptions::new()).unwrap().is_empty());
        let null = serde_json::from_str(r#"{"com.docker.network.portmap":null}"#).unwrap();
        assert!(published(&null).unwrap().is_empty());
        let icmp = serde_json::from_str(r#"{"com.docker.network.portmap":[{"Proto":1,"Port":0}]}"#);
        assert!(published(&icmp.unwrap()).is_err());
    }
}
