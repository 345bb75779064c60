//! The model server as a device sees it: requests in, replies out, with the faults of a server.

use std::collections::BTreeSet;
use std::io::Read;

use motomind_core::{Reply, Request};
use motomind_protocol::wire::{DEVICE_HEADER, OpOutcome, Outcome, Problem, PullResponse};
use motomind_protocol::wire::{PushRequest, PushResponse, page_digest, problem};
use motomind_protocol::{
    Claims, DeviceId, Hash, Identity, Millis, OpId, Role, SealedOperation, limits,
};
use serde_json::value::RawValue;

use super::log::Place;
use super::tenant::{Pusher, Tenant};
use crate::dice::Dice;

/// A request as it travels.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET` or `POST`.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// May be compressed, as the headers say.
    pub body: Vec<u8>,
}

/// A reply as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Never compressed here.
    pub body: Vec<u8>,
}

impl Call {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl From<Request> for Call {
    fn from(request: Request) -> Self {
        let headers = request.headers.into_iter();
        Self {
            method: request.method.into(),
            path: request.path,
            headers: headers.map(|(name, value)| (name.into(), value)).collect(),
            body: request.body,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let mut headers = answer.headers.iter();
        let retry_after = headers.find(|(name, _)| name == "retry-after");
        Self {
            status: answer.status,
            retry_after_s: retry_after.and_then(|(_, seconds)| seconds.parse().ok()),
            headers: answer.headers,
            body: answer.body,
        }
    }
}

/// What is wrong with the server at present.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ailments {
    /// A capture whose notes say `poison` makes it fail as a whole.
    pub poison: bool,
    /// A capture whose notes say `held` gets an outcome that this device does not know.
    pub holds: bool,
    /// Every push fails; pulls work.
    pub refuses_pushes: bool,
    /// The operations of a push are judged in reverse, as if the device had sent them so.
    pub reverses_pushes: bool,
}

/// The server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its database.
    pub tenant: Tenant,
    /// What is wrong with it.
    pub ailments: Ailments,
    /// Changes in a page at most; one of these, as chance has it.
    pub page_sizes: Vec<usize>,
    /// Every operation, in the order in which it was first judged; survives restores.
    pub arrivals: Vec<OpId>,
    arrived: BTreeSet<OpId>,
    /// The connection of the next request breaks while it is received.
    pub cuts: bool,
    pub(super) lost_photos: BTreeSet<Hash>,
    pub(super) lost_previews: BTreeSet<Hash>,
    /// Randomness of its own: epochs, tags, page sizes.
    pub dice: Dice,
}

pub(super) type Refused<T> = Result<T, Answer>;

impl Server {
    /// An empty server.
    #[must_use]
    pub fn new(mut dice: Dice) -> Self {
        Self {
            tenant: Tenant::new(&mut dice),
            ailments: Ailments::default(),
            page_sizes: vec![3, 10, limits::PULL_CHANGES_MAX],
            arrivals: Vec::new(),
            arrived: BTreeSet::new(),
            cuts: false,
            lost_photos: BTreeSet::new(),
            lost_previews: BTreeSet::new(),
            dice,
        }
    }

    /// Whether an operation was ever judged.
    #[must_use]
    pub fn has_seen(&self, op: OpId) -> bool {
        self.arrived.contains(&op)
    }

    /// Answers a request.
    pub fn answer(&mut self, call: &Call, now: Millis) -> Answer {
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let reply = match (call.method.as_str(), path) {
            ("POST", "/v1/sync/push") => self.push(call, now),
            ("GET", "/v1/sync/pull") => self.pull(call, query, now),
            ("GET", "/v1/devices/me/custody") => self.custody(call, now),
            (_, path) if path.starts_with("/v1/uploads") => Ok(self.tus(call, path, now)),
            (method, path) if path.starts_with("/v1/photos/") => {
                let mut answer = self.photo(call, &path["/v1/photos/".len()..], query, now);
                if let ("HEAD", Ok(answer) | Err(answer)) = (method, &mut answer) {
                    answer.body.clear();
                }
                answer
            }
            _ => Err(trouble(404, problem::NOT_FOUND)),
        };
        reply.unwrap_or_else(|problem| problem)
    }

    fn custody(&self, call: &Call, now: Millis) -> Refused<Answer> {
        let (identity, role) = authenticate(call, now)?;
        let device = call.header(DEVICE_HEADER).and_then(|id| id.parse::<uuid::Uuid>().ok());
        let device: DeviceId = device.ok_or_else(|| trouble(400, problem::MALFORMED))?.into();
        let owner = self.tenant.held.owner(device);
        if role < Role::Manager && owner.is_some_and(|owner| owner != identity.user_id) {
            return Err(trouble(403, problem::FORBIDDEN));
        }
        let missing = self.tenant.missing_photos(device);
        Ok(json(&self.tenant.held.custody(device, missing, now)))
    }

