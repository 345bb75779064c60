//! Faults of the server's own: one damaged record, one operation that cannot be written.

use motomind_protocol::records::Action;
use motomind_protocol::wire::Outcome;
use motomind_protocol::{Flag, Role};
use motomind_tests::postgres::{Postgres, as_tenant, count, role};
use motomind_tests::records::{intent, set, step};
use motomind_tests::server::{Sender, accepted, damage, new_id, rejection, serve};
use serde_json::{Value, json};

#[tokio::test]
async fn a_document_that_cannot_be_read_stops_nothing_but_its_own_record() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let (broken, sound) = (new_id(), new_id());
    let batch = [broken, sound].map(|id| device.create("vehicles", id, json!({"nickname": "Van"})));
    device.outcomes(batch.to_vec()).await.iter().for_each(|outcome| {
        accepted(outcome);
    });
    let records = device.records().await;
    let seen = |id| &records[&("vehicles".to_string(), id)];
    let admin = database.admin().await;
    let document = format!("SELECT document FROM record_documents WHERE record_id = '{broken}'");
    let document: Vec<u8> = admin.query_one(&document, &[]).await.unwrap().get(0);
    let put = format!("UPDATE record_documents SET document = $1 WHERE record_id = '{broken}'");
    let damaged: Vec<u8> = document.iter().rev().copied().collect();
    admin.execute(&put, &[&damaged]).await.unwrap();

    // The rest of a batch lands, with what happened to the vehicle itself.
    let edit = device.edit(seen(broken), set(json!({"nickname": "Bus"})));
    let batch = vec![
        edit.clone(),
        device.edit(seen(sound), set(json!({"nickname": "Lorry"}))),
        device.seal(damage(broken, 1)),
        device.create(
            "reminders",
            new_id(),
            json!({"vehicle_id": broken, "title": "Oil", "status": "active"}),
        ),
    ];
    let outcomes = device.outcomes(batch).await;
    assert_eq!(rejection(&outcomes[0]), ("server_fault", Some("record_id")));
    outcomes[1..].iter().for_each(|outcome| {
        accepted(outcome);
    });
    // So does what SQL writes; that of the damaged one stays queued.
    let client = database.connect(role::CLIENT).await;
    as_tenant(&client, tenant, "UPDATE vehicles SET color = 'red'").await.unwrap();
    assert_eq!(device.record("vehicles", sound).await.field("color"), "red");
    let queued = format!("SELECT count(*) FROM record_queue WHERE record_id = '{broken}'");
    assert_eq!(count(&admin, &queued).await, 1);
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 1);
    let metrics = device.request(reqwest::Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("motomind_documents_unreadable_total"), "{metrics}");

    // An operator puts the document back: nothing is lost.
    admin.execute(&put, &[&document]).await.unwrap();
    accepted(&device.outcome(edit).await);
    let now = device.record("vehicles", broken).await;
    assert_eq!((now.field("nickname"), now.field("color")), (json!("Bus"), json!("red")));
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}

