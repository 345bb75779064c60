//! A device in the field and an office that takes what it is sent, for the tests of photos, places
//! and sessions. The office closes what was superseded and follows it, and keeps a log.
#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use flate2::read::GzDecoder;
use motomind_core::protocol::wire::{
    OpOutcome, Outcome, PullResponse, PushResponse, Rejection, page_digest,
};
use motomind_core::protocol::{
    Body, EventId, Identity, OpId, Operation, TenantId, UserId, VehicleId, code,
};
use motomind_core::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// 2024-05-02 16:20 UTC: nine minutes after most pictures of the corpus were taken.
pub(crate) const NOW: i64 = 1_714_666_800_000;

pub(crate) fn file(name: &str) -> Vec<u8> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/photos");
    std::fs::read(format!("{directory}/{name}")).unwrap()
}

pub(crate) fn truck() -> VehicleId {
    VehicleId(Uuid::from_u128(77))
}

pub(crate) fn capture(kind: &str) -> Capture {
    let day = NaiveDate::from_ymd_opt(2024, 5, 2).unwrap();
    let mut capture = Capture::new(truck(), kind, NOW, day, "America/Denver");
    if kind == "fuel" {
        capture.total_minor = Some(4_812);
    }
    capture
}

/// What the office does with an operation, where it does not simply take it.
pub(crate) type Verdict<'a> = &'a dyn Fn(&Operation) -> Option<Outcome>;

#[derive(Default)]
pub(crate) struct Office {
    pub(crate) log: Vec<Value>,
    accepted: BTreeMap<OpId, u64>,
    closed: BTreeMap<OpId, OpId>,
    discards: BTreeSet<OpId>,
}

impl Office {
    fn enter(&mut self, kind: &str, data: Value) -> u64 {
        let seq = self.log.len() as u64 + 1;
        self.log.push(json!({"seq": seq, "kind": kind, "data": data}));
        seq
    }

    /// The event that one names, or what has taken its place.
    fn meant(&self, event: EventId) -> EventId {
        let mut event = event;
        while let Some(by) = self.closed.get(&OpId::from(event)) {
            event = (*by).into();
        }
        event
    }

    pub(crate) fn take(&mut self, operation: &Operation) -> Outcome {
        if let Some(seq) = self.accepted.get(&operation.op_id) {
            return Outcome::Duplicate { seq: *seq };
        }
        let mut closing = None;
        let fresh: Vec<OpId> = operation
            .supersedes
            .iter()
            .filter(|op| !self.accepted.contains_key(op))
            .copied()
            .collect();
        let replaced =
            operation.supersedes.iter().find(|op| self.accepted.contains_key(op)).copied();
        for op in fresh {
            if self.closed.insert(op, operation.op_id).is_none() {
                let data = json!({"op_id": op, "by": operation.op_id});
                closing.get_or_insert(self.enter("closed", data));
            }
        }
        let mut said = json!({"id": operation.op_id, "received_at": operation.clock.wall_ms,
            "op_id": operation.op_id, "device_id": operation.device_id,
            "user_id": operation.user_id});
        let nothing = |takes_back: bool| {
            (takes_back && !operation.supersedes.is_empty() && replaced.is_none()).then_some(())
        };
        let (kind, takes_back) = match &operation.body {
            Body::Event(event) => {
                said = json!({"event": event, "received_at": operation.clock.wall_ms,
                    "op_id": operation.op_id, "device_id": operation.device_id,
                    "user_id": operation.user_id});
                if let Some(corrects) = replaced.map(EventId::from).or(event.corrects) {
                    said["corrects"] = json!(corrects);
                }
                if event.is_retraction() {
                    self.discards.insert(operation.op_id);
                }
                ("event", event.is_retraction())
            }
            Body::Photo(attachment) => {
                let event = self.meant(attachment.event_id);
                if self.discards.contains(&event.into()) && closing.is_none() {
                    let message = "its event was discarded";
                    return Outcome::Rejected(Rejection::new(code::PARENT_REJECTED, message));
                }
                if !self.accepted.contains_key(&event.into()) {
                    return Outcome::Waiting { parent: attachment.event_id };
                }
                (said["said"], said["event_id"]) = (json!(attachment), json!(event));
                ("photo", attachment.removed)
            }
            Body::LocationCorrection(correction) => {
                let event = self.meant(correction.event_id);
                (said["said"], said["event_id"]) = (json!(correction), json!(event));
                ("location_correction", correction.withdrawn)
            }
            Body::Session(session) => {
                said["said"] = json!(session);
                ("session", false)
            }
            other => panic!("{other:?}"),
        };
        let seq = match nothing(takes_back) {
            Some(()) => closing.unwrap(),
            None => self.enter(kind, said),
        };
        self.accepted.insert(operation.op_id, seq);
        Outcome::Accepted { seq, flags: vec![] }
    }
}

