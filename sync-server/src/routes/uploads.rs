//! `/v1/uploads`: photos on their way up, by tus 1.0.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use motomind_protocol::limits;
use motomind_protocol::wire::UPLOAD_CAPABILITY_HEADER;
use uuid::Uuid;

use crate::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::photos::capability::Uploader;
use crate::photos::checksum::{ALGORITHMS, Checksum};
use crate::photos::complete::complete;
use crate::photos::create;
use crate::photos::metadata::Metadata;
use crate::photos::receive::{Bringing, receive};
use crate::photos::upload::{self, Upload};

/// The version of tus.
const TUS: &str = "1.0.0";

/// What we do of it beyond its core.
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,expiration,termination";

/// The type of a body of bytes.
const BYTES: &str = "application/offset+octet-stream";

/// Every reply below this path says that it speaks tus.
const ROOT: &str = "/v1/uploads";

/// Creates an upload of one photo or preview; with a body, receives it at once. A photo that is
/// there already is answered with `Upload-Offset` = `Upload-Length`.
#[utoipa::path(post, path = "/v1/uploads", security(("bearer" = [])),
    params(
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Length" = u64, Header, description = "Bytes of the whole, at most 64 MiB"),
        ("Upload-Metadata" = String, Header, description = "sha256, mime, variant (original, preview), of"),
        ("motomind-device" = String, Header, description = "The device that uploads"),
    ),
    responses(
        (status = 201, description = "Location, Upload-Offset, Upload-Expires and motomind-upload-capability"),
        (status = 400, description = "malformed", content_type = "application/problem+json"),
        (status = 403, description = "device_revoked, forbidden", content_type = "application/problem+json"),
        (status = 412, description = "another version of tus", content_type = "application/problem+json"),
        (status = 413, description = "too_large, quota_exceeded", content_type = "application/problem+json"),
        (status = 422, description = "wrong_mime, hash_mismatch", content_type = "application/problem+json"),
        (status = 460, description = "checksum_mismatch", content_type = "application/problem+json"),
    ))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    check_version(&headers)?;
    let photos = crate::photos::of(&app)?;
    if headers.contains_key("upload-defer-length") {
        return Err(Error::Malformed("the length is known: send Upload-Length".into()));
    }
    let bytes = number(&headers, "upload-length")?;
    if bytes > limits::PHOTO_BYTES_MAX {
        let max = limits::PHOTO_BYTES_MAX;
        return Err(Error::TooLarge(format!("a photo has at most {max} bytes")));
    }
    if bytes == 0 {
        return Err(Error::Malformed("a photo is not empty".into()));
    }
    let metadata = Metadata::read(text(&headers, "upload-metadata")?.unwrap_or_default())?;
    let comes_with_bytes = headers.contains_key(header::CONTENT_TYPE);
    let checksum = if comes_with_bytes { begins_bytes(&headers)? } else { None };
    let created = create::create(&app, &caller, &metadata, bytes).await?;
    let mut offset = created.received;
    if comes_with_bytes && offset == 0 {
        let arrival = photos.running.enter(created.id);
        let upload = upload::look(&app, caller.tenant_id, created.id).await?;
        let uploader = Uploader::Caller(caller);
        let bringing = Bringing { upload, uploader, arrival, offset, checksum, left: None };
        offset = take(&app, bringing, body).await?;
    }
    let replied = [
        (header::LOCATION, format!("{ROOT}/{}", created.id)),
        (HeaderName::from_static("upload-offset"), offset.to_string()),
        (HeaderName::from_static("upload-expires"), http_date(created.expires_at)),
        (HeaderName::from_static(UPLOAD_CAPABILITY_HEADER), created.capability.encode()),
    ];
    Ok((StatusCode::CREATED, no_store(), replied).into_response())
}

