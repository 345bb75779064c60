//! `POST /v1/sync/push`: a batch of operations in, one outcome for each out.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use motomind_protocol::limits;
use motomind_protocol::wire::{Outcome, PushResponse};

use crate::App;
use crate::app::now_ms;
use crate::auth::Caller;
use crate::error::Error;
use crate::push::{Batch, Bench, take};

/// A batch of sealed operations of one device: at most 200 and 1 MiB after decompression. One bad
/// operation never fails the batch.
#[utoipa::path(post, path = "/v1/sync/push", security(("bearer" = [])),
    request_body(content = serde_json::Value, description = "protocol, incarnation, operations: [{op_id, hash, text}]",
        example = json!({"protocol": 1, "incarnation": "0191…", "operations": [{"op_id": "0191…", "hash": "…", "text": "{…}"}]})),
    responses(
        (status = 200, description = "One outcome for each operation, in order", body = serde_json::Value,
         example = json!({"protocol": 1, "outcomes": [{"op_id": "0191…", "outcome": "accepted", "seq": 7}],
                          "head": 7, "server_time_ms": 0, "retention_days": 30})),
        (status = 400, description = "malformed", content_type = "application/problem+json"),
        (status = 401, description = "No valid token", content_type = "application/problem+json"),
        (status = 403, description = "device_revoked, forbidden", content_type = "application/problem+json"),
        (status = 413, description = "too_large", content_type = "application/problem+json"),
        (status = 426, description = "protocol_mismatch", content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", content_type = "application/problem+json"),
    ))]
pub(crate) async fn push(
    State(app): State<App>,
    caller: Caller,
    body: Body,
) -> Result<Json<PushResponse>, Error> {
    // The whole body first: no transaction waits for the network.
    let body = read_body(body).await?;
    let batch = Batch::read(&body, caller.identity())?;
    let bench = Bench { caller, incarnation: batch.incarnation, now: now_ms() };
    let reply = take(&app, &bench, &batch).await?;
    for one in &reply.outcomes {
        let labels = [("outcome", outcome_name(&one.outcome))];
        metrics::counter!("motomind_operations_total", &labels).increment(1);
    }
    Ok(Json(PushResponse {
        protocol: limits::PROTOCOL_VERSION,
        outcomes: reply.outcomes,
        head: reply.head,
        server_time_ms: bench.now,
        retention_days: app.settings.retention_days,
    }))
}

/// Reads a body up to the limit, counted after decompression.
async fn read_body(body: Body) -> Result<Bytes, Error> {
    match Limited::new(body, limits::PUSH_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if caused_by_limit(&*error) => {
            let max = limits::PUSH_BYTES_MAX;
            Err(Error::TooLarge(format!("at most {max} bytes in one push")))
        }
        Err(error) => Err(Error::Malformed(format!("the body cannot be read: {error}"))),
    }
}

fn caused_by_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(caused_by_limit)
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Duplicate { .. } => "duplicate",
        Outcome::Waiting { .. } => "waiting",
        Outcome::Rejected(_) => "rejected",
        Outcome::OpIdReused { .. } => "op_id_reused",
        Outcome::Forked { .. } => "forked",
        Outcome::Unknown => "unknown",
    }
}
