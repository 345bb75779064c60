//! Which uploads are being received by this process. Whoever asks for an offset first has what
//! arrived until now stored, so that a cut connection costs no byte that reached us.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Longest wait for what arrived to be stored.
const SETTLE_WAIT: Duration = Duration::from_secs(5);

/// Answered by being dropped, once everything that had arrived is stored.
pub(crate) type Settle = oneshot::Sender<()>;

type Arrivals = Mutex<HashMap<Uuid, Vec<mpsc::Sender<Settle>>>>;

/// The uploads that are being received, each with the ways to ask it to settle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<Arrivals>);

/// A request that brings bytes, from its headers until all of them are stored.
#[derive(Debug)]
pub(crate) struct Arrival {
    upload: Uuid,
    sender: mpsc::Sender<Settle>,
    /// Who asks it to settle.
    pub(crate) requests: mpsc::Receiver<Settle>,
    running: Running,
}

impl Running {
    /// Enters a request for an upload.
    pub(crate) fn enter(&self, upload: Uuid) -> Arrival {
        let (sender, requests) = mpsc::channel(1);
        self.lock().entry(upload).or_default().push(sender.clone());
        Arrival { upload, sender, requests, running: self.clone() }
    }

    /// Waits until everything that has arrived of an upload is stored; a request that brings some
    /// itself waits for those before it, so that no two wait for each other.
    pub(crate) async fn settle(&self, upload: Uuid, own: Option<&Arrival>) {
        let mut others = self.lock().get(&upload).cloned().unwrap_or_default();
        if let Some(own) = own {
            let before = others.iter().take_while(|one| !one.same_channel(&own.sender)).count();
            others.truncate(before);
        }
        let asked = others.into_iter().map(|other| async move {
            let (settle, settled) = oneshot::channel();
            if other.send(settle).await.is_ok() {
                drop(other);
                let _ = settled.await; // dropped: done, or over
            }
        });
        let _ = tokio::time::timeout(SETTLE_WAIT, join_all(asked)).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Vec<mpsc::Sender<Settle>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        if let Some(arrivals) = running.get_mut(&self.upload) {
            arrivals.retain(|one| !one.same_channel(&self.sender));
            if arrivals.is_empty() {
                running.remove(&self.upload);
            }
        }
    }
}
