//! An event's whole story on one device: corrected, retracted, restored, and every step in sight.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use flate2::read::GzDecoder;
use motomind_core::protocol::effective::Act;
use motomind_core::protocol::wire::{OpOutcome, Outcome, PushResponse, Rejection};
use motomind_core::protocol::{
    EventId, Identity, OpId, OpState, Operation, TenantId, UserId, VehicleId, code, registry,
};
use motomind_core::*;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_760_000_000_000;

/// A device, and a server that takes whatever it is sent.
struct Bench {
    _dir: TempDir,
    device: Device,
    now: i64,
    seq: u64,
}

fn truck() -> VehicleId {
    VehicleId(Uuid::from_u128(77))
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let identity = Identity {
            tenant_id: TenantId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(2)),
        };
        let mut device = Device::open(OpenOptions {
            journal: file("journal.db"),
            mirror: file("mirror.db"),
            vfs: None,
            identity: Some(identity),
            key: None,
            seed: [3; 32],
            now: NOW,
        })
        .unwrap();
        let claims = json!({"sub": identity.user_id, "exp": NOW / 1000 + 36_000,
            "app_metadata": {"tenant_id": identity.tenant_id, "role": "technician"}});
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        assert_eq!(device.set_token(Some(&token), NOW), None);
        Self { _dir: dir, device, now: NOW, seq: 0 }
    }

    /// Later than before: ids made on the device follow its clock.
    fn tick(&mut self) -> i64 {
        self.now += 1_000;
        self.now
    }

    fn capture(&mut self, miles: i64, corrects: Option<EventId>) -> EventId {
        let now = self.tick();
        let day = NaiveDate::from_ymd_opt(2025, 10, 9).unwrap();
        let mut capture = Capture::new(truck(), "odometer", NOW, day, "America/Denver");
        capture.miles = Some(miles);
        capture.corrects = corrects;
        self.device.capture(capture, now).unwrap().op_id.into()
    }

    fn retract(&mut self, event: EventId) -> OpId {
        let now = self.tick();
        self.device.retract(event, "not mine", now).unwrap().op_id
    }

    fn restore(&mut self, event: EventId) -> Result<OpId, CaptureError> {
        let now = self.tick();
        self.device.restore(event, "mine after all", now).map(|captured| captured.op_id)
    }

    /// Pushes what is queued; the server says of each what `outcome` says, or takes it.
    fn push(&mut self, outcome: impl Fn(&Operation) -> Option<Outcome>) -> Vec<Operation> {
        let mut sent = Vec::new();
        self.device.on_poke(self.now);
        let Step::Send(requests) = self.device.next_step(self.now).unwrap() else {
            return sent;
        };
        for request in requests {
            if !request.path.ends_with("push") {
                self.device.on_failure(request.id, FailureKind::Network, self.now);
                continue;
            }
            let body = decoded(&request);
            let mut outcomes = Vec::new();
            for sealed in body["operations"].as_array().unwrap() {
                let text = sealed["text"].as_str().unwrap();
                let operation: Operation = serde_json::from_str(text).unwrap();
                self.seq += 1;
                let taken = Outcome::Accepted { seq: self.seq, flags: vec![] };
                let outcome = outcome(&operation).unwrap_or(taken);
                outcomes.push(OpOutcome { op_id: Some(operation.op_id), outcome });
                sent.push(operation);
            }
            let reply = PushResponse {
                protocol: 1,
                outcomes,
                head: self.seq,
                server_time_ms: self.now,
                retention_days: 30,
            };
            let reply = Reply {
                status: 200,
                retry_after_s: None,
                headers: Vec::new(),
                body: serde_json::to_vec(&reply).unwrap(),
            };
            self.device.on_reply(request.id, &reply, self.now).unwrap();
        }
        sent
    }

    fn mileage(&self) -> Option<i64> {
        let page = self.device.timeline(&TimelineQuery::default()).unwrap();
        assert!(page.entries.len() <= 1, "{page:?}");
        page.entries.first().and_then(|entry| entry.miles)
    }
}

fn decoded(request: &Request) -> serde_json::Value {
    match request.headers.iter().any(|(name, _)| *name == "content-encoding") {
        true => serde_json::from_reader(GzDecoder::new(&request.body[..])).unwrap(),
        false => serde_json::from_slice(&request.body).unwrap(),
    }
}

