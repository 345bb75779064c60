//! The sync machine by itself: what single replies do. Whole stories are the simulation's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use motomind_core::protocol::wire::{OpOutcome, Outcome, PushResponse, Rejection};
use motomind_core::protocol::{
    Hash, Identity, OpId, OpState, Operation, TenantId, UserId, VehicleId, code,
};
use motomind_core::*;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_760_000_000_000;

fn token(user: u128) -> String {
    let claims = json!({
        "sub": Uuid::from_u128(user), "exp": 4_000_000_000_u64,
        "app_metadata": { "tenant_id": Uuid::from_u128(1), "role": "technician" },
    });
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part("{}"), part(&claims.to_string()), part("signature"))
}

fn device(dir: &TempDir) -> Device {
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let identity =
        Identity { tenant_id: TenantId(Uuid::from_u128(1)), user_id: UserId(Uuid::from_u128(2)) };
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(identity),
        key: None,
        seed: [1; 32],
        now: NOW,
    })
    .unwrap();
    device.set_token(Some(&token(2)), NOW);
    device
}

fn reading(miles: i64) -> Capture {
    let day = NaiveDate::from_ymd_opt(2025, 10, 9).unwrap();
    let vehicle = VehicleId(Uuid::from_u128(77));
    let mut capture = Capture::new(vehicle, "odometer", NOW + miles, day, "America/Denver");
    capture.miles = Some(miles);
    capture
}

fn capture(device: &mut Device, miles: i64) -> OpId {
    device.capture(reading(miles), NOW).unwrap().op_id
}

/// Starts whatever the device wants to send and returns the push.
fn push(device: &mut Device) -> Request {
    let Step::Send(requests) = device.next_step(NOW).unwrap() else { panic!("nothing to send") };
    requests.into_iter().find(|request| request.path == "/v1/sync/push").expect("no push")
}

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, retry_after_s: None, headers: Vec::new(), body: body.into() }
}

fn answer(device: &mut Device, request: &Request, outcomes: Vec<(OpId, Outcome)>) {
    let outcomes = outcomes
        .into_iter()
        .map(|(op_id, outcome)| OpOutcome { op_id: Some(op_id), outcome })
        .collect();
    let response =
        PushResponse { protocol: 1, outcomes, head: 9, server_time_ms: NOW, retention_days: 30 };
    let body = serde_json::to_vec(&response).unwrap();
    device.on_reply(request.id, &reply(200, body), NOW).unwrap();
}

#[test]
fn discarding_what_has_a_foreign_id_says_nothing_of_that_id() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    let op = capture(&mut device, 100);
    let request = push(&mut device);
    answer(&mut device, &request, vec![(op, Outcome::OpIdReused { known_hash: Hash::ZERO })]);
    let item = &device.pending(NOW).unwrap()[0];
    assert_eq!(item.reason.as_ref().unwrap().code, code::OP_ID_REUSED);
    device.discard(op, "imported twice", NOW).unwrap();
    assert!(device.pending(NOW).unwrap().is_empty());
    assert_eq!(device.operation(op, NOW).unwrap().unwrap().state, OpState::Superseded);
    let entries = device.timeline(&TimelineQuery::default()).unwrap().entries;
    assert!(entries.is_empty(), "{entries:?}");
}

/// An id that someone else's device had used, of which nobody had told this one when it amended.
#[test]
fn what_took_the_place_of_a_foreign_id_is_mended_without_it() {
    let refused = |op| Outcome::Rejected(Rejection::supersedes_anothers(op));
    let sealed = |request: &Request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let text = body["operations"][0]["text"].as_str().unwrap();
        serde_json::from_str::<Operation>(text).unwrap()
    };
    for discards in [false, true] {
        let dir = TempDir::new().unwrap();
        let mut device = device(&dir);
        let first = capture(&mut device, 100);
        let lost = push(&mut device);
        let second = match discards {
            true => device.discard(first, "wrong truck", NOW),
            false => device.amend(first, reading(101), NOW),
        };
        let second = second.unwrap().op_id;
        device.on_failure(lost.id, FailureKind::Network, NOW);
        device.on_poke(NOW);
        let request = push(&mut device);
        answer(&mut device, &request, vec![(second, refused(first))]);
        let third = device.amend(second, reading(102), NOW).unwrap().op_id;
        let request = push(&mut device);
        let operation = sealed(&request);
        assert_eq!((operation.op_id, &*operation.supersedes), (third, &[second][..]));
        assert_eq!(operation.event().unwrap().corrects, None, "that one is someone else's");
        let low = Rejection::new(code::ODOMETER_OUT_OF_ORDER, "too low").field("miles");
        answer(&mut device, &request, vec![(third, Outcome::Rejected(low))]);
        let fourth = device.amend(third, reading(103), NOW).unwrap().op_id;
        let request = push(&mut device);
        let operation = sealed(&request);
        assert_eq!((operation.op_id, &*operation.supersedes), (fourth, &[third, second][..]));
        assert_eq!(operation.event().unwrap().corrects, None);
    }
}

