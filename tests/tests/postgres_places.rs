//! Photos, places and sessions that other SQL clients write, and the rules of which one counts, as
//! Postgres computes them: each compared with `protocol`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::place::{CorrectionMethod, place};
use motomind_protocol::position::distance_m;
use motomind_protocol::wire::{Change, ChangeKind};
use motomind_protocol::{Event, Fix, FixSource, Hash, LocationCorrection, Role};
use motomind_tests::dice::Dice;
use motomind_tests::postgres::{Database, Postgres, as_tenant, constraint, count_as_tenant, role};
use motomind_tests::server::{Sender, accepted, damage, restoration, retraction, serve};
use motomind_tests::stage::Stage;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const PHOTO: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

async fn event(database: &Database, tenant: Uuid, vehicle: Uuid) -> Uuid {
    let (id, client) = (Uuid::new_v4(), database.connect(role::CLIENT).await);
    let sql = format!(
        "INSERT INTO vehicle_events (id, vehicle_id, type, occurred_at, date, fix)
         VALUES ('{id}', '{vehicle}', 'parking', '2026-03-01T12:00Z', '2026-03-01',
                 '{{\"latitude\": 39.7, \"longitude\": -104.9, \"source\": \"gps\"}}')"
    );
    as_tenant(&client, tenant, &sql).await.unwrap();
    id
}

#[tokio::test]
async fn distances_are_those_of_the_protocol() {
    let database = Postgres::shared().database().await;
    let admin = database.admin().await;
    let mut dice = Dice::new(7);
    let mut places = vec![(0.0, 0.0), (90.0, 0.0), (-90.0, 180.0), (0.0, -180.0), (45.0, 180.0)];
    for _ in 0..200 {
        let [lat, lng] = [90.0, 180.0].map(|most: f64| {
            let [high, low] = dice.bytes::<2>().map(f64::from);
            ((high * 256.0 + low) / 65_535.0 * 2.0 - 1.0) * most
        });
        places.push((lat, lng));
    }
    for pair in places.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        // Near by as well: that is what corrections are.
        for to in [to, (from.0 * 0.999_999, from.1 * 0.999_999)] {
            let sql = "SELECT distance_m($1, $2, $3, $4)";
            let row = admin.query_one(sql, &[&from.0, &from.1, &to.0, &to.1]).await.unwrap();
            let (ours, theirs) = (distance_m(from, to), row.get::<_, f64>(0));
            assert!((ours - theirs).abs() <= 0.02, "{from:?} {to:?}: {ours} {theirs}");
        }
    }
}

