//! A server with a photo store of its own, and a phone before it.

use std::path::Path;

use motomind_protocol::Role;
use motomind_protocol::wire::Problem;
use motomind_server::photos::{SweepReport, sweep};
use motomind_server::serve::{Running, start};
use motomind_server::settings::Settings;
use motomind_tests::postgres::{Database, Postgres, count};
use motomind_tests::server::{problem, settings};
use motomind_tests::tus::Phone;
use reqwest::Response;
use tempfile::TempDir;

/// A server with a photo store of its own.
pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) settings: Settings,
    pub(crate) server: Running,
    pub(crate) store: TempDir,
    pub(crate) phone: Phone,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = Postgres::shared().database().await;
        let (tenant, _) = database.tenant_with_vehicle().await;
        let store = TempDir::new().unwrap();
        let mut settings = settings(&database);
        settings.photo_store = Some(store.path().to_str().unwrap().into());
        (settings.rate_per_minute, settings.rate_burst) = (6_000_000, 1_000_000);
        change(&mut settings);
        let server = start(settings.clone()).await.unwrap();
        let phone = Phone::new(&server.url(), tenant, Role::Technician);
        Self { database, settings, server, store, phone }
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.database.admin().await.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn count(&self, query: &str) -> i64 {
        count(&self.database.admin().await, query).await
    }

    pub(crate) async fn sweep(&self, days: i64) -> SweepReport {
        let now = chrono::Utc::now() + chrono::TimeDelta::days(days);
        sweep(self.settings.clone(), now).await.unwrap()
    }

    /// Files below a folder of the store.
    pub(crate) fn files(&self, folder: &str) -> usize {
        files(&self.store.path().join(folder))
    }
}

pub(crate) fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

pub(crate) async fn refused(reply: Response, code: &str, status: u16) -> Problem {
    let problem = problem(reply).await;
    assert_eq!((problem.code.as_str(), problem.status), (code, status), "{problem:?}");
    problem
}
