//! What several people change, together and one after the other.

use motomind_protocol::records::{Action, Patch, find};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{DeviceId, Role};
use motomind_tests::postgres::{Postgres, as_tenant, count, role};
use motomind_tests::records::{set, step};
use motomind_tests::server::{Sender, accepted, new_id, rejection, serve};
use serde_json::{Value, json};

use super::VIN;

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
