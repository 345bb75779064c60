//! Writing accepted statements, set by set.

use deadpool_postgres::Transaction;
use motomind_protocol::flow::{Path, Session, Standing};
use motomind_protocol::limits::{OCCURRED_AT_MAX_MS, OCCURRED_AT_MIN_MS};
use motomind_protocol::records::Closed;
use motomind_protocol::{Attachment, Body, EventId, LocationCorrection, Millis, OpId};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Error;
use crate::push::judge::Bench;
use crate::push::read::Received;
use crate::push::store::{body_text, close, projected};

/// Accepted statements that wait to be written, and what they close.
#[derive(Debug, Default)]
pub(super) struct Statements<'a> {
    photos: Vec<(&'a Received, &'a Attachment, EventId)>,
    corrections: Vec<(&'a Received, &'a LocationCorrection, EventId)>,
    sessions: Vec<(&'a Received, &'a Session)>,
    /// Closed ids, each with what closed it.
    closed: Vec<(OpId, OpId)>,
    /// Those that the log tells of.
    logged: Vec<(OpId, OpId)>,
}

impl<'a> Statements<'a> {
    /// Adds an accepted statement about an event, as resolved.
    pub(super) fn add(&mut self, received: &'a Received, event: Option<EventId>) {
        match (&received.operation.body, event) {
            (Body::Photo(said), Some(event)) => self.photos.push((received, said, event)),
            (Body::LocationCorrection(said), Some(event)) => {
                self.corrections.push((received, said, event));
            }
            (Body::Session(session), _) => self.sessions.push((received, session)),
            _ => {}
        }
    }

    /// Adds what an operation closes.
    pub(super) fn close(&mut self, by: OpId, closed: &Closed) {
        self.closed.extend(closed.closed.iter().map(|op_id| (*op_id, by)));
        self.logged.extend(closed.logged.iter().map(|op_id| (*op_id, by)));
    }

    /// Writes it all.
    pub(super) async fn store(
        self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        close(transaction, bench.caller.identity(), &self.closed, &self.logged).await?;
        if !self.photos.is_empty() {
            self.store_facts(transaction, bench).await?;
            self.store_photos(transaction, bench).await?;
        }
        if !self.corrections.is_empty() {
            self.store_corrections(transaction, bench).await?;
        }
        if !self.sessions.is_empty() {
            self.store_sessions(transaction, bench).await?;
        }
        Ok(())
    }

