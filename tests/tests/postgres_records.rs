//! Records under concurrency, and what other SQL clients write: nothing is lost, whoever comes
//! first. And Postgres' own guards against the declaration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::collections::BTreeSet;
use std::time::Duration;

use motomind_protocol::records::schema::{COLLECTIONS, Collection, Field, Form, Unique};
use motomind_protocol::records::{Action, Patch, check_value};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{Role, UserId};
use motomind_tests::postgres::{Database, Postgres, as_tenant, constraint, count, role};
use motomind_tests::records::{set, step};
use motomind_tests::server::{Sender, accepted, new_id, serve};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

const VIN: &str = "1HGCM82633A004352";

/// Rows and documents agree, whatever was done.
async fn row_of(database: &Database, vehicle: Uuid) -> Value {
    let admin = database.admin().await;
    let row = format!("SELECT to_jsonb(v)::text FROM vehicles v WHERE id = '{vehicle}'");
    let text: String = admin.query_one(&row, &[]).await.unwrap().get(0);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_that_race_on_one_record_all_stay() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let seen = Sender::new(&server, tenant, Role::Technician).record("vehicles", vehicle).await;
    let mut racing = Vec::new();
    for racer in 0..6 {
        let mut device = Sender::new(&server, tenant, Role::Technician);
        let seen = seen.clone();
        racing.push(tokio::spawn(async move {
            for round in 0..5 {
                let fields = json!({"nickname": format!("{racer}/{round}"), "year": 2000 + racer});
                let edit = device.edit(&seen, set(fields));
                accepted(&device.outcome(edit).await);
            }
        }));
    }
    for one in racing {
        one.await.unwrap();
    }
    let now = Sender::new(&server, tenant, Role::Viewer).record("vehicles", vehicle).await;
    assert_eq!(now.entries, 1 + 30, "each push is a change of its own");
    let conflicts = now.document.conflicts();
    let nickname = conflicts.iter().find(|one| one.field == "nickname").unwrap();
    assert_eq!(nickname.values.len(), 6, "the last word of each: {nickname:?}");
    let row = row_of(&database, vehicle).await;
    assert_eq!((&row["nickname"], &row["year"]), (&now.field("nickname"), &now.field("year")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_race_for_one_vin_one_gets_it() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    for _ in 0..5 {
        let mut racing = Vec::new();
        for _ in 0..4 {
            let mut device = Sender::new(&server, tenant, Role::Manager);
            racing.push(tokio::spawn(async move {
                let id = new_id();
                let bystander = device.create("vehicles", new_id(), json!({"color": "red"}));
                let create = device.create("vehicles", id, json!({"vin": VIN}));
                let outcomes = device.outcomes(vec![bystander, create]).await;
                accepted(&outcomes[0]);
                (device, id, outcomes[1].clone())
            }));
        }
        let mut winner = None;
        let mut taken_by = BTreeSet::new();
        for one in racing {
            let (device, id, outcome) = one.await.unwrap();
            match outcome {
                Outcome::Accepted { .. } => {
                    assert!(winner.replace((device, id)).is_none(), "one alone");
                }
                Outcome::Rejected(refused) => {
                    assert_eq!(refused.code, "vin_taken");
                    taken_by.extend(refused.taken_by);
                }
                other => panic!("{other:?}"),
            }
        }
        let (mut device, id) = winner.expect("somebody got it");
        assert_eq!(taken_by, BTreeSet::from([id]));
        let seen = device.record("vehicles", id).await;
        let delete = device.act(&seen, step(Action::Delete, Patch::new()));
        accepted(&device.outcome(delete).await);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_race_to_create_one_natural_record_make_one() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let fields = json!({"vehicle_id": vehicle, "category": "engine"});
    let enhancements = motomind_protocol::records::find("vehicle_spec_enhancements").unwrap();
    let id = enhancements.natural_id(fields.as_object().unwrap()).unwrap();
    let mut racing = Vec::new();
    for racer in 0..4 {
        let mut device = Sender::new(&server, tenant, Role::Technician);
        let mut fields = fields.clone();
        fields["data"] = json!({"by": racer});
        racing.push(tokio::spawn(async move {
            let create = device.create("vehicle_spec_enhancements", id, fields);
            accepted(&device.outcome(create).await);
        }));
    }
    for one in racing {
        one.await.unwrap();
    }
    let viewer = Sender::new(&server, tenant, Role::Viewer);
    let one = viewer.record("vehicle_spec_enhancements", id).await;
    assert_eq!(one.document.conflicts()[0].values.len(), 4, "every answer is there");
    server.stop().await;
}

#[tokio::test]
async fn what_another_client_writes_reaches_devices_and_competes() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let seen = device.record("vehicles", vehicle).await;
    assert_eq!(seen.field("nickname"), "Van", "a row that was there before has a document");
    let client = database.connect(role::CLIENT).await;
    let manager = Uuid::new_v4();
    let office = format!(
        "SET LOCAL app.current_user_id = '{manager}';
         UPDATE vehicles SET nickname = 'Office', vin = '1hgcm82633a004352', color = 'red' WHERE id = '{vehicle}'"
    );
    as_tenant(&client, tenant, &office).await.unwrap();
    // Offline, at what was there before; it arrives while the row is still queued.
    let edit = device.edit(&seen, set(json!({"nickname": "Workshop", "year": 2020})));
    accepted(&device.outcome(edit).await);

    let now = device.record("vehicles", vehicle).await;
    assert_eq!((now.field("vin"), now.field("color")), (json!(VIN), json!("red")));
    assert_eq!(now.field("year"), 2020);
    let conflicts = now.document.conflicts();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    let words: BTreeSet<String> =
        conflicts[0].values.iter().map(|one| one.value.as_str().unwrap().into()).collect();
    assert_eq!(words, BTreeSet::from(["Office".into(), "Workshop".into()]));
    let by_office = conflicts[0].values.iter().find(|one| one.value == "Office").unwrap();
    assert_eq!((by_office.by.device_id, by_office.by.user_id), (None, Some(UserId(manager))));
    let row = row_of(&database, vehicle).await;
    assert_eq!(row["nickname"], now.field("nickname"), "the row is the projection again");

    // What says nothing new makes no entry; what is deleted and restored by function does.
    let touch = format!("UPDATE vehicles SET color = color, year = 2020 WHERE id = '{vehicle}'");
    as_tenant(&client, tenant, &touch).await.unwrap();
    assert_eq!(device.record("vehicles", vehicle).await.entries, now.entries);
    let remove = format!("SELECT delete_vehicle('{vehicle}')");
    as_tenant(&client, tenant, &remove).await.unwrap();
    assert!(device.record("vehicles", vehicle).await.document.deleted_at().is_some());
    let restore = format!("SELECT restore_record('vehicles', '{vehicle}')");
    as_tenant(&client, tenant, &restore).await.unwrap();
    let back = device.record("vehicles", vehicle).await;
    assert_eq!((back.document.deleted_at(), back.field("color")), (None, json!("red")));
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn functions_of_other_clients_reach_every_collection() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let client = database.connect(role::CLIENT).await;
    let (old, new, reminder) = (new_id(), new_id(), new_id());
    let setup = format!(
        "INSERT INTO garages (id, name) VALUES ('{old}', 'Old'), ('{new}', 'New');
         UPDATE vehicles SET garage_id = '{old}' WHERE id = '{vehicle}';
         INSERT INTO reminders (id, vehicle_id, title, description) VALUES ('{reminder}', '{vehicle}', 'Oil', 'soon');
         INSERT INTO profiles (id, full_name, preferences) VALUES ('{new}', 'Ann', '{{\"units\": \"km\", \"tabs\": [1, 2.50]}}');
         SELECT delete_garage('{old}', '{new}'); SELECT delete_record('reminders', '{reminder}')"
    );
    as_tenant(&client, tenant, &setup).await.unwrap();
    let viewer = Sender::new(&server, tenant, Role::Viewer);
    assert!(viewer.record("garages", old).await.document.deleted_at().is_some());
    assert_eq!(viewer.record("vehicles", vehicle).await.field("garage_id"), new.to_string());
    let gone = viewer.record("reminders", reminder).await;
    assert_eq!((gone.field("description"), gone.field("status")), (json!("soon"), json!("active")));
    assert!(gone.document.deleted_at().is_some());
    let profile = viewer.record("profiles", new).await;
    assert_eq!(profile.field("preferences"), json!({"units": "km", "tabs": [1, 2.5]}));
    let touch = format!("UPDATE profiles SET full_name = 'Anna' WHERE id = '{new}'");
    as_tenant(&client, tenant, &touch).await.unwrap();
    let profile = viewer.record("profiles", new).await;
    assert_eq!(
        profile.document.history().last().unwrap().fields,
        *json!({"full_name": "Anna"}).as_object().unwrap()
    );
    let promote = format!("UPDATE profiles SET role = 'manager' WHERE id = '{new}'");
    assert!(as_tenant(&client, tenant, &promote).await.is_err(), "not theirs to change");
    server.stop().await;
}

#[tokio::test]
async fn one_statement_over_many_tenants_reaches_each() {
    let database = Postgres::shared().database().await;
    let server = serve(&database).await;
    let mut tenants = Vec::new();
    for _ in 0..3 {
        tenants.push(database.tenant_with_vehicle().await);
    }
    let beyond = database.connect(role::BYPASS).await;
    beyond.batch_execute("UPDATE vehicles SET color = 'grey'").await.unwrap();
    let inside = database.connect(role::SERVER).await;
    let plain = format!("UPDATE vehicles SET year = 2001 WHERE id = '{}'", tenants[0].1);
    as_tenant(&inside, tenants[0].0, &plain).await.unwrap();
    // Saying so without being the serving role hides nothing from devices.
    let pretending =
        "BEGIN; SET LOCAL app.projecting = 'on'; UPDATE vehicles SET trim = 'L2'; COMMIT";
    beyond.batch_execute(pretending).await.unwrap();
    for (place, (tenant, vehicle)) in tenants.iter().enumerate() {
        let viewer = Sender::new(&server, *tenant, Role::Viewer);
        let records = viewer.records().await;
        assert_eq!(records.len(), 1);
        let one = &records[&("vehicles".to_string(), *vehicle)];
        assert_eq!((one.field("color"), one.field("trim")), (json!("grey"), json!("L2")));
        assert_eq!(one.field("year"), if place == 0 { json!(2001) } else { Value::Null });
    }
    server.stop().await;
}

/// SQL updates and pushes at the same time: every value that anyone wrote is in the history, and
/// row and document agree at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sql_changes_are_picked_up_under_concurrent_pushes() {
    let database = Postgres::shared().database().await;
    let (tenant, first) = database.tenant_with_vehicle().await;
    let vehicles = [first, database.vehicle(tenant).await, database.vehicle(tenant).await];
    let server = serve(&database).await;
    let viewer = Sender::new(&server, tenant, Role::Viewer);
    let records = viewer.records().await;
    let seen = vehicles.map(|id| records[&("vehicles".to_string(), id)].clone());
    let mut running = Vec::new();
    for racer in 0..3 {
        let mut device = Sender::new(&server, tenant, Role::Technician);
        let seen = seen.clone();
        running.push(tokio::spawn(async move {
            for round in 0..10 {
                let batch = seen.iter().map(|one| {
                    device.edit(one, set(json!({"nickname": format!("device {racer}/{round}")})))
                });
                let batch = batch.collect();
                device.outcomes(batch).await.iter().for_each(|outcome| {
                    accepted(outcome);
                });
                device.pull(None).await;
            }
        }));
    }
    for racer in 0..2 {
        let client = database.connect(role::CLIENT).await;
        running.push(tokio::spawn(async move {
            for round in 0..20 {
                let vehicle = vehicles[(racer + round) % 3];
                let write = format!(
                    "UPDATE vehicles SET color = 'sql {racer}/{round}' WHERE id = '{vehicle}'"
                );
                as_tenant(&client, tenant, &write).await.unwrap();
            }
        }));
    }
    for one in running {
        one.await.unwrap();
    }
    let records = viewer.records().await;
    let mut typed = 0;
    for id in vehicles {
        let one = &records[&("vehicles".to_string(), id)];
        let row = row_of(&database, id).await;
        assert_eq!(row["color"], one.field("color"), "nothing that SQL wrote is undone");
        assert_eq!(row["nickname"], one.field("nickname"));
        let history = one.document.history();
        typed += history.iter().filter(|one| one.by.device_id.is_some()).count();
    }
    assert_eq!(typed, 3 * 10 * 3, "every push is there");
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_listens_is_woken_by_another_clients_write() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let viewer = Sender::new(&server, tenant, Role::Viewer);
    let before = viewer.pull(None).await.head;
    let reply = viewer.request(Method::GET, "/v1/sync/events").send().await.unwrap();
    let mut stream = reply;
    let mut heard = String::new();
    let client = database.connect(role::CLIENT).await;
    let write = format!("UPDATE vehicles SET color = 'red' WHERE id = '{vehicle}'");
    let wanted = format!("\"head\":{}", before + 1);
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        // The first poke tells that the stream is listening.
        while !heard.contains("\"head\":") {
            heard += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
        }
        as_tenant(&client, tenant, &write).await.unwrap();
        while !heard.contains(&wanted) {
            heard += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not woken: {heard}"));
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_long_history_begins_again_and_old_heads_are_still_known() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let enhancements = motomind_protocol::records::find("vehicle_spec_enhancements").unwrap();
    let fields = json!({"vehicle_id": vehicle, "category": "engine"});
    let id = enhancements.natural_id(fields.as_object().unwrap()).unwrap();
    let create = device.create(enhancements.name, id, fields);
    accepted(&device.outcome(create).await);
    let mut early = None;
    // Words that hardly compress; each edit leaves those before it in the history.
    for round in 0..30 {
        let words: Vec<String> = (0..360).map(|_| Uuid::new_v4().simple().to_string()).collect();
        let seen = device.record(enhancements.name, id).await;
        let edit = device.edit(&seen, set(json!({"data": words, "confidence": "low"})));
        accepted(&device.outcome(edit).await);
        if round == 2 {
            early = Some(device.record(enhancements.name, id).await);
        }
        let (changes, _) = device.pull_all().await;
        if changes.iter().any(|change| change["data"]["whole"] == json!(true)) {
            break;
        }
    }
    let admin = database.admin().await;
    let size = "SELECT octet_length(document)::bigint FROM record_documents
                 WHERE collection = 'vehicle_spec_enhancements' AND earlier IS NOT NULL";
    assert!(count(&admin, size).await < 32 * 1024, "it began again");
    let late = device.record(enhancements.name, id).await;
    assert!(late.document.conflicts().is_empty(), "{:?}", late.document.conflicts());
    // Whoever was away meanwhile has seen neither the later values nor the new beginning.
    let mut other = Sender::new(&server, tenant, Role::Technician);
    let edit = other.edit(&early.unwrap(), set(json!({"confidence": "high"})));
    let outcome = other.outcome(edit).await;
    assert!(matches!(&outcome, Outcome::Accepted { flags, .. } if flags.is_empty()), "{outcome:?}");
    let now = other.record(enhancements.name, id).await;
    let conflicts = now.document.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!((conflicts[0].field.as_str(), conflicts[0].values.len()), ("confidence", 2));
    server.stop().await;
}

/// A value of the form, and one that breaks it.
fn examples(field: &Field, vehicle: Uuid) -> (Value, Option<Value>) {
    match field.form {
        Form::Line(_, max) => (json!("x".repeat(max)), Some(json!("x".repeat(max + 1)))),
        Form::Text(max) => (json!("é".repeat(max)), Some(json!("é".repeat(max + 1)))),
        Form::Integer(_, max) => (json!(max), Some(json!(max + 1))),
        Form::Number(_, max) => (json!(max), Some(json!(max + 0.5))),
        Form::Flag => (json!(true), None),
        Form::Date => (json!("9999-12-31"), Some(json!("1899-12-31"))),
        Form::Choice(words) => (json!(words[0]), Some(json!("something else"))),
        Form::Year => (json!(1900), Some(json!(1899))),
        Form::Vin => (json!(VIN), Some(json!("1HGCM82633A00435O"))),
        Form::Timezone => (json!("America/Denver"), Some(json!("Denver; DROP"))),
        Form::Ref(_) => (json!(vehicle), Some(json!(Uuid::from_u128(1)))),
        Form::Person => (json!(Uuid::from_u128(2)), None),
        Form::Photo => (json!("0".repeat(64)), Some(json!("F".repeat(64)))),
        Form::Json(_) => (json!([1, {"a": null}]), None),
        Form::Map(_) => (json!({"a": 1}), Some(json!([1]))),
    }
}

/// Writes a row in a transaction of its own, again if it is to be there twice; undone.
async fn write(
    client: &Client,
    collection: &Collection,
    rows: &[(Uuid, serde_json::Map<String, Value>, bool)],
    tenant: Uuid,
) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await.unwrap();
    let mut outcome = Ok(());
    for (id, fields, deleted) in rows {
        let name = collection.name;
        let id =
            if collection.unique.is_empty() && name != "profiles" && name != "conversation_threads"
            {
                None // follows from the key
            } else {
                Some(id)
            };
        let columns: String = fields.keys().map(|field| format!(", \"{field}\"")).collect();
        let values: String = fields.keys().map(|field| format!(", r.\"{field}\"")).collect();
        let insert = format!(
            "INSERT INTO {name} (tenant_id, id, deleted_at{columns})
             SELECT $1, $2, CASE WHEN $3 THEN now() END{values}
               FROM json_populate_record(NULL::{name}, $4::text::json) AS r"
        );
        let row = Value::Object(fields.clone()).to_string();
        if let Err(error) = client.execute(&insert, &[&tenant, &id, deleted, &row]).await {
            outcome = Err(error);
            break;
        }
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    outcome
}

fn with_unique(
    base: &serde_json::Map<String, Value>,
    collection: &Collection,
    unique: &Unique,
    vehicle: Uuid,
) -> serde_json::Map<String, Value> {
    let mut row = base.clone();
    for name in unique.fields {
        let field = collection.fields.iter().find(|field| field.name == *name).unwrap();
        row.insert((*name).into(), examples(field, vehicle).0);
    }
    if let Some((name, word)) = unique.only {
        let word = if word == "true" { json!(true) } else { json!(word) };
        row.insert(name.into(), word);
    }
    row
}

/// The second guard, tested against the first: tables have the declared columns and no others, hold
/// what the declaration allows, refuse what it refuses, and keep live records apart as it says.
#[tokio::test]
async fn tables_are_as_they_are_declared() {
    const BESIDE: [&str; 8] = [
        "tenant_id",
        "id",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "deleted_at",
        "deleted_by",
    ];
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let admin = database.admin().await;
    let garage = "INSERT INTO garages (tenant_id, id, name) VALUES ($1, $2, 'Yard')";
    admin.execute(garage, &[&tenant, &vehicle]).await.unwrap();
    let mut refused = 0;
    for collection in COLLECTIONS {
        let name = collection.name;
        let columns = "SELECT attname::text FROM pg_attribute
                        WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped";
        let columns = admin.query(columns, &[&name]).await.unwrap();
        let columns: BTreeSet<String> = columns.iter().map(|row| row.get(0)).collect();
        let mut declared: BTreeSet<String> = BESIDE.map(String::from).into();
        declared.extend(collection.fields.iter().map(|field| field.name.to_string()));
        if name == "profiles" {
            declared.extend(["email".into(), "role".into()]); // the operator's
        }
        assert_eq!(columns, declared, "{name}");

        let base: serde_json::Map<String, Value> = collection
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| (field.name.to_string(), examples(field, vehicle).0))
            .collect();
        let now = chrono::Utc::now().timestamp_millis();
        for field in collection.fields {
            let (good, bad) = examples(field, vehicle);
            check_value(field, &good, now).unwrap();
            let mut row = base.clone();
            row.insert(field.name.into(), good);
            let written =
                write(&admin, collection, &[(new_id(), row.clone(), false)], tenant).await;
            written.unwrap_or_else(|error| panic!("{name}.{}: {error:?}", field.name));
            let Some(bad) = bad else { continue };
            assert!(check_value(field, &bad, now).is_err() || matches!(field.form, Form::Ref(_)));
            row.insert(field.name.into(), bad.clone());
            let written = write(&admin, collection, &[(new_id(), row, false)], tenant).await;
            assert!(written.is_err(), "{name}.{} took {bad}", field.name);
            refused += 1;
        }
        for field in collection.fields.iter().filter(|field| field.required) {
            let mut row = base.clone();
            row.insert(field.name.into(), Value::Null);
            assert!(
                write(&admin, collection, &[(new_id(), row, false)], tenant).await.is_err(),
                "{name}.{} may not be absent",
                field.name
            );
        }
        for unique in collection.unique {
            let row = with_unique(&base, collection, unique, vehicle);
            let twice =
                |deleted| [(new_id(), row.clone(), deleted), (new_id(), row.clone(), false)];
            let error = write(&admin, collection, &twice(false), tenant).await.unwrap_err();
            assert_eq!(
                error.code().unwrap().code(),
                "23505",
                "{}: {}",
                unique.code,
                constraint(&error)
            );
            write(&admin, collection, &twice(true), tenant).await.unwrap();
            let mut only_required = base.clone();
            for name in unique.fields.iter().filter(|name| base.contains_key(**name)) {
                only_required.insert((*name).into(), row[*name].clone());
            }
            let bare = [(new_id(), only_required.clone(), false), (new_id(), only_required, false)];
            let claims = motomind_protocol::records::claims(collection, &bare[0].1);
            let both = write(&admin, collection, &bare, tenant).await;
            assert_eq!(
                both.is_err(),
                claims.iter().any(|claim| claim.code == unique.code),
                "{both:?}"
            );
        }
    }
    assert!(refused > 40, "{refused} bad values");
}
