//! The routes and what every request passes through.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use motomind_protocol::wire::{UPLOAD_CAPABILITY_HEADER, snapshot_header};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::TimeoutLayer;
use uuid::Uuid;

use crate::App;
use crate::error::{Error, complete};
use crate::routes;

/// The request's id, in requests and replies.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is taken over from the caller.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Headers of the resumable upload protocol (tus), which browsers must be let read.
const TUS_HEADERS: [&str; 9] = [
    "tus-resumable",
    "tus-version",
    "tus-extension",
    "tus-max-size",
    "tus-checksum-algorithm",
    "upload-offset",
    "upload-length",
    "upload-metadata",
    "upload-expires",
];

/// Everything the server answers.
pub(crate) fn router(app: App) -> Router {
    let timeout = Duration::from_millis(app.settings.request_timeout_ms);
    let cors = cors(&app.settings.cors_origins);
    // An upload is as slow as its network; it has its own limit on silence.
    let in_time = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout);
    let api = routes::api().layer(in_time).merge(routes::slow_api());
    let (api, document) = api.split_for_parts();
    // Compression outside of what completes problems: it must see the last body there is.
    let layers = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .layer(axum::middleware::from_fn(observe))
        .layer(axum::middleware::from_fn(routes::uploads::speak_tus))
        .layer(cors)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(RequestDecompressionLayer::new());
    api.route("/openapi.json", get(move || std::future::ready(axum::Json(document.clone()))))
        .fallback(|| async { Error::NotFound })
        .layer(layers)
        .with_state(app)
}

/// Gives a request its id, its log line, its measurement, and its error the problem document.
async fn observe(mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_string(), |path| path.as_str().to_string());
    let method = request.method().clone();
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let started = Instant::now();

    let response = next.run(request).await;
    let mut response = complete(response, id.to_str().ok());
    response.headers_mut().insert(REQUEST_ID, id.clone());

    let (elapsed, status) = (started.elapsed(), response.status().as_u16());
    let labels = [
        ("method", method_label(&method).to_string()),
        ("path", path.clone()),
        ("status", status.to_string()),
    ];
    metrics::counter!("motomind_requests_total", &labels).increment(1);
    metrics::histogram!("motomind_request_seconds", &labels[..2]).record(elapsed.as_secs_f64());
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status, elapsed_ms, request_id = ?id, "request");
    response
}

/// The method as measurements name it. HTTP allows any word, and each label is kept for good.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        id.len() <= REQUEST_ID_CHARS_MAX
            && id
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::try_from(Uuid::new_v4().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("none"))
    })
}

fn panicked(what: Box<dyn Any + Send>) -> Response<Body> {
    let text = what
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| what.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Error::Internal(format!("a handler panicked: {text}")).into_response()
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok()))
    };
    let named = |names: &[&'static str]| -> Vec<HeaderName> {
        names.iter().map(|name| HeaderName::from_static(name)).collect()
    };
    let mut exposed = named(&TUS_HEADERS);
    exposed.extend(named(&[
        snapshot_header::CURSOR,
        snapshot_header::DIGEST,
        snapshot_header::LENGTH,
        UPLOAD_CAPABILITY_HEADER,
    ]));
    exposed.extend([
        header::ETAG,
        header::CONTENT_RANGE,
        header::ACCEPT_RANGES,
        header::RETRY_AFTER,
        header::LOCATION,
        REQUEST_ID,
    ]);
    let mut accepted = named(&TUS_HEADERS);
    accepted.extend(named(&["upload-checksum", "upload-defer-length", "x-http-method-override"]));
    accepted.extend(named(&[motomind_protocol::wire::DEVICE_HEADER]));
    accepted.extend([
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        REQUEST_ID,
    ]);
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(accepted)
        .expose_headers(exposed)
        .max_age(Duration::from_secs(3600))
}
