//! What the server can prove of a device, and whether it finds a flipped byte, wherever it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use motomind_protocol::place::CorrectionMethod;
use motomind_protocol::{Event, Hash, LocationCorrection, OpId, Role, SealedOperation};
use motomind_server::evidence::{Evidence, PhotoEvidence, verify};
use motomind_tests::captures::{abandoned, attachment, completed};
use motomind_tests::server::{accepted, damage, reading, rejection};
use motomind_tests::stage::Stage;
use motomind_tests::tus::{Phone, original, photo, preview};
use serde_json::json;
use tokio_postgres::Client;

/// What an operator's connection finds.
async fn verified(stage: &Stage, with_photos: bool) -> Evidence {
    let store = stage.store.path().to_str().filter(|_| with_photos);
    verify(&stage.operator().await, stage.tenant, stage.device.device, store).await.unwrap()
}

/// Changes stored bytes as nobody may: with triggers off, as the superuser.
async fn tamper(stage: &Stage, sql: &str) {
    let sql = format!("SET session_replication_role = replica; {sql}");
    stage.operator().await.batch_execute(&sql).await.unwrap();
}

/// Everything of one device: an event with a photo, a place, a session, a refused reading, and
/// what took its place.
async fn fill(stage: &mut Stage) -> Vec<SealedOperation> {
    let (vehicle, picture, small) = (stage.vehicle, photo(1, 5_000), photo(2, 500));
    let device = &mut stage.device;
    let mut event = damage(vehicle, 1);
    event.notes = Some("two \u{0} marks, ü".into());
    event.payload.insert("photos".into(), json!([Hash::of(&picture)]));
    let refused = reading(vehicle, 20, 10);
    let place = LocationCorrection::new(&event, (39.7, -104.9), CorrectionMethod::MapPin);
    let batch = vec![
        device.seal(event.clone()),
        device.state(attachment(&event, &picture, 1)),
        device.state(place),
        device.state(abandoned(vehicle, Hash::of(&picture))),
        device.seal(reading(vehicle, 10, 1_000)),
        device.seal(refused.clone()),
        device.superseding(reading(vehicle, 20, 1_010), &[OpId::from(refused.id)]),
    ];
    let outcomes = device.outcomes(batch.clone()).await;
    assert_eq!(rejection(&outcomes[5]).0, "odometer_out_of_order");
    for at in [0, 1, 2, 3, 4, 6] {
        accepted(&outcomes[at]);
    }
    let phone = Phone::new(&stage.server.url(), stage.tenant, Role::Technician)
        .of_person(&stage.device.token);
    phone.upload(&small, &preview(&small, &picture)).await;
    phone.upload(&picture, &original(&picture)).await;
    batch
}

#[tokio::test]
async fn what_was_sealed_can_be_put_together_again_and_proven() {
    let mut stage = Stage::set().await;
    let batch = fill(&mut stage).await;
    let found = verified(&stage, true).await;
    assert_eq!(found.findings, []);
    assert_eq!((found.operations, found.lives, found.without_text), (7, 1, 0));
    assert_eq!((found.gaps.as_slice(), found.loose.as_slice()), (&[][..], &[][..]));
    let photos = PhotoEvidence { objects: 2, bytes: 5_500, missing: 0 };
    assert_eq!(found.photos, Some(photos));
    assert!(found.to_string().ends_with("everything is as it was sealed"), "{found}");
    // The event's bytes are kept once.
    let kept = "SELECT o.text, o.body_at, o.bytes, e.body FROM operations o
                  JOIN vehicle_events e ON e.id = o.op_id WHERE o.device_seq = 1";
    let row = stage.operator().await.query_one(kept, &[]).await.unwrap();
    let (text, event): (String, String) = (row.get(0), row.get(3));
    assert_eq!(text.len() + event.len(), batch[0].text.len());
    assert_eq!(row.get::<_, i32>(2) as usize, batch[0].text.len());
    // What is settled stays: not even the server may change it.
    let server = stage.database.connect(motomind_tests::postgres::role::SERVER).await;
    let change = "UPDATE operations SET text = text || ' ' WHERE outcome = 'accepted'";
    let error = motomind_tests::postgres::as_tenant(&server, stage.tenant, change).await;
    assert_eq!(motomind_tests::postgres::constraint(&error.unwrap_err()), "operations_settled");
    // From before texts were kept: said so, and nothing is held against it.
    tamper(&stage, "UPDATE operations SET text = NULL, body_at = NULL WHERE device_seq = 5").await;
    let found = verified(&stage, false).await;
    assert_eq!((found.findings.as_slice(), found.without_text), (&[][..], 1));
    stage.server.stop().await;
}

