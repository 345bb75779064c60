//! Rows of statements, as they follow from what was sealed: written when it is accepted, made again
//! when it is verified.

use motomind_protocol::flow::{Path, Session, Standing};
use motomind_protocol::limits::{OCCURRED_AT_MAX_MS, OCCURRED_AT_MIN_MS};
use motomind_protocol::{
    Attachment, EventId, LocationCorrection, Millis, Operation, SealedOperation,
};
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::error::Error;
use crate::push::store::{Sealer, body_text, projected};

/// Rows of `photo_metadata`, of facts as they were told.
pub(crate) const FACT_ROWS: &str = "
    SELECT $1::uuid AS tenant_id, f ->> 'sha256' AS sha256, (f ->> 'size')::bigint AS bytes,
           f ->> 'mime' AS mime, (f ->> 'width')::bigint AS width,
           (f ->> 'height')::bigint AS height, (f ->> 'orientation')::smallint AS orientation,
           CASE WHEN taken ~ '^[0-9]{4}-' AND taken !~ '^0000' THEN taken::timestamp END AS taken_at,
           extract(epoch FROM substring(taken FROM '[+-][0-9]{2}:[0-9]{2}$')::interval)
               ::integer / 60 AS taken_offset_min,
           f -> 'position' AS position, f ->> 'make' AS make, f ->> 'model' AS model,
           f ->> 'software' AS software, f #>> '{capture,step_id}' AS step_id,
           f #>> '{capture,capture_method}' AS capture_method,
           (f #>> '{capture,quality_score}')::smallint AS quality_score,
           f #> '{capture,quality_issues}' AS quality_issues,
           f #>> '{capture,flash}' AS flash, f #>> '{capture,facing}' AS facing,
           (f #>> '{capture,retake_count}')::integer AS retake_count,
           (f #>> '{capture,capture_duration_ms}')::bigint AS capture_duration_ms,
           f AS facts, $2::uuid AS user_id, $3::uuid AS device_id, from_epoch_ms($4) AS told_at
    FROM unnest($5::text[]) WITH ORDINALITY AS told (text, nth),
         LATERAL (SELECT json_projection(told.text) AS f) AS read,
         LATERAL (SELECT f ->> 'taken_at' AS taken) AS clock";

/// Rows of `event_photos`; vehicle, family and arrival are filled in where they are written.
pub(crate) const PHOTO_ROWS: &str = "
    SELECT $1::uuid AS tenant_id, id, event_id, photo, sequence, step_id, is_primary, caption,
           removed, reason, body, from_epoch_ms($2) AS received_at, id AS op_id,
           $3::uuid AS device_id, $4::uuid AS user_id
    FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::int[], $9::text[], $10::boolean[],
                $11::text[], $12::boolean[], $13::text[], $14::text[])
      AS s (id, event_id, photo, sequence, step_id, is_primary, caption, removed, reason, body)";

/// Rows of `location_corrections`; likewise.
pub(crate) const CORRECTION_ROWS: &str = "
    SELECT $1::uuid AS tenant_id, id, event_id, json_projection(measured) AS measured, latitude,
           longitude, address, method, reason, distance_m,
           json_projection(extraction) AS extraction, withdrawn, body,
           from_epoch_ms($2) AS received_at, id AS op_id, $3::uuid AS device_id,
           $4::uuid AS user_id
    FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::float8[], $9::float8[], $10::text[],
                $11::text[], $12::text[], $13::float8[], $14::text[], $15::boolean[], $16::text[])
      AS s (id, event_id, measured, latitude, longitude, address, method, reason, distance_m,
            extraction, withdrawn, body)";

/// A row of `capture_sessions`; its arrival is filled in where it is written.
pub(crate) const SESSION_ROW: &str = "
    SELECT $1::uuid AS tenant_id, $2::uuid AS id, $3::uuid AS vehicle_id, $4::text AS flow,
           $5::text AS path, from_epoch_ms($6) AS started_at, from_epoch_ms($7) AS last_activity_at,
           from_epoch_ms($8) AS ended_at, $9::text AS status, $10::text AS current_step,
           $11::text AS step, $12::text AS reason, $13::bigint AS duration_ms,
           json_projection($14) AS photos, $15::uuid AS event_id, $16::uuid AS resumes,
           $17::text AS body, from_epoch_ms($18) AS received_at, $19::uuid AS op_id,
           $20::uuid AS device_id, $21::uuid AS user_id";

#[derive(Debug, Default)]
pub(crate) struct PhotoColumns<'a> {
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
    pub(crate) fn push(
        &mut self,
        sealed: &'a SealedOperation,
        said: &'a Attachment,
        event: EventId,
    ) -> Result<(), Error> {
        self.id.push(sealed.op_id.0);
        self.event_id.push(event.0);
        self.photo.push(said.photo.to_string());
        self.sequence.push(i32::try_from(said.sequence).unwrap_or(i32::MAX));
        self.step_id.push(said.step_id.as_deref());
        self.is_primary.push(said.is_primary);
        self.caption.push(said.caption.as_deref().map(projected));
        self.removed.push(said.removed);
        self.reason.push(said.reason.as_deref().map(projected));
        self.body.push(body_text(sealed, "photo")?);
        Ok(())
    }

    /// For [`PHOTO_ROWS`].
    pub(crate) fn parameters<'b>(
        &'b self,
        from: &'b Sealer,
        received_at: &'b Millis,
    ) -> [&'b (dyn ToSql + Sync); 14] {
        [
            &from.tenant,
            received_at,
            &from.device,
            &from.user,
            &self.id,
            &self.event_id,
            &self.photo,
            &self.sequence,
            &self.step_id,
            &self.is_primary,
            &self.caption,
            &self.removed,
            &self.reason,
            &self.body,
        ]
    }
}