#[tokio::test]
async fn what_a_sql_client_states_reaches_devices() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let id = event(&database, tenant, vehicle).await;
    let device = Sender::new(&server, tenant, Role::Viewer);
    let (_, cursor) = device.pull_all().await;
    let person = Uuid::new_v4();
    let client = database.connect(role::CLIENT).await;
    let written = format!(
        "SET LOCAL app.current_user_id = '{person}';
         INSERT INTO location_corrections (event_id, measured, latitude, longitude, address, method, reason, extraction)
         VALUES ('{id}', '{{\"latitude\": 39.7, \"longitude\": -104.9, \"source\": \"gps\", \"accuracy_m\": 300}}',
                 39.701, -104.9, 'Bay \"3\"', 'manual_entry', NULL, '{{\"method\": \"geocoding\", \"k\": 1}}'),
                ('{id}', NULL, 0, 0, NULL, 'map_pin', 'on the island', NULL);
         INSERT INTO photo_metadata (sha256, bytes, mime, width, taken_at, taken_offset_min, quality_issues, position, make)
         VALUES ('{PHOTO}', 5, 'image/heic', 4294967295, '2026-03-01 11:58:00.25', -90, '[\"blur\"]',
                 '{{\"latitude\": 39.7, \"longitude\": -104.9, \"source\": \"exif\"}}', 'Maker');
         INSERT INTO event_photos (event_id, photo, sequence, step_id, is_primary, caption)
         VALUES ('{id}', '{PHOTO}', 3, 'odometer', true, E'two\\nlines');
         INSERT INTO event_photos (event_id, photo, sequence, removed, reason)
         VALUES ('{id}', '{PHOTO}', 3, true, 'wrong car');
         INSERT INTO capture_sessions (vehicle_id, flow, path, started_at, last_activity_at, ended_at, status, event_id, photos)
         VALUES ('{vehicle}', 'fuel', 'quick', '2026-03-01T12:00Z', '2026-03-01T12:01Z', '2026-03-01T12:02Z',
                 'completed', '{id}', '[{{\"photo\": \"{PHOTO}\", \"added_at\": 1772366400000, \"step_id\": null}}]');
         INSERT INTO capture_sessions (vehicle_id, flow, path, started_at, last_activity_at, ended_at, status, step, reason)
         VALUES ('{vehicle}', 'tire', 'guided', now() - interval '1 hour', now(), now(), 'abandoned', 'fl_tread', 'timeout')"
    );
    as_tenant(&client, tenant, &written).await.unwrap();

    let page = device.pull(Some(&cursor)).await;
    let changes: Vec<Change> =
        page.changes.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
    assert_eq!(changes.len(), 6);
    let ChangeKind::LocationCorrection(first) = &changes[0].what else { panic!() };
    let said = &first.said;
    assert_eq!((first.op_id, first.user_id.unwrap().0), (None, person));
    assert_eq!((first.event_id.unwrap().0, said.vehicle_id.0), (id, vehicle));
    assert_eq!(said.method, CorrectionMethod::ManualEntry);
    assert_eq!(said.distance_m, Some(111.2), "filled in");
    assert_eq!(said.address.as_deref(), Some("Bay \"3\""));
    assert!(said.extraction.as_ref().unwrap().extra.contains_key("k"));
    let ChangeKind::LocationCorrection(second) = &changes[1].what else { panic!() };
    assert_eq!((second.said.latitude, second.said.distance_m), (0.0, None));
    for change in &changes[..2] {
        let ChangeKind::LocationCorrection(stated) = &change.what else { panic!() };
        stated.said.validate().unwrap();
    }
    let ChangeKind::Photo(photo) = &changes[2].what else { panic!() };
    photo.said.validate().unwrap();
    let facts = photo.said.facts.as_ref().unwrap();
    assert_eq!((facts.size, facts.width), (5, Some(4_294_967_295)));
    assert_eq!(facts.taken_at.unwrap().offset_minutes(), Some(-90));
    assert_eq!(facts.capture.quality_issues, ["blur"]);
    assert_eq!(photo.said.caption.as_deref(), Some("two\nlines"));
    let ChangeKind::Photo(removed) = &changes[3].what else { panic!() };
    assert!(removed.said.removed);
    let ChangeKind::Session(session) = &changes[4].what else { panic!() };
    session.said.validate().unwrap();
    assert_eq!((session.said.duration_ms(), session.id), (120_000, session.said.id));
    assert_eq!(session.said.photos[0].photo, PHOTO.parse::<Hash>().unwrap());
    let ChangeKind::Session(left) = &changes[5].what else { panic!() };
    left.said.validate().unwrap();

    let abandoned = "SELECT count(*) FROM capture_abandonment_analysis
                      WHERE flow = 'tire' AND step = 'fl_tread' AND reason = 'timeout' AND share_of_flow = 1";
    assert_eq!(count_as_tenant(&client, tenant, abandoned).await, 1);
    // An operator mends a session by hand: devices hear of it.
    let admin = database.admin().await;
    admin
        .batch_execute("UPDATE capture_sessions SET flow = 'damage' WHERE flow = 'tire'")
        .await
        .unwrap();
    let page = device.pull(Some(&page.next_cursor)).await;
    let change: Change = serde_json::from_str(page.changes[0].get()).unwrap();
    assert!(matches!(change.what, ChangeKind::Session(session) if session.said.flow == "damage"));
    server.stop().await;
}