#[tokio::test]
async fn a_flipped_byte_is_found_wherever_it_is() {
    let mut stage = Stage::set().await;
    let batch = fill(&mut stage).await;
    let id = |at: usize| batch[at].op_id.to_string();
    let flip = |table: &str, column: &str, key: &str| {
        format!("UPDATE {table} SET {column} = overlay({column} PLACING 'X' FROM 40) WHERE {key}")
    };
    let by_id = |at: usize| format!("id = '{}'", id(at));
    let op = |at: usize| format!("op_id = '{}'", id(at));
    for (flipped, what, named) in [
        (flip("operations", "text", &op(0)), id(0), "operations.text"),
        (flip("operations", "text", &op(3)), id(3), "operations.text"),
        (flip("vehicle_events", "body", &by_id(0)), id(0), "vehicle_events.body"),
        (flip("event_photos", "body", &by_id(1)), id(1), "event_photos.body"),
        (flip("location_corrections", "body", &by_id(2)), id(2), "location_corrections.body"),
        (
            format!("UPDATE rejected_operations SET text = set_byte(text, 40, 1) WHERE {}", op(5)),
            id(5),
            "refused operation",
        ),
        (
            format!(
                "UPDATE operations SET hash = set_byte(hash, 3, 7 # get_byte(hash, 3)) WHERE {}",
                op(4)
            ),
            id(4),
            "operations.hash",
        ),
        (
            format!("UPDATE operations SET device_seq = 77 WHERE {}", op(6)),
            id(6),
            "operations.device_seq",
        ),
        (
            format!("UPDATE operations SET body_at = body_at + 1 WHERE {}", op(0)),
            id(0),
            "operations.text",
        ),
        (
            flip("change_log", "entry", &format!("entity_id = '{}'", id(2))),
            id(2),
            "change_log.entry",
        ),
        (
            flip("change_log", "entry", "kind = 'photo_stored' AND entry NOT LIKE '%\"preview\"%'"),
            Hash::of(&photo(1, 5_000)).to_string(),
            "change_log",
        ),
        (format!("DELETE FROM vehicle_events WHERE {}", by_id(0)), id(0), "is gone"),
    ] {
        let admin = stage.operator().await;
        let setup = "BEGIN; SET LOCAL session_replication_role = replica";
        admin.batch_execute(setup).await.unwrap();
        admin.batch_execute(&flipped).await.unwrap();
        let found = verify(&admin, stage.tenant, stage.device.device, None).await.unwrap();
        let named_so = |found: &Evidence| {
            found.findings.iter().any(|one| one.what == what && one.why.contains(named))
        };
        assert!(named_so(&found), "{flipped}\n{found}");
        assert!(found.to_string().ends_with("not as it was sealed"));
        admin.batch_execute("ROLLBACK").await.unwrap();
    }
    assert_eq!(verified(&stage, true).await.findings, []);

    // An operation replaced as a whole, with a hash of its own, does not follow.
    let mut forged = batch[4].open().unwrap();
    forged.clock.wall_ms += 1;
    forged.prev_hash = Hash::of(b"elsewhere");
    let forged = forged.seal().unwrap();
    let forge = format!(
        "UPDATE operations SET text = $f${}$f$, body_at = NULL, hash = '\\x{}' WHERE {}",
        forged.text,
        forged.hash,
        op(4)
    );
    let admin = stage.operator().await;
    admin.batch_execute("BEGIN; SET LOCAL session_replication_role = replica").await.unwrap();
    admin.batch_execute(&forge).await.unwrap();
    let found = verify(&admin, stage.tenant, stage.device.device, None).await.unwrap();
    let broken = found.findings.iter().filter(|finding| finding.why.contains("does not follow"));
    let broken: Vec<&str> = broken.map(|finding| finding.what.as_str()).collect();
    assert_eq!(broken, [id(4), id(5)], "{found}");
    admin.batch_execute("ROLLBACK").await.unwrap();

    // The objects of the photo store: a flipped bit, then none at all.
    for (picture, what) in [(photo(1, 5_000), "photo"), (photo(2, 500), "preview")] {
        let name = Hash::of(&picture).to_string();
        let path = stage.store.path().join(format!("photos/{}/{name}", stage.tenant));
        let mut altered = picture.clone();
        altered[picture.len() / 2] ^= 1;
        std::fs::write(&path, altered).unwrap();
        let found = verified(&stage, true).await;
        assert_eq!(found.findings[0].what, format!("{what} {name}"), "{found}");
        assert_eq!(verified(&stage, false).await.findings, []);
        std::fs::remove_file(&path).unwrap();
        let found = verified(&stage, true).await;
        assert_eq!(found.findings[0].why, "the photo store does not have it");
        std::fs::write(&path, picture).unwrap();
    }
    assert_eq!(verified(&stage, true).await.findings, []);
    stage.server.stop().await;
}

