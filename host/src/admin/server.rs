//! The daemon's side of the admin socket.

use std::{convert::Infallible, sync::Arc};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    State, collect,
    stream::{self, Answer},
    view::LeasesOf,
};
use crate::{doctor, error::chain, id::DriverName, model::Network};

/// Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Largest request, in bytes.
const BODY_MAX: usize = 64 << 10;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers one request.
pub async fn serve(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path();
    Ok(match (request.method(), path) {
        (&Method::GET, "/v1/status") => ok(&collect::status(&state)),
        (&Method::GET, "/v1/drivers") => ok(&collect::drivers(&state)),
        (&Method::GET, "/v1/networks") => ok(&collect::networks(&state)),
        (&Method::GET, "/v1/ports") => ok(&collect::ports(&state)),
        (&Method::GET, "/v1/endpoints") => ok(&collect::endpoints(&state)),
        (&Method::GET, "/v1/ipam") => ok(&collect::ipam(&state).await),
        (&Method::POST, "/v1/ipam/leases") => leases(&state, request).await,
        (&Method::GET, "/v1/doctor") => ok(&doctor::daemon::examine(&state.dispatcher).await),
        (&Method::POST, "/v1/plan/create-network") => plan(&state, request).await,
        (&Method::POST, "/v1/doctor/fix") => fix(&state, request).await,
        (&Method::GET, "/v1/events") => stream::events(&state, request.uri().query()),
        (&Method::GET, "/metrics") => {
            let text = {
                let ledger = state.dispatcher.ledger().read();
                state.dispatcher.events().metrics().text(&ledger)
            };
            respond(StatusCode::OK, METRICS, text)
        }
        (&Method::POST, "/v1/drivers/reload") => match state.roster.reload().await {
            Ok(()) => ok(&collect::drivers(&state)),
            Err(error) => refused(StatusCode::CONFLICT, &chain(&error)),
        },
        (&Method::POST, path) if let Some(name) = driver_to_reset(path) => {
            match collect::reset(&state, name) {
                Some(reset) => ok(&reset),
                None => not_found(&format!(
                    "there is no driver {}; \"wasmnet driver ls\" shows them",
                    name.escape_default()
                )),
            }
        }
        _ => not_found(&format!("the daemon does not know {}", path.escape_default())),
    })
}

/// Mends a finding of the doctor's.
async fn fix(state: &State, request: Request<Incoming>) -> Response<Answer> {
    let fix = match body(request).await {
        Ok(fix) => fix,
        Err(refusal) => return refusal,
    };
    match doctor::daemon::mend(&state.dispatcher, &fix).await {
        Ok(()) => ok(&json!({})),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.external()),
    }
}

/// Some of a pool's leases.
async fn leases(state: &State, request: Request<Incoming>) -> Response<Answer> {
    let LeasesOf { driver, pool, after } = match body(request).await {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal,
    };
    match state.dispatcher.leases(&driver, &pool, after).await {
        Ok(leases) => ok(&leases),
        Err(error) => refused(StatusCode::BAD_REQUEST, &format!("{driver}: {}", error.external())),
    }
}

/// What is to be planned.
#[derive(Debug, Deserialize)]
struct Planned {
    driver: DriverName,
    network: Network,
}

/// What making a network would do.
async fn plan(state: &State, request: Request<Incoming>) -> Response<Answer> {
    let Planned { driver, network } = match body(request).await {
        Ok(planned) => planned,
        Err(refusal) => return refusal,
    };
    match state.dispatcher.plan_network(&driver, &network).await {
        Ok(objects) => ok(&objects),
        Err(error) => refused(StatusCode::BAD_REQUEST, &format!("{driver}: {}", error.external())),
    }
}

/// What a request says.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Response<Answer>> {
    let body = Limited::new(request.into_body(), BODY_MAX).collect().await;
    let said = body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    said.ok_or_else(|| refused(StatusCode::BAD_REQUEST, "the daemon does not understand that"))
}

fn refused(status: StatusCode, text: &str) -> Response<Answer> {
    respond(status, JSON, json!({ "error": text }).to_string())
}

/// The driver in `/v1/drivers/NAME/reset`.
fn driver_to_reset(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/drivers/")?.strip_suffix("/reset")
}

fn not_found(text: &str) -> Response<Answer> {
    refused(StatusCode::NOT_FOUND, text)
}

fn ok(view: &impl Serialize) -> Response<Answer> {
    match serde_json::to_string(view) {
        Ok(body) => respond(StatusCode::OK, JSON, body),
        Err(error) => {
            let body = json!({ "error": error.to_string() }).to_string();
            respond(StatusCode::INTERNAL_SERVER_ERROR, JSON, body)
        }
    }
}

fn respond(status: StatusCode, media_type: HeaderValue, body: String) -> Response<Answer> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
