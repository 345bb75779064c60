//! Events of the backup, and the three retired tables that became events.

use motomind_protocol::{Event, Violation};
use serde_json::{Value, json};
use tokio_postgres::Transaction;
use uuid::Uuid;

use super::draft::{Draft, convert};
use super::values::{no_nul, uuid};
use super::{Outcome, Row};

/// The lists that hold events, in the order of import.
pub(super) const SOURCES: &[&str] =
    &["current_events", "odometer_readings", "fuel_logs", "service_records"];

/// Imports one row. A reading that the odometer rule refuses is moved aside; the fact stays.
pub(super) async fn import(
    transaction: &mut Transaction<'_>,
    tenant: Uuid,
    source: &str,
    row: &Row,
) -> Result<Outcome, tokio_postgres::Error> {
    let mut draft = match convert(source, row) {
        Ok(draft) => draft,
        Err(reasons) => return Ok(Outcome::Refused(reasons)),
    };
    let there = "SELECT FROM event_registry WHERE tenant_id = $1 AND event_id = $2";
    if transaction.query_opt(there, &[&tenant, &draft.event.id.0]).await?.is_some() {
        return Ok(Outcome::Kept(vec!["an event with this id is there already".into()]));
    }
    loop {
        let savepoint = transaction.transaction().await?;
        let Err(error) = insert(&savepoint, tenant, &draft, uuid(row.get("created_by"))).await
        else {
            savepoint.commit().await?;
            return Ok(Outcome::remarked(draft.reasons));
        };
        savepoint.rollback().await?;
        let Some(db) = error.as_db_error() else {
            return Err(error);
        };
        let out_of_order =
            db.constraint() == Some("vehicle_events_odometer") && draft.event.miles.is_some();
        let aside =
            Violation::new("miles", motomind_protocol::code::ODOMETER_OUT_OF_ORDER, db.message());
        if !(out_of_order && draft.move_aside(&aside) && draft.settle().is_ok()) {
            let unknown = db.constraint().is_some_and(|name| name.ends_with("vehicle_id_fkey"));
            let vehicle = draft.event.vehicle_id;
            let why = if unknown {
                format!("vehicle {vehicle} is not in this tenant")
            } else {
                db.message().into()
            };
            return Ok(Outcome::Refused(vec![why]));
        }
    }
}

/// Writes the event, and its retraction in the same statement: together they are judged.
async fn insert(
    transaction: &Transaction<'_>,
    tenant: Uuid,
    draft: &Draft,
    user: Option<Uuid>,
) -> Result<(), tokio_postgres::Error> {
    let statement = transaction
        .prepare(
            "INSERT INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor,
                    currency, vendor, notes, payload, fix, corrects, reason, user_id)
             SELECT $1, e.id, e.vehicle_id, e.type, from_epoch_ms(e.at), e.date, 'UTC', e.miles, e.total_minor,
                    e.currency, e.vendor, e.notes, json_projection(e.payload), e.fix::jsonb, e.corrects, e.reason, $2
               FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::date[], $8::bigint[], $9::bigint[],
                           $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::uuid[], $16::text[])
                 AS e (id, vehicle_id, type, at, date, miles, total_minor, currency, vendor, notes, payload, fix, corrects, reason)",
        )
        .await?;
    let events: Vec<&Event> = std::iter::once(&draft.event).chain(&draft.retraction).collect();
    let texts = |of: fn(&Event) -> Option<&String>| -> Vec<Option<String>> {
        events.iter().map(|event| of(event).map(|text| no_nul(text))).collect()
    };
    let payloads: Vec<String> =
        events.iter().map(|event| Value::Object(event.payload.clone()).to_string()).collect();
    let fixes: Vec<Option<String>> =
        events.iter().map(|event| Some(json!(event.fix.as_ref()?).to_string())).collect();
    transaction
        .execute(
            &statement,
            &[
                &tenant,
                &user,
                &events.iter().map(|event| event.id.0).collect::<Vec<_>>(),
                &events.iter().map(|event| event.vehicle_id.0).collect::<Vec<_>>(),
                &events.iter().map(|event| no_nul(&event.kind)).collect::<Vec<_>>(),
                &events.iter().map(|event| event.occurred_at).collect::<Vec<_>>(),
                &events.iter().map(|event| event.date).collect::<Vec<_>>(),
                &events.iter().map(|event| event.miles).collect::<Vec<_>>(),
                &events.iter().map(|event| event.total_minor).collect::<Vec<_>>(),
                &texts(|event| event.currency.as_ref()),
                &texts(|event| event.vendor.as_ref()),
                &texts(|event| event.notes.as_ref()),
                &payloads,
                &fixes,
                &events.iter().map(|event| event.corrects.map(|id| id.0)).collect::<Vec<_>>(),
                &texts(|event| event.reason.as_ref()),
            ],
        )
        .await?;
    Ok(())
}
