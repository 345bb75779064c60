//! What becomes of an operation: every outcome of a push, over a real socket and a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::wire::Outcome;
use motomind_protocol::{EventId, Flag, OpId, Role};
use motomind_tests::postgres::{Postgres, count_as_tenant};
use motomind_tests::server::{
    NOON, Sender, accepted, damage, new_id, reading, rejection, retraction, serve, told,
};
use serde_json::json;
use uuid::Uuid;

macro_rules! stage {
    ($database:ident, $server:ident, $tenant:ident, $vehicle:ident) => {
        let $database = Postgres::shared().database().await;
        let ($tenant, $vehicle) = $database.tenant_with_vehicle().await;
        let $server = serve(&$database).await;
        told(&$server, $tenant).await;
    };
}

#[tokio::test]
async fn what_is_pushed_is_pulled_once_and_in_order() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let mut first = damage(vehicle, 1);
    first.notes = Some("a \"note\" with a NUL \0 and \u{1f600}".into());
    first.extra.insert("from_the_future".into(), json!([1, 2]));
    let sealed: Vec<_> = [first, reading(vehicle, 2, 100), reading(vehicle, 3, 120)]
        .into_iter()
        .map(|event| device.seal(event))
        .collect();
    let outcomes = device.outcomes(sealed.clone()).await;
    let seqs: Vec<u64> = outcomes.iter().map(accepted).collect();
    assert_eq!(seqs, [2, 3, 4], "the vehicle came first");

    let again = device.outcomes(sealed.clone()).await;
    let repeats: Vec<Outcome> = seqs.iter().map(|seq| Outcome::Duplicate { seq: *seq }).collect();
    assert_eq!(again, repeats);

    let reader = Sender::new(&server, tenant, Role::Viewer);
    let (changes, cursor) = reader.pull_all().await;
    assert_eq!(changes.len(), 4);
    assert_eq!(changes[0]["kind"], "record");
    assert_eq!(changes[1]["data"]["op_id"], json!(sealed[0].op_id));
    assert_eq!(changes[1]["data"]["event"]["notes"], "a \"note\" with a NUL \0 and \u{1f600}");
    assert_eq!(changes[1]["data"]["event"]["from_the_future"], json!([1, 2]));
    assert_eq!(changes[3]["data"]["event"]["miles"], 120);
    assert!(reader.pull(Some(&cursor)).await.changes.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn one_bad_operation_never_stops_the_others() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let mut edited = |mut event: motomind_protocol::Event,
                      edit: &dyn Fn(&mut motomind_protocol::Event)| {
        edit(&mut event);
        device.seal(event)
    };
    let good = edited(damage(vehicle, 1), &|_| {});
    let ancient = edited(damage(vehicle, 2), &|event| event.occurred_at = -9_000_000_000_000);
    let nowhere = edited(damage(vehicle, 3), &|event| event.vehicle_id.0 = Uuid::from_u128(5));
    let long = edited(damage(vehicle, 4), &|event| event.notes = Some("x".repeat(10_001)));
    let off_earth = edited(damage(vehicle, 5), &|event| {
        let mut fix = motomind_protocol::Fix::at(91.0, 0.0, motomind_protocol::FixSource::Gps);
        fix.accuracy_m = Some(3.0);
        event.fix = Some(fix);
    });
    let unknown_type = edited(damage(vehicle, 6), &|event| event.kind = "teleport".into());
    let last = edited(reading(vehicle, 7, 10), &|_| {});
    let mut tampered = good.clone();
    tampered.op_id = OpId(new_id());
    tampered.text = tampered.text.replace("scratch", "dent");
    let mut renamed = good.clone();
    renamed.op_id = OpId(new_id());
    let mut nan = good.clone();
    nan.op_id = OpId(new_id());
    nan.text = nan.text.replacen("{", "{\"x\":NaN,", 1);
    nan.hash = motomind_protocol::Hash::of(nan.text.as_bytes());
    let mut mistyped = good.clone();
    mistyped.op_id = OpId(new_id());
    mistyped.text = mistyped.text.replace(&good.op_id.to_string(), &mistyped.op_id.to_string());
    mistyped.text =
        mistyped.text.replace("\"type\":\"damage\"", "\"type\":\"damage\",\"miles\":\"far\"");
    mistyped.hash = motomind_protocol::Hash::of(mistyped.text.as_bytes());
    let mut huge = good.clone();
    huge.op_id = OpId(new_id());
    huge.text = " ".repeat(70_000);

    let batch = vec![
        good,
        ancient,
        nowhere,
        long,
        off_earth,
        unknown_type,
        tampered,
        renamed,
        nan,
        mistyped,
        huge,
        last,
    ];
    let request = device.batch(batch);
    let mut request = serde_json::to_value(&request).unwrap();
    let operations = request["operations"].as_array_mut().unwrap();
    operations.insert(1, json!({"op_id": 7}));
    operations.insert(1, json!("not an operation"));
    operations.insert(1, json!({"op_id": Uuid::from_u128(9), "hash": "zz", "text": "{}"}));
    let reply: motomind_protocol::wire::PushResponse =
        motomind_tests::server::read(device.push_body(request.to_string()).await).await;

    let outcomes: Vec<Outcome> = reply.outcomes.iter().map(|one| one.outcome.clone()).collect();
    let said: Vec<(&str, Option<&str>)> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted { .. } => ("accepted", None),
            other => rejection(other),
        })
        .collect();
    assert_eq!(
        said,
        [
            ("accepted", None),
            ("malformed", None),
            ("malformed", None),
            ("malformed", None),
            ("out_of_range", Some("occurred_at")),
            ("unknown_vehicle", Some("vehicle_id")),
            ("too_long", Some("notes")),
            ("out_of_range", Some("fix.latitude")),
            ("accepted", None),
            ("hash_mismatch", Some("hash")),
            ("id_mismatch", Some("op_id")),
            ("malformed", Some("text")),
            ("wrong_type", Some("miles")),
            ("too_large", Some("text")),
            ("accepted", None),
        ]
    );
    assert_eq!(reply.outcomes[1].op_id, Some(OpId(Uuid::from_u128(9))));
    assert_eq!(reply.outcomes[2].op_id, None);
    let admin = database.admin().await;
    let kept = "SELECT count(*) FROM rejected_operations";
    assert_eq!(count_as_tenant(&admin, tenant, kept).await, 6, "what was sealed is evidence");
    server.stop().await;
}