/// A device with its files, and what it asks of the office.
pub(crate) struct Field {
    dir: TempDir,
    pub(crate) device: Device,
    pub(crate) now: i64,
    user: u128,
    opened: u8,
}

fn open(dir: &TempDir, user: u128, seed: u8, now: i64) -> Device {
    let file = |name: &str| dir.path().join(name).display().to_string();
    let identity = Identity {
        tenant_id: TenantId(Uuid::from_u128(1)),
        user_id: UserId(Uuid::from_u128(user)),
    };
    let mut seed = [seed; 32];
    seed[31] = user as u8;
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(identity),
        key: None,
        seed,
        now,
    })
    .unwrap();
    let claims = json!({"sub": identity.user_id, "exp": NOW / 1000 + 100 * 86_400,
        "app_metadata": {"tenant_id": identity.tenant_id, "role": "technician"}});
    let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
    assert_eq!(device.set_token(Some(&token), now), None);
    device
}

impl Field {
    pub(crate) fn new() -> Self {
        Self::of(2)
    }

    pub(crate) fn of(user: u128) -> Self {
        let dir = TempDir::new().unwrap();
        let device = open(&dir, user, 1, NOW);
        Self { dir, device, now: NOW, user, opened: 1 }
    }

    /// Later than before: ids made on the device follow its clock.
    pub(crate) fn tick(&mut self) -> i64 {
        self.now += 1_000;
        self.now
    }

    /// The power fails, or the process is killed; then it is opened again.
    pub(crate) fn reopen(&mut self) {
        self.opened += 1;
        // Two devices on one set of files are refused: the first has to go before.
        self.leave_files();
        self.device = open(&self.dir, self.user, self.opened, self.now);
    }

    /// Closes the files, so that something else may be done with them before `reopen`.
    pub(crate) fn leave_files(&mut self) {
        let elsewhere = TempDir::new().unwrap();
        self.device = open(&elsewhere, self.user, 0, self.now);
    }

    /// As `reopen`, with the mirror lost.
    pub(crate) fn reopen_without_mirror(&mut self) {
        self.leave_files();
        for name in ["mirror.db", "mirror.db-wal"] {
            let _ = std::fs::remove_file(self.dir.path().join(name));
        }
        self.reopen();
    }

    pub(crate) fn journal(&self) -> std::path::PathBuf {
        self.dir.path().join("journal.db")
    }

    pub(crate) fn add(
        &mut self,
        target: PhotoTarget,
        name: &str,
    ) -> Result<AddedPhoto, CaptureError> {
        self.add_with(target, name, PhotoMeta::default())
    }

    pub(crate) fn add_with(
        &mut self,
        target: PhotoTarget,
        name: &str,
        meta: PhotoMeta,
    ) -> Result<AddedPhoto, CaptureError> {
        let now = self.tick();
        self.device.add_photo(target, &file(name)[..], meta, HostPreview::None, now)
    }

    /// An event with photos, on the quick path.
    pub(crate) fn with_photos(&mut self, capture: Capture, names: &[&str]) -> EventId {
        let now = self.tick();
        let photos = names.iter().map(|name| NewPhoto {
            bytes: std::io::Cursor::new(file(name)),
            meta: PhotoMeta::default(),
            preview: HostPreview::None,
        });
        let captured = self.device.capture_with_photos(capture, photos.collect(), now).unwrap();
        captured.op_id.into()
    }