/// The mended capture and the one that it replaces change places together, or not at all.
#[test]
fn amending_what_has_a_foreign_id_is_done_whole_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    let op = capture(&mut device, 100);
    let request = push(&mut device);
    answer(&mut device, &request, vec![(op, Outcome::OpIdReused { known_hash: Hash::ZERO })]);
    drop(device);
    let alter = |sql: &str| {
        let journal = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
        journal.execute_batch(sql).unwrap();
    };
    alter(
        "CREATE TRIGGER fault BEFORE UPDATE OF state ON operations
         WHEN NEW.state = 'superseded' BEGIN SELECT RAISE(ABORT, 'a fault'); END",
    );
    let mut device = self::device(&dir);
    device.amend(op, reading(101), NOW).unwrap_err();
    let pending = |device: &Device| {
        device.pending(NOW).unwrap().iter().map(|item| item.op_id).collect::<Vec<OpId>>()
    };
    assert_eq!(pending(&device), [op], "as it was");
    drop(device);
    alter("DROP TRIGGER fault");
    let mut device = self::device(&dir);
    let amended = device.amend(op, reading(101), NOW).unwrap().op_id;
    assert_eq!(pending(&device), [amended]);
    let entries = device.timeline(&TimelineQuery::default()).unwrap().entries;
    assert_eq!(entries.len(), 1);
}

#[test]
fn a_portal_page_is_no_success_and_no_refusal() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    let op = capture(&mut device, 100);
    for status in [200, 302, 401, 403, 404, 511] {
        device.on_poke(NOW);
        let request = push(&mut device);
        device.on_reply(request.id, &reply(status, "<html>Welcome, guest</html>"), NOW).unwrap();
        assert_eq!(device.blocked(), None, "{status}");
        assert_eq!(device.pending(NOW).unwrap()[0].op_id, op, "{status}");
    }
}

#[test]
fn the_late_refusal_of_an_old_token_leaves_the_new_one_alone() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    capture(&mut device, 100);
    let request = push(&mut device);
    device.set_token(Some(&token(2)), NOW);
    let expired = json!({
        "type": "about:blank", "title": "Unauthorized", "status": 401,
        "code": "token_expired", "detail": "get a new one",
    });
    device.on_reply(request.id, &reply(401, expired.to_string()), NOW).unwrap();
    assert_eq!(device.blocked(), None);
    let request = push(&mut device);
    device.on_reply(request.id, &reply(401, expired.to_string()), NOW).unwrap();
    assert_eq!(device.blocked(), Some(&Blocked::NeedsToken));
    assert!(matches!(device.set_token(Some(&token(3)), NOW), Some(Blocked::WrongIdentity(_))));
}

/// A problem document of our own server.
fn problem(status: u16, code: &str) -> Reply {
    let problem = json!({
        "type": "about:blank", "title": "Trouble", "status": status, "code": code,
        "detail": "the server failed",
    });
    reply(status, problem.to_string())
}

/// Lets the device talk to a server for so long, in virtual time. Returns how many requests it
/// sent.
fn talk(
    device: &mut Device,
    span_ms: i64,
    mut serve: impl FnMut(&Request) -> Result<Reply, FailureKind>,
) -> u32 {
    let (mut now, mut requests) = (NOW, 0);
    while now < NOW + span_ms {
        match device.next_step(now).unwrap() {
            Step::Send(sent) => {
                for request in sent {
                    requests += 1;
                    match serve(&request) {
                        Ok(reply) => device.on_reply(request.id, &reply, now).unwrap(),
                        Err(kind) => device.on_failure(request.id, kind, now),
                    }
                }
            }
            Step::WaitUntil(at) => now = at,
            Step::Idle => break,
        }
    }
    requests
}

fn all_accepted(request: &Request) -> Reply {
    let outcomes = sent(request)
        .into_iter()
        .map(|op| OpOutcome {
            op_id: Some(op),
            outcome: Outcome::Accepted { seq: 1_000, flags: Vec::new() },
        })
        .collect();
    let response =
        PushResponse { protocol: 1, outcomes, head: 0, server_time_ms: NOW, retention_days: 30 };
    reply(200, serde_json::to_vec(&response).unwrap())
}

const HOUR_MS: i64 = 60 * 60 * 1000;

#[test]
fn one_poison_operation_ends_up_alone_and_the_others_flow() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    let ops: Vec<OpId> = (1..=40).map(|miles| capture(&mut device, miles)).collect();
    let poison = ops[25];
    talk(&mut device, HOUR_MS / 2, |request| match request.path.as_str() {
        "/v1/sync/push" if sent(request).contains(&poison) => Ok(problem(500, "internal")),
        "/v1/sync/push" => Ok(all_accepted(request)),
        _ => Err(FailureKind::Network),
    });
    let pending = device.pending(NOW).unwrap();
    assert_eq!(pending.iter().map(|item| item.op_id).collect::<Vec<_>>(), [poison]);
    assert_eq!(pending[0].reason.as_ref().unwrap().code, code::SERVER_FAULT);
    assert!(pending[0].retry_at.is_some_and(|at| at > NOW));
}

