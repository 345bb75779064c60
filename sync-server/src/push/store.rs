//! Writing what the judge decided, set by set.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use motomind_protocol::records::{Closed, Closing};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{
    DeviceId, EventId, Identity, Millis, OpId, Operation, SealedOperation, TenantId,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::judge::Bench;
use super::read::Received;
use crate::error::Error;

/// `fix_absent` as the table holds it, characters; the event's body keeps the whole.
const FIX_ABSENT_CHARS_MAX: usize = 64;

/// What is to be written of a piece of a batch.
#[derive(Debug, Default)]
pub(crate) struct Writes<'a> {
    /// Operations that state a fact, each with the event that it corrects.
    pub(crate) events: Vec<(&'a Received, Option<EventId>)>,
    /// Ids closed for ever …
    pub(crate) closed: Vec<OpId>,
    /// … those of them, or of ids closed before, that the log tells of …
    pub(crate) logged: Vec<OpId>,
    /// … and what closed them.
    pub(crate) by: Option<OpId>,
}

impl Writes<'_> {
    /// Writes it all.
    pub(crate) async fn store(
        &self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        if let Some(by) = self.by {
            let by_it = |ids: &[OpId]| -> Vec<(OpId, OpId)> {
                ids.iter().map(|op_id| (*op_id, by)).collect()
            };
            let (closed, logged) = (by_it(&self.closed), by_it(&self.logged));
            close(transaction, bench.caller.identity(), &closed, &logged).await?;
        }
        if !self.events.is_empty() {
            self.store_events(transaction, bench).await?;
        }
        Ok(())
    }

    /// Closes operations.
    pub(crate) fn close(&mut self, unaccepted: &[(OpId, Closing)], needs_seq: bool) {
        let Closed { closed, logged } = Closed::of(unaccepted, needs_seq);
        (self.closed, self.logged) = (closed, logged);
    }

    async fn store_events(
        &self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        let mut columns = EventColumns::default();
        for (received, corrects) in &self.events {
            columns.push(&received.sealed, &received.operation, *corrects)?;
        }
        let device = self.events.first().map(|(received, _)| received.operation.device_id.0);
        let statement = transaction
            .prepare_cached(&format!(
                "INSERT INTO vehicle_events
                   (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles,
                    total_minor, currency, vendor, notes, payload, fix, fix_absent, session_id,
                    corrects, reason, body, received_at, op_id, device_id, user_id) {EVENT_ROWS}"
            ))
            .await?;
        let caller = &bench.caller;
        let from = Sealer { tenant: caller.tenant_id.0, device, user: caller.user_id.0 };
        transaction.execute(&statement, &columns.parameters(&from, &bench.now)).await?;
        Ok(())
    }
}

/// Whose operations rows are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealer {
    pub(crate) tenant: Uuid,
    pub(crate) device: Option<Uuid>,
    pub(crate) user: Uuid,
}

/// Rows of `vehicle_events`, as they follow from what was sealed: `verify` makes them again.
pub(crate) const EVENT_ROWS: &str = "
    SELECT $1::uuid AS tenant_id, id, vehicle_id, type, from_epoch_ms(occurred_at) AS occurred_at,
           date, timezone, miles, total_minor, currency, vendor, notes,
           json_projection(payload) AS payload, json_projection(fix) AS fix, fix_absent, session_id,
           corrects, reason, body, from_epoch_ms($2) AS received_at, id AS op_id,
           $3::uuid AS device_id, $4::uuid AS user_id
    FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::date[], $10::text[],
                $11::int[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[],
                $17::text[], $18::text[], $19::uuid[], $20::uuid[], $21::text[], $22::text[])
      AS e (id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor, currency,
            vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, body)";