#[tokio::test]
async fn an_id_is_one_operation_for_ever() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let first = device.seal(reading(vehicle, 1, 100));
    let mut twin = reading(vehicle, 1, 900);
    twin.id = EventId(first.op_id.0);
    let twin = device.seal(twin);
    let outcomes = device.outcomes(vec![first.clone(), first.clone(), twin.clone()]).await;
    let seq = accepted(&outcomes[0]);
    assert_eq!(outcomes[1], Outcome::Duplicate { seq });
    let reused = Outcome::OpIdReused { known_hash: first.hash };
    assert_eq!(outcomes[2], reused);
    assert_eq!(device.outcome(twin).await, reused);

    // Refused, it is judged again when it is offered again.
    let low = device.seal(reading(vehicle, 2, 50));
    let refused = device.outcomes(vec![low.clone(), low.clone()]).await;
    for outcome in &refused {
        assert_eq!(rejection(outcome), ("odometer_out_of_order", Some("miles")));
    }
    let correction = {
        let mut event = reading(vehicle, 1, 40);
        event.corrects = Some(EventId(first.op_id.0));
        device.seal(event)
    };
    accepted(&device.outcome(correction).await);
    accepted(&device.outcome(low.clone()).await);
    assert!(matches!(device.outcome(low).await, Outcome::Duplicate { .. }));

    // Another SQL client's event has the id.
    let taken = new_id();
    let admin = database.admin().await;
    let insert =
        "INSERT INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date, payload)
                  VALUES ($1, $2, $3, 'damage', now(), current_date, '{\"description\": \"x\"}')";
    admin.execute(insert, &[&tenant, &taken, &vehicle]).await.unwrap();
    let mut event = damage(vehicle, 5);
    event.id = EventId(taken);
    let outcome = device.send(event).await;
    assert_eq!(rejection(&outcome), ("event_id_taken", Some("id")));
    server.stop().await;
}

