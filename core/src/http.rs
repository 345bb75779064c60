//! The one async driver: moves requests and replies with reqwest, native and browser alike.
//!
//! It decides nothing. The device is locked only between awaits, so that capturing and reading go
//! on while bytes are on their way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use motomind_protocol::wire::Poke;
use motomind_protocol::{Millis, limits};

use crate::device::Device;
use crate::error::StoreError;
use crate::sync::{Blocked, FailureKind, REPLY_HEADERS, Reply, Request, RequestId, Step};

/// How long a request may take to be sent and answered with a first byte, and how long a reply may
/// pause, s. A slow reply that goes on arriving is not cut.
const SILENCE_S: u64 = 60;
/// How long to wait for a poke before polling, ms.
const POLL_MS: i64 = 60_000;
/// Silence on the poke stream after which it counts as broken, s; the server sends a heartbeat
/// every 20 s.
const POKE_SILENCE_S: u64 = 45;
/// Longest line of the poke stream, bytes.
const POKE_LINE_BYTES_MAX: usize = 1024;
/// Pause before the poke stream is opened again, ms.
const POKE_RETRY_MS: i64 = 5_000;

/// A server, and the client that reaches it.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    base: String,
}

/// Requests in flight. When a round ends before their replies came, by an error or because nobody
/// waits for it any more, the device would wait for them for ever: it hears that they failed.
struct Unanswered<'a, C: Fn() -> Millis> {
    device: &'a Mutex<Device>,
    clock: &'a C,
    ids: Vec<RequestId>,
}

impl<C: Fn() -> Millis> Drop for Unanswered<'_, C> {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            lock(self.device).on_failure(id, FailureKind::Network, (self.clock)());
        }
    }
}

/// How a round of syncing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncEnd {
    /// Everything that could go has gone, everything there was has come.
    CaughtUp,
    /// The server cannot be reached or used now; it makes sense to try again at this instant.
    Later(Millis),
    /// Syncing has stopped until someone acts.
    Blocked(Blocked),
}