/// How far an upload is. One that has everything is brought to its end first: an offset equal to
/// the length says that the photo is stored.
#[utoipa::path(head, path = "/v1/uploads/{id}", security(("bearer" = [])),
    responses(
        (status = 200, description = "Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires"),
        (status = 404, description = "not_found"),
        (status = 410, description = "upload_expired"),
        (status = 422, description = "hash_mismatch, wrong_mime: it was thrown away"),
    ))]
pub(crate) async fn state(
    State(app): State<App>,
    Path(id): Path<String>,
    uploader: Uploader,
    headers: HeaderMap,
) -> Result<Response, Error> {
    check_version(&headers)?;
    let photos = crate::photos::of(&app)?;
    let id = read_id(&id)?;
    let mut upload = upload::admit(&app, &uploader, id).await?;
    if upload.outcome.is_none() {
        photos.running.settle(id, None).await;
        upload = upload::look(&app, upload.tenant, id).await?;
    }
    if upload.is_complete() {
        upload = complete(&app, &upload).await?;
    }
    upload.outcome.map_or(Ok(()), |outcome| outcome.told(upload.mime))?;
    let replied = [
        (HeaderName::from_static("upload-offset"), upload.received.to_string()),
        (HeaderName::from_static("upload-length"), upload.bytes.to_string()),
        (HeaderName::from_static("upload-metadata"), upload.metadata),
        (HeaderName::from_static("upload-expires"), http_date(upload.expires_at)),
    ];
    Ok((no_store(), replied).into_response())
}

/// Receives bytes at `Upload-Offset`. What arrived before a connection broke is kept, unless an
/// `Upload-Checksum` came with it.
#[utoipa::path(patch, path = "/v1/uploads/{id}", security(("bearer" = [])),
    params(
        ("Upload-Offset" = u64, Header, description = "Where the bytes go"),
        ("Upload-Checksum" = Option<String>, Header, description = "sha256 or sha1, and base64"),
    ),
    responses(
        (status = 204, description = "Upload-Offset, Upload-Expires"),
        (status = 409, description = "offset_conflict, with the Upload-Offset that is", content_type = "application/problem+json"),
        (status = 410, description = "upload_expired", content_type = "application/problem+json"),
        (status = 413, description = "more came than Upload-Length", content_type = "application/problem+json"),
        (status = 415, description = "another Content-Type than application/offset+octet-stream", content_type = "application/problem+json"),
        (status = 422, description = "hash_mismatch, wrong_mime", content_type = "application/problem+json"),
        (status = 460, description = "checksum_mismatch", content_type = "application/problem+json"),
    ))]
pub(crate) async fn append(
    State(app): State<App>,
    Path(id): Path<String>,
    uploader: Uploader,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    check_version(&headers)?;
    let photos = crate::photos::of(&app)?;
    let checksum = begins_bytes(&headers)?;
    let offset = number(&headers, "upload-offset")?;
    let id = read_id(&id)?;
    // From here on, whoever asks for the offset waits for what this request brings.
    let arrival = photos.running.enter(id);
    let left = photos.staging.resume(id, &uploader, offset);
    let upload = match &left {
        Some(left) => left.upload.clone(),
        None => upload::admit(&app, &uploader, id).await?,
    };
    upload.outcome.map_or(Ok(()), |outcome| outcome.told(upload.mime))?;
    let coming = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let coming = coming.and_then(|length| length.parse().ok()).unwrap_or(0);
    if offset.saturating_add(coming) > upload.bytes {
        let length = upload.bytes;
        return Err(Error::TooLarge(format!("the upload is of {length} bytes, more comes")));
    }
    let expires = (HeaderName::from_static("upload-expires"), http_date(upload.expires_at));
    let bringing = Bringing { upload, uploader, arrival, offset, checksum, left };
    let offset = take(&app, bringing, body).await?;
    let offset = (HeaderName::from_static("upload-offset"), offset.to_string());
    Ok((StatusCode::NO_CONTENT, no_store(), [offset, expires]).into_response())
}

/// Gives an upload up; what came of it is removed. A photo that is stored stays.
#[utoipa::path(delete, path = "/v1/uploads/{id}", security(("bearer" = [])),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "not_found", content_type = "application/problem+json"),
    ))]
