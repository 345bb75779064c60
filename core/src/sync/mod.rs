//! The sync machine: the network as values.
//!
//! [`Device::next_step`] says what to do now; the host moves the bytes and tells what came back
//! through [`Device::on_reply`] or [`Device::on_failure`]. Push and pull are in flight at the same
//! time and fail apart: a broken upload never holds up the download, nor the other way round.
//!
//! ```text
//!   host                              device
//!    │ next_step(now) ───────────────▶ │  Send(requests) │ WaitUntil(t) │ Idle
//!    │ on_reply(id, reply, now) ─────▶ │  outcomes applied, journal first, then mirror
//!    │ on_failure(id, kind, now) ────▶ │  backoff of that activity alone
//!    │ on_poke(now) ─────────────────▶ │  something new on the server, or the network is back
//! ```

mod backoff;
mod custody;
mod pull;
mod push;
mod reoffer;

use motomind_protocol::wire::{DEVICE_HEADER, Problem, problem};
use motomind_protocol::{Claims, DeviceId, Identity, Millis, Role, limits};

use crate::device::Device;
use crate::error::StoreError;
use crate::mirror::Position;
use crate::overlay;
use crate::transfer::{self, download, upload};
pub(crate) use backoff::Backoff;
pub use custody::CustodyReport;
pub(crate) use custody::restore as restore_settings;
pub(crate) use reoffer::reoffer_released;

/// What the host should do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these, at the same time, then ask again.
    Send(Vec<Request>),
    /// Nothing until this instant (UTC ms of the device clock), a reply, a poke or a capture.
    WaitUntil(Millis),
    /// Nothing until a reply, a poke, a token or a capture.
    Idle,
}

/// A request to send. Its headers include the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names it in the reply.
    pub id: RequestId,
    /// `GET`, `HEAD`, `POST` or `PATCH`.
    pub method: &'static str,
    /// Path and query below the server's address.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// At most [`limits::PUSH_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Names a request within one opening of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, where given.
    pub retry_after_s: Option<u32>,
    /// Those of its headers that [`REPLY_HEADERS`] names; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The decoded body, at most [`limits::REPLY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// The headers of a reply that a host has to pass on.
pub const REPLY_HEADERS: &[&str] = &[
    "content-range",
    "etag",
    "location",
    "motomind-upload-capability",
    "tus-resumable",
    "upload-expires",
    "upload-length",
    "upload-offset",
];

impl Reply {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A header's value as a whole number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }
}

/// Why nothing usable came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection, or it broke.
    Network,
    /// Nothing within the host's timeout.
    Timeout,
    /// The reply was over [`limits::REPLY_BYTES_MAX`].
    TooLarge,
}

/// Why syncing has stopped until someone acts. Capturing and reading go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// There is no token, or the server no longer takes it: give a new one.
    NeedsToken,
    /// The token given is for someone else.
    WrongIdentity(Identity),
    /// The manager has revoked this device: export what is unsent.
    Revoked,
    /// The role does not allow syncing.
    Forbidden(String),
    /// The server speaks another protocol version: update the app.
    NeedsUpdate(String),
}

impl std::fmt::Display for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NeedsToken => f.write_str("needs_token: sign in again to sync"),
            Self::WrongIdentity(who) => {
                write!(f, "wrong_identity: the token is for user {}", who.user_id)
            }
            Self::Revoked => f.write_str("device_revoked: export what is unsent"),
            Self::Forbidden(what) => write!(f, "forbidden: {what}"),
            Self::NeedsUpdate(what) => write!(f, "needs_update: {what}"),
        }
    }
}

/// Counts the tokens given, so that the late refusal of an old one does not block the new one.
pub(crate) type TokenSerial = u64;

/// What is in flight and what has been learnt. Lives as long as the device is open.
#[derive(Debug, Default)]
pub(crate) struct SyncState {
    /// The device's id, as every request names it.
    device: String,
    token: Option<String>,
    pub(crate) token_serial: TokenSerial,
    pub(crate) blocked: Option<Blocked>,
    next_id: u64,
    pub(crate) push: push::PushState,
    pub(crate) pull: pull::PullState,
    pub(crate) upload: transfer::UploadFlow,
    pub(crate) download: transfer::DownloadFlow,
    pub(crate) custody: custody::CustodyState,
    /// Server clock minus device clock, and when that was seen (device clock).
    pub(crate) clock_offset: Option<(i64, Millis)>,
    /// The server's clock when it last told, UTC ms.
    pub(crate) server_time: Option<Millis>,
    /// How long the server asks to keep what it has accepted, once it has said so.
    pub(crate) retention_days: Option<u32>,
    pub(crate) last_problem: Option<String>,
    pub(crate) last_success_at: Option<Millis>,
}

