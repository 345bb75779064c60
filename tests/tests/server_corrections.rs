//! Corrections, retractions and restorations as the real server judges and remembers them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::wire::Outcome;
use motomind_protocol::{Event, EventId, Role};
use motomind_tests::postgres::{Postgres, as_tenant, constraint, count, count_as_tenant, role};
use motomind_tests::server::{
    Sender, accepted, damage, reading, rejection, restoration, retraction, serve, token,
};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

macro_rules! stage {
    ($database:ident, $server:ident, $tenant:ident, $vehicle:ident) => {
        let $database = Postgres::shared().database().await;
        let ($tenant, $vehicle) = $database.tenant_with_vehicle().await;
        let $server = serve(&$database).await;
    };
}

fn correcting(mut event: Event, of: Uuid) -> Event {
    event.corrects = Some(EventId(of));
    event
}

/// Pushes an event that must be taken; its id.
async fn send(device: &mut Sender, event: Event) -> Uuid {
    let id = event.id.0;
    accepted(&device.send(event).await);
    id
}

async fn refused(device: &mut Sender, event: Event) -> (String, Option<String>) {
    let outcome = device.send(event).await;
    let (code, field) = rejection(&outcome);
    (code.into(), field.map(Into::into))
}

fn code(name: &str) -> (String, Option<String>) {
    (name.into(), Some("corrects".into()))
}

/// Current mileage as other SQL clients read it.
async fn mileage(admin: &Client, tenant: Uuid) -> i64 {
    let sql = "SELECT COALESCE(miles, -1)::bigint FROM vehicle_current_mileage";
    count_as_tenant(admin, tenant, sql).await
}

