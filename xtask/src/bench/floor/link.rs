//! The floor's links, by netlink.

use std::io;
use std::net::IpAddr;

use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};
use tokio::runtime::{Builder, Runtime};

/// A netlink socket and the thread's way to wait for it.
pub struct Links {
    runtime: Runtime,
    handle: Handle,
}

// === impl Links ===

impl Links {
    /// Opens the socket in the calling thread's network.
    pub fn open() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let handle = {
            let _inside = runtime.enter();
            let (connection, handle, _) = rtnetlink::new_connection()?;
            runtime.spawn(connection);
            handle
        };
        Ok(Self { runtime, handle })
    }

    /// Makes a bridge with an address, such as "172.20.0.1/16".
    pub fn add_bridge(&self, name: &str, gateway: &str) -> io::Result<()> {
        let (address, length) = parse(gateway)?;
        self.runtime.block_on(async {
            let link = LinkBridge::new(name).build();
            self.handle.link().add(link).execute().await.map_err(io::Error::other)?;
            let index = index(name)?;
            let add = self.handle.address().add(index, address, length);
            add.execute().await.map_err(io::Error::other)?;
            let up = LinkUnspec::new_with_index(index).up().build();
            self.handle.link().change(up).execute().await.map_err(io::Error::other)
        })
    }

    /// Makes a pair of links, one end a port of the bridge.
    pub fn add_veth(&self, port: &str, peer: &str, bridge: &str) -> io::Result<()> {
        let link = LinkVeth::new(port, peer).controller(index(bridge)?).up().build();
        let add = self.handle.link().add(link);
        self.runtime.block_on(add.execute()).map_err(io::Error::other)
    }

    /// Deletes a link and waits until it is gone.
    pub fn delete(&self, name: &str) -> io::Result<()> {
        let del = self.handle.link().del(index(name)?);
        self.runtime.block_on(del.execute()).map_err(io::Error::other)
    }
}

/// The kernel's number of a link of this network.
fn index(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
}

fn parse(gateway: &str) -> io::Result<(IpAddr, u8)> {
    let parsed = gateway
        .split_once('/')
        .and_then(|(address, length)| Some((address.parse().ok()?, length.parse().ok()?)));
    parsed.ok_or_else(|| io::Error::other(format!("no gateway: {gateway:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_has_a_length() {
        assert_eq!(parse("172.20.0.1/16").ok(), Some(([172, 20, 0, 1].into(), 16)));
        assert!(parse("172.20.0.1").is_err());
        assert!(parse("").is_err());
    }
}
