//! Which uploads are being received by this process. Whoever asks for an offset first has what
//! arrived until now stored, so that a cut connection costs no byte that reached us.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Longest wait for what arrived to be stored.
const SETTLE_WAIT: Duration = Duration::from_secs(5);

/// Answered by being dropped, once everything that had arrived is stored.
pub(crate) type Settle = oneshot::Sender<()>;

/// The uploads that are being received, each with the way to ask it to settle.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<Uuid, mpsc::Sender<Settle>>>);

impl Running {
    /// Enters an upload; one that is there under the same id is replaced.
    pub(crate) fn enter(&self, upload: Uuid) -> mpsc::Receiver<Settle> {
        let (sender, receiver) = mpsc::channel(1);
        self.lock().insert(upload, sender);
        receiver
    }

    /// Takes an upload out, unless another request has entered it meanwhile.
    pub(crate) fn leave(&self, upload: Uuid, mut requests: mpsc::Receiver<Settle>) {
        requests.close();
        let mut running = self.lock();
        if running.get(&upload).is_some_and(mpsc::Sender::is_closed) {
            running.remove(&upload);
        }
    }

    /// Waits until everything that has arrived of an upload is stored.
    pub(crate) async fn settle(&self, upload: Uuid) {
        let Some(sender) = self.lock().get(&upload).cloned() else {
            return;
        };
        let (settle, settled) = oneshot::channel();
        let asked = async {
            if sender.send(settle).await.is_ok() {
                let _ = settled.await; // dropped: done, or over
            }
        };
        let _ = tokio::time::timeout(SETTLE_WAIT, asked).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, mpsc::Sender<Settle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