#[tokio::test]
async fn a_restored_event_counts_again_where_it_fits() {
    stage!(database, server, tenant, vehicle);
    let admin = database.admin().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let first = send(&mut device, reading(vehicle, 10, 100)).await;
    let second = send(&mut device, correcting(reading(vehicle, 10, 110), first)).await;
    let third = send(&mut device, correcting(reading(vehicle, 10, 120), second)).await;
    assert_eq!(mileage(&admin, tenant).await, 120);
    // Not retracted: there is nothing to bring back.
    for event in [first, second, third] {
        let restored = restoration(vehicle, event);
        assert_eq!(refused(&mut device, restored).await, code("not_retracted"));
    }
    for (event, miles) in [
        (retraction(vehicle, third), 110),
        (retraction(vehicle, second), 100),
        (restoration(vehicle, third), 120),
        (retraction(vehicle, first), -1),
        (retraction(vehicle, first), -1),
        (restoration(vehicle, second), -1),
        (restoration(vehicle, first), 120),
        (retraction(vehicle, third), 110),
    ] {
        let what = (event.kind.clone(), event.corrects);
        send(&mut device, event).await;
        assert_eq!(mileage(&admin, tenant).await, miles, "{what:?}");
    }

    // While the family is out, a reading comes that it would contradict.
    send(&mut device, retraction(vehicle, first)).await;
    let lower = send(&mut device, reading(vehicle, 20, 105)).await;
    let outcome = device.send(restoration(vehicle, first)).await;
    assert_eq!(rejection(&outcome), ("odometer_out_of_order", Some("miles")));
    let Outcome::Rejected(rejection) = outcome else { unreachable!() };
    let neighbour = rejection.neighbour.unwrap();
    assert_eq!((neighbour.event_id.0, neighbour.miles), (lower, 105));
    // 110 no longer fits; 100 does, once the corrections are out of the way.
    send(&mut device, retraction(vehicle, second)).await;
    send(&mut device, restoration(vehicle, first)).await;
    assert_eq!(mileage(&admin, tenant).await, 105);
    let counting = "SELECT count(*) FROM active_events WHERE miles = 100";
    assert_eq!(count_as_tenant(&admin, tenant, counting).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn retractions_and_restorations_are_not_acted_on() {
    stage!(database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let event = send(&mut device, damage(vehicle, 1)).await;
    let out = send(&mut device, retraction(vehicle, event)).await;
    let back = send(&mut device, restoration(vehicle, event)).await;
    for act in [out, back] {
        for event in [
            correcting(damage(vehicle, 1), act),
            retraction(vehicle, act),
            restoration(vehicle, act),
        ] {
            assert_eq!(refused(&mut device, event).await, code("not_correctable"));
        }
    }
    // What takes the place of one that had arrived is about the same event.
    let admin = database.admin().await;
    let standing = "SELECT count(*) FROM active_events";
    let out = device.superseding(retraction(vehicle, back), &[back.into()]);
    accepted(&device.outcome(out.clone()).await);
    assert_eq!(count_as_tenant(&admin, tenant, standing).await, 0);
    let (changes, _) = device.pull_all().await;
    let newest = changes.iter().rfind(|change| change["kind"] == "event").unwrap();
    assert_eq!(newest["data"]["corrects"], json!(event));
    let again = device.superseding(retraction(vehicle, out.op_id.0), &[out.op_id]);
    accepted(&device.outcome(again.clone()).await);
    let back = device.superseding(restoration(vehicle, event), &[again.op_id, out.op_id]);
    accepted(&device.outcome(back).await);
    assert_eq!(count_as_tenant(&admin, tenant, standing).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn bringing_back_what_someone_else_captured_asks_for_a_manager() {
    stage!(_database, server, tenant, vehicle);
    let mut author = Sender::new(&server, tenant, Role::Technician);
    let mut other = Sender::new(&server, tenant, Role::Technician);
    let mut manager = Sender::new(&server, tenant, Role::Manager);
    let event = send(&mut author, damage(vehicle, 1)).await;
    assert_eq!(refused(&mut other, retraction(vehicle, event)).await.0, "forbidden");
    send(&mut manager, retraction(vehicle, event)).await;
    assert_eq!(refused(&mut other, restoration(vehicle, event)).await.0, "forbidden");
    send(&mut author, restoration(vehicle, event)).await;
    let out = manager.seal(retraction(vehicle, event));
    accepted(&manager.outcome(out.clone()).await);
    // In the place of one's own retraction, and still about what is somebody else's.
    let (as_manager, user) = (manager.token.clone(), manager.user);
    manager.token = token(tenant, user, Role::Technician);
    let back = manager.superseding(restoration(vehicle, event), &[out.op_id]);
    assert_eq!(rejection(&manager.outcome(back).await).0, "forbidden");
    manager.token = as_manager;
    send(&mut manager, restoration(vehicle, event)).await;
    server.stop().await;
}

/// Taking away what began a new segment is judged too when a correction moves it elsewhere.
#[tokio::test]
async fn a_correction_that_leaves_a_gap_is_refused_by_name() {
    stage!(_database, server, tenant, vehicle);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    send(&mut device, reading(vehicle, 10, 90_000)).await;
    let mut fresh = reading(vehicle, 20, 0);
    fresh.payload.insert("odometer_replaced".into(), json!(true));
    let fresh = send(&mut device, fresh).await;
    send(&mut device, reading(vehicle, 30, 40)).await;
    let moved = correcting(reading(vehicle, 1, 10), fresh);
    let outcome = device.send(moved).await;
    assert_eq!(rejection(&outcome), ("odometer_out_of_order", Some("miles")));
    server.stop().await;
}

/// Every correcting event leaves one entry, whoever wrote it; nobody alters one.
#[tokio::test]
async fn the_audit_log_says_who_changed_what_and_why() {
    stage!(database, server, tenant, vehicle);
    let admin = database.admin().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let mut first = reading(vehicle, 1, 0);
    first.vendor = Some(String::new());
    first.notes = Some("old".into());
    first.payload.insert("logged_by".into(), json!("someone"));
    first.payload.insert("seen_by".into(), json!("clear"));
    first.payload.insert("original_value".into(), json!(0));
    let first = send(&mut device, first).await;
    let mut second = correcting(reading(vehicle, 1, 12), first);
    second.total_minor = Some(0);
    second.reason = Some("read the trip counter".into());
    second.payload.insert("logged_by".into(), json!("another"));
    second.payload.insert("seen_by".into(), json!(null));
    second.payload.insert("original_value".into(), json!(0.0));
    let second = send(&mut device, second).await;
    let third = send(&mut device, retraction(vehicle, second)).await;
    let fourth = send(&mut device, restoration(vehicle, second)).await;
    // Another SQL client, as rows.
    let person = Uuid::new_v4();
    let client = database.connect(role::CLIENT).await;
    as_tenant(
        &client,
        tenant,
        &format!(
            "SET LOCAL app.current_user_id = '{person}';
             INSERT INTO vehicle_events (vehicle_id, type, occurred_at, date, miles, corrects, reason)
             VALUES ('{vehicle}', 'odometer', from_epoch_ms(1772366460000), '2026-03-01', 12, '{second}', 'sql')"
        ),
    )
    .await
    .unwrap();

    let rows = entries(&admin).await;
    let (user, phone) = (Some(device.user), Some(device.device));
    let (trip, mistake) = (Some("read the trip counter"), Some("a mistake"));
    let expected = [
        (Some(second), first, "corrected", user, phone, trip),
        (Some(third), second, "retracted", user, phone, mistake),
        (Some(fourth), second, "restored", user, phone, Some("it was right")),
        (None, second, "corrected", Some(person), None, Some("sql")),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (event, target, action, user, phone, reason)) in rows.iter().zip(expected) {
        assert!(event.is_none_or(|event| row.get::<_, Uuid>("event_id") == event));
        assert_eq!(row.get::<_, Uuid>("target_id"), target);
        assert_eq!(
            (row.get::<_, Uuid>("root_id"), row.get::<_, Uuid>("vehicle_id")),
            (first, vehicle)
        );
        assert_eq!(row.get::<_, &str>("action"), action);
        assert_eq!(row.get::<_, Option<Uuid>>("user_id"), user);
        assert_eq!(row.get::<_, Option<Uuid>>("device_id"), phone);
        assert_eq!(row.get::<_, Option<&str>>("reason"), reason);
        assert!(row.get::<_, bool>("received"));
    }
    let changes: Vec<Value> =
        rows.iter().map(|row| serde_json::from_str(row.get("changes")).unwrap()).collect();
    // Zero and the empty text are values; what is absent has no key; 0 is 0.0.
    assert_eq!(
        changes[0],
        json!({
            "miles": {"from": 0, "to": 12},
            "vendor": {"from": ""},
            "notes": {"from": "old"},
            "total_minor": {"to": 0},
            "payload.seen_by": {"from": "clear", "to": null},
        })
    );
    assert_eq!(changes[1..3], [json!({}), json!({})]);
    assert_eq!(
        changes[3],
        json!({
            "timezone": {"from": "America/Denver", "to": "UTC"},
            "total_minor": {"from": 0},
            "payload.seen_by": {"from": null},
            "payload.original_value": {"from": 0.0},
        })
    );

    let log = "vehicle_event_audit_logs";
    for change in [
        format!("UPDATE {log} SET reason = 'other'"),
        format!("DELETE FROM {log}"),
        format!("TRUNCATE {log}"),
    ] {
        for user in [role::SERVER, role::CLIENT] {
            let client = database.connect(user).await;
            assert!(as_tenant(&client, tenant, &change).await.is_err(), "{user}: {change}");
        }
        let error = admin.batch_execute(&change).await.unwrap_err();
        assert_eq!(constraint(&error), "vehicle_event_audit_logs_immutable", "{change}");
    }
    for user in [role::SERVER, role::CLIENT] {
        let client = database.connect(user).await;
        let write = format!("INSERT INTO {log} SELECT * FROM {log}");
        assert!(as_tenant(&client, tenant, &write).await.is_err(), "{user}");
        assert_eq!(
            count_as_tenant(&client, tenant, &format!("SELECT count(*) FROM {log}")).await,
            4
        );
        let stranger = Uuid::new_v4();
        assert_eq!(
            count_as_tenant(&client, stranger, &format!("SELECT count(*) FROM {log}")).await,
            0
        );
    }
    assert_eq!(count(&admin, &format!("SELECT count(*) FROM {log}")).await, 4);
    server.stop().await;
}

async fn entries(admin: &Client) -> Vec<tokio_postgres::Row> {
    admin
        .query(
            "SELECT a.event_id, a.target_id, a.root_id, a.vehicle_id, a.action, a.user_id, a.device_id, a.reason,
                    a.changes::text AS changes, a.at = e.received_at AS received
               FROM vehicle_event_audit_logs a
               JOIN event_registry r ON r.tenant_id = a.tenant_id AND r.event_id = a.event_id
               JOIN vehicle_events e ON e.tenant_id = r.tenant_id AND e.date = r.date AND e.id = r.event_id
              ORDER BY r.arrival",
            &[],
        )
        .await
        .unwrap()
}