fn not_allowed(result: Result<OpId, CaptureError>) -> String {
    match result {
        Err(CaptureError::Invalid(fields)) => fields[0].code.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_family_tells_who_said_what_and_which_of_it_counts() {
    let mut bench = Bench::new();
    let first = bench.capture(100, None);
    let second = bench.capture(110, Some(first));
    let third = bench.capture(120, Some(second));
    bench.push(|_| None);
    let out = bench.retract(third);
    assert_eq!(bench.mileage(), Some(110));
    bench.push(|_| None);
    let back = bench.restore(third).unwrap();
    assert_eq!(bench.mileage(), Some(120), "shown before it is sent");

    let me = bench.device.identity();
    for event in [first, second, third, out.into(), back.into()] {
        let family = bench.device.family(event).unwrap().unwrap();
        assert_eq!((family.root, family.counts), (first, Some(third)));
        let told: Vec<_> = family
            .members
            .iter()
            .map(|one| (OpId::from(one.entry.event_id), one.act, one.counts, one.entry.state))
            .collect();
        assert_eq!(
            told,
            [
                (first.into(), Act::Corrects, false, OpState::Accepted),
                (second.into(), Act::Corrects, false, OpState::Accepted),
                (third.into(), Act::Corrects, true, OpState::Accepted),
                (out, Act::Retracts, false, OpState::Accepted),
                (back, Act::Restores, false, OpState::Queued),
            ]
        );
        for (place, one) in family.members.iter().enumerate() {
            assert_eq!(one.user_id, Some(me.identity.user_id));
            assert_eq!(one.device_id, Some(me.device_id));
            assert!(one.said_at > NOW && !one.retracted, "{one:?}");
            let reason = [None, None, None, Some("not mine"), Some("mine after all")][place];
            assert_eq!(one.reason.as_deref(), reason);
        }
        assert_eq!(family.members[0].entry.record().unwrap().event.miles, Some(100));
    }
    assert_eq!(bench.device.family(EventId(Uuid::from_u128(9))).unwrap(), None);
    bench.push(|_| None);
    assert_eq!(bench.mileage(), Some(120));
}

#[test]
fn what_cannot_be_said_is_refused_before_it_is_stored() {
    let mut bench = Bench::new();
    let event = bench.capture(100, None);
    assert_eq!(not_allowed(bench.restore(event)), code::NOT_RETRACTED);
    bench.push(|_| None);
    assert_eq!(not_allowed(bench.restore(event)), code::NOT_RETRACTED);
    let out = bench.retract(event);
    bench.push(|_| None);
    assert_eq!(not_allowed(bench.restore(out.into())), code::NOT_CORRECTABLE);
    let now = bench.tick();
    let again = bench.device.retract(out.into(), "no", now).map(|captured| captured.op_id);
    assert_eq!(not_allowed(again), code::NOT_CORRECTABLE);
    let unknown = bench.restore(EventId(Uuid::from_u128(9)));
    assert!(matches!(unknown, Err(CaptureError::UnknownOperation)));
    assert_eq!(bench.device.pending(bench.now).unwrap(), []);
}

#[test]
fn discarding_a_retraction_that_arrived_restores_and_the_other_way_round() {
    let mut bench = Bench::new();
    let event = bench.capture(100, None);
    bench.push(|_| None);
    let out = bench.retract(event);
    bench.push(|_| None);
    let now = bench.tick();
    let back = bench.device.discard(out, "no", now).unwrap().op_id;
    let sent = bench.push(|_| None);
    let told = |operation: &Operation| {
        let event = operation.event().unwrap();
        (event.kind.clone(), event.corrects)
    };
    assert_eq!(told(&sent[0]), (registry::RESTORATION.into(), Some(event)));
    assert_eq!(bench.mileage(), Some(100));
    let now = bench.tick();
    bench.device.discard(back, "yes", now).unwrap();
    let sent = bench.push(|_| None);
    assert_eq!(told(&sent[0]), (registry::RETRACTION.into(), Some(event)));
    assert_eq!(bench.mileage(), None);
}

#[test]
fn what_was_discarded_before_it_arrived_is_captured_again() {
    for arrives in [false, true] {
        let mut bench = Bench::new();
        let event = bench.capture(100, None);
        let now = bench.tick();
        let discard = bench.device.discard(event.into(), "wrong truck", now).unwrap().op_id;
        assert_eq!(bench.mileage(), None);
        if arrives {
            bench.push(|_| None);
        }
        let again = bench.restore(event).unwrap();
        assert_eq!(bench.mileage(), Some(100));
        let sent = bench.push(|_| None);
        assert_eq!(sent[0].op_id, again);
        let anew = sent[0].event().unwrap();
        assert_eq!((anew.miles, anew.corrects), (Some(100), None));
        let replaced = if arrives { vec![] } else { vec![discard, event.into()] };
        assert_eq!(sent[0].supersedes, replaced);
        assert_eq!(bench.mileage(), Some(100));
    }
}

#[test]
fn a_refused_restoration_takes_no_part_and_can_be_given_up() {
    let mut bench = Bench::new();
    let event = bench.capture(100, None);
    bench.push(|_| None);
    bench.retract(event);
    bench.push(|_| None);
    let back = bench.restore(event).unwrap();
    let refused = Rejection::new(code::FORBIDDEN, "not yours");
    bench.push(|_| Some(Outcome::Rejected(refused.clone())));
    let family = bench.device.family(event).unwrap().unwrap();
    assert_eq!(family.counts, None);
    assert!(family.members[0].retracted);
    let last = family.members.last().unwrap();
    assert_eq!((OpId::from(last.entry.event_id), last.entry.state), (back, OpState::Rejected));
    let now = bench.tick();
    let gives_up = bench.device.discard(back, "as they say", now).unwrap().op_id;
    let sent = bench.push(|_| None);
    assert_eq!((sent[0].op_id, &sent[0].supersedes[..]), (gives_up, &[back][..]));
    assert_eq!(bench.device.pending(bench.now).unwrap(), []);
    assert_eq!(bench.mileage(), None);
}
