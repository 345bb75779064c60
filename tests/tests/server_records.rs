//! Changes of records: what becomes of each, over a real socket and a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::records::schema::{COLLECTIONS, Collection, Field, Form, Key, Unique};
use motomind_protocol::records::{Action, FieldEdit, Over, Patch, Splice, TextEdit, find};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{DeviceId, Flag, Hash, OpId, Role};
use motomind_server::serve::start;
use motomind_tests::postgres::{Postgres, as_tenant, count, count_as_tenant, role};
use motomind_tests::records::{instead, intent, mirrored, mirrored_in, set, step, typed};
use motomind_tests::server::{
    Sender, accepted, damage, new_id, reading, rejection, serve, settings,
};
use serde_json::{Value, json};
use uuid::Uuid;

const VIN: &str = "1HGCM82633A004352";

macro_rules! stage {
    ($database:ident, $server:ident, $tenant:ident) => {
        let $database = Postgres::shared().database().await;
        let ($tenant, _) = $database.tenant_with_vehicle().await;
        let $server = serve(&$database).await;
    };
}

#[tokio::test]
async fn what_several_people_change_merges_and_is_projected() {
    stage!(database, server, tenant);
    let mut ann = Sender::new(&server, tenant, Role::Technician);
    let mut bob = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let create = ann.create("vehicles", id, json!({"nickname": "Van", "vin": "1hgcm82633a004352"}));
    let seq = accepted(&ann.outcome(create.clone()).await);
    assert_eq!(ann.outcome(create).await, Outcome::Duplicate { seq });

    let seen = ann.record("vehicles", id).await;
    assert_eq!(seen.field("vin"), VIN, "in capitals, as it is kept");
    let by_ann = ann.edit(&seen, set(json!({"nickname": "Ann's", "color": "red"})));
    let by_bob = bob.edit(&seen, set(json!({"nickname": "Bob's", "year": 2024})));
    accepted(&ann.outcome(by_ann).await);
    accepted(&bob.outcome(by_bob).await);

    let now = ann.record("vehicles", id).await;
    assert_eq!(now.entries, 3);
    assert_eq!((now.field("color"), now.field("year")), (json!("red"), json!(2024)));
    let conflicts = now.document.conflicts();
    assert_eq!(conflicts.len(), 1);
    let mut names: Vec<_> = conflicts[0].values.iter().map(|one| one.value.clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["Ann's", "Bob's"]);
    let devices: Vec<_> = conflicts[0].values.iter().map(|one| one.by.device_id).collect();
    assert!(devices.contains(&Some(DeviceId(bob.device))));

    let row = format!(
        "SELECT count(*) FROM vehicles WHERE id = '{id}' AND nickname = '{}' AND color = 'red'
            AND year = 2024 AND vin = '{VIN}' AND updated_by = '{}' AND deleted_at IS NULL",
        now.field("nickname").as_str().unwrap().replace('\'', "''"),
        bob.user
    );
    let admin = database.admin().await;
    assert_eq!(count(&admin, &row).await, 1);
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 0, "nobody wrote beside");
    server.stop().await;
}

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

#[tokio::test]
async fn a_viewer_changes_nothing_and_a_technician_deletes_nothing() {
    stage!(database, server, tenant);
    let mut manager = Sender::new(&server, tenant, Role::Manager);
    let id = new_id();
    let create = manager.create("garages", id, json!({"name": "Yard"}));
    accepted(&manager.outcome(create).await);
    let seen = manager.record("garages", id).await;
    for (role, action, allowed) in [
        (Role::Viewer, Action::Edit, false),
        (Role::Technician, Action::Edit, true),
        (Role::Technician, Action::Delete, false),
        (Role::Manager, Action::Delete, true),
        (Role::Technician, Action::Restore, false),
        (Role::Manager, Action::Restore, true),
    ] {
        let mut device = Sender::new(&server, tenant, role);
        let operation = device.act(&seen, step(action, Patch::new()));
        let outcome = device.outcome(operation).await;
        match outcome {
            Outcome::Accepted { .. } => assert!(allowed, "{role:?} {action:?}"),
            other => {
                assert!(!allowed, "{role:?} {action:?}");
                assert_eq!(rejection(&other).0, "forbidden");
            }
        }
    }
    drop(database);
    server.stop().await;
}

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

