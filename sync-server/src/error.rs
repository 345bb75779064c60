//! The one error of the server and its one reply: an RFC 9457 problem document.
//!
//! Outcomes of operations are values (`protocol::wire::Outcome`), not errors. What is here ends a
//! whole request. Internals are logged, never sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use motomind_protocol::limits;
use motomind_protocol::wire::{Problem, problem};
use tokio_postgres::error::SqlState;

/// Why a request got no answer of its own kind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or one that does not verify. The text says what is wrong with it.
    #[error("{0}")]
    Unauthenticated(String),
    /// The token was good once.
    #[error("the token has expired; get a new one")]
    TokenExpired,
    /// The role, or the tenant itself, does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// A manager has revoked this device.
    #[error("this device was revoked; its captures stay on it and can be exported")]
    DeviceRevoked,
    /// The request as a whole cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The body is in an encoding that the server does not read.
    #[error("send the body as it is, or gzip- or zstd-encoded")]
    UnsupportedEncoding,
    /// The cursor was not given out by this server to this tenant.
    #[error("the cursor is not one of this tenant's; pull the log from its beginning")]
    BadCursor,
    /// The log that the cursor points into is gone or was replaced. The text says what to do.
    #[error("{0}")]
    Resnapshot(&'static str),
    /// The snapshot that the client was reading is gone.
    #[error("this snapshot is gone; start again with the present one")]
    SnapshotGone,
    /// A limit of [`limits`] is exceeded.
    #[error("{0}")]
    TooLarge(String),
    /// The token is used too often.
    #[error("too many requests; try again in {retry_after_s} s")]
    RateLimited {
        /// Seconds until the next request is let in.
        retry_after_s: u64,
    },
    /// Nothing lives at this path.
    #[error("nothing lives here")]
    NotFound,
    /// Something lives here, but not for this method.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// The asked range lies outside the object.
    #[error("the range lies outside the {length} bytes of the file")]
    BadRange {
        /// Bytes of the whole object.
        length: u64,
    },
    /// The upload stands elsewhere, or another request took it over.
    #[error("the upload stands at {offset}; ask with HEAD and go on from there")]
    OffsetConflict {
        /// Bytes that the server has.
        offset: u64,
    },
    /// The upload was not finished in time.
    #[error("the upload has expired; create it again")]
    UploadExpired,
    /// A chunk is not what its checksum says.
    #[error(
        "the chunk is not what its Upload-Checksum says; nothing of it was kept, send it again"
    )]
    ChecksumMismatch,
    /// The whole upload is not what its hash says.
    #[error("the whole is not what its sha256 says; it was thrown away, create the upload again")]
    HashMismatch,
    /// The bytes, or their name, are no photo's. The text says which are.
    #[error("{0}")]
    WrongMime(String),
    /// The tenant has no room for this photo.
    #[error(
        "this tenant's photos may take {max} bytes, {taken} are taken and {wanted} more were asked \
         for; keep the photo and ask the operator for more room"
    )]
    QuotaExceeded {
        /// Bytes that are stored or promised to running uploads.
        taken: u64,
        /// Bytes of the photo.
        wanted: u64,
        /// Bytes that the tenant may take.
        max: u64,
    },
    /// The body is not of the type that this path takes.
    #[error("send Content-Type: {0}")]
    ContentType(&'static str),
    /// The peer speaks another version of tus.
    #[error("send Tus-Resumable: 1.0.0, the version of tus that this server speaks")]
    TusVersion,
    /// The peer speaks another protocol version.
    #[error("this server speaks protocol {version}", version = limits::PROTOCOL_VERSION)]
    Protocol,
    /// The request took too long.
    #[error("it took too long; try again")]
    Timeout,
    /// The database cannot be reached or is not ready. The text is for the log.
    #[error("the server cannot answer now; try again")]
    Unavailable(String),
    /// Another transaction was in the way, as often as it was tried. The text is for the log.
    #[error("the server is busy with the same rows; try again")]
    Conflict(String),
    /// A fault of ours. The text is for the log.
    #[error("the server failed; the operator's log says why")]
    Internal(String),
}