/// Tables that hold what people captured, or what readers take for it.
const TRUTH: &[&str] = &[
    "capture_sessions",
    "change_log",
    "event_photos",
    "event_registry",
    "location_corrections",
    "operations",
    "photo_metadata",
    "photo_previews",
    "photos",
    "rejected_operations",
    "vehicle_event_audit_logs",
    "vehicle_events",
];

/// Tables that hold none of it.
const OTHERS: &[(&str, &str)] = &[
    ("change_marks", "rows live inside one transaction"),
    ("change_pending", "rows live inside one transaction"),
    ("conversation_threads", "a record: its document is what counts"),
    ("devices", "who may push; what was pushed is in operations"),
    ("earlier_documents", "a record's: Automerge proves its own changes by their hashes"),
    ("garages", "a record: its document is what counts"),
    ("imported_rows", "rows of another program's backup, which no device sealed"),
    ("maintenance_runs", "the operator's log"),
    ("photo_usage", "sums"),
    ("profiles", "a record: its document is what counts"),
    ("record_documents", "a record's: Automerge proves its own changes by their hashes"),
    ("record_queue", "work that waits"),
    ("reminders", "a record: its document is what counts"),
    ("schema_migrations", "the schema's own"),
    ("tenant_counters", "where the log ends; its entries are proven"),
    ("tenants", "who"),
    ("upload_pieces", "work; a stored photo is proven by its name"),
    ("uploads", "work; a stored photo is proven by its name"),
    ("user_maintenance_preferences", "a record: its document is what counts"),
    ("vehicle_images", "a record: its document is what counts"),
    ("vehicle_spec_enhancements", "a record: its document is what counts"),
    ("vehicles", "a record: its document is what counts"),
];

/// Columns of [`TRUTH`] that nobody captured and nothing witnesses.
const UNWITNESSED: &[(&str, &str)] = &[
    ("change_log.tag", "random; a cursor compares it, so that devices notice another one"),
    ("operations.received_at", "when it was judged; its row has when it was received"),
    ("photo_previews.made_at", "when the preview came; the log has the order"),
    ("photos.device_id", "who brought the bytes; their name proves them, whoever did"),
    ("photos.stored_at", "when the bytes came; the log has the order"),
    ("photos.user_id", "who brought the bytes; their name proves them, whoever did"),
    ("rejected_operations.attempts", "the server's count"),
    ("rejected_operations.code", "the server's verdict, given again at the next offer"),
    ("rejected_operations.last_at", "the server's clock"),
    ("rejected_operations.received_at", "the server's clock"),
    ("rejected_operations.rejection", "the server's verdict, given again at the next offer"),
    ("vehicle_events.clock_ahead", "generated from two others"),
];

