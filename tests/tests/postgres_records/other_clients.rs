//! What other SQL clients write reaches devices.

use std::collections::BTreeSet;
use std::time::Duration;

use motomind_protocol::{Role, UserId};
use motomind_tests::postgres::{Postgres, as_tenant, count, role};
use motomind_tests::records::set;
use motomind_tests::server::{Sender, accepted, new_id, serve};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{VIN, row_of};

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
async fn what_was_deleted_at_no_instant_is_deleted() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let seen = device.record("vehicles", vehicle).await;
    let beyond = database.connect(role::BYPASS).await;
    beyond.batch_execute("UPDATE vehicles SET deleted_at = 'infinity'").await.unwrap();
    let edit = device.edit(&seen, set(json!({"color": "red"})));
    accepted(&device.outcome(edit).await);
    let now = device.record("vehicles", vehicle).await;
    assert!(now.document.deleted_at().is_some());
    assert_eq!(now.field("color"), "red");
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
