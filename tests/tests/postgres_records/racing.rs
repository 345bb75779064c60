//! Pushes at the same time.

use std::collections::BTreeSet;

use motomind_protocol::Role;
use motomind_protocol::records::{Action, Patch};
use motomind_protocol::wire::Outcome;
use motomind_tests::postgres::Postgres;
use motomind_tests::records::{set, step};
use motomind_tests::server::{Sender, accepted, new_id, serve};
use serde_json::json;

use super::{VIN, row_of};

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