/// The log has what the document does not give: a snapshot takes it from there, whole.
#[tokio::test]
async fn a_snapshot_of_a_damaged_document_has_all_that_the_log_has() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let (broken, given_up, sound) = (new_id(), new_id(), new_id());
    let all = [broken, given_up, sound];
    let batch = all.map(|id| device.create("vehicles", id, json!({"nickname": "Van"})));
    device.outcomes(batch.to_vec()).await.iter().for_each(|outcome| {
        accepted(outcome);
    });
    let records = device.records().await;
    let seen = |id| &records[&("vehicles".to_string(), id)];
    let edits = all.map(|id| device.edit(seen(id), set(json!({"nickname": "Bus", "year": 2020}))));
    device.outcomes(edits.to_vec()).await.iter().for_each(|outcome| {
        accepted(outcome);
    });
    let admin = database.admin().await;
    let document = format!("SELECT document FROM record_documents WHERE record_id = '{broken}'");
    let document: Vec<u8> = admin.query_one(&document, &[]).await.unwrap().get(0);
    let put = format!("UPDATE record_documents SET document = $1 WHERE record_id = '{broken}'");
    admin.execute(&put, &[&b"not a document".as_slice()]).await.unwrap();
    let give_up =
        format!("UPDATE record_documents SET document = '' WHERE record_id = '{given_up}'");
    admin.batch_execute(&give_up).await.unwrap();

    let reply = device.request(reqwest::Method::GET, "/v1/sync/snapshot").send().await.unwrap();
    assert!(reply.status().is_success(), "{reply:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), reply.bytes().await.unwrap()).unwrap();
    let snapshot = rusqlite::Connection::open(file.path()).unwrap();
    let made = rusqlite::Connection::open_in_memory().unwrap();
    motomind_core::mirror::create(&made).unwrap();
    let page = device.pull(None).await;
    motomind_core::mirror::apply(&made, &page.changes, 0, 1).unwrap();
    let rows = |mirror: &rusqlite::Connection| -> Vec<(String, String, i64)> {
        let sql =
            "SELECT hex(id), coalesce(nickname, ''), coalesce(year, 0) FROM vehicles ORDER BY id";
        let mut statement = mirror.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(rows(&snapshot), rows(&made));
    assert!(
        rows(&snapshot).iter().filter(|(_, name, year)| name == "Bus" && *year == 2020).count()
            >= 3
    );
    let metrics = device.request(reqwest::Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("motomind_documents_unreadable_total"), "{metrics}");

    // What is changed later, once an operator has put the document back, goes on from there.
    admin.execute(&put, &[&document]).await.unwrap();
    let position = motomind_core::mirror::position(&snapshot).unwrap();
    let edit = device.edit(seen(broken), set(json!({"color": "red"})));
    accepted(&device.outcome(edit).await);
    let rest = device.pull(position.cursor.as_deref()).await;
    motomind_core::mirror::apply(&snapshot, &rest.changes, position.seq, 1).unwrap();
    let red = "SELECT count(*) FROM vehicles WHERE color = 'red' AND nickname = 'Bus'";
    assert_eq!(snapshot.query_row(red, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_row_that_no_document_can_take_stops_nothing_but_its_own_record() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let (profile, vehicle) = (device.user, new_id());
    let batch = vec![
        device.create("profiles", profile, json!({"full_name": "Ann"})),
        device.create("vehicles", vehicle, json!({"nickname": "Van"})),
    ];
    device.outcomes(batch).await.iter().for_each(|outcome| {
        accepted(outcome);
    });
    let records = device.records().await;
    // A number beyond what a double holds is JSON to Postgres.
    let client = database.connect(role::CLIENT).await;
    let write = |preferences: &str| {
        format!("UPDATE profiles SET preferences = '{preferences}' WHERE id = '{profile}'")
    };
    as_tenant(&client, tenant, &write("{\"far\": 1e400}")).await.unwrap();
    as_tenant(&client, tenant, "UPDATE vehicles SET color = 'red'").await.unwrap();
    let edits = vec![
        device.edit(&records[&("profiles".into(), profile)], set(json!({"full_name": "Anna"}))),
        device.edit(&records[&("vehicles".into(), vehicle)], set(json!({"nickname": "Bus"}))),
    ];
    let outcomes = device.outcomes(edits.clone()).await;
    assert_eq!(rejection(&outcomes[0]), ("server_fault", Some("record_id")));
    accepted(&outcomes[1]);
    assert_eq!(device.record("vehicles", vehicle).await.field("color"), "red");
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 1);

    as_tenant(&client, tenant, &write("{\"far\": 400}")).await.unwrap();
    accepted(&device.outcome(edits[0].clone()).await);
    let now = device.record("profiles", profile).await;
    assert_eq!(
        (now.field("full_name"), now.field("preferences")),
        (json!("Anna"), json!({"far": 400}))
    );
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_document_that_was_given_up_begins_anew_from_its_row() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let create = device.create("vehicles", id, json!({"nickname": "Van", "year": 2020}));
    accepted(&device.outcome(create).await);
    let seen = device.record("vehicles", id).await;
    let admin = database.admin().await;
    let give_up = format!("UPDATE record_documents SET document = '' WHERE record_id = '{id}'");
    admin.batch_execute(&give_up).await.unwrap();
    // An edit of before is accepted; what it had seen is not known any more.
    let edit = device.edit(&seen, set(json!({"nickname": "Bus"})));
    let outcome = device.outcome(edit).await;
    let unknown = Flag::Other("heads_unknown".into());
    assert!(
        matches!(&outcome, Outcome::Accepted { flags, .. } if *flags == [unknown]),
        "{outcome:?}"
    );
    let now = device.record("vehicles", id).await;
    assert_eq!(now.entries, 3, "the old document, the new one, the edit");
    assert_eq!(now.field("year"), 2020);
    let mut names: Vec<Value> =
        now.document.conflicts()[0].values.iter().map(|one| one.value.clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["Bus", "Van"]);
    server.stop().await;
}

#[tokio::test]
async fn what_could_not_be_written_has_closed_nothing() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let vehicle = new_id();
    let create = device.create("vehicles", vehicle, json!({}));
    accepted(&device.outcome(create).await);
    // A guard that the judge knows nothing of.
    let guard = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not this one'; END $$;
        CREATE TRIGGER guard BEFORE UPDATE ON vehicles FOR EACH ROW
            WHEN (NEW.nickname = 'Nobody') EXECUTE FUNCTION guard()";
    let admin = database.admin().await;
    admin.batch_execute(guard).await.unwrap();
    let garage = new_id();
    let replaced = device.create("garages", garage, json!({"name": "Yard"}));
    let patch = step(Action::Edit, set(json!({"nickname": "Nobody"})));
    let mut amendment = device.intended(intent("vehicles", vehicle, patch, &[]));
    amendment.supersedes = vec![replaced.op_id];
    let amendment = device.sealed(&amendment);
    let outcomes = device.outcomes(vec![amendment.clone(), replaced]).await;
    assert_eq!(rejection(&outcomes[0]).0, "server_fault");
    accepted(&outcomes[1]);
    assert_eq!(device.record("garages", garage).await.field("name"), "Yard");
    admin.batch_execute("DROP TRIGGER guard ON vehicles").await.unwrap();
    accepted(&device.outcome(amendment).await);
    assert_eq!(device.record("vehicles", vehicle).await.field("nickname"), "Nobody");
    server.stop().await;
}
