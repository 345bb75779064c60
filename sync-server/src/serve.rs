//! Running the server: checks before the first request, the listening socket, the quiet end.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::App;
use crate::settings::Settings;

/// Longest wait at the end for requests that are still being answered.
const DRAIN_WAIT: Duration = Duration::from_secs(10);

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    app: App,
    serving: JoinHandle<std::io::Result<()>>,
    listening: JoinHandle<()>,
    sweeping: JoinHandle<()>,
}

/// Starts a server after checking its database: reachable, migrated as far as this build knows,
/// and the serving role bound by row-level security.
///
/// # Errors
/// One line that says what is wrong.
pub async fn start(settings: Settings) -> Result<Running, String> {
    start_within(settings, |api| api).await
}

/// Like [`start`], with something around the API, such as the files of an app.
///
/// # Errors
/// One line that says what is wrong.
pub async fn start_within(
    settings: Settings,
    around: impl FnOnce(Router) -> Router,
) -> Result<Running, String> {
    let app = App::new(settings).await?;
    crate::readiness::check(&app).await?;
    let listener = TcpListener::bind(app.settings.listen).await.map_err(|error| {
        let listen = app.settings.listen;
        format!("--listen (MOTOMIND_LISTEN): {listen}: {error}")
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let listening = tokio::spawn(crate::pokes::listen(app.clone()));
    let sweeping = tokio::spawn(crate::photos::sweep_regularly(app.clone()));
    let router = around(crate::router::router(app.clone()));
    let mut stopping = app.stopping.subscribe();
    let stopped = async move { crate::app::stopped(&mut stopping).await };
    let serving =
        tokio::spawn(
            async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await },
        );
    Ok(Running { address, app, serving, listening, sweeping })
}

impl Running {
    /// `http://` and the address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the streams, answers what has begun, takes nothing new.
    pub async fn stop(mut self) {
        self.app.stop();
        if tokio::time::timeout(DRAIN_WAIT, &mut self.serving).await.is_err() {
            tracing::warn!("requests were still open after {DRAIN_WAIT:?}");
            self.serving.abort();
        }
        self.listening.abort();
        self.sweeping.abort();
        self.app.pool.close();
    }

    /// Serves until `signal`, then stops.
    pub async fn until(self, signal: impl Future<Output = ()>) {
        signal.await;
        tracing::info!("stopping");
        self.stop().await;
    }
}

/// Resolves at SIGTERM or ctrl-c.
pub async fn signalled() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