/// Closes ids for ever and says so in the log; each comes with what closes it. They are closed to
/// this user, whose closing takes the place of another one's.
pub(crate) async fn close(
    transaction: &Transaction<'_>,
    caller: Identity,
    closed: &[(OpId, OpId)],
    logged: &[(OpId, OpId)],
) -> Result<(), Error> {
    if closed.is_empty() && logged.is_empty() {
        return Ok(());
    }
    let close = transaction
        .prepare_cached(
            "INSERT INTO operations AS o (tenant_id, op_id, outcome, superseded_by, user_id)
             SELECT $1, op_id, 'closed', by, $4
             FROM unnest($2::uuid[], $3::uuid[]) AS c (op_id, by)
             ON CONFLICT (tenant_id, op_id) DO UPDATE
               SET outcome = 'closed', superseded_by = excluded.superseded_by,
                   user_id = excluded.user_id
               WHERE (o.outcome = 'rejected' AND o.user_id = $4)
                  OR (o.outcome = 'closed' AND o.hash IS NULL AND o.user_id <> $4)",
        )
        .await?;
    let log = transaction
        .prepare_cached(
            "SELECT append_change('closed', op_id,
                                  json_build_object('op_id', op_id, 'by', by)::text)
             FROM unnest($1::uuid[], $2::uuid[]) AS c (op_id, by)",
        )
        .await?;
    let columns = |pairs: &[(OpId, OpId)]| -> (Vec<Uuid>, Vec<Uuid>) {
        pairs.iter().map(|(op_id, by)| (op_id.0, by.0)).unzip()
    };
    let (ids, by) = columns(closed);
    let (tenant, user) = (caller.tenant_id.0, caller.user_id.0);
    transaction.execute(&close, &[&tenant, &ids, &by, &user]).await?;
    let (ids, by) = columns(logged);
    transaction.query(&log, &[&ids, &by]).await?;
    Ok(())
}

/// The sequences that this transaction's changes got, by kind and id.
pub(crate) type Numbers = HashMap<(String, Uuid), u64>;

/// Numbers what this transaction has appended to the tenant's log. The counter is locked from here
/// to the commit: the last of all locks.
pub(crate) async fn number(transaction: &Transaction<'_>) -> Result<Numbers, Error> {
    let statement =
        transaction.prepare_cached("SELECT kind, entity_id, seq FROM number_changes()").await?;
    let rows = transaction.query(&statement, &[]).await?;
    let numbered = rows.iter().map(|row| {
        let seq: i64 = row.get(2);
        ((row.get(0), row.get(1)), seq.unsigned_abs())
    });
    Ok(numbered.collect())
}

/// An operation's lasting outcome, as it is kept.
#[derive(Debug)]
pub(crate) struct Settled<'a> {
    /// Its id and hash.
    pub(crate) sealed: &'a SealedOperation,
    /// What it said.
    pub(crate) operation: &'a Operation,
    /// Its sequence; absent for a refused one.
    pub(crate) seq: Option<u64>,
    /// Whether its event is among the events, which keep its bytes.
    pub(crate) has_event: bool,
}

impl Settled<'_> {
    /// The sealed text as it is kept, and where the event goes that is kept elsewhere. The whole
    /// text of a refused operation is in the quarantine.
    fn kept(&self) -> Result<(Option<String>, Option<i32>), Error> {
        let text = &self.sealed.text;
        if self.seq.is_none() {
            return Ok((None, None));
        }
        if !self.has_event {
            return Ok((Some(text.clone()), None));
        }
        let event = body_text(self.sealed, "event")?;
        let at = event.as_ptr() as usize - text.as_ptr() as usize;
        let around = format!("{}{}", &text[..at], &text[at + event.len()..]);
        Ok((Some(around), i32::try_from(at).ok()))
    }
}

