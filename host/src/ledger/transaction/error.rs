//! What can go wrong in a transaction.

use std::net::{IpAddr, SocketAddr};

use crate::{
    cluster,
    grants::Denial,
    kernel::{self, InvalidLinkName, LinkName},
    ledger,
};

/// Why a step of a call, or its commit, did not work.
#[derive(Debug, thiserror::Error)]
pub enum TxError {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(kernel::Error),
    /// The ledger could not be written.
    #[error("cannot record the change")]
    Ledger(#[source] ledger::Error),
    /// There is a link of this label in the call's scope already.
    #[error("there is a link \"{0}\" here already")]
    LabelTaken(String),
    /// There is none.
    #[error("there is no link \"{0}\" here")]
    NoLabel(String),
    /// A link that a handle stood for is gone.
    #[error("link {0} is gone")]
    LinkGone(LinkName),
    /// The user's name for a link will not do.
    #[error(transparent)]
    Name(#[from] InvalidLinkName),
    /// The user's name for a link is one that the host keeps for itself.
    #[error("link name {0} is of the form the host picks names by; choose another")]
    NameReserved(LinkName),
    /// A link of this name belongs to somebody else.
    #[error("there is a link {0} on this host already; choose another name or remove it")]
    NameTaken(LinkName),
    /// Two subnets of a bridge with different source NAT.
    #[error("the subnets of one family on bridge {0} must all have the same source NAT")]
    MixedNat(LinkName),
    /// No such VXLAN network identifier can be.
    #[error("{0} is no VXLAN network identifier; use one from 1 to 16777215")]
    Vni(u32),
    /// The host has a tunnel endpoint of this VXLAN network identifier already.
    #[error(
        "VXLAN network identifier {vni} is in use on this host with UDP port {port}; choose another"
    )]
    VniTaken {
        /// The identifier.
        vni: u32,
        /// The port.
        port: u16,
    },
    /// Only a tunnel endpoint has forwarding entries that lead to others.
    #[error("link {0} is no VXLAN tunnel endpoint, so it forwards nothing to others")]
    NotVxlan(LinkName),
    /// No such VLAN identifier can be.
    #[error("{0} is no VLAN identifier; use one from 1 to 4094")]
    Vlan(u16),
    /// What several networks may have is not an endpoint's.
    #[error("a VLAN link is a network's; a call about an endpoint cannot make one")]
    NotAnEndpoints,
    /// The link is not made on another one.
    #[error("link {0} is not made on another link whose addresses it could answer for")]
    NoParent(LinkName),
    /// Somebody has the UDP port of a VXLAN tunnel endpoint.
    #[error("UDP port {0} is in use on this host; choose another for the VXLAN")]
    UdpPortTaken(u16),
    /// No link of the host has this address.
    #[error("{0} is not an address of this host; set node.address in the configuration")]
    NotOurAddress(IpAddr),
    /// The driver does not have this object.
    #[error("there is no {0} of this driver")]
    NoObject(kernel::ObjectKey),
    /// The call is about no network, so there is nothing for a link to belong to.
    #[error("this call is about no network and can make nothing in the kernel")]
    NoScope,
    /// The call is about no endpoint.
    #[error("this call is about no {0}, so it has no keys of one")]
    NoKeyScope(&'static str),
    /// Only a port of a network's bridge can publish.
    #[error("link {0} is no port of a network's bridge")]
    NoBridge(LinkName),
    /// The container has no address that the host could send to.
    #[error("container port {0} cannot be published: the container has no address of that family")]
    NothingToPublish(u16),
    /// Docker's own sentence for a port that somebody has.
    #[error("Bind for {0} failed: port is already allocated")]
    PortTaken(SocketAddr),
    /// And for a range of them.
    #[error("Bind for {host}:{first}-{last} failed: all ports are allocated")]
    PortsTaken {
        /// The host's address.
        host: IpAddr,
        /// The range's first port.
        first: u16,
        /// Its last.
        last: u16,
    },
    /// No ephemeral port is free.
    #[error("Bind for {0} failed: no port of net.ipv4.ip_local_port_range is free")]
    NoPortLeft(IpAddr),
    /// The driver may not do that.
    #[error(transparent)]
    Denied(Denial),
    /// The operator's limit.
    #[error("a call may do at most {0} kernel operations")]
    TooManyOperations(u32),
    /// The operator's limit.
    #[error("a call may make at most {0} links")]
    TooManyLinks(u32),
    /// The operator's limit.
    #[error("the driver's store is full ({0} bytes)")]
    StoreFull(usize),
    /// A store key has no proper length.
    #[error("a store key must be 1 to 255 bytes long")]
    Key,
    /// The cluster's store does not work.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// There is no cluster to ask.
    #[error("this call knows nothing of a cluster")]
    NoCluster,
    /// The call is about no network.
    #[error("this call is about no network, so it can share nothing of one")]
    NotOfNetwork,
    /// A group's name has no proper length.
    #[error("the name of a group must be 1 to 128 bytes long")]
    Group,
    /// A key has no proper length.
    #[error("what the cluster shares has keys of 1 to 255 bytes")]
    SharedKey,
    /// A value is too long.
    #[error("a value that the cluster shares must not be longer than {0} bytes")]
    ValueTooLong(usize),
    /// The network publishes too much.
    #[error("a network and its endpoints may publish at most {0} values")]
    TooManyPublished(usize),
    /// The network follows too much.
    #[error("a network may follow at most {0} groups")]
    TooManyGroups(usize),
    /// The network does not follow this group.
    #[error("the network does not follow group \"{0}\"")]
    NotFollowed(String),
    /// The request could not be sent, or brought no answer.
    #[error(transparent)]
    Http(#[from] crate::outbound::Error),
    /// A plan changes nothing anywhere.
    #[error("a plan sends no {0} requests, only GET and HEAD")]
    HttpInPlan(String),
    /// The file cannot be read.
    #[error("cannot read {}", .0.escape_default())]
    File(String, #[source] std::io::Error),
    /// The path leads elsewhere, or is none.
    #[error("{} is no plain absolute path of a file", .0.escape_default())]
    FilePath(String),
    /// The file is too long.
    #[error("{path} is longer than {limit} bytes", path = .0.escape_default(), limit = .1)]
    FileTooLong(String, u64),
    /// The setting is not a name that stands below net.ipv4.conf or net.ipv6.conf.
    #[error("\"{0}\" is not the name of a link's setting")]
    SettingName(String),
    /// The call was given up before this step.
    #[error("the call is over")]
    Closed,
    /// A bug of the host's.
    #[error("the host failed in the middle of a step")]
    Panicked(#[source] tokio::task::JoinError),
}
