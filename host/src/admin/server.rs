//! The daemon's side of the admin socket.

use std::{convert::Infallible, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use serde_json::json;

use super::{State, collect};

/// Answers one request.
pub async fn serve(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    Ok(match (request.method(), path) {
        (&Method::GET, "/v1/status") => ok(&collect::status(&state)),
        (&Method::GET, "/v1/drivers") => ok(&collect::drivers(&state)),
        (&Method::GET, "/v1/networks") => ok(&collect::networks(&state)),
        (&Method::GET, "/v1/ports") => ok(&collect::ports(&state)),
        (&Method::GET, "/v1/endpoints") => ok(&collect::endpoints(&state)),
        _ => {
            let text = format!("the daemon does not know {}", path.escape_default());
            respond(StatusCode::NOT_FOUND, json!({ "error": text }).to_string())
        }
    })
}

fn ok(view: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string(view) {
        Ok(body) => respond(StatusCode::OK, body),
        Err(error) => {
            let body = json!({ "error": error.to_string() }).to_string();
            respond(StatusCode::INTERNAL_SERVER_ERROR, body)
        }
    }
}

fn respond(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