/// Keeps id, hash, outcome and text of operations for good. One that its user closed before it came
/// stays so; that it did come is kept. One whose id someone else had closed is what it is judged.
pub(crate) async fn settle(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    settled: &[Settled<'_>],
) -> Result<(), Error> {
    if settled.is_empty() {
        return Ok(());
    }
    let statement = transaction
        .prepare_cached(
            "INSERT INTO operations AS o (tenant_id, op_id, hash, outcome, seq, device_id,
                                          incarnation, device_seq, user_id, text, body_at, bytes)
             SELECT $1, op_id, hash, CASE WHEN seq IS NULL THEN 'rejected' ELSE 'accepted' END,
                    seq, device_id, incarnation, device_seq, user_id, text, body_at, bytes
             FROM unnest($2::uuid[], $3::bytea[], $4::bigint[], $5::uuid[], $6::uuid[],
                         $7::bigint[], $8::uuid[], $9::text[], $10::int[], $11::int[])
               AS s (op_id, hash, seq, device_id, incarnation, device_seq, user_id, text, body_at,
                     bytes)
             ON CONFLICT (tenant_id, op_id) DO UPDATE
               SET outcome = CASE WHEN o.outcome = 'closed'
                                   AND coalesce(o.user_id, excluded.user_id) = excluded.user_id
                                  THEN 'closed' ELSE excluded.outcome END,
                   seq = excluded.seq, text = excluded.text, body_at = excluded.body_at,
                   bytes = excluded.bytes, hash = excluded.hash, device_id = excluded.device_id,
                   incarnation = excluded.incarnation, device_seq = excluded.device_seq,
                   user_id = excluded.user_id
               WHERE (o.outcome = 'rejected' AND o.hash = excluded.hash)
                  OR (o.outcome = 'closed' AND o.hash IS NULL
                      AND (excluded.seq IS NULL OR o.user_id <> excluded.user_id))",
        )
        .await?;
    let ids: Vec<Uuid> = settled.iter().map(|one| one.sealed.op_id.0).collect();
    let hashes: Vec<&[u8]> = settled.iter().map(|one| &one.sealed.hash.0[..]).collect();
    let seqs: Vec<Option<i64>> = settled.iter().map(|one| one.seq.map(signed)).collect();
    let devices: Vec<Uuid> = settled.iter().map(|one| one.operation.device_id.0).collect();
    let lives: Vec<Uuid> = settled.iter().map(|one| one.operation.incarnation.0).collect();
    let places: Vec<i64> = settled.iter().map(|one| signed(one.operation.device_seq)).collect();
    let users: Vec<Uuid> = settled.iter().map(|one| one.operation.user_id.0).collect();
    let kept = settled.iter().map(Settled::kept).collect::<Result<Vec<_>, _>>()?;
    let (texts, body_ats): (Vec<Option<String>>, Vec<Option<i32>>) = kept.into_iter().unzip();
    let bytes: Vec<i32> = settled
        .iter()
        .map(|one| i32::try_from(one.sealed.text.len()).unwrap_or(i32::MAX))
        .collect();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
        &tenant.0, &ids, &hashes, &seqs, &devices, &lives, &places, &users, &texts, &body_ats,
        &bytes,
    ];
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}

/// Keeps a refused operation whole, with the latest reason.
pub(crate) async fn quarantine(
    transaction: &Transaction<'_>,
    bench: &Bench,
    device: Option<DeviceId>,
    sealed: &SealedOperation,
    outcome: &Outcome,
) -> Result<(), Error> {
    let code = match outcome {
        Outcome::Rejected(rejection) => projected(&rejection.code),
        _ => "op_id_reused".to_string(),
    };
    let verdict = projected(&serde_json::to_string(outcome)?);
    let statement = transaction
        .prepare_cached(
            "INSERT INTO rejected_operations AS r (tenant_id, op_id, hash, text, code, rejection,
                                                   device_id, user_id)
             VALUES ($1, $2, $3, $4, $5, json_projection($6), $7, $8)
             ON CONFLICT (tenant_id, op_id, hash) DO UPDATE
               SET code = excluded.code, rejection = excluded.rejection, last_at = now(),
                   attempts = r.attempts + 1",
        )
        .await?;
    let caller = &bench.caller;
    transaction
        .execute(
            &statement,
            &[
                &caller.tenant_id.0,
                &sealed.op_id.0,
                &&sealed.hash.0[..],
                &sealed.text.as_bytes(),
                &code,
                &verdict,
                &device.map(|device| device.0),
                &caller.user_id.0,
            ],
        )
        .await?;
    Ok(())
}