#[tokio::test]
async fn what_no_device_could_read_or_believe_is_refused() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (theirs, other) = database.tenant_with_vehicle().await;
    let (mine, foreign) =
        (event(&database, tenant, vehicle).await, event(&database, theirs, other).await);
    let client = database.connect(role::CLIENT).await;
    let correction = |event: Uuid, columns: &str, values: &str| {
        format!(
            "INSERT INTO location_corrections (event_id, latitude, longitude, method, {columns})
             VALUES ('{event}', 39.701, -104.9, 'map_pin', {values})"
        )
    };
    let fix = "'{\"latitude\": 39.7, \"longitude\": -104.9, \"source\": \"gps\"}'";
    let facts = |values: &str| {
        format!("INSERT INTO photo_metadata (sha256, bytes, mime, position) VALUES ({values})")
    };
    let session = |photos: &str| {
        format!(
            "INSERT INTO capture_sessions (vehicle_id, flow, path, started_at, last_activity_at, ended_at,
                                           status, reason, photos)
             VALUES ('{vehicle}', 'fuel', 'quick', now(), now(), now(), 'abandoned', 'timeout', '{photos}')"
        )
    };
    for (sql, name) in [
        (
            correction(mine, "measured, distance_m", &format!("{fix}, 111.23")),
            "location_corrections_distance",
        ),
        (correction(mine, "distance_m", "5"), "location_corrections_distance"),
        (
            correction(mine, "measured", "'{\"latitude\": 39.7}'"),
            "location_corrections_measured_shape",
        ),
        (
            correction(mine, "extraction", "'{\"method\": 7}'"),
            "location_corrections_extraction_shape",
        ),
        (correction(foreign, "reason", "NULL"), "location_corrections_event"),
        (correction(Uuid::new_v4(), "reason", "NULL"), "location_corrections_event"),
        (
            facts("repeat('a', 64), 5, 'image/jpeg', '{\"latitude\": 99}'"),
            "photo_metadata_position_shape",
        ),
        (facts("repeat('a', 64), 5, 'image/gif', NULL"), "photo_metadata_mime_check"),
        (facts("'A', 5, 'image/jpeg', NULL"), "photo_metadata_sha256_check"),
        (session("[{\"photo\": \"x\", \"added_at\": 1}]"), "capture_sessions_photos_shape"),
        (session("[7]"), "capture_sessions_photos_shape"),
        (session("{}"), "capture_sessions_photos_shape"),
        (
            format!(
                "INSERT INTO event_photos (event_id, photo, sequence) VALUES ('{mine}', '{PHOTO}', 1)"
            ),
            "event_photos_tenant_id_photo_fkey",
        ),
        (
            format!(
                "INSERT INTO event_photos (event_id, photo, sequence) VALUES ('{foreign}', '{PHOTO}', 1)"
            ),
            "event_photos_event",
        ),
    ] {
        let error = as_tenant(&client, tenant, &sql).await.unwrap_err();
        assert_eq!(constraint(&error), name, "{sql}");
    }
    // Exactly what protocol says, to two centimetres.
    for said in ["111.2", "111.22", "111.18"] {
        let sql = correction(mine, "measured, distance_m", &format!("{fix}, {said}"));
        as_tenant(&client, tenant, &sql).await.unwrap();
    }
    // Into another tenant: refused by the wall, which tells nothing of what is behind it.
    let across = format!(
        "INSERT INTO location_corrections (tenant_id, event_id, latitude, longitude, method)
         VALUES ('{theirs}', '{foreign}', 0, 0, 'map_pin')"
    );
    assert!(as_tenant(&client, tenant, &across).await.is_err());
    let act = format!(
        "INSERT INTO vehicle_events (id, vehicle_id, type, occurred_at, date, corrects)
         VALUES ('{theirs}', '{vehicle}', 'retraction', now(), '2026-03-01', '{mine}')"
    );
    as_tenant(&client, tenant, &act).await.unwrap();
    let error =
        as_tenant(&client, tenant, &correction(theirs, "reason", "NULL")).await.unwrap_err();
    assert_eq!(constraint(&error), "location_corrections_not_correctable");

    // What was stated stays: for clients, for the server, and for whoever has every right.
    let admin = database.admin().await;
    for user in [&client, &database.connect(role::SERVER).await] {
        for change in ["UPDATE location_corrections SET latitude = 1", "DELETE FROM event_photos"] {
            let error = as_tenant(user, tenant, change).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{change}");
        }
    }
    for change in ["UPDATE location_corrections SET latitude = 1", "TRUNCATE location_corrections"]
    {
        let error = admin.batch_execute(change).await.unwrap_err();
        assert_eq!(constraint(&error), "location_corrections_immutable");
    }
    assert!(admin.batch_execute("DELETE FROM capture_sessions").await.is_err());
}

