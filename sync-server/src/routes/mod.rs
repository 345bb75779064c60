//! The endpoints, one per file.

mod custody;
mod events;
mod health;
mod photos;
mod pull;
mod push;
mod snapshot;
pub(crate) mod uploads;

use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "MotoMind Sync",
        description = "What devices and the server say to each other. `docs/protocol.md` is the authority."
    ),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Every documented endpoint, and the document.
pub(crate) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(push::push))
        .routes(routes!(pull::pull))
        .routes(routes!(snapshot::snapshot))
        .routes(routes!(events::events))
        .routes(routes!(custody::custody))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// Endpoints whose bodies take as long as the network takes.
pub(crate) fn slow_api() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(uploads::create))
        .routes(routes!(uploads::state, uploads::append, uploads::discard, uploads::overridden))
        .routes(routes!(photos::photo))
}
