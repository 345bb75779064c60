//! Columns that readers ask of, against the sealed texts that they are projected from: made again as
//! they were when the operation was accepted, and compared one by one.

use std::collections::BTreeMap;

use motomind_protocol::{Body, EventId, PhotoFacts};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::chain::{Accepted, Chain};
use super::{Evidence, query};
use crate::error::with_source;
use crate::push::statements::rows::{
    CORRECTION_ROWS, CorrectionColumns, FACT_ROWS, PHOTO_ROWS, PhotoColumns, SESSION_ROW,
    SessionColumns,
};
use crate::push::{EVENT_ROWS, EventColumns, Sealer};

/// What nobody sealed: a row and its entry in the log witness each other for it.
const UNSEALED: &str = "ARRAY['received_at', 'corrects', 'event_id', 'told_at']";

/// Compares the rows that a page of accepted operations made, and lets the page go.
pub(super) async fn compare(client: &Client, chain: &mut Chain) -> Result<(), String> {
    let accepted = std::mem::take(&mut chain.accepted);
    let mut people: BTreeMap<Uuid, Vec<&Accepted>> = BTreeMap::new();
    for one in &accepted {
        people.entry(one.operation.user_id.0).or_default().push(one);
    }
    for (user, said) in people {
        let from = Sealer { tenant: chain.tenant, device: Some(chain.device), user };
        compare_events(client, &from, &said, &mut chain.found).await?;
        compare_photos(client, &from, &said, &mut chain.found).await?;
        compare_places(client, &from, &said, &mut chain.found).await?;
    }
    compare_sessions(client, chain.tenant, &accepted, &mut chain.found).await
}

/// The rows of a table that are gone, or differ from those that `rows` makes, each with how.
fn comparing(table: &str, rows: &str, key: &str, on: &str) -> String {
    format!(
        "SELECT p.{key}::text, r.tenant_id IS NULL,
                ARRAY(SELECT c.key FROM jsonb_each(to_jsonb(p) - {UNSEALED}) AS c
                       WHERE c.value IS DISTINCT FROM to_jsonb(r) -> c.key ORDER BY c.key)
           FROM ({rows}) AS p
           LEFT JOIN {table} r ON r.tenant_id = p.tenant_id AND {on}"
    )
}

/// Notes what differs in a row that [`comparing`] found.
fn note(table: &str, row: &Row, evidence: &mut Evidence) {
    let what: &str = row.get(0);
    if row.get(1) {
        return evidence.find(what, format!("its row in {table} is gone"));
    }
    for column in row.get::<_, Vec<&str>>(2) {
        evidence.find(what, format!("{table}.{column} is not what was sealed"));
    }
}

async fn compare_rows(
    client: &Client,
    (table, rows, on): (&str, &str, &str),
    parameters: &[&(dyn ToSql + Sync)],
    evidence: &mut Evidence,
) -> Result<(), String> {
    let sql = comparing(table, rows, "id", on);
    let found = client.query(&sql, parameters).await.map_err(|error| with_source(&error))?;
    found.iter().for_each(|row| note(table, row, evidence));
    Ok(())
}

async fn compare_events(
    client: &Client,
    from: &Sealer,
    said: &[&Accepted],
    evidence: &mut Evidence,
) -> Result<(), String> {
    let mut columns = EventColumns::default();
    for one in said.iter().filter(|one| one.entry.is_some() && one.operation.event().is_some()) {
        columns.push(&one.sealed, &one.operation, None).map_err(|error| error.to_string())?;
    }
    let table = ("vehicle_events", EVENT_ROWS, "r.date = p.date AND r.id = p.id");
    compare_rows(client, table, &columns.parameters(from, &0), evidence).await
}

async fn compare_photos(
    client: &Client,
    from: &Sealer,
    said: &[&Accepted],
    evidence: &mut Evidence,
) -> Result<(), String> {
    let mut columns = PhotoColumns::default();
    for one in said.iter().filter(|one| one.entry.is_some()) {
        if let Body::Photo(photo) = &one.operation.body {
            columns
                .push(&one.sealed, photo, EventId(Uuid::nil()))
                .map_err(|error| error.to_string())?;
        }
    }
    let table = ("event_photos", PHOTO_ROWS, "r.id = p.id");
    compare_rows(client, table, &columns.parameters(from, &0), evidence).await
}

async fn compare_places(
    client: &Client,
    from: &Sealer,
    said: &[&Accepted],
    evidence: &mut Evidence,
) -> Result<(), String> {
    let mut columns = CorrectionColumns::default();
    for one in said.iter().filter(|one| one.entry.is_some()) {
        if let Body::LocationCorrection(place) = &one.operation.body {
            columns
                .push(&one.sealed, place, EventId(Uuid::nil()))
                .map_err(|error| error.to_string())?;
        }
    }
    let table = ("location_corrections", CORRECTION_ROWS, "r.id = p.id");
    compare_rows(client, table, &columns.parameters(from, &0), evidence).await
}

