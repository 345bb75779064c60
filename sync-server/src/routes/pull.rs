//! `GET /v1/sync/pull`: the tenant's changes after a cursor, in sequence order.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use deadpool_postgres::Transaction;
use motomind_protocol::{Hash, TenantId, limits};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::App;
use crate::app::now_ms;
use crate::auth::Caller;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::log::{self, Place};
use crate::records::absorb_before_serving;

/// Where to go on, and how far.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(crate) struct PullQuery {
    /// The `next_cursor` of the page before; absent reads from the beginning.
    cursor: Option<String>,
    /// At most this many changes.
    limit: Option<usize>,
}

struct Page {
    entries: Vec<String>,
    /// The last change on the page, or the place asked for when there is none.
    seq: i64,
    tag: i64,
}

/// The tenant's changes after a cursor. Each arrives as it was encoded once; the digest covers
/// those bytes.
#[utoipa::path(get, path = "/v1/sync/pull", params(PullQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A page of changes", body = serde_json::Value,
     example = json!({"protocol": 1, "changes": [{"seq": 1, "kind": "record", "data": {"collection": "vehicles", "id": "0191…", "changes": ["…"]}}],
                      "next_cursor": "…", "seq": 1, "head": 1, "digest": "…", "server_time_ms": 0})),
    (status = 400, description = "bad_cursor, malformed", content_type = "application/problem+json"),
    (status = 401, description = "No valid token", content_type = "application/problem+json"),
    (status = 403, description = "device_revoked, forbidden", content_type = "application/problem+json"),
    (status = 409, description = "resnapshot", content_type = "application/problem+json"),
))]
pub(crate) async fn pull(
    State(app): State<App>,
    caller: Caller,
    query: Result<Query<PullQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query.map_err(|error| Error::Malformed(error.body_text()))?;
    let limit = query.limit.unwrap_or(limits::PULL_CHANGES_MAX);
    if limit == 0 {
        return Err(Error::Malformed("limit must be at least 1".into()));
    }
    let limit = limit.min(limits::PULL_CHANGES_MAX);
    let tenant = caller.tenant_id;

    let mut client = app.client().await?;
    let mut transaction = crate::database::begin(&mut client, tenant).await?;
    let mut counter = log::admit(&transaction, &caller).await?;
    if counter.queued {
        // In transactions of their own: what is served is what was committed.
        transaction.commit().await?;
        drop(client);
        absorb_before_serving(&app, tenant).await;
        client = app.client().await?;
        transaction = crate::database::begin(&mut client, tenant).await?;
        counter = log::admit(&transaction, &caller).await?;
    }
    let after = match log::locate(&transaction, tenant, &counter, query.cursor.as_deref()).await? {
        Place::After(seq) => seq,
        Place::Restored => {
            log::start_epoch(&transaction, tenant, counter.epoch).await?;
            transaction.commit().await?;
            return Err(Error::Resnapshot(
                "the log was replaced by an older state; pull it from its beginning",
            ));
        }
    };
    let page = read_page(&transaction, tenant, after, limit).await?;
    transaction.commit().await?;

    metrics::counter!("motomind_changes_pulled_total").increment(page.entries.len() as u64);
    let cursor = Cursor { epoch: counter.epoch, seq: page.seq, tag: page.tag };
    // The head was read before the page: a change that was committed between is on the page.
    let head = counter.head.max(page.seq);
    let body = encode(&page, head, &cursor.encode(tenant, &counter.secret))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn read_page(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    after: i64,
    limit: usize,
) -> Result<Page, Error> {
    // The window adds up the page's bytes, so that no more is read than is sent.
    let statement = transaction
        .prepare_cached(
            "SELECT seq, tag, entry FROM (
               SELECT seq, tag, entry, row_number() OVER w AS place,
                      sum(octet_length(entry)) OVER w AS bytes
               FROM (SELECT seq, tag, entry FROM change_log
                     WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS page
               WINDOW w AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)
             ) AS counted
             WHERE place = 1 OR bytes <= $4
             ORDER BY seq",
        )
        .await?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let bytes_max = i64::try_from(limits::PULL_BYTES_MAX).unwrap_or(i64::MAX);
    let rows = transaction.query(&statement, &[&tenant.0, &after, &limit, &bytes_max]).await?;
    let (seq, tag) = match rows.last() {
        Some(row) => (row.get(0), row.get(1)),
        None => (after, log::tag_at(transaction, tenant, after).await?),
    };
    let entries = rows.iter().map(|row| row.get(2)).collect();
    Ok(Page { entries, seq, tag })
}

/// Writes the reply around the entries as they are.
fn encode(page: &Page, head: i64, cursor: &str) -> Result<String, Error> {
    let mut sha = Sha256::new();
    let bytes: usize = page.entries.iter().map(|entry| entry.len() + 1).sum();
    let mut body = String::with_capacity(bytes + 512);
    body.push_str(&format!("{{\"protocol\":{},\"changes\":[", limits::PROTOCOL_VERSION));
    for (place, entry) in page.entries.iter().enumerate() {
        sha.update(entry.as_bytes());
        sha.update(b"\n");
        if place > 0 {
            body.push(',');
        }
        body.push_str(entry);
    }
    let digest = Hash(sha.finalize().into());
    let (seq, now) = (page.seq, now_ms());
    let cursor = serde_json::to_string(cursor)?;
    body.push_str(&format!(
        "],\"next_cursor\":{cursor},\"seq\":{seq},\"head\":{head},\"digest\":\"{digest}\",\
         \"server_time_ms\":{now}}}"
    ));
    Ok(body)
}