/// Sequences beyond what Postgres counts are none that this server gave.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The events of a piece, column by column. Texts lose NUL here, which Postgres cannot hold; the
/// body has it escaped.
#[derive(Debug, Default)]
pub(crate) struct EventColumns<'a> {
    id: Vec<Uuid>,
    vehicle_id: Vec<Uuid>,
    kind: Vec<String>,
    occurred_at: Vec<i64>,
    date: Vec<chrono::NaiveDate>,
    timezone: Vec<&'a str>,
    miles: Vec<Option<i32>>,
    total_minor: Vec<Option<i64>>,
    currency: Vec<Option<&'a str>>,
    vendor: Vec<Option<String>>,
    notes: Vec<Option<String>>,
    payload: Vec<String>,
    fix: Vec<Option<String>>,
    fix_absent: Vec<Option<String>>,
    session_id: Vec<Option<Uuid>>,
    corrects: Vec<Option<Uuid>>,
    reason: Vec<Option<String>>,
    body: Vec<&'a str>,
}

impl<'a> EventColumns<'a> {
    pub(crate) fn push(
        &mut self,
        sealed: &'a SealedOperation,
        operation: &'a Operation,
        corrects: Option<EventId>,
    ) -> Result<(), Error> {
        let Some(event) = operation.event() else {
            return Err(Error::Internal("an accepted operation has no event".into()));
        };
        self.id.push(event.id.0);
        self.vehicle_id.push(event.vehicle_id.0);
        self.kind.push(projected(&event.kind));
        self.occurred_at.push(event.occurred_at);
        self.date.push(event.date);
        self.timezone.push(&event.timezone);
        self.miles.push(event.miles.and_then(|miles| i32::try_from(miles).ok()));
        self.total_minor.push(event.total_minor);
        self.currency.push(event.currency.as_deref());
        self.vendor.push(event.vendor.as_deref().map(projected));
        self.notes.push(event.notes.as_deref().map(projected));
        self.payload.push(serde_json::to_string(&event.payload)?);
        let fix = event.fix.as_ref().map(serde_json::to_string);
        self.fix.push(fix.transpose()?);
        self.fix_absent.push(match &event.fix_absent {
            Some(absence) => serde_json::to_value(absence)?
                .as_str()
                .map(|name| projected(name).chars().take(FIX_ABSENT_CHARS_MAX).collect()),
            None => None,
        });
        self.session_id.push(event.session_id);
        self.corrects.push(corrects.map(|event| event.0));
        self.reason.push(event.reason.as_deref().map(projected));
        self.body.push(body_text(sealed, "event")?);
        Ok(())
    }

    /// For [`EVENT_ROWS`].
    pub(crate) fn parameters<'b>(
        &'b self,
        from: &'b Sealer,
        received_at: &'b Millis,
    ) -> [&'b (dyn ToSql + Sync); 22] {
        [
            &from.tenant,
            received_at,
            &from.device,
            &from.user,
            &self.id,
            &self.vehicle_id,
            &self.kind,
            &self.occurred_at,
            &self.date,
            &self.timezone,
            &self.miles,
            &self.total_minor,
            &self.currency,
            &self.vendor,
            &self.notes,
            &self.payload,
            &self.fix,
            &self.fix_absent,
            &self.session_id,
            &self.corrects,
            &self.reason,
            &self.body,
        ]
    }
}

/// A text as Postgres can hold it.
pub(crate) fn projected(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The body's own bytes within the sealed text, so that what devices pull is what was captured.
pub(crate) fn body_text<'a>(sealed: &'a SealedOperation, kind: &str) -> Result<&'a str, Error> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        body: HashMap<String, &'a RawValue>,
    }
    let outer: Outer<'_> = serde_json::from_str(&sealed.text)?;
    outer
        .body
        .get(kind)
        .map(|raw| raw.get())
        .ok_or_else(|| Error::Internal(format!("an accepted operation has no {kind}")))
}