/// A value that differs from a column's, by its type.
fn flipped(column: &str, kind: &str) -> String {
    match kind {
        // The last one of its family comes first.
        _ if column == "arrival" => "-arrival".into(),
        "uuid" => "'6ba7b810-9dad-41d1-80b4-00c04fd430c8'".into(),
        "text" => {
            let middle = format!("(char_length({column}) / 2 + 1)");
            let other =
                format!("CASE substr({column}, {middle}, 1) WHEN 'f' THEN 'e' ELSE 'f' END");
            let overlaid = format!("overlay({column} PLACING {other} FROM {middle})");
            format!("CASE WHEN COALESCE({column}, '') = '' THEN 'x' ELSE {overlaid} END")
        }
        "int2" | "int4" => format!("COALESCE({column}, 0) + 1"),
        "int8" => format!("COALESCE({column}, 0) + 1000000"),
        "float8" => format!("COALESCE({column}, 0) + 0.0009765625"),
        "bool" => format!("NOT {column}"),
        "date" => format!("{column} + 1"),
        "timestamptz" | "timestamp" => {
            format!("COALESCE({column}, '2026-01-01') + interval '1 millisecond'")
        }
        "jsonb" => format!(
            "CASE jsonb_typeof({column}) WHEN 'array' THEN {column} || '[0]'
             ELSE COALESCE({column}, '{{}}') || '{{\"flipped\": 1}}' END"
        ),
        "bytea" => format!("set_byte({column}, 3, 7 # get_byte({column}, 3))"),
        other => panic!("{column} is of type {other}: say what differs from it"),
    }
}

/// Which row of a table is flipped.
fn chosen(table: &str) -> &'static str {
    match table {
        "change_log" => "WHERE kind = 'photo' ORDER BY seq DESC LIMIT 1",
        "operations" => "WHERE body_at IS NOT NULL ORDER BY device_seq DESC LIMIT 1",
        "photo_metadata" => "ORDER BY sha256 LIMIT 1",
        "photos" => "WHERE sha256 IN (SELECT photo FROM event_photos) LIMIT 1",
        "photo_previews" | "rejected_operations" => "LIMIT 1",
        "vehicle_event_audit_logs" => "WHERE action = 'corrected' LIMIT 1",
        "vehicle_events" => "WHERE corrects IS NOT NULL ORDER BY received_at, op_id LIMIT 1",
        _ => "ORDER BY arrival DESC LIMIT 1",
    }
}

/// A correction, a second photo, a place with all that can be said of it and its withdrawal, a
/// session that became an event.
async fn fill_on(stage: &mut Stage, first: &Event) {
    let device = &mut stage.device;
    let mut corrected = damage(stage.vehicle, 2);
    corrected.corrects = Some(first.id);
    corrected.reason = Some("another scratch".into());
    let mut second = attachment(first, &photo(3, 700), 2);
    second.caption = Some("the scratch".into());
    let mut place =
        LocationCorrection::new(first, (39.71, -104.91), CorrectionMethod::NearbySearch);
    place.address = Some("1 Main Street".into());
    place.extraction = Some(serde_json::from_value(json!({"method": "search"})).unwrap());
    let mut withdrawn = LocationCorrection::new(first, (39.71, -104.91), CorrectionMethod::MapPin);
    withdrawn.withdrawn = true;
    let batch = vec![
        device.seal(corrected),
        device.state(second),
        device.state(place),
        device.state(withdrawn),
        device.state(completed(stage.vehicle, first.id)),
    ];
    for outcome in device.outcomes(batch).await {
        accepted(&outcome);
    }
}

/// The tables that rest in the database, partitions with their parents.
async fn tables(admin: &Client) -> BTreeSet<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND relkind IN ('r', 'p') AND NOT relispartition";
    admin.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The columns of a table, each with its type.
