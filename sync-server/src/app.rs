//! What every handler can reach.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use deadpool_postgres::{Object, Pool};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use motomind_protocol::Millis;
use tokio::sync::watch;

use crate::auth::Verifier;
use crate::error::Error;
use crate::jwks::Jwks;
use crate::photos::Photos;
use crate::pokes::Pokes;
use crate::rate::RateLimit;
use crate::settings::Settings;
use crate::snapshot::Snapshots;

/// The server's state: a pool, what verifies tokens, who listens. Nothing that another instance
/// would need to know.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// The fields of [`App`].
#[derive(Debug)]
pub struct Inner {
    pub(crate) settings: Settings,
    pub(crate) pool: Pool,
    pub(crate) verifier: Verifier,
    pub(crate) rate_limit: RateLimit,
    pub(crate) pokes: Pokes,
    pub(crate) snapshots: Snapshots,
    /// `None`: this server takes no photos.
    pub(crate) photos: Option<Photos>,
    pub(crate) metrics: Option<PrometheusHandle>,
    /// Becomes true once, when the server should end.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// Sets a server up. Reads the token keys; opens no database connection yet.
    ///
    /// # Errors
    /// One line that names the setting to mend.
    pub async fn new(settings: Settings) -> Result<Self, String> {
        settings.check()?;
        let pool = crate::database::pool(&settings.database_url, settings.pool_size.into())
            .map_err(|error| format!("--database-url (DATABASE_URL): {error}"))?;
        let jwks = match &settings.jwks {
            Some(place) => Some(
                Jwks::open(place)
                    .await
                    .map_err(|error| format!("--jwks (MOTOMIND_JWKS): {error}"))?,
            ),
            None => None,
        };
        let verifier = Verifier::new(
            settings.jwt_secret.as_deref(),
            jwks,
            settings.jwt_issuer.clone(),
            settings.jwt_audience.clone(),
        );
        let snapshots = Snapshots::new(settings.snapshot_dir.as_deref())
            .map_err(|error| format!("--snapshot-dir (MOTOMIND_SNAPSHOT_DIR): {error}"))?;
        let photos = match &settings.photo_store {
            Some(place) => Some(
                Photos::open(place)
                    .map_err(|error| format!("--photo-store (MOTOMIND_PHOTO_STORE): {error}"))?,
            ),
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            rate_limit: RateLimit::new(settings.rate_per_minute, settings.rate_burst),
            pokes: Pokes::default(),
            metrics: metrics_handle(),
            stopping: watch::channel(false).0,
            settings,
            pool,
            verifier,
            snapshots,
            photos,
        })))
    }

    /// Whether requests can be served: the database answers, it is migrated as far as this build
    /// knows, and the serving role is bound by row-level security.
    ///
    /// # Errors
    /// One line for the operator.
    pub async fn check(&self) -> Result<(), String> {
        crate::readiness::check(self).await
    }

    /// A connection of the serving role.
    pub(crate) async fn client(&self) -> Result<Object, Error> {
        Ok(self.pool.get().await?)
    }

    /// Ends listening, streams and, once requests are answered, the server.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// Resolves when the server should end.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone altogether.
    let _ = stopping.wait_for(|stop| *stop).await.map(drop);
}

/// Server clock, UTC ms.
pub(crate) fn now_ms() -> Millis {
    chrono::Utc::now().timestamp_millis()
}

/// The process has one recorder, however many servers run in it.
fn metrics_handle() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let buckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
            PrometheusBuilder::new().set_buckets(&buckets).ok()?.install_recorder().ok()
        })
        .clone()
}