#[tokio::test]
async fn readings_fit_between_their_neighbours() {
    stage!(database, server, tenant, vehicle);
    let other = database.vehicle(tenant).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let mut offer = |minutes, miles| device.seal(reading(vehicle, minutes, miles));
    let batch = vec![
        offer(10, 1_000),
        offer(30, 3_000),
        offer(20, 2_000), // back-dated, fits
        offer(25, 1_500), // below the one before
        offer(15, 2_500), // above the one after
        offer(40, 3_000),
    ];
    let elsewhere = device.seal(reading(other, 5, 7));
    let mut replaced = reading(vehicle, 50, 3);
    replaced.payload.insert("odometer_replaced".into(), json!(true));
    let replaced = device.seal(replaced);
    let after = device.seal(reading(vehicle, 60, 9));
    let outcomes =
        device.outcomes([batch.clone(), vec![elsewhere, replaced, after]].concat()).await;
    for (place, outcome) in outcomes.iter().enumerate() {
        match place {
            3 | 4 => {
                let Outcome::Rejected(rejection) = outcome else { panic!("{place} {outcome:?}") };
                assert_eq!(rejection.code, "odometer_out_of_order");
                let neighbour = rejection.neighbour.unwrap();
                assert_eq!(neighbour.event_id, EventId(batch[2].op_id.0));
                assert_eq!(neighbour.miles, 2_000);
                assert_eq!(neighbour.at, NOON + 20 * 60_000);
            }
            _ => {
                accepted(outcome);
            }
        }
    }
    // In another batch the neighbours come from the database.
    let late = device.seal(reading(vehicle, 21, 1_999));
    let Outcome::Rejected(refusal) = device.outcome(late).await else { panic!("accepted") };
    assert_eq!(refusal.neighbour.unwrap().event_id, EventId(batch[2].op_id.0));
    server.stop().await;
}

#[tokio::test]
async fn far_ahead_is_accepted_with_a_remark() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let mut event = reading(vehicle, 0, 50);
    event.occurred_at = chrono::Utc::now().timestamp_millis() + 10 * 86_400_000;
    let ahead = device.seal(event);
    let mut event = reading(vehicle, 0, 60);
    event.occurred_at = chrono::Utc::now().timestamp_millis() + 3_600_000;
    let within_a_day = device.seal(event);
    let outcomes = device.outcomes(vec![ahead, within_a_day]).await;
    let Outcome::Accepted { flags, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(flags, &[Flag::ClockAhead]);
    let Outcome::Accepted { flags, .. } = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(flags.is_empty(), "an hour ahead of the server, after the reading it received before");
    let (changes, _) = device.pull_all().await;
    assert_eq!(changes[1]["data"]["flags"], json!(["clock_ahead"]));
    server.stop().await;
}

#[tokio::test]
async fn an_amendment_corrects_what_arrived_and_closes_what_did_not() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let arrived = device.seal(reading(vehicle, 1, 100));
    let lost = device.seal(reading(vehicle, 2, 200));
    accepted(&device.outcome(arrived.clone()).await);

    // The device does not know which of the two arrived.
    let amended = device.superseding(reading(vehicle, 1, 90), &[lost.op_id, arrived.op_id]);
    accepted(&device.outcome(amended.clone()).await);
    assert_eq!(rejection(&device.outcome(lost.clone()).await).0, "superseded");
    let (changes, _) = device.pull_all().await;
    let closed = &changes[2];
    assert_eq!(closed["kind"], "closed");
    assert_eq!(closed["data"], json!({"op_id": lost.op_id, "by": amended.op_id}));
    assert_eq!(changes[3]["data"]["corrects"], json!(arrived.op_id));

    // What corrects a closed operation corrects what took its place.
    let mut event = reading(vehicle, 1, 95);
    event.corrects = Some(EventId(lost.op_id.0));
    accepted(&device.send(event).await);
    let (changes, _) = device.pull_all().await;
    assert_eq!(changes[4]["data"]["corrects"], json!(amended.op_id));
    server.stop().await;
}

