//! Deleting a garage: one rule, whoever does it.

use motomind_protocol::Role;
use motomind_protocol::records::{Action, Patch};
use motomind_tests::postgres::{Postgres, as_tenant, role};
use motomind_tests::records::{set, step};
use motomind_tests::server::{Sender, accepted, new_id, rejection, serve};
use serde_json::{Value, json};
use uuid::Uuid;

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

/// The same beginning, the garage deleted by a device or by another SQL client: the same end, in the
/// rows and in the documents.
#[tokio::test]
async fn a_garage_is_emptied_alike_whoever_deletes_it() {
    let mut ends = Vec::new();
    for by_sql in [false, true] {
        stage!(database, server, tenant);
        let mut device = Sender::new(&server, tenant, Role::Manager);
        let (old, new) = (new_id(), new_id());
        let (live, gone) = (new_id(), new_id());
        let batch = vec![
            device.create("garages", old, json!({"name": "Old", "is_default": true})),
            device.create("garages", new, json!({"name": "New"})),
            device.create("vehicles", live, json!({"garage_id": old})),
            device.create("vehicles", gone, json!({"garage_id": old})),
        ];
        device.outcomes(batch).await.iter().for_each(|outcome| {
            accepted(outcome);
        });
        let seen = device.record("vehicles", gone).await;
        let delete = device.act(&seen, step(Action::Delete, Patch::new()));
        accepted(&device.outcome(delete).await);
        let client = database.connect(role::CLIENT).await;
        if by_sql {
            let delete = format!("SELECT delete_garage('{old}', '{new}')");
            as_tenant(&client, tenant, &delete).await.unwrap();
        } else {
            let seen = device.record("garages", old).await;
            let mut delete = step(Action::Delete, Patch::new());
            delete.reassign_to = Some(new);
            let delete = device.act(&seen, delete);
            accepted(&device.outcome(delete).await);
        }
        // Another garage may be the default one now, and who comes back comes back elsewhere.
        let seen = device.record("garages", new).await;
        let default = device.edit(&seen, set(json!({"is_default": true})));
        accepted(&device.outcome(default).await);
        let restore = format!("SELECT restore_garage('{old}'); SELECT restore_vehicle('{gone}')");
        as_tenant(&client, tenant, &restore).await.unwrap();

        let records = device.records().await;
        let field = |collection: &str, id: Uuid, name: &str| {
            let record = &records[&(collection.to_string(), id)];
            assert_eq!(record.document.deleted_at(), None);
            record.field(name)
        };
        let documents = [
            field("garages", old, "is_default"),
            field("garages", new, "is_default"),
            json!(field("vehicles", live, "garage_id") == json!(new)),
            json!(field("vehicles", gone, "garage_id") == json!(new)),
        ];
        let rows = format!(
            "SELECT jsonb_build_array(
                (SELECT is_default FROM garages WHERE id = '{old}'),
                (SELECT is_default FROM garages WHERE id = '{new}'),
                (SELECT garage_id = '{new}' FROM vehicles WHERE id = '{live}'),
                (SELECT garage_id = '{new}' FROM vehicles WHERE id = '{gone}'))::text"
        );
        let admin = database.admin().await;
        let rows: String = admin.query_one(&rows, &[]).await.unwrap().get(0);
        let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
        assert_eq!(rows, documents, "by SQL: {by_sql}");
        ends.push(rows);
        server.stop().await;
    }
    assert_eq!(ends[0], [json!(false), json!(true), json!(true), json!(true)]);
    assert_eq!(ends[0], ends[1]);
}