/// An event with what was measured of it.
fn captured(
    vehicle: Uuid,
    minutes: i64,
    fix: Option<Value>,
    photo: Option<Value>,
    chosen: Value,
) -> Event {
    let mut event = damage(vehicle, minutes);
    event.fix = fix.map(|fix| serde_json::from_value(fix).unwrap());
    event.photo_fix = photo.map(|fix| serde_json::from_value(fix).unwrap());
    if !chosen.is_boolean() {
        let decision =
            json!({"chosen": chosen, "confidence": "low", "rule": "nothing", "ask": true});
        event.position = serde_json::from_value(decision).ok();
    }
    event
}

#[tokio::test]
async fn places_are_those_of_the_protocol() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let at = |lat: f64, accuracy: Option<f64>| {
        let mut fix = Fix::at(lat, -104.9, FixSource::Gps);
        fix.accuracy_m = accuracy;
        serde_json::to_value(fix).unwrap()
    };
    let fixes =
        [None, Some(at(1.0, None)), Some(at(2.0, Some(12.0))), Some(at(3.0, Some(1_500.0)))];
    let photos = [None, Some(at(4.0, Some(0.0))), Some(at(5.0, Some(2_000.0)))];
    let choices = ["gps", "exif", "both", "later"].map(|word| json!(word));
    let mut minutes = 0;
    let mut events = Vec::new();
    for fix in &fixes {
        for photo in &photos {
            for chosen in choices.iter().chain([&Value::Null, &json!(false)]) {
                minutes += 1;
                let event = captured(vehicle, minutes, fix.clone(), photo.clone(), chosen.clone());
                assert!(chosen.is_boolean() || event.position.is_some(), "{chosen}");
                events.push((event, None));
            }
        }
    }
    // A correction of other facts has no fix: that of the first one counts.
    for fix in &fixes {
        minutes += 1;
        let root = captured(vehicle, minutes, fix.clone(), None, json!(false));
        let mut corrected = damage(vehicle, minutes);
        corrected.corrects = Some(root.id);
        events.push((corrected, Some(root)));
    }
    for (event, root) in &events {
        for one in root.iter().chain([event]) {
            accepted(&device.send(one.clone()).await);
        }
    }
    let admin = database.admin().await;
    let setting = format!("SET app.current_tenant_id = '{tenant}'");
    admin.batch_execute(&setting).await.unwrap();
    let mut seen = 0;
    for (event, root) in &events {
        let ours = place(event, root.as_ref(), []);
        let sql = "SELECT latitude, longitude, accuracy_m, place_from FROM event_places WHERE event_id = $1";
        let theirs = admin.query_opt(sql, &[&event.id.0]).await.unwrap();
        let theirs = theirs.map(|row| {
            json!({"latitude": row.get::<_, f64>(0), "longitude": row.get::<_, f64>(1),
                   "accuracy_m": row.get::<_, Option<f64>>(2), "from": row.get::<_, String>(3)})
        });
        let ours = ours.map(|place| {
            json!({"latitude": place.latitude, "longitude": place.longitude,
                   "accuracy_m": place.accuracy_m, "from": place.from})
        });
        assert_eq!(ours, theirs, "{event:?}");
        seen += usize::from(ours.is_some());
    }
    assert!(seen > 20 && seen < events.len());
    server.stop().await;
}