/// Sessions that were told, against their rows. Of one that was told again, by a device or by another
/// SQL client, the row is of the last telling; the log says which that is.
async fn compare_sessions(
    client: &Client,
    tenant: Uuid,
    accepted: &[Accepted],
    evidence: &mut Evidence,
) -> Result<(), String> {
    let sql = format!(
        "SELECT p.id::text, r.tenant_id IS NULL,
                ARRAY(SELECT c.key FROM jsonb_each(to_jsonb(p) - ARRAY['received_at']) AS c
                       WHERE c.value IS DISTINCT FROM to_jsonb(r) -> c.key ORDER BY c.key),
                stated(COALESCE(r.op_id, r.id), COALESCE(r.body, session_said(r)), NULL, r.received_at,
                       r.op_id, r.device_id, r.user_id),
                last.entity_id IS NOT DISTINCT FROM p.op_id, last.entry
           FROM ({SESSION_ROW}) AS p
           LEFT JOIN capture_sessions r ON r.tenant_id = p.tenant_id AND r.id = p.id
           LEFT JOIN LATERAL (
                SELECT c.entity_id, c.entry FROM change_log c
                 WHERE c.tenant_id = p.tenant_id AND c.kind = 'session'
                   AND (c.entity_id = p.id OR c.entry LIKE concat('%\"said\":{{\"id\":\"', p.id, '\"%'))
                 ORDER BY c.seq DESC LIMIT 1) AS last ON true"
    );
    for one in accepted.iter().filter(|one| one.entry.is_some()) {
        let Body::Session(session) = &one.operation.body else { continue };
        let columns = SessionColumns::of(&one.sealed, &one.operation, session)
            .map_err(|error| error.to_string())?;
        let row = client.query_one(&sql, &columns.parameters(&tenant, &0)).await;
        let row = row.map_err(|error| with_source(&error))?;
        let (stated, entry): (Option<&str>, Option<&str>) = (row.get(3), row.get(5));
        let is_last: bool = row.get(4);
        if row.get(1) || is_last {
            note("capture_sessions", &row, evidence);
        }
        let told = stated.map(|stated| format!("\"data\":{stated}}}"));
        if let (Some(told), Some(entry)) = (told, entry)
            && !entry.ends_with(&told)
        {
            let why = "capture_sessions and change_log.entry differ about what was told last";
            evidence.find(session.id, why);
        }
    }
    Ok(())
}

/// Statements of this device that were the first to say what a photo is. What another SQL client had
/// said of it before is a fact of theirs.
const FACTS: &str = "
    SELECT p.photo, p.body, p.user_id, m.told_at <> p.received_at FROM event_photos p
      LEFT JOIN photo_metadata m ON m.tenant_id = p.tenant_id AND m.sha256 = p.photo
     WHERE p.tenant_id = $1 AND p.device_id = $2 AND p.body IS NOT NULL
       AND NOT EXISTS (SELECT FROM event_photos b
                        WHERE b.tenant_id = $1 AND b.photo = p.photo AND b.arrival < p.arrival)
       AND (m.sha256 IS NULL OR m.facts IS NOT NULL OR m.device_id IS NOT NULL)
     ORDER BY p.user_id, p.photo";

/// Compares what photos say about themselves with what their first statements said.
pub(super) async fn compare_facts(
    client: &Client,
    tenant: Uuid,
    device: Uuid,
    evidence: &mut Evidence,
) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        facts: Option<&'a serde_json::value::RawValue>,
    }
    let mut told: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
    for row in query(client, FACTS, tenant, device).await? {
        // Whatever cannot be read is not what was sealed, and has been found.
        let said = serde_json::from_str::<Said<'_>>(row.get(1)).ok();
        let facts = said.and_then(|said| said.facts);
        let Some(facts) = facts.and_then(|facts| serde_json::from_str(facts.get()).ok()) else {
            continue;
        };
        let facts: PhotoFacts = facts;
        let facts = serde_json::to_string(&facts).map_err(|error| error.to_string())?;
        told.entry(row.get(2)).or_default().push(facts);
        if row.get::<_, Option<bool>>(3) == Some(true) {
            let why = "photo_metadata.told_at is not when its first statement was received";
            evidence.find(row.get::<_, &str>(0), why);
        }
    }
    let sql = comparing("photo_metadata", FACT_ROWS, "sha256", "r.sha256 = p.sha256");
    for (user, facts) in told {
        let device = Some(device);
        let parameters: [&(dyn ToSql + Sync); 5] = [&tenant, &user, &device, &0_i64, &facts];
        let rows = client.query(&sql, &parameters).await.map_err(|error| with_source(&error))?;
        rows.iter().for_each(|row| note("photo_metadata", row, evidence));
    }
    Ok(())
}