#[tokio::test]
async fn two_who_create_one_natural_record_make_one() {
    stage!(database, server, tenant);
    let mut ann = Sender::new(&server, tenant, Role::Technician);
    let mut bob = Sender::new(&server, tenant, Role::Technician);
    let vehicle = new_id();
    let create = ann.create("vehicles", vehicle, json!({}));
    accepted(&ann.outcome(create).await);
    let fields = json!({"vehicle_id": vehicle, "category": "engine", "confidence": "high"});
    let enhancements = find("vehicle_spec_enhancements").unwrap();
    let id = enhancements.natural_id(fields.as_object().unwrap()).unwrap();
    for (device, more) in [(&mut ann, json!({"cylinders": 4})), (&mut bob, json!({"cylinders": 6}))]
    {
        let mut fields = fields.clone();
        fields["data"] = more;
        let create = device.create(enhancements.name, id, fields);
        accepted(&device.outcome(create).await);
    }
    let one = ann.record(enhancements.name, id).await;
    assert_eq!(one.document.conflicts().len(), 1, "both answers are there");
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM vehicle_spec_enhancements").await, 1);
    // Deleted, it can be made again.
    let mut manager = Sender::new(&server, tenant, Role::Manager);
    let delete = manager.act(&one, step(Action::Delete, Patch::new()));
    accepted(&manager.outcome(delete).await);
    let mut again = fields.clone();
    again["vehicle_id"] = json!(vehicle.to_string().to_uppercase());
    let create = ann.create(enhancements.name, id, again);
    accepted(&ann.outcome(create).await);
    let live = "SELECT count(*) FROM active_vehicle_spec_enhancements";
    assert_eq!(count(&admin, live).await, 1);
    // Another SQL client's row is the same record.
    let client = database.connect(role::CLIENT).await;
    let write = format!(
        "INSERT INTO vehicle_spec_enhancements (vehicle_id, category) VALUES ('{vehicle}', 'engine')"
    );
    assert!(as_tenant(&client, tenant, &write).await.is_err(), "it is there");
    as_tenant(&client, tenant, &write.replace("engine", "safety")).await.unwrap();
    let fields = json!({"vehicle_id": vehicle, "category": "safety"});
    let id = enhancements.natural_id(fields.as_object().unwrap()).unwrap();
    assert_eq!(ann.record(enhancements.name, id).await.field("category"), "safety");
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_garage_gives_its_vehicles_away_and_comes_back() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Manager);
    let (old, new, gone) = (new_id(), new_id(), new_id());
    let (one, two) = (new_id(), new_id());
    let mut batch: Vec<_> = [(old, "Old"), (new, "New"), (gone, "Gone")]
        .into_iter()
        .map(|(id, name)| device.create("garages", id, json!({"name": name})))
        .collect();
    batch.push(device.create("vehicles", one, json!({"garage_id": old})));
    batch.push(device.create("vehicles", two, json!({"garage_id": new})));
    device.outcomes(batch).await.iter().for_each(|outcome| {
        accepted(outcome);
    });
    let records = device.records().await;
    let seen = |id: Uuid| records[&("garages".to_string(), id)].clone();
    let deleting = |to: Option<Uuid>| {
        let mut delete = step(Action::Delete, Patch::new());
        delete.reassign_to = to;
        delete
    };
    let delete = device.act(&seen(gone), deleting(None));
    accepted(&device.outcome(delete).await);
    for nowhere in [gone, old, Uuid::from_u128(3)] {
        let delete = device.act(&seen(old), deleting(Some(nowhere)));
        let outcome = device.outcome(delete).await;
        assert_eq!(rejection(&outcome), ("unknown_reference", Some("reassign_to")));
    }
    let delete = device.act(&seen(old), deleting(Some(new)));
    accepted(&device.outcome(delete).await);
    let moved = device.record("vehicles", one).await;
    assert_eq!(moved.field("garage_id"), new.to_string());
    let last = moved.document.history().pop().unwrap();
    assert_eq!((last.by.device_id, last.by.user_id.map(|user| user.0)), (None, Some(device.user)));
    let delete = device.act(&seen(new), deleting(None));
    accepted(&device.outcome(delete).await);
    for vehicle in [one, two] {
        assert_eq!(device.record("vehicles", vehicle).await.field("garage_id"), Value::Null);
    }
    // A vehicle cannot be put there, until it is back.
    let moved = device.record("vehicles", one).await;
    let put = set(json!({"garage_id": old}));
    let edit = device.edit(&moved, put.clone());
    let outcome = device.outcome(edit).await;
    assert_eq!(rejection(&outcome), ("unknown_reference", Some("garage_id")));
    let restore = device.act(&seen(old), step(Action::Restore, Patch::new()));
    accepted(&device.outcome(restore).await);
    let edit = device.edit(&moved, put);
    accepted(&device.outcome(edit).await);
    // After thirty days it stays deleted.
    let admin = database.admin().await;
    let long_ago =
        format!("UPDATE garages SET deleted_at = now() - interval '31 days' WHERE id = '{gone}'");
    admin.batch_execute(&long_ago).await.unwrap();
    let restore = device.act(&seen(gone), step(Action::Restore, Patch::new()));
    assert_eq!(rejection(&device.outcome(restore).await).0, "restore_expired");
    server.stop().await;
}

