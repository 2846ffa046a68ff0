//! What a refused call says about the driver.

use super::report::Kind;
use crate::{dispatch, docker::Failure, runtime::CallError};

/// A call that did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What kind of mistake it is, if it is one.
    pub kind: Kind,
    /// What is said about it.
    pub says: String,
    /// The driver's own code, if it was the driver that said no.
    pub code: Option<&'static str>,
}

// === impl Refusal ===

impl Refusal {
    /// Whether the driver has said no in good order.
    pub(super) fn is_a_no(&self) -> bool {
        self.code.is_some() && !matches!(self.kind, Kind::Sentence | Kind::Denied)
    }
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Dispatch(error) => Self::from(error),
            failure => Self { kind: Kind::Refused, says: crate::error::chain(failure), code: None },
        }
    }
}

impl From<&dispatch::Error> for Refusal {
    fn from(error: &dispatch::Error) -> Self {
        let refusal = |kind| Self { kind, says: error.external(), code: None };
        match error {
            dispatch::Error::Forced { source, .. } => Self::from(&**source),
            dispatch::Error::Call(call) => match call {
                CallError::Trap { source, method, .. } if out_of_fuel(source) => Self {
                    kind: Kind::Endless,
                    says: format!("the driver does not come to an end in {method}"),
                    code: None,
                },
                CallError::Deadline { .. } => refusal(Kind::Endless),
                CallError::Trap { .. } => refusal(Kind::Crash),
                CallError::Answer { .. } => refusal(Kind::Answer),
                CallError::Driver { code, message } => {
                    let (kind, says) = judge(code, message);
                    Self { kind, says, code: Some(code) }
                }
                _ => refusal(Kind::Refused),
            },
            _ => refusal(Kind::Refused),
        }
    }
}

fn out_of_fuel(trap: &wasmtime::Error) -> bool {
    trap.downcast_ref::<wasmtime::Trap>() == Some(&wasmtime::Trap::OutOfFuel)
}

fn judge(code: &'static str, message: &str) -> (Kind, String) {
    if message.is_empty() {
        return (Kind::Sentence, "the driver refuses without a sentence".to_owned());
    }
    match code {
        "denied" => (Kind::Denied, message.to_owned()),
        "exhausted" if message.contains("a call may") => (Kind::Limit, message.to_owned()),
        _ => (Kind::Refused, message.to_owned()),
    }
}
