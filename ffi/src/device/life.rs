//! Open, suspended, closed; and the one way to the device between.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use motomind_core::protocol::Millis;
use motomind_core::{Clock, Device, OpenOptions};
use tokio::sync::watch;

use super::news::News;
use super::sync::Syncing;
use super::{Options, ended};
use crate::clock::{Clocks, seed, threads};
use crate::failure::MotoMindError;
use crate::hooks::TokenProvider;
use crate::types::{DeviceIdentity, Status};

/// Whether the device can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    Suspended,
    Closed,
}

/// What the host has set and a device does not remember by itself.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) token: Option<String>,
    pub(crate) metered: Option<bool>,
    pub(crate) free_bytes: Option<u64>,
}

/// What every thread shares of a device.
pub(crate) struct Shared {
    /// There while the device is open. Who works with it holds this for reading, so that taking it
    /// away waits for them.
    device: RwLock<Option<Arc<Mutex<Device>>>>,
    stage: watch::Sender<Stage>,
    /// One suspends, resumes or closes at a time.
    turning: tokio::sync::Mutex<()>,
    options: Options,
    who: DeviceIdentity,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) clocks: Clocks,
    pub(crate) news: Arc<News>,
    pub(crate) syncing: Syncing,
}

impl Shared {
    pub(crate) fn open(
        options: Options,
        tokens: Option<Arc<dyn TokenProvider>>,
        clocks: Clocks,
    ) -> Result<Arc<Self>, MotoMindError> {
        let syncing = Syncing::new(options.server.as_deref(), tokens)?;
        std::fs::create_dir_all(&options.directory)?;
        let device = open(&options, clocks.now())?;
        let who = device.identity().into();
        let shared = Self {
            device: RwLock::new(Some(Arc::new(Mutex::new(device)))),
            stage: watch::Sender::new(Stage::Open),
            turning: tokio::sync::Mutex::default(),
            options,
            who,
            settings: Mutex::default(),
            clocks,
            news: Arc::default(),
            syncing,
        };
        Ok(Arc::new(shared))
    }

    pub(crate) fn who(&self) -> DeviceIdentity {
        self.who.clone()
    }

    pub(crate) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Does something with the device and tells what changed. What the caller has changed may be
    /// something to sync.
    pub(crate) fn with_device<T>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Device, Clock) -> Result<T, MotoMindError>,
    ) -> Result<T, MotoMindError> {
        let clock = self.clocks.read();
        let done = {
            let device = self.device.read().unwrap_or_else(PoisonError::into_inner);
            let mut device = lock(device.as_ref().ok_or_else(|| self.absent())?);
            self.news.add(device.take_changes());
            let done = act(&mut device, clock);
            let changes = device.take_changes();
            if !changes.is_empty() {
                self.syncing.wake();
            }
            self.news.add(changes);
            done
        };
        self.tell();
        done
    }

    /// Tells listeners of what has changed.
    pub(crate) fn tell(self: &Arc<Self>) {
        if self.news.is_due() {
            let shared = self.clone();
            self.news.deliver(move || shared.status().ok());
        }
    }

    fn status(self: &Arc<Self>) -> Result<Status, MotoMindError> {
        self.with_device(|device, clock| {
            Ok(Status::new(device.status(clock.wall_ms)?, device.blocked()))
        })
    }

    /// The device, for as long as a round of syncing takes.
    pub(crate) fn device(&self) -> Result<Arc<Mutex<Device>>, MotoMindError> {
        let device = self.device.read().unwrap_or_else(PoisonError::into_inner);
        device.clone().ok_or_else(|| self.absent())
    }

    pub(crate) fn absent(&self) -> MotoMindError {
        match *self.stage.borrow() {
            Stage::Closed => MotoMindError::Closed,
            _ => MotoMindError::Suspended,
        }
    }

    pub(crate) async fn suspend(self: Arc<Self>) -> Result<(), MotoMindError> {
        self.turn(Stage::Suspended).await
    }

    pub(crate) async fn close(self: Arc<Self>) -> Result<(), MotoMindError> {
        self.turn(Stage::Closed).await
    }

    /// Takes the device away from everyone and closes its files. Goes on though nobody waits.
    async fn turn(self: Arc<Self>, to: Stage) -> Result<(), MotoMindError> {
        let turning = async move {
            let _turn = self.turning.lock().await;
            self.may_turn(to)?;
            self.stage.send_replace(to);
            // A round of syncing that is under way sees it, and ends.
            let _round = self.syncing.round().await;
            let shared = self.clone();
            let closing = threads()?.spawn_blocking(move || {
                let mut device = shared.device.write().unwrap_or_else(PoisonError::into_inner);
                drop(device.take());
                Ok(())
            });
            ended(closing.await)
        };
        ended(threads()?.spawn(turning).await)
    }

    fn may_turn(&self, to: Stage) -> Result<(), MotoMindError> {
        match (*self.stage.borrow(), to) {
            (Stage::Closed, Stage::Open | Stage::Suspended) => Err(MotoMindError::Closed),
            _ => Ok(()),
        }
    }

    pub(crate) async fn resume(self: Arc<Self>) -> Result<(), MotoMindError> {
        let turning = async move {
            let _turn = self.turning.lock().await;
            self.may_turn(Stage::Open)?;
            if *self.stage.borrow() == Stage::Open {
                return Ok(());
            }
            let shared = self.clone();
            ended(threads()?.spawn_blocking(move || shared.reopen()).await)?;
            self.stage.send_replace(Stage::Open);
            Ok(())
        };
        ended(threads()?.spawn(turning).await)
    }

    fn reopen(&self) -> Result<(), MotoMindError> {
        let now = self.clocks.now();
        let mut device = open(&self.options, now)?;
        let settings = self.settings();
        if let Some(token) = &settings.token {
            device.set_token(Some(token), now);
        }
        if let Some(metered) = settings.metered {
            device.set_network_metered(metered);
        }
        let mut slot = self.device.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Arc::new(Mutex::new(device)));
        Ok(())
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The device's lock; a panic elsewhere while it was held leaves the device usable, since every
/// change to it is a database transaction.
pub(crate) fn lock(device: &Mutex<Device>) -> MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(options: &Options, now: Millis) -> Result<Device, MotoMindError> {
    let file = |name: &str| Path::new(&options.directory).join(name).display().to_string();
    Ok(Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: options.identity,
        key: options.key.clone(),
        seed: seed()?,
        now,
    })?)
}
