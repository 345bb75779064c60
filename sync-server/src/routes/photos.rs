//! `GET /v1/photos/{sha256}`: stored photos and their previews, to their own tenant alone.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use motomind_protocol::{Hash, PhotoMime};
use serde::Deserialize;

use crate::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::photos::store::Store;

/// Which picture of the photo.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Variant {
    #[default]
    Original,
    Preview,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    variant: Variant,
}

/// What is known of a stored photo.
struct Photo {
    sha256: Hash,
    mime: PhotoMime,
    bytes: u64,
}

/// The photo with this SHA-256, or with `variant=preview` its preview. One range at a time; HEAD
/// says that it is there, its bytes read and hashed for that.
#[utoipa::path(get, path = "/v1/photos/{sha256}", security(("bearer" = [])),
    params(
        ("sha256" = String, Path, description = "SHA-256 of the original's bytes, hexadecimal"),
        ("variant" = Option<String>, Query, description = "original or preview"),
        ("Range" = Option<String>, Header, description = "bytes=from-to"),
        ("If-None-Match" = Option<String>, Header, description = "an ETag"),
    ),
    responses(
        (status = 200, description = "The whole"),
        (status = 206, description = "The range"),
        (status = 304, description = "It is the one you have"),
        (status = 401, description = "No valid token", content_type = "application/problem+json"),
        (status = 404, description = "not_found", content_type = "application/problem+json"),
        (status = 416, description = "bad_range", content_type = "application/problem+json"),
    ))]
pub(crate) async fn photo(
    State(app): State<App>,
    caller: Caller,
    Path(sha256): Path<String>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let bad = |_| Error::Malformed("variant is original or preview".into());
    let Query(wanted) = wanted.map_err(bad)?;
    let sha256: Hash = sha256.parse().map_err(|_| Error::NotFound)?;
    let photos = crate::photos::of(&app)?;
    let photo = find(&app, &caller, sha256, wanted.variant).await?;
    let tag = format!("\"{}\"", photo.sha256);
    let told = describe(&photo, &tag);
    let named = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if named(header::IF_NONE_MATCH).is_some_and(|tags| matches(tags, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    let asked = named(header::RANGE).filter(|_| method == Method::GET);
    let continues = named(header::IF_RANGE).is_none_or(|given| given.trim() == tag);
    let range = asked.filter(|_| continues).map_or(Ok(None), |text| range(text, photo.bytes))?;
    let (first, end) = range.unwrap_or((0, photo.bytes));
    let length = [(header::CONTENT_LENGTH, end - first)];
    let body = if method == Method::HEAD {
        verify(&photos.store, &caller, &photo).await?;
        Body::empty()
    } else {
        photos.store.read(caller.tenant_id, photo.sha256, first, end).await?
    };
    Ok(match range {
        None => (told, length, body).into_response(),
        Some(_) => {
            let content_range = format!("bytes {first}-{}/{}", end - 1, photo.bytes);
            let content_range = [(header::CONTENT_RANGE, content_range)];
            (StatusCode::PARTIAL_CONTENT, told, length, content_range, body).into_response()
        }
    })
}

/// Whoever asks with HEAD may be about to free the only other copy: the bytes are read and hashed.
async fn verify(store: &Store, caller: &Caller, photo: &Photo) -> Result<(), Error> {
    let found = store.fingerprint(caller.tenant_id, photo.sha256).await?;
    if found == Some((photo.sha256, photo.bytes)) {
        return Ok(());
    }
    let what = if found.is_some() { "is damaged" } else { "is gone" };
    tracing::error!(photo = %photo.sha256, tenant = %caller.tenant_id, "a stored photo {what}");
    Err(Error::NotFound)
}

async fn find(app: &App, caller: &Caller, sha256: Hash, variant: Variant) -> Result<Photo, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, caller.tenant_id).await?;
    crate::log::admit(&transaction, caller).await?;
    let sql = match variant {
        Variant::Original => {
            "SELECT sha256, mime, bytes FROM photos WHERE tenant_id = $1 AND sha256 = $2"
        }
        Variant::Preview => {
            "SELECT p.sha256, p.mime, p.bytes FROM photo_previews v
             JOIN photos p ON p.tenant_id = v.tenant_id AND p.sha256 = v.preview
             WHERE v.tenant_id = $1 AND v.photo = $2"
        }
    };
    let statement = transaction.prepare_cached(sql).await?;
    let row =
        transaction.query_opt(&statement, &[&caller.tenant_id.0, &sha256.to_string()]).await?;
    transaction.commit().await?;
    let row = row.ok_or(Error::NotFound)?;
    let broken = |what: &str| Error::Internal(format!("a stored photo's {what} cannot be read"));
    Ok(Photo {
        sha256: row.get::<_, &str>(0).parse().map_err(|_| broken("hash"))?,
        mime: row.get::<_, &str>(1).parse().map_err(|_| broken("mime"))?,
        bytes: row.get::<_, i64>(2).unsigned_abs(),
    })
}

/// Bytes that browsers must not guess about, run, show in a page, or share.
fn describe(photo: &Photo, tag: &str) -> [(header::HeaderName, String); 6] {
    let name = format!("attachment; filename=\"{}.{}\"", photo.sha256, photo.mime.extension());
    [
        (header::CONTENT_TYPE, photo.mime.to_string()),
        (header::ETAG, tag.to_string()),
        (header::ACCEPT_RANGES, "bytes".into()),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable, no-transform".into()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
        (header::CONTENT_DISPOSITION, name),
    ]
}

fn matches(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// First byte and the one after the last; `None` where the header is to be ignored: another unit,
/// several ranges, or nothing that could be read.
fn range(text: &str, length: u64) -> Result<Option<(u64, u64)>, Error> {
    let Some((first, last)) = text
        .trim()
        .strip_prefix("bytes=")
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |digits: &str| digits.trim().parse::<u64>().ok();
    let (first, end) = match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(suffix) => (length.saturating_sub(suffix), length),
            None => return Ok(None),
        },
        (first, "") => match number(first) {
            Some(first) => (first, length),
            None => return Ok(None),
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                (first, length.min(last.saturating_add(1)))
            }
            _ => return Ok(None),
        },
    };
    if first < end { Ok(Some((first, end))) } else { Err(Error::BadRange { length }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_piece_of_the_photo_or_is_ignored() {
        let read = |text| range(text, 10).map_err(|error| error.to_string());
        assert_eq!(read("bytes=0-"), Ok(Some((0, 10))));
        assert_eq!(read("bytes=3-5"), Ok(Some((3, 6))));
        assert_eq!(read("bytes=3-500"), Ok(Some((3, 10))));
        assert_eq!(read("bytes=-4"), Ok(Some((6, 10))));
        assert_eq!(read("bytes=-400"), Ok(Some((0, 10))));
        for ignored in ["items=0-1", "bytes=0-1,3-4", "bytes=5-3", "bytes=a-b", "", "bytes=-", "x"]
        {
            assert_eq!(read(ignored), Ok(None), "{ignored}");
        }
        for beyond in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert!(read(beyond).is_err(), "{beyond}");
        }
    }

    #[test]
    fn an_entity_tag_is_found_among_others() {
        assert!(matches("\"a\", W/\"b\"", "\"b\""));
        assert!(matches("*", "\"b\""));
        assert!(!matches("\"a\"", "\"b\""));
    }
}