async fn columns(admin: &Client, table: &str) -> Vec<(String, String)> {
    let sql = "SELECT a.attname::text, t.typname::text
                 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped";
    let rows = admin.query(sql, &[&table]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Lets a table take anything, until the transaction is rolled back.
async fn unguard(admin: &Client, table: &str) {
    let sql = "SELECT conname::text FROM pg_constraint
                WHERE conrelid = $1::text::regclass AND contype = 'c'";
    let names = admin.query(sql, &[&table]).await.unwrap();
    for name in names.iter().map(|row| row.get::<_, &str>(0)) {
        let drop = format!("ALTER TABLE {table} DROP CONSTRAINT {name}");
        admin.batch_execute(&drop).await.unwrap();
    }
}

/// Whether a finding speaks of a table.
fn names(found: &Evidence, table: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut said = found.findings.iter().map(|one| one.why.as_str());
    said.any(|why| why.split(|c: char| !is_part(c)).any(|word| word == table))
}

#[tokio::test]
async fn a_flipped_column_is_found_in_every_table_that_holds_what_was_captured() {
    let mut stage = Stage::set().await;
    let first = fill(&mut stage).await[0].open().unwrap().event().unwrap().clone();
    fill_on(&mut stage, &first).await;
    assert_eq!(verified(&stage, true).await.findings, []);

    let admin = stage.operator().await;
    let known: BTreeSet<String> = TRUTH
        .iter()
        .copied()
        .chain(OTHERS.iter().map(|(table, _)| *table))
        .map(str::to_string)
        .collect();
    assert_eq!(tables(&admin).await, known, "say what a new table holds");
    let (mut tried, mut missed) = (0, Vec::new());
    for table in TRUTH {
        let setup = "BEGIN; SET LOCAL session_replication_role = replica";
        admin.batch_execute(setup).await.unwrap();
        unguard(&admin, table).await;
        for (column, kind) in columns(&admin, table).await {
            let place = format!("{table}.{column}");
            if UNWITNESSED.iter().any(|(unwitnessed, _)| *unwitnessed == place) {
                continue;
            }
            admin.batch_execute("SAVEPOINT whole").await.unwrap();
            let flip = format!(
                "UPDATE {table} SET {column} = {} WHERE (tableoid, ctid) =
                 (SELECT tableoid, ctid FROM {table} {})",
                flipped(&column, &kind),
                chosen(table)
            );
            assert_eq!(admin.execute(&flip, &[]).await.unwrap(), 1, "{flip}");
            let found = verify(&admin, stage.tenant, stage.device.device, None).await.unwrap();
            tried += 1;
            if !names(&found, table) {
                missed.push(format!("{place}: {:?}", found.findings));
            }
            admin.batch_execute("ROLLBACK TO whole").await.unwrap();
        }
        admin.batch_execute("ROLLBACK").await.unwrap();
    }
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
    assert!(tried > 120, "{tried} columns");
    for unwitnessed in UNWITNESSED {
        let (table, column) = unwitnessed.0.split_once('.').unwrap();
        assert!(
            columns(&admin, table).await.iter().any(|(name, _)| name == column),
            "{unwitnessed:?}"
        );
    }
    stage.server.stop().await;
}

#[tokio::test]
async fn a_row_that_is_gone_is_missed() {
    let mut stage = Stage::set().await;
    let first = fill(&mut stage).await[0].open().unwrap().event().unwrap().clone();
    fill_on(&mut stage, &first).await;
    let admin = stage.operator().await;
    let mut missed = Vec::new();
    for table in TRUTH {
        admin.batch_execute("BEGIN; SET LOCAL session_replication_role = replica").await.unwrap();
        let delete = format!(
            "DELETE FROM {table} WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM {table} {})",
            chosen(table)
        );
        assert_eq!(admin.execute(&delete, &[]).await.unwrap(), 1, "{delete}");
        let found = verify(&admin, stage.tenant, stage.device.device, None).await.unwrap();
        if !names(&found, table) {
            missed.push(format!("{table}: {:?}", found.findings));
        }
        admin.batch_execute("ROLLBACK").await.unwrap();
    }
    assert!(missed.is_empty(), "not missed:\n{}", missed.join("\n"));
    stage.server.stop().await;
}