#[tokio::test]
async fn a_discard_retracts_what_arrived_and_closes_what_did_not() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let arrived = device.seal(reading(vehicle, 1, 100));
    accepted(&device.outcome(arrived.clone()).await);
    let discard = device.superseding(retraction(vehicle, arrived.op_id.0), &[arrived.op_id]);
    accepted(&device.outcome(discard).await);
    let admin = database.admin().await;
    let standing = "SELECT count(*) FROM active_events";
    assert_eq!(count_as_tenant(&admin, tenant, standing).await, 0);

    // Never arrived, of a vehicle that is not even there: its id is closed, nothing is retracted.
    let nowhere = Uuid::from_u128(77);
    let lost = device.seal(reading(nowhere, 2, 200));
    let discard = device.superseding(retraction(nowhere, lost.op_id.0), &[lost.op_id]);
    let seq = accepted(&device.outcome(discard.clone()).await);
    let (changes, _) = device.pull_all().await;
    assert_eq!(changes.last().unwrap()["seq"], json!(seq));
    assert_eq!(changes.last().unwrap()["kind"], "closed");
    assert_eq!(device.outcome(discard).await, Outcome::Duplicate { seq });
    assert_eq!(rejection(&device.outcome(lost.clone()).await).0, "superseded");

    // What corrects something discarded has no parent.
    let mut event = reading(vehicle, 2, 5);
    event.corrects = Some(EventId(lost.op_id.0));
    let outcome = device.send(event).await;
    assert_eq!(rejection(&outcome), ("parent_rejected", Some("corrects")));

    // A discard that retracts one and closes another: neither has anything in its place.
    let one = device.seal(reading(vehicle, 3, 300));
    let other = device.seal(reading(vehicle, 3, 301));
    accepted(&device.outcome(one.clone()).await);
    let both = [other.op_id, one.op_id];
    let discard = device.superseding(retraction(vehicle, other.op_id.0), &both);
    let twice = device.outcomes(vec![discard.clone(), discard]).await;
    let seq = accepted(&twice[0]);
    assert_eq!(twice[1], Outcome::Duplicate { seq });
    assert_eq!(count_as_tenant(&admin, tenant, standing).await, 0);
    let mut event = reading(vehicle, 3, 302);
    event.corrects = Some(EventId(other.op_id.0));
    let outcome = device.send(event).await;
    assert_eq!(rejection(&outcome), ("parent_rejected", Some("corrects")));

    // What was refused is closed without a word, unless its sequence is needed.
    let refused = device.seal(reading(vehicle, 4, -1));
    assert_eq!(rejection(&device.outcome(refused.clone()).await).0, "out_of_range");
    let mended = device.superseding(reading(vehicle, 4, 400), &[refused.op_id]);
    let seq = accepted(&device.outcome(mended.clone()).await);
    assert_eq!(device.pull(None).await.head, seq);
    let gone = device.seal(reading(vehicle, 5, -1));
    assert_eq!(rejection(&device.outcome(gone.clone()).await).0, "out_of_range");
    let discard = device.superseding(retraction(vehicle, gone.op_id.0), &[gone.op_id]);
    assert_eq!(accepted(&device.outcome(discard).await), seq + 1);
    let again = device.superseding(retraction(vehicle, gone.op_id.0), &[gone.op_id]);
    assert_eq!(accepted(&device.outcome(again).await), seq + 2);
    server.stop().await;
}