#[tokio::test]
async fn where_a_vehicle_was_last_is_what_a_device_shows() {
    let mut stage = Stage::set().await;
    let mut vehicles = vec![stage.vehicle];
    for _ in 0..3 {
        let id = Uuid::new_v4();
        let sql =
            format!("INSERT INTO vehicles (tenant_id, id) VALUES ('{}', '{id}')", stage.tenant);
        stage.operator().await.batch_execute(&sql).await.unwrap();
        vehicles.push(id);
    }
    let (phone, operator) = (stage.phone().await, stage.operator().await);
    let sql = "SELECT latitude, longitude, accuracy_m, place_from FROM vehicle_last_places
                WHERE vehicle_id = $1";
    let mut compared = 0;
    let device = &mut stage.device;
    let mut manager = Sender::new(&stage.server, stage.tenant, Role::Manager);
    let mut dice = Dice::new(11);
    let mut events: Vec<Event> = Vec::new();
    let mut retracted: Vec<Uuid> = Vec::new();
    for turn in 0..150 {
        let [kind, which, minute, accuracy] = dice.bytes::<4>();
        let vehicle = vehicles[usize::from(which) % 3]; // the last one has no event
        let some = events.get(usize::from(which) * 7 % events.len().max(1)).cloned();
        let at = (f64::from(turn) / 2.0, f64::from(which) / 2.0);
        match (kind % 6, some) {
            (0, Some(event)) if retracted.contains(&event.id.0) => {
                let back = restoration(event.vehicle_id.0, event.id.0);
                accepted(&manager.send(back).await);
                retracted.retain(|id| *id != event.id.0);
            }
            (0, Some(event)) => {
                accepted(&manager.send(retraction(event.vehicle_id.0, event.id.0)).await);
                retracted.push(event.id.0);
            }
            (1, Some(event)) => {
                let said = LocationCorrection::new(&event, at, CorrectionMethod::MapPin);
                let sealed = device.state(said);
                accepted(&device.outcome(sealed).await);
            }
            (2, Some(event)) => {
                let mut said = LocationCorrection::new(&event, at, CorrectionMethod::MapPin);
                said.withdrawn = true;
                let sealed = device.state(said);
                accepted(&device.outcome(sealed).await);
            }
            (3, Some(event)) => {
                let mut again = damage(event.vehicle_id.0, i64::from(minute % 40));
                again.corrects = Some(event.id);
                accepted(&device.send(again).await);
            }
            _ => {
                // Several at one minute, some without a place, some with one that is no use.
                let mut event = damage(vehicle, i64::from(minute % 40));
                event.fix = (accuracy % 4 > 0).then(|| {
                    let mut fix = Fix::at(at.0, at.1, FixSource::Gps);
                    fix.accuracy_m = (accuracy % 4 == 1).then_some(f64::from(accuracy) * 20.0);
                    fix
                });
                accepted(&device.send(event.clone()).await);
                events.push(event);
            }
        }
        if turn % 10 < 9 {
            continue;
        }
        phone.sync().await;
        for vehicle in &vehicles {
            let shown = phone.device.lock().unwrap().vehicle((*vehicle).into()).unwrap().unwrap();
            let ours = shown.last_place.map(|place| {
                json!({"latitude": place.latitude, "longitude": place.longitude,
                       "accuracy_m": place.accuracy_m, "from": place.from})
            });
            let row = operator.query_one(sql, &[vehicle]).await.unwrap();
            let theirs = row.get::<_, Option<f64>>(0).map(|latitude| {
                json!({"latitude": latitude, "longitude": row.get::<_, f64>(1),
                       "accuracy_m": row.get::<_, Option<f64>>(2), "from": row.get::<_, String>(3)})
            });
            assert_eq!(ours, theirs, "turn {turn}, {vehicle}");
            compared += usize::from(ours.is_some());
        }
    }
    assert!(compared > 20, "{compared}");
    // Inside the wall, as its reader.
    let client = stage.database.connect(role::CLIENT).await;
    let all = "SELECT count(*) FROM vehicle_last_places";
    assert_eq!(count_as_tenant(&client, stage.tenant, all).await, 4);
    let (other, _) = stage.database.tenant_with_vehicle().await;
    assert_eq!(count_as_tenant(&client, other, all).await, 1);
    stage.server.stop().await;
}
