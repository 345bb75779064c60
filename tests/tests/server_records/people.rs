//! Who may change what, and whose.

use motomind_protocol::Role;
use motomind_protocol::records::{Action, Patch, find};
use motomind_protocol::wire::Outcome;
use motomind_tests::postgres::Postgres;
use motomind_tests::records::{set, step};
use motomind_tests::server::{Sender, accepted, new_id, rejection, serve};
use serde_json::json;

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

/// A profile, preferences and conversations are one person's: theirs to change, and a manager's.
#[tokio::test]
async fn what_is_one_persons_others_leave_alone() {
    stage!(database, server, tenant);
    let mut ann = Sender::new(&server, tenant, Role::Technician);
    let mut bob = Sender::new(&server, tenant, Role::Technician);
    let mut chief = Sender::new(&server, tenant, Role::Manager);
    let vehicle = new_id();
    let create = ann.create("vehicles", vehicle, json!({}));
    accepted(&ann.outcome(create).await);
    let preference = json!({"user_id": ann.user, "vehicle_id": vehicle,
        "interval_type": "oil_change", "interval_value": 5000, "interval_unit": "miles"});
    let preferences = find("user_maintenance_preferences").unwrap();
    let key = preferences.natural_id(preference.as_object().unwrap()).unwrap();
    let thread = json!({"user_id": ann.user, "vehicle_id": vehicle, "title": "Noise"});
    let hers = [
        ("profiles", ann.user, json!({"full_name": "Ann"}), "record_id", "full_name"),
        (preferences.name, key, preference, "user_id", "source"),
        ("conversation_threads", new_id(), thread, "user_id", "title"),
    ];
    for (collection, id, fields, whose, field) in hers {
        // Nobody makes one for her, nor changes it; she does, and a manager may.
        if collection != "profiles" {
            let create = bob.create(collection, id, fields.clone());
            assert_eq!(rejection(&bob.outcome(create).await), ("forbidden", Some(whose)));
        }
        let create = ann.create(collection, id, fields);
        accepted(&ann.outcome(create).await);
        let seen = ann.record(collection, id).await;
        let edit = bob.edit(&seen, set(json!({field: "by Bob"})));
        assert_eq!(rejection(&bob.outcome(edit).await), ("forbidden", Some(whose)), "{collection}");
        for device in [&mut ann, &mut chief] {
            let edit = device.edit(&seen, set(json!({field: "theirs"})));
            accepted(&device.outcome(edit).await);
        }
        assert_eq!(ann.record(collection, id).await.field(field), "theirs");
    }
    // Nor is one given to somebody else, but by a manager.
    let id = new_id();
    let fields = json!({"user_id": ann.user, "vehicle_id": vehicle});
    let create = ann.create("conversation_threads", id, fields);
    accepted(&ann.outcome(create).await);
    let seen = ann.record("conversation_threads", id).await;
    let give = set(json!({"user_id": bob.user}));
    let edit = ann.edit(&seen, give.clone());
    assert_eq!(rejection(&ann.outcome(edit).await), ("forbidden", Some("user_id")));
    let edit = chief.edit(&seen, give);
    accepted(&chief.outcome(edit).await);
    let seen = bob.record("conversation_threads", id).await;
    let edit = bob.edit(&seen, set(json!({"archived": true})));
    accepted(&bob.outcome(edit).await);
    drop(database);
    server.stop().await;
}
