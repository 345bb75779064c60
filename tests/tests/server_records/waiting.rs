//! Operations that take the place of others, and those that wait for others.

use motomind_protocol::records::{Action, Patch};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{OpId, Role};
use motomind_tests::postgres::Postgres;
use motomind_tests::records::{instead, intent, mirrored, set, step};
use motomind_tests::server::{Sender, accepted, new_id, reading, rejection, serve};
use serde_json::{Value, json};

use super::VIN;

#[tokio::test]
async fn a_refused_vin_is_amended_in_place() {
    stage!(database, server, tenant);
    let mut office = Sender::new(&server, tenant, Role::Technician);
    let there = office.create("vehicles", new_id(), json!({"vin": VIN}));
    accepted(&office.outcome(there).await);

    let mut device = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let refused = device.create("vehicles", id, json!({"vin": VIN, "nickname": "Van"}));
    assert_eq!(rejection(&device.outcome(refused.clone()).await).0, "vin_taken");
    // The amendment tells what to do in either case: had it been accepted, only the VIN changes.
    let vin = "1M8GDM9AXKP042788";
    let fields = json!({"vin": vin, "nickname": "Van"});
    let mut wanted = intent("vehicles", id, step(Action::Create, set(fields)), &[]);
    wanted.instead = vec![instead(refused.op_id, step(Action::Edit, set(json!({"vin": vin}))))];
    let mut amendment = device.intended(wanted);
    amendment.supersedes = vec![refused.op_id];
    let sealed = device.sealed(&amendment);
    accepted(&device.outcome(sealed).await);
    assert_eq!(rejection(&device.outcome(refused).await).0, "superseded", "closed for ever");
    assert_eq!(device.record("vehicles", id).await.field("vin"), vin);

    // The same where the superseded one had arrived after all: the alternative is taken.
    let other = new_id();
    let arrived = device.create("vehicles", other, json!({"nickname": "Bus", "color": "red"}));
    accepted(&device.outcome(arrived.clone()).await);
    let mut wanted =
        intent("vehicles", other, step(Action::Create, set(json!({"color": "blue"}))), &[]);
    let undone = set(json!({"nickname": null, "color": "blue"}));
    wanted.instead = vec![instead(arrived.op_id, step(Action::Edit, undone))];
    let mut amendment = device.intended(wanted);
    amendment.supersedes = vec![arrived.op_id];
    let sealed = device.sealed(&amendment);
    accepted(&device.outcome(sealed).await);
    let now = device.record("vehicles", other).await;
    assert_eq!((now.field("nickname"), now.field("color")), (Value::Null, json!("blue")));
    drop(database);
    server.stop().await;
}

#[tokio::test]
async fn a_discard_closes_what_had_not_arrived() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let lost = device.create("garages", id, json!({"name": "Yard"}));
    let mut discard =
        device.intended(intent("garages", id, step(Action::Nothing, Patch::new()), &[]));
    discard.supersedes = vec![lost.op_id];
    let sealed = device.sealed(&discard);
    let seq = accepted(&device.outcome(sealed.clone()).await);
    assert_eq!(device.outcome(sealed).await, Outcome::Duplicate { seq });
    assert_eq!(rejection(&device.outcome(lost).await).0, "superseded");
    let (changes, _) = device.pull_all().await;
    assert!(!mirrored(&changes).contains_key(&("garages".into(), id)));
    assert!(changes.iter().any(|change| change["kind"] == "closed"));
    drop(database);
    server.stop().await;
}

#[tokio::test]
async fn what_needs_a_creation_waits_for_it() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let create = device.create("vehicles", id, json!({"nickname": "New"}));
    let needing = |device: &mut Sender, create: OpId| {
        let mut event = device.operation(reading(id, 1, 10));
        event.needs = vec![create];
        let event = device.sealed(&event);
        let patch = step(Action::Edit, set(json!({"color": "red"})));
        let mut edit = device.intended(intent("vehicles", id, patch, &[]));
        edit.needs = vec![create];
        let fields = json!({"vehicle_id": id, "title": "Oil", "status": "active"});
        let fields = step(Action::Create, set(fields));
        let mut reminder = device.intended(intent("reminders", new_id(), fields, &[]));
        reminder.needs = vec![create];
        vec![event, device.sealed(&edit), device.sealed(&reminder)]
    };
    let waiting = needing(&mut device, create.op_id);
    let parent = create.op_id.0.into();
    let outcomes = device.outcomes(waiting.clone()).await;
    assert_eq!(outcomes, vec![Outcome::Waiting { parent }; 3]);
    // In one batch with it, in their order, all are taken.
    let mut all = vec![create];
    all.extend(waiting);
    device.outcomes(all).await.iter().for_each(|outcome| {
        accepted(outcome);
    });

    // What needs a creation that was taken back is refused with it.
    let other = new_id();
    let lost = device.create("vehicles", other, json!({"nickname": "Never"}));
    let taken_back = intent("vehicles", other, step(Action::Nothing, Patch::new()), &[]);
    let mut discard = device.intended(taken_back);
    discard.supersedes = vec![lost.op_id];
    let discard = device.sealed(&discard);
    accepted(&device.outcome(discard).await);
    let mut event = device.operation(reading(other, 1, 10));
    event.needs = vec![lost.op_id];
    let event = device.sealed(&event);
    assert_eq!(rejection(&device.outcome(event).await), ("parent_rejected", Some("vehicle_id")));
    let patch = step(Action::Edit, set(json!({"color": "red"})));
    let mut edit = device.intended(intent("vehicles", other, patch, &[]));
    edit.needs = vec![lost.op_id];
    let edit = device.sealed(&edit);
    assert_eq!(rejection(&device.outcome(edit).await), ("parent_rejected", Some("record_id")));
    // Without needs, an unknown vehicle stays what it was.
    let lone = device.seal(reading(other, 1, 10));
    assert_eq!(rejection(&device.outcome(lone).await).0, "unknown_vehicle");
    drop(database);
    server.stop().await;
}
