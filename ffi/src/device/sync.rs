//! Syncing: one round when asked, or round after round in the background. Rounds of one device
//! follow each other; ending one in its middle loses nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::Millis;
use motomind_core::{Blocked as CoreBlocked, Device};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::life::{Shared, Stage, lock};
use super::{MotoMind, ended};
use crate::clock::threads;
use crate::failure::MotoMindError;
use crate::hooks::{TokenProvider, note};
use crate::types::{Blocked, RoundEnd, Status};

/// How often listeners are told of what a long round brings, ms.
const TELL_EVERY_MS: u64 = 250;
/// How long syncing rests after the storage failed, or while it is blocked, unless woken; ms.
const REST_MS: u64 = 60_000;

/// What syncing needs beside the device.
pub(crate) struct Syncing {
    server: Mutex<Option<(Http, String)>>,
    tokens: Option<Arc<dyn TokenProvider>>,
    /// Held for as long as a round takes.
    round: tokio::sync::Mutex<()>,
    /// How many want a round of their own: the one in the background makes way.
    wanting: watch::Sender<usize>,
    reachable: watch::Sender<bool>,
    wake: Notify,
    background: Mutex<Option<JoinHandle<()>>>,
}

impl Syncing {
    pub(crate) fn new(
        server: Option<&str>,
        tokens: Option<Arc<dyn TokenProvider>>,
    ) -> Result<Self, MotoMindError> {
        Ok(Self {
            server: Mutex::new(server.map(reached).transpose()?),
            tokens,
            round: tokio::sync::Mutex::default(),
            wanting: watch::Sender::new(0),
            reachable: watch::Sender::new(true),
            wake: Notify::new(),
            background: Mutex::default(),
        })
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for the round that is under way, and lets none begin while this is held.
    pub(crate) async fn round(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.round.lock().await
    }

    pub(crate) fn server_url(&self) -> String {
        self.server().as_ref().map_or_else(String::new, |(_, url)| url.clone())
    }

    fn server(&self) -> MutexGuard<'_, Option<(Http, String)>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn http(&self) -> Result<Http, MotoMindError> {
        let server = self.server();
        let (http, _) = server.as_ref().ok_or_else(|| MotoMindError::Malformed {
            what: "no server's address was given".into(),
        })?;
        Ok(http.clone())
    }