impl Error {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, problem::UNAUTHENTICATED),
            Self::TokenExpired => (StatusCode::UNAUTHORIZED, problem::TOKEN_EXPIRED),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, problem::FORBIDDEN),
            Self::DeviceRevoked => (StatusCode::FORBIDDEN, problem::DEVICE_REVOKED),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, problem::MALFORMED),
            Self::UnsupportedEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, problem::MALFORMED),
            Self::BadCursor => (StatusCode::BAD_REQUEST, problem::BAD_CURSOR),
            Self::Resnapshot(_) => (StatusCode::CONFLICT, problem::RESNAPSHOT),
            Self::SnapshotGone => (StatusCode::PRECONDITION_FAILED, problem::RESNAPSHOT),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, problem::TOO_LARGE),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, problem::RATE_LIMITED),
            Self::NotFound => (StatusCode::NOT_FOUND, problem::NOT_FOUND),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, problem::NOT_FOUND),
            Self::BadRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, problem::BAD_RANGE),
            Self::OffsetConflict { .. } => (StatusCode::CONFLICT, problem::OFFSET_CONFLICT),
            Self::UploadExpired => (StatusCode::GONE, problem::UPLOAD_EXPIRED),
            Self::ChecksumMismatch => (checksum_mismatch(), problem::CHECKSUM_MISMATCH),
            Self::HashMismatch => (StatusCode::UNPROCESSABLE_ENTITY, problem::HASH_MISMATCH),
            Self::WrongMime(_) => (StatusCode::UNPROCESSABLE_ENTITY, problem::WRONG_MIME),
            Self::QuotaExceeded { .. } => (StatusCode::PAYLOAD_TOO_LARGE, problem::QUOTA_EXCEEDED),
            Self::ContentType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, problem::MALFORMED),
            Self::TusVersion => (StatusCode::PRECONDITION_FAILED, problem::PROTOCOL),
            Self::Protocol => (StatusCode::UPGRADE_REQUIRED, problem::PROTOCOL),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, problem::TIMEOUT),
            Self::Unavailable(_) | Self::Conflict(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, problem::UNAVAILABLE)
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, problem::INTERNAL),
        }
    }

    fn problem(&self) -> Problem {
        let (status, code) = self.status_and_code();
        Problem {
            kind: format!("https://motomind.dev/problems/{code}"),
            title: status.canonical_reason().unwrap_or("Checksum Mismatch").to_string(),
            status: status.as_u16(),
            code: code.to_string(),
            detail: self.to_string(),
            request_id: None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::Unavailable(log) | Self::Conflict(log) | Self::Internal(log) = &self {
            tracing::error!(error = %log, "request failed");
        }
        let (status, _) = self.status_and_code();
        let mut response = render(status, self.problem());
        let headers = response.headers_mut();
        match self {
            Self::Unauthenticated(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TokenExpired => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::RateLimited { retry_after_s } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
            }
            Self::Timeout | Self::Unavailable(_) | Self::Conflict(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            Self::OffsetConflict { offset } => {
                headers.insert("upload-offset", HeaderValue::from(offset));
            }
            Self::BadRange { length } => {
                if let Ok(range) = HeaderValue::try_from(format!("bytes */{length}")) {
                    headers.insert(header::CONTENT_RANGE, range);
                }
            }
            _ => {}
        }
        response
    }
}

/// The one status that tus made itself.
fn checksum_mismatch() -> StatusCode {
    StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST)
}

/// Writes a problem as the body; it also travels in the response's extensions, so that the
/// outermost layer can add the request's id.
fn render(status: StatusCode, problem: Problem) -> Response {
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let content_type = (header::CONTENT_TYPE, "application/problem+json");
    let mut response = (status, [content_type], body).into_response();
    response.extensions_mut().insert(problem);
    response
}

/// Gives every error reply its problem document and the id of its request: those of ours, and
/// those that a layer below answered with a bare status.
pub(crate) fn complete(response: Response, request_id: Option<&str>) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.extensions().get::<Problem>() {
        Some(problem) => problem.clone(),
        None => of_status(status).problem(),
    };
    let problem = Problem { request_id: request_id.map(str::to_string), ..problem };
    let mut rendered = render(status, problem);
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

/// What a layer means by a bare status.
fn of_status(status: StatusCode) -> Error {
    match status {
        StatusCode::NOT_FOUND => Error::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Error::MethodNotAllowed,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Error::UnsupportedEncoding,
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge("the body is too large".into()),
        StatusCode::SERVICE_UNAVAILABLE => Error::Timeout,
        status if status.is_client_error() => Error::Malformed("the request cannot be read".into()),
        status => Error::Internal(format!("a layer answered {status}")),
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = with_source(&error);
        match error.code() {
            None => Self::Unavailable(text),
            Some(&SqlState::QUERY_CANCELED) => Self::Timeout,
            // a standby or a database set read-only, as before a failover or on a full disk
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => Self::Unavailable(text),
            // connection exceptions, insufficient resources, operator intervention, failing storage
            Some(state)
                if ["08", "53", "57", "58"].iter().any(|class| state.code().starts_with(class)) =>
            {
                Self::Unavailable(text)
            }
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => {
                Self::Conflict(text)
            }
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Self::Unavailable(text),
            Some(_) => Self::Internal(text),
        }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<object_store::Error> for Error {
    /// What the store answers is the operator's to mend, or passes.
    fn from(error: object_store::Error) -> Self {
        Self::Unavailable(format!("the photo store: {}", with_source(&error)))
    }
}

impl From<serde_json::Error> for Error {
    /// For our own encoding; what a client sent is judged where it is read.
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

/// An error and what caused it, in one line; the driver hides the database's words in its source.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