/// What is captured in the place of a discard names what it corrects where that is known to
/// stand. A discard that the server failed on may have arrived: then only the server knows.
#[test]
fn what_takes_the_place_of_a_discard_names_only_what_is_sure() {
    let failed = Rejection::new(code::SERVER_FAULT, "the server failed");
    let refused = Rejection::new(code::FORBIDDEN, "not yours");
    for (reason, sure) in [(failed, false), (refused, true)] {
        let dir = TempDir::new().unwrap();
        let mut device = device(&dir);
        let first = capture(&mut device, 100);
        // It arrives, and its reply is lost.
        let lost = push(&mut device);
        let discard = device.discard(first, "wrong truck", NOW).unwrap().op_id;
        device.on_failure(lost.id, FailureKind::Network, NOW);
        device.on_poke(NOW);
        let request = push(&mut device);
        answer(&mut device, &request, vec![(discard, Outcome::Rejected(reason))]);
        let anew = device.amend(discard, reading(110), NOW).unwrap().op_id;
        let request = push(&mut device);
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let operation: Operation =
            serde_json::from_str(body["operations"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(operation.op_id, anew);
        let corrects = operation.event().unwrap().corrects.map(OpId::from);
        match sure {
            true => assert_eq!((operation.supersedes, corrects), (vec![discard], Some(first))),
            false => assert_eq!((operation.supersedes, corrects), (vec![discard, first], None)),
        }
        // Accepted, it is what a discard takes the place of; a fact in that one's place is new.
        answer(&mut device, &request, vec![(anew, Outcome::Accepted { seq: 5, flags: vec![] })]);
        let discard = device.discard(anew, "after all", NOW).unwrap().op_id;
        let request = push(&mut device);
        answer(&mut device, &request, vec![(discard, Outcome::Accepted { seq: 6, flags: vec![] })]);
        let last = device.amend(discard, reading(120), NOW).unwrap().op_id;
        let event = device.operation(last, NOW).unwrap().unwrap().event.unwrap();
        assert_eq!(event.corrects, None);
    }
}

#[test]
fn a_server_that_fails_on_everything_is_left_in_peace_and_nothing_counts_as_refused() {
    for failure in [problem(500, "internal"), reply(413, "<html>too large</html>")] {
        let dir = TempDir::new().unwrap();
        let mut device = device(&dir);
        for miles in 1..=250 {
            capture(&mut device, miles);
        }
        let pushes = talk(&mut device, HOUR_MS, |request| match request.path.as_str() {
            "/v1/sync/push" => Ok(failure.clone()),
            _ => Err(FailureKind::Network),
        });
        assert!(pushes < 120, "{pushes} requests in an hour");
        let status = device.status(NOW).unwrap();
        assert_eq!((status.unsent, status.refused), (250, 0));
    }
}

#[test]
fn a_server_that_always_says_start_again_is_asked_less_and_less() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    let pulls = talk(&mut device, HOUR_MS, |_| Ok(problem(409, "resnapshot")));
    assert!(pulls < 60, "{pulls} requests in an hour");
}

#[test]
fn what_times_out_is_tried_with_less() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    for miles in 1..=200 {
        capture(&mut device, miles);
    }
    talk(&mut device, HOUR_MS, |request| match request.path.as_str() {
        "/v1/sync/push" if sent(request).len() > 20 => Err(FailureKind::Timeout),
        "/v1/sync/push" => Ok(all_accepted(request)),
        _ => Err(FailureKind::Network),
    });
    assert!(device.pending(NOW).unwrap().is_empty());
}

#[test]
fn whatever_changes_is_told_to_live_queries() {
    let dir = TempDir::new().unwrap();
    let mut device = device(&dir);
    device.take_changes();
    let op = capture(&mut device, 100);
    let changes = device.take_changes();
    assert!(changes.tables.contains("events") && changes.tables.contains("pending"));
    assert!(changes.vehicles.contains(&VehicleId(Uuid::from_u128(77))));
    assert!(device.take_changes().is_empty());
    let request = push(&mut device);
    device.take_changes();
    answer(&mut device, &request, vec![(op, Outcome::Accepted { seq: 1, flags: Vec::new() })]);
    let changes = device.take_changes();
    for table in ["events", "pending", "status"] {
        assert!(changes.tables.contains(table), "{table}");
    }
}

fn sent(request: &Request) -> Vec<OpId> {
    use std::io::Read as _;
    let gzipped = request.headers.contains(&("content-encoding", "gzip".to_string()));
    let mut json = Vec::new();
    if gzipped {
        flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut json).unwrap();
    } else {
        json.clone_from(&request.body);
    }
    let push: motomind_core::protocol::wire::PushRequest = serde_json::from_slice(&json).unwrap();
    push.operations.into_iter().map(|operation| operation.op_id).collect()
}
