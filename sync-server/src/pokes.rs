//! "Something new": commits wake the devices that listen, whichever instance they are connected
//! to. Postgres carries the news (LISTEN/NOTIFY) on one connection for each instance.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use motomind_protocol::TenantId;
use tokio::sync::{mpsc, watch};
use tokio_postgres::{AsyncMessage, NoTls};
use uuid::Uuid;

use crate::App;

/// The channel that the database's numbering step notifies.
pub(crate) const CHANNEL: &str = "motomind_changes";

/// The channel that a record table's trigger notifies: rows were written beside their documents.
const RECORDS_CHANNEL: &str = "motomind_records";

/// Wait between attempts to listen again.
const RECONNECT_WAIT: Duration = Duration::from_millis(500);

/// Tenants that someone listens for, and the newest sequence of each.
#[derive(Debug, Default)]
pub(crate) struct Pokes {
    heads: Mutex<HashMap<TenantId, watch::Sender<u64>>>,
}

impl Pokes {
    /// Starts listening for one tenant. A slow listener sees the newest head, never a backlog.
    pub(crate) fn subscribe(&self, tenant: TenantId) -> watch::Receiver<u64> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.retain(|_, head| head.receiver_count() > 0);
        heads.entry(tenant).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn publish(&self, tenant: TenantId, head: u64) {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = heads.get(&tenant) {
            sender.send_if_modified(|known| {
                let news = head != *known;
                *known = head;
                news
            });
        }
    }

    fn has_listeners(&self, tenant: TenantId) -> bool {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.get(&tenant).is_some_and(|head| head.receiver_count() > 0)
    }

    fn tenants(&self) -> Vec<TenantId> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.keys().copied().collect()
    }
}

/// Listens until the server stops; a lost connection is opened again.
pub(crate) async fn listen(app: App) {
    let mut stopping = app.stopping.subscribe();
    let (written, rows) = mpsc::unbounded_channel();
    tokio::spawn(absorb_for_listeners(app.clone(), rows));
    loop {
        let outcome = tokio::select! {
            () = crate::app::stopped(&mut stopping) => return,
            outcome = listen_once(&app, &written) => outcome,
        };
        let error = outcome.err().unwrap_or_else(|| "it was closed".into());
        tracing::warn!(%error, "the listening connection was lost");
        tokio::time::sleep(RECONNECT_WAIT).await;
    }
}

/// Takes rows that other SQL clients wrote into their documents at once where a device listens; the
/// log's entry then wakes it. For everyone else they are taken in when the tenant is next served.
async fn absorb_for_listeners(app: App, mut rows: mpsc::UnboundedReceiver<TenantId>) {
    while let Some(first) = rows.recv().await {
        let mut tenants = BTreeSet::from([first]);
        while let Ok(more) = rows.try_recv() {
            tenants.insert(more);
        }
        for tenant in tenants.into_iter().filter(|tenant| app.pokes.has_listeners(*tenant)) {
            crate::records::absorb_before_serving(&app, tenant).await;
        }
    }
}

async fn listen_once(app: &App, written: &mpsc::UnboundedSender<TenantId>) -> Result<(), String> {
    let text = |error: tokio_postgres::Error| crate::error::with_source(&error);
    let (client, mut connection) =
        crate::database::parse(&app.settings.database_url)?.connect(NoTls).await.map_err(text)?;
    let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
    let listen = client.batch_execute("LISTEN motomind_changes; LISTEN motomind_records");
    tokio::pin!(listen);
    let mut listening = false;
    loop {
        tokio::select! {
            done = &mut listen, if !listening => {
                done.map_err(text)?;
                listening = true;
                // Whatever was notified while nobody listened is made up for.
                for tenant in app.pokes.tenants() {
                    let _ = written.send(tenant);
                }
                catch_up(app).await;
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(news))) if news.channel() == CHANNEL => {
                    if let Some((tenant, head)) = parse(news.payload()) {
                        app.pokes.publish(tenant, head);
                    }
                }
                Some(Ok(AsyncMessage::Notification(news))) if news.channel() == RECORDS_CHANNEL => {
                    if let Ok(tenant) = Uuid::parse_str(news.payload()) {
                        let _ = written.send(TenantId(tenant)); // its reader lives as long as this
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(text(error)),
                None => return Ok(()),
            },
        }
    }
}

async fn catch_up(app: &App) {
    for tenant in app.pokes.tenants() {
        match crate::log::head(app, tenant).await {
            Ok(head) => app.pokes.publish(tenant, head),
            Err(error) => tracing::warn!(%error, %tenant, "its head cannot be read"),
        }
    }
}

/// `<tenant> <head>`
fn parse(payload: &str) -> Option<(TenantId, u64)> {
    let (tenant, head) = payload.split_once(' ')?;
    Some((TenantId(Uuid::parse_str(tenant).ok()?), head.parse().ok()?))
}
