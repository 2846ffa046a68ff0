//! `wasmnet events`.

use std::{io, ops::ControlFlow, path::Path};

use super::{args::Events, output, show::Error};
use crate::{
    admin::client::get_lines,
    events::{Event, What},
    id::short,
};

/// Prints events, one line each.
pub(super) async fn show(socket: &Path, wanted: &Events, json: bool) -> Result<(), Error> {
    let path = if wanted.follow { "/v1/events?follow=true" } else { "/v1/events" };
    let mut printed = Ok(());
    get_lines(socket, path, |event: Event| {
        if !wanted.matches(&event) {
            return ControlFlow::Continue(());
        }
        let line = if json {
            serde_json::to_string(&event).map_err(io::Error::other)
        } else {
            Ok(line(&event))
        };
        match line.and_then(|line| output::line(&line)) {
            Ok(going_on) => going_on,
            Err(error) => {
                printed = Err(error);
                ControlFlow::Break(())
            }
        }
    })
    .await?;
    Ok(printed?)
}

/// TIME EVENT DRIVER NETWORK ENDPOINT SENTENCE, what is not known as a dash.
fn line(event: &Event) -> String {
    let Event { time, about, what, .. } = event;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let driver = or_dash(about.driver.as_ref().map(ToString::to_string));
    let network = or_dash(about.network.as_ref().map(|id| short(id.as_str())));
    let endpoint = or_dash(about.endpoint.as_ref().map(|id| short(id.as_str())));
    format!("{time}  {:<17} {driver} {network} {endpoint}  {what}", what.name())
}

// === impl Events ===

impl Events {
    fn matches(&self, event: &Event) -> bool {
        let about = &event.about;
        let is = |wanted: &Option<String>, matches: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_none_or(matches)
        };
        let network = is(&self.network, &|wanted| {
            about.network.as_ref().is_some_and(|id| id.as_str().starts_with(wanted))
        });
        let driver = is(&self.driver, &|wanted| {
            about.driver.as_ref().is_some_and(|name| name.as_str() == wanted)
        });
        // Nobody knows what was lost.
        (network && driver) || matches!(event.what, What::Lost { .. })
    }
}
