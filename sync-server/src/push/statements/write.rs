//! Writing accepted statements, set by set.

use deadpool_postgres::Transaction;
use motomind_protocol::flow::Session;
use motomind_protocol::records::Closed;
use motomind_protocol::{Attachment, Body, EventId, LocationCorrection, OpId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::rows::{
    CORRECTION_ROWS, CorrectionColumns, FACT_ROWS, PHOTO_ROWS, PhotoColumns, SESSION_ROW,
    SessionColumns,
};
use crate::error::Error;
use crate::push::judge::Bench;
use crate::push::read::Received;
use crate::push::store::{Sealer, close};

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

    /// What photos say about themselves; the first that came counts
    /// ([`motomind_protocol::photo::facts`]). In one order for everyone, so
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
            .prepare_cached(&format!(
                "INSERT INTO photo_metadata
                   (tenant_id, sha256, bytes, mime, width, height, orientation, taken_at,
                    taken_offset_min, position, make, model, software, step_id, capture_method,
                    quality_score, quality_issues, flash, facing, retake_count,
                    capture_duration_ms, facts, user_id, device_id, told_at)
                 {FACT_ROWS} ORDER BY f ->> 'sha256', nth ON CONFLICT DO NOTHING"
            ))
            .await?;
        let caller = &bench.caller;
        let parameters: [&(dyn ToSql + Sync); 5] =
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
            columns.push(&received.sealed, said, *event)?;
        }
        let statement = transaction
            .prepare_cached(&format!(
                "INSERT INTO event_photos
                   (tenant_id, id, event_id, photo, sequence, step_id, is_primary, caption, removed,
                    reason, body, received_at, op_id, device_id, user_id) {PHOTO_ROWS}"
            ))
            .await?;
        let device = self.photos.first().map(|(received, ..)| received.operation.device_id.0);
        let from = sealer(bench, device);
        transaction.execute(&statement, &columns.parameters(&from, &bench.now)).await?;
        Ok(())
    }

    async fn store_corrections(
        &self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        let mut columns = CorrectionColumns::default();
        for (received, said, event) in &self.corrections {
            columns.push(&received.sealed, said, *event)?;
        }
        let statement = transaction
            .prepare_cached(&format!(
                "INSERT INTO location_corrections
                   (tenant_id, id, event_id, measured, latitude, longitude, address, method, reason,
                    distance_m, extraction, withdrawn, body, received_at, op_id, device_id, user_id)
                 {CORRECTION_ROWS}"
            ))
            .await?;
        let device = self.corrections.first().map(|(received, ..)| received.operation.device_id.0);
        let from = sealer(bench, device);
        transaction.execute(&statement, &columns.parameters(&from, &bench.now)).await?;
        Ok(())
    }

    /// A session that was told before is replaced; told twice in one run, each telling has its entry.
    async fn store_sessions(
        &self,
        transaction: &Transaction<'_>,
        bench: &Bench,
    ) -> Result<(), Error> {
        let statement = transaction
            .prepare_cached(&format!(
                "INSERT INTO capture_sessions
                   (tenant_id, id, vehicle_id, flow, path, started_at, last_activity_at, ended_at,
                    status, current_step, step, reason, duration_ms, photos, event_id, resumes,
                    body, received_at, op_id, device_id, user_id)
                 {SESSION_ROW}
                 ON CONFLICT (tenant_id, id) DO UPDATE SET
                    vehicle_id = excluded.vehicle_id, flow = excluded.flow, path = excluded.path,
                    started_at = excluded.started_at, last_activity_at = excluded.last_activity_at,
                    ended_at = excluded.ended_at, status = excluded.status,
                    current_step = excluded.current_step, step = excluded.step,
                    reason = excluded.reason, duration_ms = excluded.duration_ms,
                    photos = excluded.photos, event_id = excluded.event_id,
                    resumes = excluded.resumes, body = excluded.body,
                    received_at = excluded.received_at, op_id = excluded.op_id"
            ))
            .await?;
        for (received, session) in &self.sessions {
            let columns = SessionColumns::of(&received.sealed, &received.operation, session)?;
            let tenant = bench.caller.tenant_id.0;
            transaction.execute(&statement, &columns.parameters(&tenant, &bench.now)).await?;
        }
        Ok(())
    }
}

fn sealer(bench: &Bench, device: Option<Uuid>) -> Sealer {
    Sealer { tenant: bench.caller.tenant_id.0, device, user: bench.caller.user_id.0 }
}
