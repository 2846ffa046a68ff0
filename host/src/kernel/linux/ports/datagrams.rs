//! A UDP socket that answers from the address it was asked at.
//!
//! A socket bound to all addresses lets the kernel pick the source of an answer, and a host
//! with several addresses then answers from one its client never asked. Packet information
//! (ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO) says which address it was, and sets it again.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
        setsockopt, sockopt,
    },
};
use tokio::{io::Interest, net::UdpSocket};

/// A bound UDP socket.
pub(super) struct Datagrams(UdpSocket);

/// Who asked, and at which of the host's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Way {
    client: SocketAddr,
    at: IpAddr,
}

// === impl Datagrams ===

impl Datagrams {
    /// Takes a bound socket that does not block.
    pub(super) fn new(socket: OwnedFd, ipv6: bool) -> io::Result<Self> {
        if ipv6 {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }

    /// Waits for a datagram.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Way)> {
        self.0.async_io(Interest::READABLE, || self.try_receive(buffer)).await
    }

    /// Answers.
    pub(super) async fn send(&self, bytes: &[u8], way: Way) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, || self.try_send(bytes, way)).await
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Way)> {
        let mut room = cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
        let mut data = [IoSliceMut::new(buffer)];
        let descriptor = self.0.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(
            descriptor,
            &mut data,
            Some(&mut room),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let at = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::from(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Some(IpAddr::from(Ipv6Addr::from(info.ipi6_addr.s6_addr)))
            }
            _ => None,
        });
        let client = message.address.as_ref().and_then(address);
        match (client, at) {
            (Some(client), Some(at)) => Ok((message.bytes, Way { client, at })),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn try_send(&self, bytes: &[u8], way: Way) -> io::Result<()> {
        let data = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(way.client);
        let descriptor = self.0.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        match way.at {
            IpAddr::V4(at) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(at).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                sendmsg(
                    descriptor,
                    &data,
                    &[ControlMessage::Ipv4PacketInfo(&info)],
                    flags,
                    Some(&to),
                )?;
            }
            IpAddr::V6(at) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: at.octets() },
                    ipi6_ifindex: 0,
                };
                sendmsg(
                    descriptor,
                    &data,
                    &[ControlMessage::Ipv6PacketInfo(&info)],
                    flags,
                    Some(&to),
                )?;
            }
        }
        Ok(())
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
}