impl SyncState {
    /// The state of a device that has just been opened.
    pub(crate) fn new(device: DeviceId) -> Self {
        Self { device: device.to_string(), ..Self::default() }
    }

    /// Takes up what the mirror remembers from before.
    pub(crate) fn remember(&mut self, position: &Position) {
        self.clock_offset = position.server_offset_ms.zip(position.pulled_at);
    }

    pub(crate) fn request(
        &mut self,
        method: &'static str,
        path: String,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Request {
        let token = self.token.clone().unwrap_or_default();
        self.request_with(&token, method, path, headers, body)
    }

    /// A request under another bearer token than the person's.
    pub(crate) fn request_with(
        &mut self,
        token: &str,
        method: &'static str,
        path: String,
        mut headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Request {
        self.next_id += 1;
        if !token.is_empty() {
            headers.push(("authorization", format!("Bearer {token}")));
        }
        headers.push(("accept", "application/json".into()));
        headers.push((DEVICE_HEADER, self.device.clone()));
        Request { id: RequestId(self.next_id), method, path, headers, body }
    }

    /// The person's role, as the token says that is held; not known without one.
    pub(crate) fn role(&self) -> Option<Role> {
        let claims = self.token.as_deref().and_then(|token| Claims::peek(token).ok());
        claims.map(|claims| claims.app_metadata.role)
    }

    /// Whether the person's token may be used now.
    pub(crate) fn may_begin_uploads(&self) -> bool {
        self.blocked.is_none() && self.token.is_some()
    }

    /// Stops syncing, if it was the present token that the server refused.
    pub(crate) fn block(&mut self, blocked: Blocked, sent_with: TokenSerial) {
        if sent_with == self.token_serial {
            self.blocked = Some(blocked);
        }
    }

    fn heard_from_server(&mut self, server_time_ms: Millis, now: Millis) {
        self.clock_offset = Some((server_time_ms.saturating_sub(now), now));
        self.server_time = Some(server_time_ms);
        self.last_success_at = Some(now);
        self.last_problem = None;
    }
}

/// How one activity takes a failure.
pub(crate) enum Setback {
    /// The activity's own backoff.
    Later { retry_after_s: Option<u32>, what: String },
    /// The server answered, and this request's content may be why.
    Content(Option<Problem>),
    /// All syncing stops.
    Blocked(Blocked),
}

/// Sorts a reply that is not the expected body.
pub(crate) fn setback(reply: &Reply) -> Setback {
    let problem: Option<Problem> = serde_json::from_slice(&reply.body).ok();
    let what = |problem: &Option<Problem>| {
        problem.as_ref().map_or_else(|| format!("HTTP {}", reply.status), |p| p.detail.clone())
    };
    let code = problem.as_ref().map(|problem| problem.code.as_str());
    match (reply.status, code) {
        // Only our own server's word stops syncing; a portal's 401 or 403 passes by.
        (401, Some(problem::TOKEN_EXPIRED | problem::UNAUTHENTICATED)) => {
            Setback::Blocked(Blocked::NeedsToken)
        }
        (403, Some(problem::DEVICE_REVOKED)) => Setback::Blocked(Blocked::Revoked),
        (403, Some(problem::FORBIDDEN)) => Setback::Blocked(Blocked::Forbidden(what(&problem))),
        (426, Some(problem::PROTOCOL)) => Setback::Blocked(Blocked::NeedsUpdate(what(&problem))),
        // Size is judged by whatever stands on the way; everything else only by our own server.
        (413, _) => Setback::Content(problem),
        (400 | 404 | 409 | 410 | 416 | 422 | 460 | 500, Some(_)) => Setback::Content(problem),
        _ => Setback::Later { retry_after_s: reply.retry_after_s, what: what(&problem) },
    }
}

impl Device {
    /// Gives the token to sync with, or takes it away. Its claims are compared with whose device
    /// this is; the server verifies it.
    ///
    /// Returns why syncing is blocked, if it is.
    pub fn set_token(&mut self, token: Option<&str>, now: Millis) -> Option<Blocked> {
        self.sync.token = None;
        self.sync.token_serial += 1;
        self.sync.blocked = match token.map(Claims::peek) {
            None | Some(Err(_)) => Some(Blocked::NeedsToken),
            Some(Ok(claims)) if claims.identity() != self.who.identity => {
                Some(Blocked::WrongIdentity(claims.identity()))
            }
            Some(Ok(_)) => {
                self.sync.token = token.map(str::to_owned);
                None
            }
        };
        self.on_poke(now);
        self.changes.tables.insert("status");
        self.sync.blocked.clone()
    }

    /// What to do now.
    ///
    /// # Errors
    /// [`StoreError`]: the journal could not record that operations are about to be sent, so
    /// nothing is sent.
    pub fn next_step(&mut self, now: Millis) -> Result<Step, StoreError> {
        if self.sync.blocked.is_some() || self.sync.token.is_none() {
            self.sync.blocked.get_or_insert(Blocked::NeedsToken);
            // What has begun to go up needs no token to go on.
            let goes_on = self.sync.blocked == Some(Blocked::NeedsToken);
            return Ok(match goes_on.then(|| upload::next(self, now)).transpose()? {
                Some(Next::Send(request)) => Step::Send(vec![request]),
                Some(Next::At(at)) => Step::WaitUntil(at),
                Some(Next::Nothing) | None => Step::Idle,
            });
        }
        // A mirror that could not be caught up with is mended at once.
        let _ = overlay::catch_up(self);
        overlay::mend(self)?;
        let mut requests = Vec::new();
        let mut wake: Option<Millis> = None;
        let mut take = |step: Next| match step {
            Next::Send(request) => requests.push(request),
            Next::At(at) => wake = Some(wake.map_or(at, |wake: Millis| wake.min(at))),
            Next::Nothing => {}
        };
        take(pull::next(self, now)?);
        // What is planned goes out, whatever fails after it.
        let mut failed = None;
        let mut unless_failed = |step: Result<Next, StoreError>| match step {
            Ok(step) => take(step),
            Err(error) => failed = Some(error),
        };
        unless_failed(push::next(self, now));
        unless_failed(custody::next(self, now));
        // Operations first: a picture's next chunk waits until they are answered.
        if !self.sync.push.is_in_flight() {
            unless_failed(upload::next(self, now));
            unless_failed(download::next(self, now));
        }
        if let Some(error) = failed.filter(|_| requests.is_empty()) {
            return Err(error);
        }
        Ok(match (requests.is_empty(), wake) {
            (false, _) => Step::Send(requests),
            (true, Some(at)) => Step::WaitUntil(at),
            (true, None) => Step::Idle,
        })
    }

    /// Takes a reply. One that no request waits for is ignored.
    ///
    /// # Errors
    /// [`StoreError`]: the outcome could not be recorded; the operations are offered again.
    pub fn on_reply(
        &mut self,
        id: RequestId,
        reply: &Reply,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.changes.tables.insert("status");
        let _ = overlay::catch_up(self);
        if self.sync.push.in_flight_is(id) {
            push::on_reply(self, reply, now)
        } else if self.sync.pull.in_flight_is(id) {
            pull::on_reply(self, reply, now)
        } else if self.sync.upload.in_flight_is(id) {
            upload::on_reply(self, reply, now)
        } else if self.sync.download.in_flight_is(id) {
            download::on_reply(self, reply, now)
        } else if self.sync.custody.in_flight_is(id) {
            custody::on_reply(self, reply, now)
        } else {
            Ok(())
        }
    }

    /// Takes a failure.
    pub fn on_failure(&mut self, id: RequestId, kind: FailureKind, now: Millis) {
        self.changes.tables.insert("status");
        self.sync.last_problem = Some(format!("{kind:?}").to_lowercase());
        if self.sync.push.in_flight_is(id) {
            push::on_failure(self, kind, now);
        } else if self.sync.pull.in_flight_is(id) {
            pull::on_failure(self, kind, now);
        } else if self.sync.upload.in_flight_is(id) {
            upload::on_failure(self, kind, now);
        } else if self.sync.download.in_flight_is(id) {
            download::on_failure(self, kind, now);
        } else if self.sync.custody.in_flight_is(id) {
            custody::on_failure(self, kind, now);
        }
    }

    /// Something is new on the server, the network is back, or a person asks: pull now, and do
    /// not wait out any backoff.
    pub fn on_poke(&mut self, _now: Millis) {
        self.sync.pull.wanted = true;
        self.sync.pull.backoff.reset();
        self.sync.push.backoff.reset();
        self.sync.upload.backoff.reset();
        self.sync.download.backoff.reset();
        self.sync.custody.backoff.reset();
    }

    /// Whether requests are in flight.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        let sync = &self.sync;
        sync.push.is_in_flight()
            || sync.pull.is_in_flight()
            || sync.upload.is_in_flight()
            || sync.download.is_in_flight()
            || sync.custody.is_in_flight()
    }
}

/// What one activity wants.
pub(crate) enum Next {
    Send(Request),
    At(Millis),
    Nothing,
}

/// A bounded share of a reply that could not be used, for the status screen.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(80)]);
    format!("an unexpected reply: {}", text.trim())
}

const _: () = assert!(limits::PUSH_TEXT_BYTES_TARGET < limits::PUSH_BYTES_MAX);
