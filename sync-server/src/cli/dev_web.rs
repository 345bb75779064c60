//! What `dev --web` adds to the API: the web app's files, and the people who may be tried out.
//! Whoever reaches the address may be anyone of them; `serve` has none of this.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use motomind_protocol::{AppMetadata, Claims, Role, TenantId, UserId};
use motomind_server::database;
use serde::{Deserialize, Serialize};
use tower_http::services::ServeDir;
use uuid::Uuid;

use super::Admin;

/// How long a token for trying out is good, seconds.
const TOKEN_SECONDS: i64 = 3_600;

/// Nothing from elsewhere runs in the app; tiles and photos are made from files of the person's own.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; \
                      img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
                      connect-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Where the app's files are, and what signs tokens.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    pub(crate) files: PathBuf,
    pub(crate) admin_url: String,
    pub(crate) secret: String,
}

impl Web {
    /// The API with the app around it: what is a file is served as one.
    pub(crate) fn around(self, api: Router) -> Router {
        let files = ServeDir::new(&self.files)
            .precompressed_br()
            .precompressed_gzip()
            .call_fallback_on_method_not_allowed(true)
            .fallback(tower::service_fn(move |request: Request| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(call(api, request).await) }
            }));
        Router::new()
            .route("/dev/people", get(people))
            .route("/dev/token", post(token))
            .with_state(Arc::new(self))
            .fallback_service(files)
            .layer(axum::middleware::from_fn(headers))
    }

    fn admin(&self) -> Admin {
        Admin { admin_url: Some(self.admin_url.clone()) }
    }
}

async fn call(mut api: Router, request: Request) -> Response {
    match tower::Service::call(&mut api, request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Files whose names change with their content may be kept; all others are asked for again.
async fn headers(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (kept, api) = (path.starts_with("/assets/"), path.starts_with("/v1/"));
    let mut response = next.run(request).await;
    if api {
        return response;
    }
    let cache = if kept { "public, max-age=31536000, immutable" } else { "no-cache" };
    for (name, value) in [
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(self), geolocation=(self), microphone=()",
        ),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Someone whom the app can be tried out as.
#[derive(Debug, Serialize)]
struct Person {
    tenant_id: Uuid,
    tenant: String,
    user_id: Uuid,
    name: Option<String>,
    role: String,
}

async fn people(State(web): State<Arc<Web>>) -> Result<Json<Vec<Person>>, Response> {
    all_people(&web).await.map(Json).map_err(failed)
}

async fn all_people(web: &Web) -> Result<Vec<Person>, String> {
    let client = database::connect(&web.admin_url).await?;
    let tenants =
        client.query("SELECT id, name FROM tenants WHERE is_active ORDER BY created_at, id", &[]);
    let mut people = Vec::new();
    for row in tenants.await.map_err(super::said)? {
        let (tenant_id, tenant): (Uuid, String) = (row.get(0), row.get(1));
        // Row-level security binds an owner who is no superuser.
        let client = web.admin().connect_for(tenant_id).await?;
        let rows = client
            .query(
                "SELECT id, full_name, role FROM profiles
                 WHERE tenant_id = $1 AND deleted_at IS NULL AND role <> 'service'
                 ORDER BY created_at, id",
                &[&tenant_id],
            )
            .await
            .map_err(super::said)?;
        people.extend(rows.iter().map(|row| Person {
            tenant_id,
            tenant: tenant.clone(),
            user_id: row.get(0),
            name: row.get(1),
            role: row.get(2),
        }));
    }
    Ok(people)
}

#[derive(Debug, Deserialize)]
struct Wanted {
    tenant_id: Uuid,
    user_id: Uuid,
}

/// A token, as an identity provider would give it.
#[derive(Debug, Serialize)]
struct Given {
    token: String,
}

async fn token(
    State(web): State<Arc<Web>>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Given>, Response> {
    match signed(&web, &wanted).await.map_err(failed)? {
        Some(token) => Ok(Json(Given { token })),
        None => Err((StatusCode::NOT_FOUND, "there is no such person\n").into_response()),
    }
}

async fn signed(web: &Web, wanted: &Wanted) -> Result<Option<String>, String> {
    let client = web.admin().connect_for(wanted.tenant_id).await?;
    let row = client
        .query_opt(
            "SELECT role FROM profiles WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
            &[&wanted.tenant_id, &wanted.user_id],
        )
        .await
        .map_err(super::said)?;
    let Some(row) = row else { return Ok(None) };
    let role: Role = super::token::role(row.get(0))?;
    let claims = Claims {
        sub: UserId(wanted.user_id),
        exp: chrono::Utc::now().timestamp().saturating_add(TOKEN_SECONDS),
        iss: None,
        aud: Some("authenticated".to_string().into()),
        role: Some("authenticated".into()),
        app_metadata: AppMetadata { tenant_id: TenantId(wanted.tenant_id), role },
    };
    motomind_server::auth::mint(&web.secret, &claims).map(Some).map_err(|e| e.to_string())
}

fn failed(why: String) -> Response {
    tracing::error!(why, "dev");
    (StatusCode::INTERNAL_SERVER_ERROR, "see the server's log\n").into_response()
}
