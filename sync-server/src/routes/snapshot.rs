//! `GET /v1/sync/snapshot`: the tenant's mirror as a SQLite file, in pieces.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use motomind_protocol::limits::PIECE_BYTES_MAX;
use motomind_protocol::wire::snapshot_header;

use crate::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::snapshot::{Snapshot, recent};

/// The tenant's mirror as a ready SQLite file. With `Range`, a piece of at most 1 MiB; with
/// `If-Match` (or `If-Range`) and the `ETag` of an earlier piece, the same file or 412.
#[utoipa::path(get, path = "/v1/sync/snapshot", security(("bearer" = [])),
    params(
        ("Range" = Option<String>, Header, description = "bytes=from-to"),
        ("If-Match" = Option<String>, Header, description = "ETag of an earlier piece"),
    ),
    responses(
        (status = 200, description = "The whole file", content_type = "application/vnd.sqlite3"),
        (status = 206, description = "A piece", content_type = "application/vnd.sqlite3"),
        (status = 401, description = "No valid token", content_type = "application/problem+json"),
        (status = 403, description = "device_revoked, forbidden", content_type = "application/problem+json"),
        (status = 412, description = "The file is gone; start again", content_type = "application/problem+json"),
        (status = 416, description = "bad_range", content_type = "application/problem+json"),
    ))]
pub(crate) async fn snapshot(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Error> {
    // Here, too: a file that is there already is found without the database.
    crate::log::head_for(&app, &caller).await?;
    let wanted = headers.get(header::IF_MATCH).or_else(|| headers.get(header::IF_RANGE));
    let snapshot = match wanted {
        Some(tag) => tag
            .to_str()
            .ok()
            .and_then(|tag| tag.trim().trim_matches('"').parse().ok())
            .and_then(|digest| app.snapshots.find(caller.tenant_id, digest))
            .ok_or(Error::SnapshotGone)?,
        None => recent(&app, caller.tenant_id).await?,
    };
    let described = describe(&snapshot);
    let Some(range) = headers.get(header::RANGE) else {
        let length = (header::CONTENT_LENGTH, snapshot.length.to_string());
        return Ok((described, [length], whole(snapshot)).into_response());
    };
    let length = snapshot.length;
    let (first, last) = range
        .to_str()
        .ok()
        .and_then(|range| parse_range(range, length))
        .ok_or(Error::BadRange { length })?;
    let piece = read(snapshot, first, last).await?;
    let content_range = format!("bytes {first}-{last}/{length}");
    let content_range = [(header::CONTENT_RANGE, content_range)];
    Ok((StatusCode::PARTIAL_CONTENT, described, content_range, piece).into_response())
}

fn describe(snapshot: &Snapshot) -> [(HeaderName, String); 7] {
    [
        (header::CONTENT_TYPE, "application/vnd.sqlite3".into()),
        (header::ETAG, format!("\"{}\"", snapshot.digest)),
        (header::ACCEPT_RANGES, "bytes".into()),
        (header::CACHE_CONTROL, "private, no-transform".into()),
        (HeaderName::from_static(snapshot_header::CURSOR), snapshot.cursor.clone()),
        (HeaderName::from_static(snapshot_header::DIGEST), snapshot.digest.to_string()),
        (HeaderName::from_static(snapshot_header::LENGTH), snapshot.length.to_string()),
    ]
}

/// First and last byte of a piece; `None` when the range lies outside or is none.
fn parse_range(range: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.trim(), last.trim()) {
        ("", suffix) => (length.checked_sub(suffix.parse().ok()?)?, length.checked_sub(1)?),
        (first, "") => (first.parse().ok()?, length.checked_sub(1)?),
        (first, last) => (first.parse().ok()?, last.parse().ok()?),
    };
    let last =
        last.min(length.checked_sub(1)?).min(first.saturating_add(PIECE_BYTES_MAX as u64 - 1));
    (first <= last).then_some((first, last))
}

async fn read(snapshot: Arc<Snapshot>, first: u64, last: u64) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(last - first + 1).unwrap_or(PIECE_BYTES_MAX);
    tokio::task::spawn_blocking(move || snapshot.read(first, length))
        .await
        .map_err(|error| Error::Internal(error.to_string()))?
        .map_err(|error| Error::Internal(format!("a snapshot cannot be read: {error}")))
}

/// The whole file, a piece in memory at a time.
fn whole(snapshot: Arc<Snapshot>) -> Body {
    Body::from_stream(async_stream::stream! {
        let mut first = 0;
        while first < snapshot.length {
            let last = (first + PIECE_BYTES_MAX as u64).min(snapshot.length) - 1;
            yield read(Arc::clone(&snapshot), first, last).await;
            first = last + 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_a_piece_and_to_the_file() {
        let piece = PIECE_BYTES_MAX as u64;
        assert_eq!(parse_range("bytes=0-", 10), Some((0, 9)));
        assert_eq!(parse_range("bytes=3-5", 10), Some((3, 5)));
        assert_eq!(parse_range("bytes=3-500", 10), Some((3, 9)));
        assert_eq!(parse_range("bytes=-4", 10), Some((6, 9)));
        assert_eq!(parse_range("bytes=0-", 3 * piece), Some((0, piece - 1)));
        for bad in ["bytes=10-", "bytes=5-3", "bytes=-11", "bytes=a-b", "items=0-1", "", "bytes=-0"]
        {
            assert_eq!(parse_range(bad, 10), None, "{bad}");
        }
        assert_eq!(parse_range("bytes=0-", 0), None);
    }
}