/// A device amends a discard whose reply was lost: it names what it believes to be there still.
#[tokio::test]
async fn what_takes_the_place_of_an_accepted_retraction_stands_alone() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let admin = database.admin().await;
    for (miles, names_it) in [(500, false), (400, true)] {
        let first = device.seal(reading(vehicle, 1, miles));
        accepted(&device.outcome(first.clone()).await);
        let discard = device.superseding(retraction(vehicle, first.op_id.0), &[first.op_id]);
        accepted(&device.outcome(discard.clone()).await);
        // Below the reading that was taken back: that one no longer counts.
        let mut event = reading(vehicle, 2, miles - 50);
        event.corrects = names_it.then_some(EventId(first.op_id.0));
        let replaced = [discard.op_id, first.op_id];
        let replaced = if names_it { &replaced[..1] } else { &replaced };
        let anew = device.superseding(event, replaced);
        accepted(&device.outcome(anew.clone()).await);
        let (changes, _) = device.pull_all().await;
        let told = &changes.last().unwrap()["data"];
        assert_eq!((&told["op_id"], &told["corrects"]), (&json!(anew.op_id), &json!(null)));
        let standing = "SELECT count(*) FROM active_events";
        assert_eq!(count_as_tenant(&admin, tenant, standing).await, 1);

        // It can be taken back in its turn.
        let discard = device.superseding(retraction(vehicle, anew.op_id.0), &[anew.op_id]);
        accepted(&device.outcome(discard).await);
        assert_eq!(count_as_tenant(&admin, tenant, standing).await, 0);
    }
    server.stop().await;
}

#[tokio::test]
async fn closing_stands_even_if_the_amendment_is_refused() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    accepted(&device.send(reading(vehicle, 1, 100)).await);
    let lost = device.seal(reading(vehicle, 2, 200));
    let bad = device.superseding(reading(vehicle, 2, 50), &[lost.op_id]);
    let outcome = device.outcome(bad.clone()).await;
    assert_eq!(rejection(&outcome), ("odometer_out_of_order", Some("miles")));
    assert_eq!(rejection(&device.outcome(lost.clone()).await).0, "superseded");
    let good = device.superseding(reading(vehicle, 2, 150), &[bad.op_id, lost.op_id]);
    accepted(&device.outcome(good).await);
    assert_eq!(rejection(&device.outcome(bad).await).0, "superseded");
    server.stop().await;
}

#[tokio::test]
async fn a_correction_waits_for_its_parent_and_falls_with_it() {
    stage!(database, server, tenant, vehicle);
    let other = database.vehicle(tenant).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let parent = device.seal(reading(vehicle, 1, 100));
    let mut event = reading(vehicle, 1, 110);
    event.corrects = Some(EventId(parent.op_id.0));
    let child = device.seal(event);
    let waiting = Outcome::Waiting { parent: EventId(parent.op_id.0) };
    assert_eq!(device.outcome(child.clone()).await, waiting);
    let both = device.outcomes(vec![parent.clone(), child.clone()]).await;
    assert!(accepted(&both[0]) < accepted(&both[1]));

    let refused = device.seal(reading(vehicle, 2, 1));
    let mut event = reading(vehicle, 2, 120);
    event.corrects = Some(EventId(refused.op_id.0));
    let orphan = device.seal(event);
    let outcomes = device.outcomes(vec![refused, orphan]).await;
    assert_eq!(rejection(&outcomes[0]).0, "odometer_out_of_order");
    assert_eq!(rejection(&outcomes[1]), ("parent_rejected", Some("corrects")));

    let mut event = reading(other, 1, 5);
    event.corrects = Some(EventId(parent.op_id.0));
    let outcome = device.send(event).await;
    assert_eq!(rejection(&outcome), ("unknown_vehicle", Some("corrects")));
    server.stop().await;
}

