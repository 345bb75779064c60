//! Telling listeners what changed: on a thread of ours, one after the other, several changes as
//! one where they come faster than they are heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use motomind_core::Changes as CoreChanges;

use crate::clock::threads;
use crate::hooks::{Changes, Listener, note};
use crate::types::Status;

/// What changed and who wants to hear of it.
#[derive(Default)]
pub(crate) struct News {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    untold: CoreChanges,
    telling: bool,
    listeners: BTreeMap<u64, Arc<dyn Listener>>,
    subscribed: u64,
}

/// A listener's stay. Letting go of it ends it.
#[derive(uniffi::Object)]
pub struct Subscription {
    id: u64,
    news: Weak<News>,
}

#[uniffi::export]
impl Subscription {
    /// Tells the listener nothing more, but what it is being told at this moment.
    pub fn cancel(&self) {
        if let Some(news) = self.news.upgrade() {
            // Dropped outside the lock: what the host does then is its own.
            let gone = news.inner().listeners.remove(&self.id);
            drop(gone);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl News {
    pub(crate) fn subscribe(self: &Arc<Self>, listener: Arc<dyn Listener>) -> Arc<Subscription> {
        let mut inner = self.inner();
        inner.subscribed += 1;
        let id = inner.subscribed;
        inner.listeners.insert(id, listener);
        Arc::new(Subscription { id, news: Arc::downgrade(self) })
    }

    /// Takes in what has changed.
    pub(crate) fn add(&self, changes: CoreChanges) {
        let CoreChanges { tables, records, vehicles } = changes;
        let mut inner = self.inner();
        inner.untold.tables.extend(tables);
        inner.untold.records.extend(records);
        inner.untold.vehicles.extend(vehicles);
    }

    /// Whether something is to be told and nobody is at it.
    pub(crate) fn is_due(&self) -> bool {
        let inner = self.inner();
        !inner.telling && !inner.untold.is_empty()
    }

    /// Begins telling, unless someone is at it already.
    pub(crate) fn deliver(self: &Arc<Self>, status: impl Fn() -> Option<Status> + Send + 'static) {
        {
            let mut inner = self.inner();
            if std::mem::replace(&mut inner.telling, true) {
                return;
            }
            if inner.listeners.is_empty() {
                (inner.untold, inner.telling) = (CoreChanges::default(), false);
                return;
            }
        }
        let news = self.clone();
        if let Ok(threads) = threads() {
            threads.spawn_blocking(move || news.tell_all(&status));
        }
    }

    fn tell_all(&self, status: &dyn Fn() -> Option<Status>) {
        loop {
            let (changes, listeners) = {
                let mut inner = self.inner();
                if inner.untold.is_empty() {
                    inner.telling = false;
                    return;
                }
                let changes = Changes::from(std::mem::take(&mut inner.untold));
                (changes, inner.listeners.values().cloned().collect::<Vec<_>>())
            };
            let status = status();
            for listener in listeners {
                let told = listener.on_change(changes.clone());
                let told = told.and_then(|()| {
                    status.clone().map_or(Ok(()), |status| listener.on_status(status))
                });
                if let Err(error) = told {
                    note("a listener", &error);
                }
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