#[derive(Debug, Default)]
pub(crate) struct CorrectionColumns<'a> {
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
    pub(crate) fn push(
        &mut self,
        sealed: &'a SealedOperation,
        said: &'a LocationCorrection,
        event: EventId,
    ) -> Result<(), Error> {
        self.id.push(sealed.op_id.0);
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
        self.body.push(body_text(sealed, "location_correction")?);
        Ok(())
    }

    /// For [`CORRECTION_ROWS`].
    pub(crate) fn parameters<'b>(
        &'b self,
        from: &'b Sealer,
        received_at: &'b Millis,
    ) -> [&'b (dyn ToSql + Sync); 16] {
        [
            &from.tenant,
            received_at,
            &from.device,
            &from.user,
            &self.id,
            &self.event_id,
            &self.measured,
            &self.latitude,
            &self.longitude,
            &self.address,
            &self.method,
            &self.reason,
            &self.distance_m,
            &self.extraction,
            &self.withdrawn,
            &self.body,
        ]
    }
}

/// A session's row.
#[derive(Debug)]
pub(crate) struct SessionColumns<'a> {
    session: &'a Session,
    operation: &'a Operation,
    flow: String,
    told: Told,
    instants: [Millis; 3],
    duration_ms: Millis,
    photos: String,
    body: &'a str,
}

impl<'a> SessionColumns<'a> {
    pub(crate) fn of(
        sealed: &'a SealedOperation,
        operation: &'a Operation,
        session: &'a Session,
    ) -> Result<Self, Error> {
        let told = Told::of(session)?;
        let instants = [session.started_at, session.last_activity_at, told.ended_at].map(instant);
        Ok(Self {
            session,
            operation,
            flow: projected(&session.flow),
            told,
            instants,
            duration_ms: session.duration_ms(),
            photos: serde_json::to_string(&session.photos)?,
            body: body_text(sealed, "session")?,
        })
    }

    /// For [`SESSION_ROW`].
    pub(crate) fn parameters<'b>(
        &'b self,
        tenant: &'b Uuid,
        received_at: &'b Millis,
    ) -> [&'b (dyn ToSql + Sync); 21] {
        let Self { session, told, instants, operation, .. } = self;
        [
            tenant,
            &session.id,
            &session.vehicle_id.0,
            &self.flow,
            &told.path,
            &instants[0],
            &instants[1],
            &instants[2],
            &told.status,
            &session.current_step,
            &told.step,
            &told.reason,
            &self.duration_ms,
            &self.photos,
            &told.event_id,
            &session.resumes,
            &self.body,
            received_at,
            &operation.op_id.0,
            &operation.device_id.0,
            &operation.user_id.0,
        ]
    }
}

/// How a session ended, as its row says it.
#[derive(Debug)]
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