#[tokio::test]
async fn corrections_and_retractions_are_judged_on_the_timeline_they_would_make() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let low = device.seal(reading(vehicle, 10, 1_000));
    let mut replaced = reading(vehicle, 20, 0);
    replaced.payload.insert("odometer_replaced".into(), json!(true));
    let replaced = device.seal(replaced);
    let high = device.seal(reading(vehicle, 30, 40));
    for outcome in device.outcomes(vec![low.clone(), replaced.clone(), high.clone()]).await {
        accepted(&outcome);
    }
    // Without the replacement 1,000 and 40 contradict each other.
    let outcome = device.send(retraction(vehicle, replaced.op_id.0)).await;
    assert_eq!(rejection(&outcome), ("odometer_out_of_order", Some("miles")));
    let correct = |device: &mut Sender, of: OpId, minutes, miles, open: bool| {
        let mut event = reading(vehicle, minutes, miles);
        event.corrects = Some(EventId(of.0));
        if open {
            event.payload.insert("correction".into(), json!(true));
        }
        device.seal(event)
    };
    let refused = correct(&mut device, high.op_id, 15, 900, false);
    assert_eq!(rejection(&device.outcome(refused).await).0, "odometer_out_of_order");
    let moved = correct(&mut device, high.op_id, 15, 1_100, false);
    accepted(&device.outcome(moved.clone()).await);
    let insisting = correct(&mut device, low.op_id, 10, 2_000, true);
    accepted(&device.outcome(insisting).await);
    // The correction of `high` taken back: `high` itself counts again.
    accepted(&device.send(retraction(vehicle, moved.op_id.0)).await);
    let admin = database.admin().await;
    let newest = "SELECT miles::bigint FROM vehicle_current_mileage";
    assert_eq!(count_as_tenant(&admin, tenant, newest).await, 40);
    server.stop().await;
}

#[tokio::test]
async fn a_cloned_journal_forks_and_what_was_unsent_still_arrives() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let mut clone = device.clone();
    let sealed: Vec<_> = (1..4).map(|n| device.seal(reading(vehicle, n, n * 10))).collect();
    for outcome in device.outcomes(sealed).await {
        accepted(&outcome);
    }
    let theirs: Vec<_> = (11..16).map(|n| clone.seal(reading(vehicle, n, n * 10))).collect();
    let outcomes = clone.outcomes(theirs.clone()).await;
    assert_eq!(outcomes, vec![Outcome::Forked { at: 1 }; 5], "what follows a fork forks with it");
    // Under a new incarnation the leftovers pass by their ids.
    clone.incarnation = Uuid::new_v4();
    for outcome in clone.outcomes(theirs).await {
        accepted(&outcome);
    }
    server.stop().await;
}

#[tokio::test]
async fn roles_and_devices_bound_what_is_taken() {
    stage!(database, server, tenant, vehicle);
    let mut viewer = Sender::new(&server, tenant, Role::Viewer);
    let outcome = viewer.send(damage(vehicle, 1)).await;
    assert_eq!(rejection(&outcome), ("forbidden", None));

    let mut one = Sender::new(&server, tenant, Role::Technician);
    let mut two = Sender::new(&server, tenant, Role::Technician);
    let mut boss = Sender::new(&server, tenant, Role::Manager);
    let captured = one.seal(damage(vehicle, 1));
    accepted(&one.outcome(captured.clone()).await);
    let foreign = two.seal(retraction(vehicle, captured.op_id.0));
    assert_eq!(rejection(&two.outcome(foreign).await), ("forbidden", None));
    let by_boss = boss.seal(retraction(vehicle, captured.op_id.0));
    accepted(&boss.outcome(by_boss).await);

    // Another person's operation, another device's, another person's device.
    let stranger = two.seal(damage(vehicle, 2));
    assert_eq!(rejection(&one.outcome(stranger).await), ("wrong_identity", Some("user_id")));
    let own = one.seal(damage(vehicle, 3));
    let device = std::mem::replace(&mut one.device, Uuid::new_v4());
    let from_elsewhere = one.seal(damage(vehicle, 4));
    one.device = device;
    let outcomes = one.outcomes(vec![own, from_elsewhere]).await;
    accepted(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]), ("wrong_identity", Some("device_id")));
    two.device = one.device;
    let outcome = two.send(damage(vehicle, 5)).await;
    assert_eq!(rejection(&outcome), ("wrong_identity", Some("device_id")));
    server.stop().await;
}