    fn push(&mut self, call: &Call, now: Millis) -> Refused<Answer> {
        let (identity, role) = authenticate(call, now)?;
        if self.ailments.refuses_pushes {
            return Err(trouble(503, problem::UNAVAILABLE));
        }
        let malformed = || trouble(400, problem::MALFORMED);
        let body = decoded(call).ok_or_else(malformed)?;
        if body.len() > limits::PUSH_BYTES_MAX {
            return Err(trouble(413, problem::TOO_LARGE));
        }
        let mut request: PushRequest = serde_json::from_slice(&body).map_err(|_| malformed())?;
        if request.operations.len() > limits::PUSH_OPERATIONS_MAX {
            return Err(trouble(413, problem::TOO_LARGE));
        }
        let says = |op: &SealedOperation, word: &str| op.text.contains(word);
        if self.ailments.poison && request.operations.iter().any(|op| says(op, "poison")) {
            return Err(trouble(500, problem::INTERNAL));
        }
        if self.ailments.reverses_pushes {
            request.operations.reverse();
        }
        let first = request.operations.iter().find_map(|op| op.open().ok());
        let mut outcomes = Vec::new();
        let mut forked = false;
        for sealed in &request.operations {
            let device_id = first.as_ref().map(|first| first.device_id);
            let pusher = Pusher {
                identity,
                role,
                incarnation: request.incarnation,
                device_id: device_id.unwrap_or_else(|| uuid::Uuid::nil().into()),
                now,
            };
            let outcome = if self.ailments.holds && says(sealed, "held") {
                Outcome::Unknown
            } else {
                self.judge(&pusher, sealed, forked)
            };
            forked |= matches!(outcome, Outcome::Forked { .. });
            outcomes.push(OpOutcome { op_id: Some(sealed.op_id), outcome });
        }
        if self.ailments.reverses_pushes {
            outcomes.reverse();
        }
        Ok(json(&PushResponse {
            protocol: limits::PROTOCOL_VERSION,
            outcomes,
            head: self.tenant.log.head(),
            server_time_ms: now,
            retention_days: limits::RETENTION_DAYS_DEFAULT,
        }))
    }

    /// Judges one operation. Once one of a batch has forked, the rest of its incarnation has, so
    /// that their order is kept when they are offered again.
    fn judge(&mut self, pusher: &Pusher, sealed: &SealedOperation, forked: bool) -> Outcome {
        if forked
            && let Ok(operation) = sealed.open()
            && operation.incarnation == pusher.incarnation
            && !self.tenant.operations.contains_key(&operation.op_id)
        {
            return Outcome::Forked { at: operation.device_seq };
        }
        let outcome = self.tenant.judge(pusher, sealed, &mut self.dice);
        let judged = !matches!(outcome, Outcome::Forked { .. });
        if judged && self.arrived.insert(sealed.op_id) {
            self.arrivals.push(sealed.op_id);
        }
        outcome
    }

    fn pull(&mut self, call: &Call, query: &str, now: Millis) -> Refused<Answer> {
        authenticate(call, now)?;
        self.tenant.absorb_all(now, &mut self.dice);
        let value = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let after = match value("cursor").filter(|cursor| !cursor.is_empty()) {
            None => 0,
            Some(cursor) => match self.tenant.log.locate(cursor, &mut self.dice) {
                Place::At(seq) => seq,
                Place::Elsewhere => return Err(trouble(409, problem::RESNAPSHOT)),
                Place::Forged => return Err(trouble(400, problem::BAD_CURSOR)),
            },
        };
        let asked = value("limit").and_then(|limit| limit.parse().ok());
        let most = self.dice.pick(&self.page_sizes).copied().unwrap_or(1);
        let limit = asked.unwrap_or(limits::PULL_CHANGES_MAX).clamp(1, most);
        let page = self.tenant.log.after(after);
        let page = &page[..page.len().min(limit)];
        let changes: Vec<Box<RawValue>> =
            page.iter().map(|entry| RawValue::to_owned(&entry.raw)).collect();
        let seq = page.last().map_or(after, |entry| entry.change.seq);
        Ok(json(&PullResponse {
            protocol: limits::PROTOCOL_VERSION,
            digest: page_digest(&changes),
            changes,
            next_cursor: self.tenant.log.cursor(seq),
            seq,
            head: self.tenant.log.head(),
            server_time_ms: now,
        }))
    }
}

pub(super) fn authenticate(call: &Call, now: Millis) -> Refused<(Identity, Role)> {
    let token = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let claims = token
        .and_then(|token| Claims::peek(token).ok())
        .ok_or_else(|| trouble(401, problem::UNAUTHENTICATED))?;
    if claims.exp * 1_000 <= now {
        return Err(trouble(401, problem::TOKEN_EXPIRED));
    }
    Ok((claims.identity(), claims.app_metadata.role))
}

/// The body, decompressed when the headers say so.
fn decoded(call: &Call) -> Option<Vec<u8>> {
    let gzip = call.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-encoding") && value.eq_ignore_ascii_case("gzip")
    });
    if !gzip {
        return Some(call.body.clone());
    }
    let mut body = Vec::new();
    let decoder = flate2::read::GzDecoder::new(call.body.as_slice());
    let most = limits::PUSH_BYTES_MAX as u64 + 1;
    decoder.take(most).read_to_end(&mut body).ok()?;
    Some(body)
}

fn json(body: &impl serde::Serialize) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into())],
        body: serde_json::to_vec(body).unwrap_or_default(),
    }
}

/// A problem document.
#[must_use]
pub fn trouble(status: u16, code: &str) -> Answer {
    let problem = Problem {
        kind: format!("https://motomind.dev/problems/{code}"),
        title: code.into(),
        status,
        code: code.into(),
        detail: "the model server says so".into(),
        request_id: None,
    };
    let mut answer = json(&problem);
    answer.status = status;
    answer.headers[0].1 = "application/problem+json".into();
    answer
}