/// The device's lock; a panic elsewhere while it was held leaves the device usable, since every
/// change to it is a database transaction.
fn lock(device: &Mutex<Device>) -> std::sync::MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Http {
    /// A driver for the server at this address, such as `https://sync.example.com`.
    ///
    /// # Errors
    /// [`reqwest::Error`] when the system's TLS cannot be set up.
    pub fn new(base: &str) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder();
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        // A redirect is a portal: what was captured goes nowhere but to this server.
        let builder = builder
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none());
        Ok(Self { client: builder.build()?, base: base.trim_end_matches('/').to_owned() })
    }

    /// Syncs until everything is there, or nothing more can be done now. Whoever drops the future
    /// breaks off what is in flight; the device hears that it failed.
    ///
    /// # Errors
    /// [`StoreError`] when the device's storage fails.
    pub async fn sync_once(
        &self,
        device: &Mutex<Device>,
        clock: impl Fn() -> Millis,
    ) -> Result<SyncEnd, StoreError> {
        lock(device).on_poke(clock());
        let mut unanswered = Unanswered { device, clock: &clock, ids: Vec::new() };
        let mut flying = FuturesUnordered::new();
        loop {
            let step = lock(device).next_step(clock())?;
            match step {
                Step::Send(requests) => {
                    unanswered.ids.extend(requests.iter().map(|request| request.id));
                    flying.extend(requests.into_iter().map(|request| self.send(request)));
                }
                Step::WaitUntil(at) if flying.is_empty() => return Ok(SyncEnd::Later(at)),
                Step::Idle if flying.is_empty() => {
                    let blocked = lock(device).blocked().cloned();
                    return Ok(blocked.map_or(SyncEnd::CaughtUp, SyncEnd::Blocked));
                }
                Step::WaitUntil(_) | Step::Idle => {}
            }
            if let Some((id, outcome)) = flying.next().await {
                unanswered.ids.retain(|unanswered| *unanswered != id);
                settle(device, id, outcome, clock())?;
            }
        }
    }

    /// Syncs for as long as the future is polled: on the server's pokes, on `wake` (call it after
    /// a capture), and every minute. Returns only when syncing is blocked.
    ///
    /// # Errors
    /// [`StoreError`] when the device's storage fails.
    pub async fn sync_forever(
        &self,
        device: &Mutex<Device>,
        clock: impl Fn() -> Millis + Copy,
        token: impl Fn() -> Option<String>,
        mut wake: impl AsyncFnMut(),
        mut notice: impl FnMut(&SyncEnd),
    ) -> Result<Blocked, StoreError> {
        loop {
            let end = self.sync_once(device, clock).await?;
            notice(&end);
            let pause = match end {
                SyncEnd::Blocked(blocked) => return Ok(blocked),
                SyncEnd::Later(at) => at.saturating_sub(clock()).clamp(0, POLL_MS),
                SyncEnd::CaughtUp => POLL_MS,
            };
            let seen = lock(device).status(clock())?.head;
            let poked = self.wait_for_poke(token(), seen);
            futures_util::pin_mut!(poked);
            let woken = wake();
            futures_util::pin_mut!(woken);
            let paused = sleep(pause);
            futures_util::pin_mut!(paused);
            futures_util::future::select(futures_util::future::select(poked, woken), paused).await;
        }
    }

    /// Resolves when the server says that its head is not the one already seen. A stream that
    /// breaks or falls silent is opened again after a pause.
    async fn wait_for_poke(&self, token: Option<String>, seen: u64) {
        loop {
            if self.first_news(token.as_deref(), seen).await.is_some() {
                return;
            }
            sleep(POKE_RETRY_MS).await;
        }
    }

    /// Reads the stream up to the first poke that names another head. (Every stream begins with
    /// one, so that nothing committed before it opened is missed.)
    async fn first_news(&self, token: Option<&str>, seen: u64) -> Option<()> {
        let mut request = self.client.get(format!("{}/v1/sync/events", self.base));
        request = request.header("accept", "text/event-stream");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.ok()?.error_for_status().ok()?;
        let mut chunks = response.bytes_stream();
        let mut line = Vec::new();
        loop {
            let chunk = within(Duration::from_secs(POKE_SILENCE_S), chunks.next()).await??;
            for byte in chunk.ok()? {
                if byte != b'\n' && line.len() < POKE_LINE_BYTES_MAX {
                    line.push(byte);
                    continue;
                }
                let data = line.strip_prefix(b"data:").unwrap_or_default();
                let poke: Option<Poke> = serde_json::from_slice(data).ok();
                if poke.is_some_and(|poke| poke.head != seen) {
                    return Some(());
                }
                line.clear();
            }
        }
    }

    async fn send(&self, request: Request) -> (RequestId, Result<Reply, FailureKind>) {
        let id = request.id;
        (id, self.exchange(request).await)
    }

    async fn exchange(&self, request: Request) -> Result<Reply, FailureKind> {
        let url = format!("{}{}", self.base, request.path);
        let mut builder = match request.method {
            "POST" => self.client.post(url),
            "PATCH" => self.client.patch(url),
            "HEAD" => self.client.head(url),
            _ => self.client.get(url),
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let silence = Duration::from_secs(SILENCE_S);
        let sent = within(silence, builder.body(request.body).send()).await;
        let response = sent.ok_or(FailureKind::Timeout)?.map_err(|_| FailureKind::Network)?;
        let retry_after = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
        let retry_after_s = retry_after.and_then(|seconds| seconds.parse().ok());
        let status = response.status().as_u16();
        let headers = REPLY_HEADERS.iter().filter_map(|name| {
            let value = response.headers().get(*name)?.to_str().ok()?;
            Some(((*name).to_string(), value.to_string()))
        });
        let headers = headers.collect();
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        loop {
            let chunk = within(silence, chunks.next()).await.ok_or(FailureKind::Timeout)?;
            let Some(chunk) = chunk else { break };
            body.extend_from_slice(&chunk.map_err(|_| FailureKind::Network)?);
            if body.len() > limits::REPLY_BYTES_MAX {
                return Err(FailureKind::TooLarge);
            }
        }
        Ok(Reply { status, retry_after_s, headers, body })
    }
}

fn settle(
    device: &Mutex<Device>,
    id: RequestId,
    outcome: Result<Reply, FailureKind>,
    now: Millis,
) -> Result<(), StoreError> {
    let mut device = lock(device);
    match outcome {
        Ok(reply) => device.on_reply(id, &reply, now),
        Err(kind) => {
            device.on_failure(id, kind, now);
            Ok(())
        }
    }
}

/// The future's value, or nothing when it takes too long.
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let limit = sleep(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
    futures_util::pin_mut!(future, limit);
    match futures_util::future::select(future, limit).await {
        futures_util::future::Either::Left((value, _)) => Some(value),
        futures_util::future::Either::Right(_) => None,
    }
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
async fn sleep(millis: i64) {
    tokio::time::sleep(Duration::from_millis(millis.unsigned_abs())).await;
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
async fn sleep(millis: i64) {
    let millis = u32::try_from(millis.clamp(0, i64::from(i32::MAX))).unwrap_or(0);
    gloo_timers::future::TimeoutFuture::new(millis).await;
}
