//! `GET /healthz`, `/readyz`, `/metrics`: for the operator's machinery, without a token.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::App;
use crate::error::Error;

/// The process answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "The process answers")))]
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// The database is reachable, migrated as far as this build knows, and the serving role is bound
/// by row-level security.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "Requests can be served"),
    (status = 503, description = "The problem says what is missing"),
))]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Value>, Error> {
    crate::readiness::check(&app).await.map_err(Error::Unavailable)?;
    Ok(Json(json!({"status": "ready"})))
}

/// Counters and durations in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Prometheus text", content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<App>) -> Result<String, Error> {
    let pool = app.pool.status();
    metrics::gauge!("motomind_pool_connections").set(pool.size as f64);
    metrics::gauge!("motomind_pool_waiting").set(pool.waiting as f64);
    match &app.metrics {
        Some(handle) => {
            handle.run_upkeep();
            Ok(handle.render())
        }
        None => Err(Error::Unavailable("another recorder of measurements is installed".into())),
    }
}