    /// What photos say about themselves; the first that came counts. In one order for everyone, so
    /// that two who describe the same photos do not wait for each other.
    async fn store_facts(&self, transaction: &Transaction<'_>, bench: &Bench) -> Result<(), Error> {
        let told = self.photos.iter().filter_map(|(received, said, _)| {
            Some((received.operation.device_id.0, said.facts.as_deref()?))
        });
        let mut facts = Vec::new();
        let mut device = None;
        for (from, one) in told {
            device = Some(from);
            facts.push(serde_json::to_string(one)?);
        }
        if facts.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO photo_metadata
                   (tenant_id, sha256, bytes, mime, width, height, orientation, taken_at,
                    taken_offset_min, position, make, model, software, step_id, capture_method,
                    quality_score, quality_issues, flash, facing, retake_count,
                    capture_duration_ms, facts, user_id, device_id, told_at)
                 SELECT $1, f ->> 'sha256', (f ->> 'size')::bigint, f ->> 'mime',
                        (f ->> 'width')::bigint, (f ->> 'height')::bigint,
                        (f ->> 'orientation')::smallint,
                        CASE WHEN taken ~ '^[0-9]{4}-' AND taken !~ '^0000' THEN taken::timestamp END,
                        extract(epoch FROM substring(taken FROM '[+-][0-9]{2}:[0-9]{2}$')::interval)
                            ::integer / 60,
                        f -> 'position', f ->> 'make', f ->> 'model', f ->> 'software',
                        f #>> '{capture,step_id}', f #>> '{capture,capture_method}',
                        (f #>> '{capture,quality_score}')::smallint, f #> '{capture,quality_issues}',
                        f #>> '{capture,flash}', f #>> '{capture,facing}',
                        (f #>> '{capture,retake_count}')::integer,
                        (f #>> '{capture,capture_duration_ms}')::bigint,
                        f, $2, $3, from_epoch_ms($4)
                 FROM unnest($5::text[]) WITH ORDINALITY AS told (text, nth),
                      LATERAL (SELECT json_projection(told.text) AS f) AS read,
                      LATERAL (SELECT f ->> 'taken_at' AS taken) AS clock
                 ORDER BY f ->> 'sha256', nth
                 ON CONFLICT DO NOTHING",
            )
            .await?;
        let caller = &bench.caller;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&caller.tenant_id.0, &caller.user_id.0, &device, &bench.now, &facts];
        transaction.execute(&statement, &parameters).await?;
        Ok(())
    }

    async fn store_photos(
        &self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        let mut columns = PhotoColumns::default();
        for (received, said, event) in &self.photos {
            columns.push(received, said, *event)?;
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO event_photos
                   (tenant_id, id, event_id, photo, sequence, step_id, is_primary, caption, removed,
                    reason, body, received_at, op_id, device_id, user_id)
                 SELECT $1, id, event_id, photo, sequence, step_id, is_primary, caption, removed,
                        reason, body, from_epoch_ms($2), id, $3, $4
                 FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::int[], $9::text[],
                             $10::boolean[], $11::text[], $12::boolean[], $13::text[], $14::text[])
                   AS s (id, event_id, photo, sequence, step_id, is_primary, caption, removed,
                         reason, body)",
            )
            .await?;
        let caller = &bench.caller;
        let device = self.photos.first().map(|(received, ..)| received.operation.device_id.0);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 14] = [
            &caller.tenant_id.0,
            &bench.now,
            &device,
            &caller.user_id.0,
            &columns.id,
            &columns.event_id,
            &columns.photo,
            &columns.sequence,
            &columns.step_id,
            &columns.is_primary,
            &columns.caption,
            &columns.removed,
            &columns.reason,
            &columns.body,
        ];
        transaction.execute(&statement, &parameters).await?;
        Ok(())
    }

    async fn store_corrections(
        &self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        let mut columns = CorrectionColumns::default();
        for (received, said, event) in &self.corrections {
            columns.push(received, said, *event)?;
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO location_corrections
                   (tenant_id, id, event_id, measured, latitude, longitude, address, method, reason,
                    distance_m, extraction, withdrawn, body, received_at, op_id, device_id, user_id)
                 SELECT $1, id, event_id, json_projection(measured), latitude, longitude, address,
                        method, reason, distance_m, json_projection(extraction), withdrawn, body,
                        from_epoch_ms($2), id, $3, $4
                 FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::float8[], $9::float8[],
                             $10::text[], $11::text[], $12::text[], $13::float8[], $14::text[],
                             $15::boolean[], $16::text[])
                   AS s (id, event_id, measured, latitude, longitude, address, method, reason,
                         distance_m, extraction, withdrawn, body)",
            )
            .await?;
        let caller = &bench.caller;
        let device = self.corrections.first().map(|(received, ..)| received.operation.device_id.0);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 16] = [
            &caller.tenant_id.0,
            &bench.now,
            &device,
            &caller.user_id.0,
            &columns.id,
            &columns.event_id,
            &columns.measured,
            &columns.latitude,
            &columns.longitude,
            &columns.address,
            &columns.method,
            &columns.reason,
            &columns.distance_m,
            &columns.extraction,
            &columns.withdrawn,
            &columns.body,
        ];
        transaction.execute(&statement, &parameters).await?;
        Ok(())
    }

    /// A session that was told before is replaced; told twice in one run, each telling has its entry.
    async fn store_sessions(
        &self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        let statement = transaction
            .prepare_cached(
                "INSERT INTO capture_sessions
                   (tenant_id, id, vehicle_id, flow, path, started_at, last_activity_at, ended_at,
                    status, current_step, step, reason, duration_ms, photos, event_id, resumes,
                    body, received_at, op_id, device_id, user_id)
                 VALUES ($1, $2, $3, $4, $5, from_epoch_ms($6), from_epoch_ms($7),
                         from_epoch_ms($8), $9, $10, $11, $12, $13, json_projection($14), $15, $16,
                         $17, from_epoch_ms($18), $19, $20, $21)
                 ON CONFLICT (tenant_id, id) DO UPDATE SET
                    vehicle_id = excluded.vehicle_id, flow = excluded.flow, path = excluded.path,
                    started_at = excluded.started_at, last_activity_at = excluded.last_activity_at,
                    ended_at = excluded.ended_at, status = excluded.status,
                    current_step = excluded.current_step, step = excluded.step,
                    reason = excluded.reason, duration_ms = excluded.duration_ms,
                    photos = excluded.photos, event_id = excluded.event_id,
                    resumes = excluded.resumes, body = excluded.body,
                    received_at = excluded.received_at, op_id = excluded.op_id",
            )
            .await?;
        for (received, session) in &self.sessions {
            let told = Told::of(session)?;
            let operation = &received.operation;
            let body = body_text(&received.sealed, "session")?;
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 21] = [
                &bench.caller.tenant_id.0,
                &session.id,
                &session.vehicle_id.0,
                &projected(&session.flow),
                &told.path,
                &instant(session.started_at),
                &instant(session.last_activity_at),
                &instant(told.ended_at),
                &told.status,
                &session.current_step,
                &told.step,
                &told.reason,
                &session.duration_ms(),
                &serde_json::to_string(&session.photos)?,
                &told.event_id,
                &session.resumes,
                &body,
                &bench.now,
                &operation.op_id.0,
                &operation.device_id.0,
                &operation.user_id.0,
            ];
            transaction.execute(&statement, &parameters).await?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct PhotoColumns<'a> {
    id: Vec<Uuid>,
    event_id: Vec<Uuid>,
    photo: Vec<String>,
    sequence: Vec<i32>,
    step_id: Vec<Option<&'a str>>,
    is_primary: Vec<bool>,
    caption: Vec<Option<String>>,
    removed: Vec<bool>,
    reason: Vec<Option<String>>,
    body: Vec<&'a str>,
}

