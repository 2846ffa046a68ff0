//! The plugin sockets.

use std::{convert::Infallible, sync::Arc};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
};
use serde::Deserialize;
use serde_json::json;

use super::api::{self, Failure};
use crate::{
    dispatch::Dispatcher,
    error::chain,
    events::{About, Bus, What},
    id::DriverName,
};

/// What Docker's own plugins answer with.
const MEDIA_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";
/// Largest request, in bytes. A container with 65535 published ports needs 6 MB.
const BODY_MAX: usize = 8 << 20;

/// Answers one request to the socket of driver `name`.
///
/// The call runs as a task of its own: an engine that dies in the middle of a
/// call closes its connection, and half a call must not be what remains.
pub async fn serve(
    dispatcher: Arc<Dispatcher>,
    name: DriverName,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.uri().path().trim_start_matches('/').to_owned();
    if request.method() != Method::POST {
        let text = "only POST is part of the plugin protocol";
        return Ok(failure(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    let body = match Limited::new(request.into_body(), BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            let text = "the request is too large or was cut off";
            return Ok(failure(StatusCode::BAD_REQUEST, text));
        }
    };
    let call = tokio::spawn(async move {
        let answer = api::handle(&dispatcher, &name, &method, &body).await;
        if let Err(error) = &answer {
            let about = About { driver: Some(name.clone()), ..ids(&body) };
            tell(dispatcher.events(), about, &name, &method, error);
        } else {
            dispatcher.events().metrics().count_call(&name, &method, "ok");
        }
        respond(&name, &method, answer)
    });
    Ok(call.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a call failed inside the host");
        failure(StatusCode::INTERNAL_SERVER_ERROR, "the host failed; see its log")
    }))
}

/// Tells of a call that did not work.
fn tell(events: &Bus, about: About, name: &DriverName, method: &str, error: &Failure) {
    let code = error.code();
    // Whoever asks for what is not there must not fill the counters with names.
    let counted = match error {
        Failure::UnknownMethod(_) => "unknown",
        _ => method,
    };
    events.metrics().count_call(name, counted, code);
    let (method, code) = (method.escape_debug().to_string(), code.to_owned());
    events.send(about, What::CallFailed { method, code, sentence: sentence(error) });
}

/// The network and the endpoint that a request is about, if it can be read.
fn ids(body: &[u8]) -> About {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Ids {
        #[serde(rename = "NetworkID")]
        network: Option<String>,
        #[serde(rename = "EndpointID")]
        endpoint: Option<String>,
    }
    let Ids { network, endpoint } = serde_json::from_slice(body).unwrap_or_default();
    About {
        driver: None,
        network: network.and_then(|id| id.parse().ok()),
        endpoint: endpoint.and_then(|id| id.parse().ok()),
    }
}

/// What the engine is told, the driver's name left out.
fn sentence(error: &Failure) -> String {
    match error {
        Failure::UnknownMethod(_) => error.to_string(),
        Failure::Invalid(_) | Failure::Encode(_) => chain(error),
        Failure::Dispatch(error) => error.external(),
    }
}

fn respond(
    name: &DriverName,
    method: &str,
    answer: Result<serde_json::Value, Failure>,
) -> Response<Full<Bytes>> {
    let error = match answer {
        Ok(answer) => {
            tracing::debug!(driver = %name, method, "answered");
            return response(StatusCode::OK, answer.to_string());
        }
        Err(error) => error,
    };
    // What is for the log may hold more than what is for Docker's user.
    let method = method.escape_debug();
    tracing::warn!(driver = %name, %method, error = %chain(&error), "call failed");
    let text = sentence(&error);
    match &error {
        Failure::UnknownMethod(_) => failure(StatusCode::NOT_FOUND, &text),
        Failure::Invalid(_) => failure(StatusCode::BAD_REQUEST, &text),
        Failure::Dispatch(_) => {
            failure(StatusCode::INTERNAL_SERVER_ERROR, &format!("{name}: {text}"))
        }
        Failure::Encode(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, &text),
    }
}

/// Network drivers report failures as `Err`, IPAM drivers as `Error`: with both,
/// the sentence arrives on every engine.
fn failure(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, json!({ "Err": text, "Error": text }).to_string())
}

fn response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(MEDIA_TYPE));
    response
}
