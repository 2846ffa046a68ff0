//! What a driver can import: each interface of the contract on its call's transaction.

mod cluster;
mod firewall;
mod links;
mod on_links;
mod outside;
mod store;
mod system;

pub use self::links::LinkHandle;

use super::bindings::network::wasmnet::driver::types;
use crate::{
    error::chain,
    kernel::{Error as KernelError, Refusal},
    ledger::TxError,
};

/// A failure as the driver sees it.
fn error_out(error: &TxError) -> types::Error {
    use types::ErrorCode::*;
    let code = match error {
        TxError::Kernel(error) => kernel_code(error),
        TxError::Denied(_) => Denied,
        TxError::LabelTaken(_) | TxError::NameTaken(_) => Exists,
        TxError::NoLabel(_) | TxError::LinkGone(_) | TxError::NoObject(_) => NotFound,
        TxError::Name(_) | TxError::NameReserved(_) | TxError::NoScope | TxError::NoKeyScope(_) => {
            Invalid
        }
        TxError::Key | TxError::SettingName(_) => Invalid,
        TxError::NoBridge(_) | TxError::NothingToPublish(_) => Invalid,
        TxError::Vni(_) | TxError::NotOurAddress(_) | TxError::MixedNat(_) => Invalid,
        TxError::Vlan(_) | TxError::NotAnEndpoints | TxError::NoParent(_) => Invalid,
        TxError::NotVxlan(_) => Invalid,
        TxError::NotOfNetwork | TxError::Group | TxError::SharedKey => Invalid,
        TxError::ValueTooLong(_) | TxError::NotFollowed(_) => Invalid,
        TxError::TooManyPublished(_) | TxError::TooManyGroups(_) => Exhausted,
        TxError::Cluster(_) | TxError::NoCluster => Unavailable,
        TxError::Http(crate::outbound::Error::Request(_)) | TxError::FilePath(_) => Invalid,
        TxError::Http(_) | TxError::HttpInPlan(_) => Unavailable,
        TxError::File(_, error) if error.kind() == std::io::ErrorKind::NotFound => NotFound,
        TxError::File(..) => Unavailable,
        TxError::FileTooLong(..) => Exhausted,
        TxError::VniTaken { .. } | TxError::UdpPortTaken(_) => InUse,
        TxError::PortTaken(_) | TxError::PortsTaken { .. } => InUse,
        TxError::NoPortLeft(_) => Exhausted,
        TxError::TooManyOperations(_) | TxError::TooManyLinks(_) | TxError::StoreFull(_) => {
            Exhausted
        }
        TxError::Ledger(_) | TxError::Closed | TxError::Panicked(_) => Unavailable,
    };
    types::Error { code, message: chain(error) }
}

fn kernel_code(error: &KernelError) -> types::ErrorCode {
    match error {
        error if error.is_exists() => types::ErrorCode::Exists,
        KernelError::NoLink(_) => types::ErrorCode::NotFound,
        KernelError::Firewall(Refusal::Tool(_)) => types::ErrorCode::Unavailable,
        _ => types::ErrorCode::Kernel,
    }
}

impl types::Host for super::call::CallState {}