impl<'a> PhotoColumns<'a> {
    fn push(
        &mut self,
        received: &'a Received,
        said: &'a Attachment,
        event: EventId,
    ) -> Result<(), Error> {
        self.id.push(received.operation.op_id.0);
        self.event_id.push(event.0);
        self.photo.push(said.photo.to_string());
        self.sequence.push(i32::try_from(said.sequence).unwrap_or(i32::MAX));
        self.step_id.push(said.step_id.as_deref());
        self.is_primary.push(said.is_primary);
        self.caption.push(said.caption.as_deref().map(projected));
        self.removed.push(said.removed);
        self.reason.push(said.reason.as_deref().map(projected));
        self.body.push(body_text(&received.sealed, "photo")?);
        Ok(())
    }
}

#[derive(Default)]
struct CorrectionColumns<'a> {
    id: Vec<Uuid>,
    event_id: Vec<Uuid>,
    measured: Vec<Option<String>>,
    latitude: Vec<f64>,
    longitude: Vec<f64>,
    address: Vec<Option<String>>,
    method: Vec<String>,
    reason: Vec<Option<String>>,
    distance_m: Vec<Option<f64>>,
    extraction: Vec<Option<String>>,
    withdrawn: Vec<bool>,
    body: Vec<&'a str>,
}

impl<'a> CorrectionColumns<'a> {
    fn push(
        &mut self,
        received: &'a Received,
        said: &'a LocationCorrection,
        event: EventId,
    ) -> Result<(), Error> {
        self.id.push(received.operation.op_id.0);
        self.event_id.push(event.0);
        self.measured.push(said.measured.as_ref().map(serde_json::to_string).transpose()?);
        self.latitude.push(said.latitude);
        self.longitude.push(said.longitude);
        self.address.push(said.address.as_deref().map(projected));
        self.method.push(word(&said.method)?);
        self.reason.push(said.reason.as_deref().map(projected));
        self.distance_m.push(said.distance_m);
        self.extraction.push(said.extraction.as_ref().map(serde_json::to_string).transpose()?);
        self.withdrawn.push(said.withdrawn);
        self.body.push(body_text(&received.sealed, "location_correction")?);
        Ok(())
    }
}

/// How a session ended, as its row says it.
struct Told {
    path: String,
    ended_at: Millis,
    status: &'static str,
    step: Option<String>,
    reason: Option<String>,
    event_id: Option<Uuid>,
}

impl Told {
    fn of(session: &Session) -> Result<Self, Error> {
        let path = match &session.path {
            Path::Other(other) => shortened(other),
            path => word(path)?,
        };
        Ok(match &session.standing {
            Standing::Active => {
                return Err(Error::Internal("a session that is active was accepted".into()));
            }
            Standing::Completed { event_id, completed_at } => Self {
                path,
                ended_at: *completed_at,
                status: "completed",
                step: None,
                reason: None,
                event_id: Some(event_id.0),
            },
            Standing::Abandoned { abandoned_at_step, reason, abandoned_at } => Self {
                path,
                ended_at: *abandoned_at,
                status: "abandoned",
                step: abandoned_at_step
                    .as_deref()
                    .map(|step| projected(step).chars().take(50).collect()),
                reason: Some(shortened(&word(reason)?)),
                event_id: None,
            },
        })
    }
}

/// The name of a choice on the wire.
fn word(choice: &impl Serialize) -> Result<String, Error> {
    let value = serde_json::to_value(choice)?;
    Ok(projected(value.as_str().unwrap_or_default()))
}

/// A newer peer's word as the table holds it; the body keeps the whole.
fn shortened(word: &str) -> String {
    projected(word).chars().take(64).collect()
}

/// An instant as the database can hold it; the body keeps what was said.
fn instant(ms: Millis) -> Millis {
    ms.clamp(OCCURRED_AT_MIN_MS, OCCURRED_AT_MAX_MS)
}
