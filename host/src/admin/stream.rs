//! Events for as long as somebody reads, one line of JSON each.

use std::{convert::Infallible, sync::Arc};

use futures::{StreamExt, stream};
use http_body_util::{StreamBody, combinators::BoxBody};
use hyper::{
    Response,
    body::{Bytes, Frame},
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::sync::watch;

use super::State;
use crate::events::{Event, Reader};

/// The body of an answer.
pub(super) type Answer = BoxBody<Bytes, Infallible>;

/// What a reader wants.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Those to come as well.
    follow: bool,
    /// Only those after the one of this number.
    since: Option<u64>,
}

/// The events that are kept, and with `follow=true` those to come; with `since=NUMBER`
/// only those after the one of this number.
pub(super) fn events(state: &State, query: Option<&str>) -> Response<Answer> {
    let wanted = Wanted::from(query.unwrap_or_default());
    let mut reader = state.dispatcher.events().read(wanted.since);
    let first = lines(&reader.take());
    let rest = wanted.follow.then_some((reader, state.stop.clone()));
    let rest = stream::unfold(rest, |place| async move {
        let (mut reader, mut stop) = place?;
        let events = next(&mut reader, &mut stop).await?;
        Some((lines(&events), Some((reader, stop))))
    });
    let frames = stream::iter([first]).chain(rest).map(|line| Ok(Frame::data(line)));
    let mut response = Response::new(BoxBody::new(StreamBody::new(frames)));
    let media_type = HeaderValue::from_static("application/jsonl");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// What comes next; nothing when the daemon stops.
async fn next(reader: &mut Reader, stop: &mut watch::Receiver<bool>) -> Option<Vec<Arc<Event>>> {
    tokio::select! {
        events = reader.next() => Some(events),
        _ = stop.wait_for(|stop| *stop) => None,
    }
}

fn lines(events: &[Arc<Event>]) -> Bytes {
    let mut lines = Vec::new();
    for event in events {
        // An event has nothing that JSON has not, and a Vec takes every byte.
        if serde_json::to_writer(&mut lines, &**event).is_ok() {
            lines.push(b'\n');
        }
    }
    lines.into()
}

// === impl Wanted ===

impl From<&str> for Wanted {
    fn from(query: &str) -> Self {
        let mut wanted = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "follow" => wanted.follow = value == "true",
                "since" => wanted.since = value.parse().ok(),
                _ => {}
            }
        }
        wanted
    }
}
