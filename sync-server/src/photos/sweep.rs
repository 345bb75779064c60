//! The sweep: expired uploads go, complete ones that nobody asked for again are published, and what
//! is in the store without an upload is removed. Twice at once is harmless.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use motomind_protocol::TenantId;
use uuid::Uuid;

use super::{complete, upload};
use crate::App;
use crate::error::Error;
use crate::settings::Settings;

/// Time between two sweeps of a serving instance.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// A complete upload that was not touched for so long was left behind by a crash.
const IDLE: TimeDelta = TimeDelta::minutes(2);

/// Uploads of one sweep; the others wait for the next.
const UPLOADS_MAX: i32 = 10_000;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Uploads that were expired and are gone.
    pub expired: u64,
    /// Complete uploads that were brought to their end.
    pub completed: u64,
    /// Uploads that were in the store alone.
    pub orphaned: u64,
    /// What could not be done now; the next sweep tries again.
    pub failed: u64,
}

impl std::fmt::Display for SweepReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { expired, completed, orphaned, failed } = self;
        write!(f, "{expired} expired, {completed} completed, {orphaned} orphaned, {failed} failed")
    }
}

/// Sweeps once, as of `now`, for the operator.
///
/// # Errors
/// One line: a setting to mend, or what the database or the store said.
pub async fn sweep(settings: Settings, now: DateTime<Utc>) -> Result<SweepReport, String> {
    let app = App::new(settings).await?;
    app.check().await?;
    if app.photos.is_none() {
        return Err("--photo-store (MOTOMIND_PHOTO_STORE) is missing".into());
    }
    let said = |error: Error| match error {
        Error::Unavailable(text) | Error::Conflict(text) | Error::Internal(text) => text,
        other => other.to_string(),
    };
    run(&app, now).await.map_err(said)
}

/// Sweeps while the server runs.
pub(crate) async fn sweep_regularly(app: App) {
    if app.photos.is_none() {
        return;
    }
    loop {
        tokio::time::sleep(INTERVAL).await;
        match run(&app, Utc::now()).await {
            Ok(report) => tracing::info!(%report, "uploads were swept"),
            Err(error) => tracing::warn!(?error, "uploads were not swept"),
        }
    }
}

async fn run(app: &App, now: DateTime<Utc>) -> Result<SweepReport, Error> {
    let started = Instant::now();
    let mut report = SweepReport::default();
    super::of(app)?.staging.let_go();
    for (tenant, id, expired) in due(app, now).await? {
        let done = if expired {
            remove(app, tenant, id).await.map(|()| report.expired += 1)
        } else {
            finish(app, tenant, id).await.map(|()| report.completed += 1)
        };
        if let Err(error) = done {
            tracing::warn!(?error, upload = %id, "an upload was not swept");
            report.failed += 1;
        }
    }
    for (tenant, id) in orphans(app).await? {
        super::of(app)?.store.remove_upload(tenant, id).await?;
        report.orphaned += 1;
    }
    record(app, started, &report).await?;
    Ok(report)
}

async fn due(app: &App, now: DateTime<Utc>) -> Result<Vec<(TenantId, Uuid, bool)>, Error> {
    let client = app.client().await?;
    let rows = client
        .query(
            "SELECT tenant_id, upload_id, expired FROM uploads_due($1, $2, $3)",
            &[&now, &(now - IDLE), &UPLOADS_MAX],
        )
        .await?;
    Ok(rows.iter().map(|row| (TenantId(row.get(0)), row.get(1), row.get(2))).collect())
}

/// The row first: it gives the room back, and what is left in the store is an orphan then.
async fn remove(app: &App, tenant: TenantId, id: Uuid) -> Result<(), Error> {
    upload::forget(app, tenant, id).await?;
    let photos = super::of(app)?;
    photos.staging.take(id);
    photos.store.remove_upload(tenant, id).await
}

async fn finish(app: &App, tenant: TenantId, id: Uuid) -> Result<(), Error> {
    let upload = upload::look(app, tenant, id).await?;
    if upload.is_complete() {
        complete::complete(app, &upload).await?;
    }
    Ok(())
}

/// Uploads in the store that Postgres does not know. A row comes before its first piece, so that
/// one without a row is over.
async fn orphans(app: &App) -> Result<Vec<(TenantId, Uuid)>, Error> {
    let stored = super::of(app)?.store.uploads().await?;
    let ids: Vec<Uuid> = stored.iter().map(|(_, id)| *id).collect();
    let client = app.client().await?;
    let rows = client.query("SELECT * FROM uploads_known($1)", &[&ids]).await?;
    let known: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    Ok(stored.into_iter().filter(|(_, id)| !known.contains(id)).collect())
}

async fn record(app: &App, started: Instant, report: &SweepReport) -> Result<(), Error> {
    let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let client = app.client().await?;
    client
        .execute(
            "INSERT INTO maintenance_runs (job, started_at, duration_ms, outcome)
             VALUES ('uploads', clock_timestamp(), $1, $2)",
            &[&duration_ms, &report.to_string()],
        )
        .await?;
    Ok(())
}