#[tokio::test]
async fn a_claim_given_up_in_the_same_batch_is_free() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Manager);
    let (one, two) = (new_id(), new_id());
    let create = device.create("vehicles", one, json!({"vin": VIN}));
    accepted(&device.outcome(create).await);
    let seen = device.record("vehicles", one).await;
    let batch = vec![
        device.create("vehicles", two, json!({"license_plate": "B-MM 1"})),
        device.edit(&seen, set(json!({"vin": null}))),
        device.create("vehicles", new_id(), json!({"vin": VIN, "nickname": "takes it"})),
        device.edit(&seen, set(json!({"vin": VIN}))),
        device.edit(&seen, set(json!({"license_plate": "B-MM 1"}))),
    ];
    let outcomes = device.outcomes(batch).await;
    outcomes[..3].iter().for_each(|outcome| {
        accepted(outcome);
    });
    assert_eq!(rejection(&outcomes[3]), ("vin_taken", Some("vin")));
    assert_eq!(rejection(&outcomes[4]), ("license_plate_taken", Some("license_plate")));
    drop(database);
    server.stop().await;
}

#[tokio::test]
async fn words_that_two_typed_into_an_empty_text_are_all_there() {
    stage!(database, server, tenant);
    let mut ann = Sender::new(&server, tenant, Role::Technician);
    let mut bob = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let create = ann.create("reminders", id, json!({"title": "Oil", "status": "active"}));
    accepted(&ann.outcome(create).await);
    let seen = ann.record("reminders", id).await;
    for (device, words) in [(&mut ann, "before winter\0"), (&mut bob, "ask Joe")] {
        let edit = device.edit(&seen, typed("description", 0, words));
        accepted(&device.outcome(edit).await);
    }
    let words = ann.record("reminders", id).await.field("description");
    let words = words.as_str().unwrap();
    assert!(words.contains("before winter\0") && words.contains("ask Joe"), "{words}");
    let admin = database.admin().await;
    let row = format!("SELECT description FROM reminders WHERE id = '{id}'");
    let row: String = admin.query_one(&row, &[]).await.unwrap().get(0);
    assert_eq!(row, words.replace('\0', "\u{fffd}"));
    server.stop().await;
}

#[tokio::test]
async fn text_typed_over_a_refused_edit_stands_where_it_was_meant() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let create = device.create("reminders", id, json!({"title": "Oil", "status": "active"}));
    accepted(&device.outcome(create).await);
    let seen = device.record("reminders", id).await;
    let first = device.edit(&seen, typed("description", 0, "5W-30."));
    accepted(&device.outcome(first).await);
    let seen = device.record("reminders", id).await;
    // Offline: one edit whose title is too long, two that count with it.
    let splice = |at, insert: &str| vec![Splice { at, delete: 0, insert: insert.into() }];
    let text = |over: &[(OpId, Vec<Splice>)], splices| {
        let over =
            over.iter().map(|(op_id, splices)| Over { op_id: *op_id, splices: splices.clone() });
        let edit = TextEdit { splices, over: over.collect() };
        Patch::from([("description".to_string(), FieldEdit::Text(edit))])
    };
    let mut refused = text(&[], splice(0, "Never this. "));
    refused.extend(set(json!({"title": "x".repeat(256)})));
    let refused = device.edit(&seen, refused);
    let before = vec![(refused.op_id, splice(0, "Never this. "))];
    let second = device.edit(&seen, text(&before, splice(18, " Ask Joe.")));
    let mut before = before;
    before.push((second.op_id, splice(18, " Ask Joe.")));
    let third = device.edit(&seen, text(&before, splice(27, " Soon.")));
    let outcomes = device.outcomes(vec![refused, second, third]).await;
    assert_eq!(rejection(&outcomes[0]), ("too_long", Some("title")));
    accepted(&outcomes[1]);
    accepted(&outcomes[2]);
    let now = device.record("reminders", id).await;
    assert_eq!(now.field("description"), "5W-30. Ask Joe. Soon.");
    drop(database);
    server.stop().await;
}

