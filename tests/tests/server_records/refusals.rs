//! What is refused, and stays alone with it.

use motomind_protocol::records::{Action, FieldEdit, Patch, Splice, TextEdit};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{Flag, Hash, Role};
use motomind_tests::postgres::{Postgres, count_as_tenant, role};
use motomind_tests::records::{intent, set, step, typed};
use motomind_tests::server::{Sender, accepted, damage, new_id, rejection, serve};
use serde_json::json;
use uuid::Uuid;

use super::VIN;

#[tokio::test]
async fn one_bad_change_never_stops_the_others() {
    stage!(database, server, tenant);
    let (stranger, foreign) = database.tenant_with_vehicle().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let (first, second) = (new_id(), new_id());
    let create = device.create("vehicles", first, json!({"vin": VIN}));
    accepted(&device.outcome(create).await);
    let seen = device.record("vehicles", first).await;
    let edit = |device: &mut Sender, patch: Patch| device.edit(&seen, patch);
    let splices = |splices: &[(usize, usize)]| {
        let splices = splices.iter().map(|(at, delete)| Splice {
            at: *at,
            delete: *delete,
            insert: "x".into(),
        });
        FieldEdit::Text(TextEdit { splices: splices.collect(), over: Vec::new() })
    };
    let reminder = new_id();
    let mut batch = vec![device.create("vehicles", second, json!({"nickname": "Second"}))];
    batch.push(edit(&mut device, set(json!({"colour": "red"}))));
    batch.push(edit(&mut device, set(json!({"year": "old"}))));
    batch.push(edit(&mut device, set(json!({"year": 1800}))));
    batch.push(edit(&mut device, set(json!({"nickname": "x".repeat(201)}))));
    batch.push(edit(&mut device, [("nickname".into(), splices(&[(0, 0)]))].into()));
    batch.push(edit(&mut device, set(json!({"garage_id": Uuid::from_u128(7)}))));
    let theirs = json!({"vehicle_id": foreign, "title": "Oil", "status": "active"});
    batch.push(device.create("reminders", new_id(), theirs));
    let ours = json!({"vehicle_id": second, "title": "Oil", "status": "active"});
    batch.push(device.create("reminders", reminder, ours));
    let text = |splices| intent("reminders", reminder, step(Action::Edit, splices), &[]);
    let beyond: Patch = [("description".into(), splices(&[(4, 0)]))].into();
    let crossed: Patch = [("description".into(), splices(&[(0, 0), (0, usize::MAX)]))].into();
    for patch in [beyond, crossed, typed("description", 0, &"x".repeat(1_001))] {
        let operation = device.intended(text(patch));
        batch.push(device.sealed(&operation));
    }
    let nowhere = intent("vehicles", foreign, step(Action::Edit, set(json!({"year": 2000}))), &[]);
    let unknown = intent("boats", new_id(), step(Action::Create, Patch::new()), &[]);
    let deletion = intent("vehicles", first, step(Action::Delete, Patch::new()), &[]);
    let idle = intent("vehicles", first, step(Action::Nothing, Patch::new()), &[]);
    for intent in [nowhere, unknown, deletion, idle] {
        let operation = device.intended(intent);
        batch.push(device.sealed(&operation));
    }
    batch.push(device.create("vehicles", first, json!({})));
    batch.push(device.create("vehicles", new_id(), json!({"vin": VIN.to_lowercase()})));
    batch.push(device.create("garages", new_id(), json!({"address": "nameless"})));
    batch.push(device.create("profiles", new_id(), json!({"full_name": "Somebody else"})));
    let preference = json!({"user_id": device.user, "vehicle_id": second,
        "interval_type": "oil_change", "interval_value": 5000, "interval_unit": "miles"});
    batch.push(device.create("user_maintenance_preferences", new_id(), preference));
    let elsewhere = [Hash::of(b"another record's head")];
    let lost =
        intent("vehicles", first, step(Action::Edit, set(json!({"trim": "L2"}))), &elsewhere);
    let operation = device.intended(lost);
    batch.push(device.sealed(&operation));
    for odd in
        [json!({"due_date": "tomorrow"}), json!({"due_miles": 1e12}), json!({"vehicle_id": "x"})]
    {
        // Claimed as one: the database is not asked about what its columns cannot hold.
        let mut fields = json!({"title": "Oil", "status": "active"});
        fields.as_object_mut().unwrap().extend(odd.as_object().cloned().unwrap());
        batch.push(device.create("reminders", new_id(), fields));
    }
    batch.push(device.seal(damage(second, 1)));

    let outcomes = device.outcomes(batch).await;
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
            ("unknown_field", Some("colour")),
            ("wrong_type", Some("year")),
            ("out_of_range", Some("year")),
            ("too_long", Some("nickname")),
            ("wrong_type", Some("nickname")),
            ("unknown_reference", Some("garage_id")),
            ("unknown_reference", Some("vehicle_id")),
            ("accepted", None),
            ("out_of_range", Some("description")),
            ("out_of_range", Some("description")),
            ("too_long", Some("description")),
            ("unknown_record", Some("record_id")),
            ("unsupported", Some("collection")),
            ("forbidden", None),
            ("malformed", None),
            ("record_id_taken", Some("record_id")),
            ("vin_taken", Some("vin")),
            ("missing", Some("name")),
            ("id_mismatch", Some("record_id")),
            ("id_mismatch", Some("record_id")),
            ("accepted", None),
            ("bad_format", Some("due_date")),
            ("wrong_type", Some("due_miles")),
            ("bad_format", Some("vehicle_id")),
            ("accepted", None),
        ]
    );
    let Outcome::Rejected(refused) = &outcomes[17] else { panic!() };
    assert_eq!(refused.taken_by, Some(first), "whose it is");
    let Outcome::Accepted { flags, .. } = &outcomes[21] else { panic!() };
    assert_eq!(flags, &[Flag::Other("heads_unknown".into())]);
    let client = database.connect(role::SERVER).await;
    let theirs = "SELECT count(*) FROM vehicles WHERE year IS NOT NULL";
    assert_eq!(count_as_tenant(&client, stranger, theirs).await, 0);
    let kept = "SELECT count(*) FROM rejected_operations";
    assert_eq!(count_as_tenant(&client, tenant, kept).await, 22, "quarantined, to be looked at");
    server.stop().await;
}
