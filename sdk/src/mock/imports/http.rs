//! HTTP requests to servers that the operator has granted. The host in memory reaches none.

use crate::Error;

pub use crate::bindings::network::wasmnet::driver::http::{Field, Request, Response};

/// Sends a request: here nobody answers.
pub fn send(request: &Request) -> Result<Response, Error> {
    Err(Error::unavailable(format!(
        "cannot connect to {}: the host in memory sends nothing",
        request.url
    )))
}
