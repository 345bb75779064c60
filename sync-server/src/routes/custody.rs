//! `GET /v1/devices/me/custody`: what the server holds of the device that asks.

use axum::Json;
use axum::extract::State;
use motomind_protocol::wire::Custody;

use crate::App;
use crate::app::now_ms;
use crate::auth::Caller;
use crate::error::Error;

/// What the server holds of the journal of the device that `motomind-device` names, and which of
/// the photos that it names have not come. For the device's own person, or a manager.
#[utoipa::path(get, path = "/v1/devices/me/custody", security(("bearer" = [])),
    params(("motomind-device" = String, Header, description = "The device")),
    responses(
        (status = 200, description = "protocol::wire::Custody", content_type = "application/json"),
        (status = 400, description = "malformed: no device is named", content_type = "application/problem+json"),
        (status = 401, description = "No valid token", content_type = "application/problem+json"),
        (status = 403, description = "forbidden, device_revoked", content_type = "application/problem+json"),
    ))]
pub(crate) async fn custody(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Custody>, Error> {
    Ok(Json(crate::custody::custody(&app, &caller, now_ms()).await?))
}
