//! The device as Kotlin, Swift and Python see it.

mod capture;
mod custody;
mod import;
mod life;
mod news;
mod photos;
mod records;
mod sessions;
mod sync;
mod timeline;
mod transfers;

use std::sync::Arc;

use motomind_core::protocol::Identity;
use motomind_core::{Clock, Device};

use crate::clock::{Clocks, threads};
use crate::failure::MotoMindError;
use crate::hooks::{DeviceClock, Listener, TokenProvider};
use crate::types::DeviceIdentity;
pub use custody::{Break, salvage};
use life::Shared;
pub use news::Subscription;
pub use photos::GivenPhoto;
pub use timeline::record_of;
pub use transfers::new_operation_id;

/// How to open a device.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Options {
    /// A directory of this user's alone; made where it is not there.
    pub directory: String,
    /// Who uses the device. Needed at the first opening, remembered, checked when given again.
    #[uniffi(default)]
    pub identity: Option<Identity>,
    /// Passphrase for encryption at rest, in builds that can.
    #[uniffi(default)]
    pub key: Option<String>,
    /// The server's address, such as `https://sync.example.com`. Needed for syncing alone.
    #[uniffi(default)]
    pub server: Option<String>,
}

/// One user's device, open. Every function may be called from any thread.
#[derive(uniffi::Object)]
pub struct MotoMind {
    shared: Arc<Shared>,
}

#[uniffi::export]
impl MotoMind {
    /// Opens or creates a device. Needs no network. `tokens` and `clock` are the host's hooks;
    /// without them `set_token` gives a token, and the system's clocks are read.
    ///
    /// # Errors
    /// `AlreadyOpen`, `WrongIdentity`, `NoIdentity`, `WrongKey`, `NewerSchema`, `JournalDamaged`, …:
    /// in no case has anything captured been changed.
    #[uniffi::constructor(default(tokens = None, clock = None))]
    pub async fn open(
        options: Options,
        tokens: Option<Arc<dyn TokenProvider>>,
        clock: Option<Arc<dyn DeviceClock>>,
    ) -> Result<Self, MotoMindError> {
        let opening = threads()?.spawn_blocking(move || {
            Shared::open(options, tokens, Clocks::new(clock)).map(|shared| Self { shared })
        });
        ended(opening.await)
    }

    /// Who this device is.
    pub fn identity(&self) -> DeviceIdentity {
        self.shared.who()
    }

    /// Lets go of the files until `resume`: the system may end an app that holds them while it is
    /// suspended. Syncing pauses; photos that are being written are given up.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn suspend(&self) -> Result<(), MotoMindError> {
        self.shared.clone().suspend().await
    }

    /// Takes the files again after `suspend`, with everything that was set.
    ///
    /// # Errors
    /// As `open`; `Closed`.
    pub async fn resume(&self) -> Result<(), MotoMindError> {
        self.shared.clone().resume().await
    }

    /// Closes the device for good, once what is under way is finished. Closing again does nothing.
    ///
    /// # Errors
    /// None but the system's.
    pub async fn shut(&self) -> Result<(), MotoMindError> {
        self.shared.clone().close().await
    }

    /// Tells a listener of changes until the subscription is cancelled or let go.
    pub fn subscribe(&self, listener: Arc<dyn Listener>) -> Arc<Subscription> {
        self.shared.news.subscribe(listener)
    }
}

impl MotoMind {
    /// Does something with the device on a thread of ours. Whoever stops waiting for it has not
    /// stopped it.
    async fn work<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Device, Clock) -> Result<T, MotoMindError> + Send + 'static,
    ) -> Result<T, MotoMindError> {
        let shared = self.shared.clone();
        ended(threads()?.spawn_blocking(move || shared.with_device(act)).await)
    }
}

impl Drop for MotoMind {
    fn drop(&mut self) {
        // In the background: whoever lets go must not wait. `shut` does wait.
        if let Ok(threads) = threads() {
            let shared = self.shared.clone();
            threads.spawn(async move { shared.close().await });
        }
    }
}

/// What work came to that was done on another thread.
fn ended<T>(
    done: Result<Result<T, MotoMindError>, tokio::task::JoinError>,
) -> Result<T, MotoMindError> {
    done.unwrap_or_else(|error| Err(MotoMindError::Storage { what: error.to_string() }))
}
