//! `GET /v1/sync/events`: pokes. A hint that there is something to pull, never the thing itself.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use motomind_protocol::wire::Poke;
use tokio::sync::watch;

use crate::App;
use crate::app::now_ms;
use crate::auth::Caller;
use crate::error::Error;

/// Pokes for the caller's tenant, one at once and one after each commit that changed it. Comments
/// keep a quiet stream alive. It ends when the token does or when the server stops.
#[utoipa::path(get, path = "/v1/sync/events", security(("bearer" = [])), responses(
    (status = 200, description = "`event: poke`, `data: {\"head\": n}`", content_type = "text/event-stream"),
    (status = 401, description = "No valid token", content_type = "application/problem+json"),
    (status = 403, description = "device_revoked, forbidden", content_type = "application/problem+json"),
))]
pub(crate) async fn events(State(app): State<App>, caller: Caller) -> Result<Response, Error> {
    // Listening first: a commit between reading the head and listening would go unnoticed.
    let news = app.pokes.subscribe(caller.tenant_id);
    let head = crate::log::head_for(&app, &caller).await?;
    let heartbeat = Duration::from_millis(app.settings.heartbeat_ms);
    let stopping = app.stopping.subscribe();
    let stream = pokes(head, news, stopping, caller.remaining(now_ms()));
    let sse = Sse::new(stream).keep_alive(KeepAlive::new().interval(heartbeat).text("still here"));
    // Proxies must not collect what is meant to arrive at once.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

fn pokes(
    head: u64,
    mut news: watch::Receiver<u64>,
    mut stopping: watch::Receiver<bool>,
    token_left: Duration,
) -> impl futures::Stream<Item = Result<Event, axum::Error>> {
    async_stream::stream! {
        let ended = tokio::time::sleep(token_left);
        tokio::pin!(ended);
        let mut told = head;
        yield Event::default().event("poke").json_data(Poke { head });
        loop {
            tokio::select! {
                () = crate::app::stopped(&mut stopping) => break,
                () = &mut ended => break,
                changed = news.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let head = *news.borrow_and_update();
                    if head != told {
                        told = head;
                        yield Event::default().event("poke").json_data(Poke { head });
                    }
                }
            }
        }
    }
}