/// A collection that this build does not have: its declaration, and the migration of its table.
fn with_tools() -> &'static [Collection] {
    const TOOLS: Collection = Collection {
        name: "tools",
        key: Key::Made,
        fields: &[
            Field { name: "vehicle_id", form: Form::Ref("vehicles"), required: false },
            Field { name: "serial", form: Form::Line(1, 40), required: true },
            Field { name: "order", form: Form::Integer(0, 9), required: false },
            Field { name: "notes", form: Form::Text(100), required: false },
            Field { name: "settings", form: Form::Map(1_000), required: false },
        ],
        unique: &[Unique { code: "serial_taken", fields: &["serial"], only: None }],
    };
    let copy = |one: &'static Collection| Collection {
        name: one.name,
        key: one.key,
        fields: one.fields,
        unique: one.unique,
    };
    let all: Vec<Collection> = COLLECTIONS.iter().map(copy).chain([TOOLS]).collect();
    Box::leak(all.into_boxed_slice())
}

#[tokio::test]
async fn a_collection_is_a_declaration_and_a_table() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let migration = "SET ROLE motomind_owner;
        CREATE TABLE tools (
            tenant_id uuid NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
            id uuid NOT NULL DEFAULT gen_random_uuid(),
            vehicle_id uuid, serial text NOT NULL, \"order\" integer, notes text,
            settings jsonb NOT NULL DEFAULT '{}',
            created_at timestamptz NOT NULL DEFAULT now(), created_by uuid DEFAULT current_user_id(),
            updated_at timestamptz NOT NULL DEFAULT now(), updated_by uuid DEFAULT current_user_id(),
            deleted_at timestamptz, deleted_by uuid,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id));
        CREATE UNIQUE INDEX ON tools (tenant_id, serial) WHERE deleted_at IS NULL;
        SELECT furnish_records('tools')";
    database.admin().await.batch_execute(migration).await.unwrap();
    let admin = database.admin().await;
    assert_eq!(motomind_server::catalogue::check(&admin).await.unwrap(), []);
    let mut settings = settings(&database);
    settings.collections = with_tools();
    let server = start(settings).await.unwrap();

    let mut ann = Sender::new(&server, tenant, Role::Manager);
    let mut bob = Sender::new(&server, tenant, Role::Manager);
    let id = new_id();
    let fields = json!({"serial": "T-1", "vehicle_id": vehicle, "order": 3});
    let twice = [ann.create("tools", id, fields.clone()), ann.create("tools", new_id(), fields)];
    let outcomes = ann.outcomes(twice.to_vec()).await;
    accepted(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]), ("serial_taken", Some("serial")));
    let tool = |changes: &[Value]| {
        mirrored_in(with_tools(), changes).remove(&("tools".to_string(), id)).unwrap()
    };
    let seen = tool(&ann.pull_all().await.0);
    for (device, words, key) in [(&mut ann, "by Ann", "a"), (&mut bob, "by Bob", "b")] {
        let mut patch = typed("notes", 0, words);
        let keys = [(key.to_string(), json!(true))].into_iter().collect();
        patch.insert("settings".into(), FieldEdit::Keys(keys));
        let edit = device.edit(&seen, patch);
        accepted(&device.outcome(edit).await);
    }
    let client = database.connect(role::CLIENT).await;
    as_tenant(&client, tenant, "UPDATE tools SET \"order\" = 4").await.unwrap();
    as_tenant(&client, tenant, &format!("SELECT delete_record('tools', '{id}')")).await.unwrap();
    let now = tool(&ann.pull_all().await.0);
    assert_eq!(now.field("order"), 4);
    assert_eq!(now.field("settings"), json!({"a": true, "b": true}));
    assert_eq!(now.field("notes").as_str().unwrap().len(), 12, "all that both typed");
    assert!(now.document.deleted_at().is_some());
    let row = "SELECT count(*) FROM tools WHERE settings = '{\"a\": true, \"b\": true}'
                  AND char_length(notes) = 12 AND deleted_at IS NOT NULL";
    assert_eq!(count(&admin, row).await, 1);
    let restore = ann.act(&now, step(Action::Restore, Patch::new()));
    accepted(&ann.outcome(restore).await);
    assert_eq!(count(&admin, "SELECT count(*) FROM active_tools").await, 1);
    server.stop().await;
}