pub(crate) async fn discard(
    State(app): State<App>,
    Path(id): Path<String>,
    uploader: Uploader,
    headers: HeaderMap,
) -> Result<Response, Error> {
    check_version(&headers)?;
    let photos = crate::photos::of(&app)?;
    let upload = upload::admit(&app, &uploader, read_id(&id)?).await?;
    upload::forget(&app, upload.tenant, upload.id).await?;
    photos.staging.take(upload.id);
    // What is left behind by a failure here, the sweep removes.
    photos.store.remove_upload(upload.tenant, upload.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// For whoever can send POST only: `X-HTTP-Method-Override` names the method that is meant.
#[utoipa::path(post, path = "/v1/uploads/{id}", security(("bearer" = [])),
    params(("X-HTTP-Method-Override" = String, Header, description = "PATCH, DELETE or HEAD")),
    responses((status = 405, description = "No such header", content_type = "application/problem+json")))]
pub(crate) async fn overridden(
    app: State<App>,
    id: Path<String>,
    uploader: Uploader,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    match text(&headers, "x-http-method-override")? {
        Some("PATCH") => append(app, id, uploader, headers, body).await,
        Some("DELETE") => discard(app, id, uploader, headers).await,
        Some("HEAD") => state(app, id, uploader, headers).await,
        _ => Err(Error::MethodNotAllowed),
    }
}

/// Says in every reply of the uploads which tus is spoken, and all of it where it was asked for.
/// Outside of what answers OPTIONS for browsers.
pub(crate) async fn speak_tus(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let rest = path.strip_prefix(ROOT);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return next.run(request).await;
    }
    let asks = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let refuses = response.status() == StatusCode::PRECONDITION_FAILED;
    let headers = response.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static(TUS));
    if asks || refuses {
        headers.insert("tus-version", HeaderValue::from_static(TUS));
    }
    if asks {
        headers.insert("tus-extension", HeaderValue::from_static(EXTENSIONS));
        headers.insert("tus-max-size", HeaderValue::from(limits::PHOTO_BYTES_MAX));
        headers.insert("tus-checksum-algorithm", HeaderValue::from_static(ALGORITHMS));
    }
    response
}

/// Receives a body and, with its last byte, brings the upload to its end.
async fn take(app: &App, bringing: Bringing, body: Body) -> Result<u64, Error> {
    let upload = bringing.upload.clone();
    let received = receive(app, bringing, body).await?;
    if received == upload.bytes {
        let ended = complete(app, &Upload { received, ..upload }).await?;
        ended.outcome.map_or(Ok(()), |outcome| outcome.told(ended.mime))?;
    }
    Ok(received)
}

fn check_version(headers: &HeaderMap) -> Result<(), Error> {
    let version = headers.get("tus-resumable").and_then(|value| value.to_str().ok());
    if version == Some(TUS) { Ok(()) } else { Err(Error::TusVersion) }
}

/// The headers before a body of bytes.
fn begins_bytes(headers: &HeaderMap) -> Result<Option<Checksum>, Error> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind != Some(BYTES) {
        return Err(Error::ContentType(BYTES));
    }
    text(headers, "upload-checksum")?.map(Checksum::read).transpose()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    let read = |value: &'a HeaderValue| value.to_str();
    let bad = |_| Error::Malformed(format!("{name} cannot be read"));
    headers.get(name).map(read).transpose().map_err(bad)
}

fn number(headers: &HeaderMap, name: &str) -> Result<u64, Error> {
    let digits = text(headers, name)?.map(str::trim);
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let bad = || Error::Malformed(format!("{name} is a number of bytes"));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(bad)
}

/// What is no id is nobody's upload.
fn read_id(text: &str) -> Result<Uuid, Error> {
    Uuid::parse_str(text).map_err(|_| Error::NotFound)
}

fn no_store() -> [(HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// As HTTP writes an instant.
fn http_date(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