    fn background(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reached(url: &str) -> Result<(Http, String), MotoMindError> {
    let http = Http::new(url).map_err(|error| MotoMindError::Host { what: error.to_string() })?;
    Ok((http, url.trim_end_matches('/').to_owned()))
}

#[uniffi::export]
impl MotoMind {
    /// Says where the server is from now on.
    ///
    /// # Errors
    /// `Host` where the system's TLS cannot be set up.
    pub fn set_server(&self, url: String) -> Result<(), MotoMindError> {
        *self.shared.syncing.server() = Some(reached(&url)?);
        self.shared.syncing.wake();
        Ok(())
    }

    /// Gives the token to sync with, or takes it away. Returns why syncing is blocked, if it is.
    ///
    /// # Errors
    /// `Closed`, `Suspended`.
    pub async fn set_token(&self, token: Option<String>) -> Result<Option<Blocked>, MotoMindError> {
        let shared = self.shared.clone();
        self.work(move |device, clock| {
            let blocked = device.set_token(token.as_deref(), clock.wall_ms);
            shared.settings().token = token;
            Ok(blocked.as_ref().map(Blocked::from))
        })
        .await
    }

    /// Says what is known of the network: whether there is one, and whether it is metered. Coming
    /// back ends every pause.
    ///
    /// # Errors
    /// `Closed`; `Suspended`: it is remembered for afterwards.
    pub async fn set_network(&self, reachable: bool, metered: bool) -> Result<(), MotoMindError> {
        self.shared.settings().metered = Some(metered);
        self.shared.syncing.reachable.send_replace(reachable);
        let done = self.work(move |device, clock| {
            device.set_network_metered(metered);
            device.on_poke(clock.wall_ms);
            Ok(())
        });
        done.await?;
        self.shared.syncing.wake();
        Ok(())
    }

    /// Syncs until everything is there, or nothing more can be done now. Whoever stops waiting
    /// stops the round; what had arrived has arrived. A server that is away is not an error.
    ///
    /// # Errors
    /// `Malformed` without a server's address, `Closed`, `Suspended`, the storage's.
    pub async fn sync_once(&self) -> Result<RoundEnd, MotoMindError> {
        let shared = self.shared.clone();
        let round = threads()?.spawn(async move { shared.round_for_one().await });
        let _stops = StopsWhenDropped(round.abort_handle());
        Ok(ended(round.await)?.into())
    }

    /// Syncs in the background from now on: when something was captured, when the server has
    /// something new, when the network comes back, and every minute. Doing so again does nothing.
    ///
    /// # Errors
    /// `Malformed` without a server's address.
    pub fn start_sync(&self) -> Result<(), MotoMindError> {
        self.shared.syncing.http()?;
        let mut background = self.shared.syncing.background();
        if background.as_ref().is_none_or(JoinHandle::is_finished) {
            let shared = self.shared.clone();
            *background = Some(threads()?.spawn(async move { shared.sync_on().await }));
        }
        Ok(())
    }

    /// Syncs in the background no more. When this returns, nothing is in flight.
    ///
    /// # Errors
    /// None but the system's.
    pub async fn stop_sync(&self) -> Result<(), MotoMindError> {
        let background = self.shared.syncing.background().take();
        if let Some(background) = background {
            background.abort();
            // That it was ended is what was asked for.
            let _ = background.await;
        }
        Ok(())
    }

    /// Something is new on the server (a push message came), or a person asks: sync now, and do
    /// not wait out any pause.
    ///
    /// # Errors
    /// `Closed`, `Suspended`.
    pub async fn poke(&self) -> Result<(), MotoMindError> {
        let poked = self.work(|device, clock| {
            device.on_poke(clock.wall_ms);
            Ok(())
        });
        poked.await?;
        self.shared.syncing.wake();
        Ok(())
    }

    /// Syncing at a glance.
    ///
    /// # Errors
    /// `Closed`, `Suspended`, the storage's.
    pub async fn status(&self) -> Result<Status, MotoMindError> {
        let status = self
            .work(|device, clock| Ok(Status::new(device.status(clock.wall_ms)?, device.blocked())));
        status.await
    }
}

/// Ends a task that nobody waits for any more.
struct StopsWhenDropped(tokio::task::AbortHandle);

impl Drop for StopsWhenDropped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Somebody who wants a round of their own.
struct Wanting<'a>(&'a watch::Sender<usize>);

impl<'a> Wanting<'a> {
    fn new(wanting: &'a watch::Sender<usize>) -> Self {
        wanting.send_modify(|count| *count += 1);
        Self(wanting)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Shared {
    /// A round for one who waits for it.
    async fn round_for_one(self: Arc<Self>) -> Result<SyncEnd, MotoMindError> {
        let http = self.syncing.http()?;
        let _wanting = Wanting::new(&self.syncing.wanting);
        let _round = self.syncing.round().await;
        let mut stage = self.stage();
        let device = self.device()?;
        self.give_token(&device).await?;
        let rounds = async {
            let end = http.sync_once(&device, || self.clocks.now()).await?;
            match end == SyncEnd::Blocked(CoreBlocked::NeedsToken) {
                true if self.fresh_token(&device).await? => {
                    Ok(http.sync_once(&device, || self.clocks.now()).await?)
                }
                _ => Ok(end),
            }
        };
        tokio::select! {
            end = rounds => {
                self.publish(&device);
                end
            }
            _ = stage.wait_for(|stage| *stage != Stage::Open) => Err(self.absent_now()),
            () = self.publish_often(&device) => Err(self.absent_now()),
        }
    }

    fn absent_now(&self) -> MotoMindError {
        match self.device() {
            Err(error) => error,
            Ok(_) => MotoMindError::Suspended,
        }
    }

    /// Round after round, until the device is closed.
    async fn sync_on(self: Arc<Self>) {
        let mut stage = self.stage();
        let mut reachable = self.syncing.reachable.subscribe();
        let mut wanting = self.syncing.wanting.subscribe();
        loop {
            // None of these can fail while `self` is there.
            let _ = wanting.wait_for(|count| *count == 0).await;
            let _ = reachable.wait_for(|reachable| *reachable).await;
            let Ok(now) = stage.wait_for(|stage| *stage != Stage::Suspended).await.map(|s| *s)
            else {
                return;
            };
            if now == Stage::Closed {
                return;
            }
            let rests = {
                let _round = self.syncing.round().await;
                let Ok(device) = self.device() else { continue };
                tokio::select! {
                    ended = self.rounds(&device) => !matches!(ended, Ok(true)),
                    _ = wanting.wait_for(|count| *count > 0) => false,
                    _ = reachable.wait_for(|reachable| !reachable) => false,
                    _ = stage.wait_for(|stage| *stage != Stage::Open) => false,
                    () = self.publish_often(&device) => false,
                }
            };
            self.tell();
            if rests {
                let rest = Duration::from_millis(REST_MS);
                tokio::select! {
                    () = self.syncing.wake.notified() => {}
                    () = tokio::time::sleep(rest) => {}
                    _ = stage.wait_for(|stage| *stage != Stage::Open) => {}
                }
            }
        }
    }

    /// Syncs until it is blocked; whether it makes sense to go on at once.
    async fn rounds(self: &Arc<Self>, device: &Mutex<Device>) -> Result<bool, MotoMindError> {
        let http = self.syncing.http()?;
        self.give_token(device).await?;
        let this: &Arc<Self> = self;
        // Owns what it waits for, so that this future can move between threads.
        let sleeper = self.clone();
        let wake = move || {
            let sleeper = sleeper.clone();
            async move { sleeper.syncing.wake.notified().await }
        };
        let blocked = http
            .sync_forever(
                device,
                || this.clocks.now(),
                || this.settings().token.clone(),
                wake,
                |_| this.publish(device),
            )
            .await?;
        self.publish(device);
        match blocked {
            CoreBlocked::NeedsToken => self.fresh_token(device).await,
            _ => Ok(false),
        }
    }

    /// Asks the host for a token where there is none.
    async fn give_token(self: &Arc<Self>, device: &Mutex<Device>) -> Result<(), MotoMindError> {
        let has_none = self.settings().token.is_none();
        if has_none {
            self.fresh_token(device).await?;
        }
        Ok(())
    }

    /// Asks the host for another token; whether there is one that can be used.
    async fn fresh_token(self: &Arc<Self>, device: &Mutex<Device>) -> Result<bool, MotoMindError> {
        let Some(tokens) = self.syncing.tokens.clone() else { return Ok(false) };
        let asked = threads()?.spawn_blocking(move || Ok(tokens.token()));
        let token = match ended(asked.await)? {
            Ok(token) => token,
            Err(error) => {
                note("the token provider", &error);
                None
            }
        };
        let now: Millis = self.clocks.now();
        let before = std::mem::replace(&mut self.settings().token, token.clone());
        let is_new = token.is_some() && token != before;
        let blocked = lock(device).set_token(token.as_deref(), now);
        Ok(is_new && blocked.is_none())
    }

    /// Tells of what has changed so far.
    fn publish(self: &Arc<Self>, device: &Mutex<Device>) {
        self.news.add(lock(device).take_changes());
        self.tell();
    }

    /// Tells of what changes, again and again.
    async fn publish_often(self: &Arc<Self>, device: &Mutex<Device>) {
        loop {
            tokio::time::sleep(Duration::from_millis(TELL_EVERY_MS)).await;
            self.publish(device);
        }
    }
}
