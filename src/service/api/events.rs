//! Events as they happen, as server-sent events (WHATWG HTML, 9.2).

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;

use super::{
    super::{bus::Message, hub::Hub},
    Shared,
    problem::Problem,
};

/// Most streams at once.
const MOST: usize = 600;
/// What is sent where nothing happens, so that nothing between closes the connection.
const STILL_HERE: Duration = Duration::from_secs(15);

/// A stream that is counted while it is open.
struct Counted(Arc<Hub>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What happens, as it happens
///
/// The event's name is its `type`. Whoever comes back with `Last-Event-ID` is told the last 256 that it has missed. Whoever falls more
/// than 256 behind is left; its browser comes back by itself.
#[utoipa::path(get, path = "/api/events", tag = "events",
    responses((status = 200, body = ref("#/components/schemas/Told"), content_type = "text/event-stream"),
        (status = 503, body = ref("#/components/schemas/Problem"))))]
pub(super) async fn events(State(hub): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    if hub.streams.fetch_add(1, Ordering::Relaxed) >= MOST {
        drop(Counted(hub));
        let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{MOST} streams are open: close some"));
        problem.retry_after = Some(10);
        return Err(problem);
    }
    let counted = Counted(Arc::clone(&hub));
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let (missed, listener) = hub.bus.listen(after);
    let end = hub.cancel.clone();
    let coming = stream::unfold((listener, end, counted), |(mut listener, end, counted)| async move {
        tokio::select! {
            () = end.cancelled() => None,
            // An error is that it has fallen behind, or that nothing comes any more.
            message = listener.recv() => message.ok().map(|message| (event(&message), (listener, end, counted))),
        }
    });
    let missed: Vec<_> = missed.iter().map(|message| event(message)).collect();
    let stream = futures_util::StreamExt::chain(stream::iter(missed), coming);
    Ok(Sse::new(futures_util::StreamExt::map(stream, Ok::<_, Infallible>))
        .keep_alive(KeepAlive::new().interval(STILL_HERE))
        .into_response())
}

fn event(message: &Message) -> Event {
    Event::default().id(message.id.to_string()).event(message.name).data(&message.data)
}