    pub(crate) fn push(&mut self, office: &mut Office) -> Vec<Operation> {
        self.push_with(office, &|_| None)
    }

    /// Pushes what is queued, and does not listen to the log.
    pub(crate) fn push_with(
        &mut self,
        office: &mut Office,
        verdict: Verdict<'_>,
    ) -> Vec<Operation> {
        self.exchange(office, Some(verdict), false)
    }

    pub(crate) fn pull(&mut self, office: &mut Office) {
        self.exchange(office, None, true);
    }

    pub(crate) fn sync(&mut self, office: &mut Office) {
        for _ in 0..3 {
            self.exchange(office, Some(&|_| None), true);
        }
    }

    fn exchange(
        &mut self,
        office: &mut Office,
        verdict: Option<Verdict<'_>>,
        pulls: bool,
    ) -> Vec<Operation> {
        let mut sent = Vec::new();
        self.tick();
        self.device.on_poke(self.now);
        let Step::Send(requests) = self.device.next_step(self.now).unwrap() else {
            return sent;
        };
        for request in requests {
            let push = request.path.ends_with("/push");
            let pull = request.path.contains("/pull");
            let body = match verdict {
                Some(verdict) if push => push_reply(office, &request, verdict, self.now, &mut sent),
                _ if pull && pulls => pull_reply(office, &request, self.now),
                _ => {
                    self.device.on_failure(request.id, FailureKind::Network, self.now);
                    continue;
                }
            };
            let reply = Reply { status: 200, retry_after_s: None, headers: Vec::new(), body };
            self.device.on_reply(request.id, &reply, self.now).unwrap();
        }
        sent
    }

    pub(crate) fn pending(&self) -> Vec<PendingItem> {
        self.device.pending(self.now).unwrap()
    }

    pub(crate) fn entry(&self, event: EventId) -> TimelineEntry {
        let query = TimelineQuery { include_hidden: true, limit: 500, ..Default::default() };
        let page = self.device.timeline(&query).unwrap();
        page.entries.into_iter().find(|entry| entry.event_id == event).unwrap()
    }
}

pub(crate) fn push_reply(
    office: &mut Office,
    request: &Request,
    verdict: Verdict<'_>,
    now: i64,
    sent: &mut Vec<Operation>,
) -> Vec<u8> {
    let gzip = request.headers.iter().any(|(name, _)| *name == "content-encoding");
    let body: Value = match gzip {
        true => serde_json::from_reader(GzDecoder::new(&request.body[..])).unwrap(),
        false => serde_json::from_slice(&request.body).unwrap(),
    };
    let mut outcomes = Vec::new();
    for sealed in body["operations"].as_array().unwrap() {
        let text = sealed["text"].as_str().unwrap();
        let operation: Operation = serde_json::from_str(text).unwrap();
        let outcome = verdict(&operation).unwrap_or_else(|| office.take(&operation));
        outcomes.push(OpOutcome { op_id: Some(operation.op_id), outcome });
        sent.push(operation);
    }
    serde_json::to_vec(&PushResponse {
        protocol: 1,
        outcomes,
        head: office.log.len() as u64,
        server_time_ms: now,
        retention_days: 30,
    })
    .unwrap()
}

pub(crate) fn pull_reply(office: &Office, request: &Request, now: i64) -> Vec<u8> {
    let after = request.path.split("cursor=").nth(1).map_or(0, |cursor| cursor.parse().unwrap());
    let changes: Vec<Box<RawValue>> = office.log[after..]
        .iter()
        .map(|change| RawValue::from_string(change.to_string()).unwrap())
        .collect();
    let head = office.log.len() as u64;
    serde_json::to_vec(&PullResponse {
        protocol: 1,
        digest: page_digest(&changes),
        changes,
        next_cursor: head.to_string(),
        seq: head,
        head,
        server_time_ms: now,
    })
    .unwrap()
}
