//! Records: an operation of each kind, a refusal and a change.

use motomind_protocol::records::{
    Action, Actor, Circumstances, Document, Instead, RecordIntent, Signature, Step, find, take,
};
use motomind_protocol::wire::{Change, ChangeKind, OpOutcome, Outcome, RecordChange, Rejection};
use motomind_protocol::{Body, Hash, OpId};
use serde_json::{Map, Value, json};

use super::{AT, DEVICE, Example, GARAGE, USER, VEHICLE, example, id, operation};

fn step(action: Action, patch: &Value) -> Step {
    let patch = serde_json::from_value(patch.clone()).unwrap();
    Step { action, patch, reassign_to: None }
}

fn intent(step: Step, heads: Vec<Hash>) -> RecordIntent {
    RecordIntent {
        collection: "vehicles".into(),
        record_id: VEHICLE.0,
        step,
        heads,
        instead: Vec::new(),
        extra: Map::new(),
    }
}

fn created() -> RecordIntent {
    let patch = json!({
        "vin": { "set": "1HGCM82633A004352" },
        "nickname": { "set": "Van 2" },
        "garage_id": { "set": GARAGE.to_string() },
        "year": { "set": 2019 },
    });
    intent(step(Action::Create, &patch), Vec::new())
}

fn begun() -> (Document, Vec<Vec<u8>>) {
    let signature = Signature { actor: Actor::Device(DEVICE), user: Some(USER), at: AT };
    let around = Circumstances { signature, now: AT, accepted: &[] };
    let intent = created();
    let taken = take(None, &intent, &intent.step, &around).unwrap();
    (taken.document, taken.changes)
}

/// What the log tells of the creation.
pub(super) fn creation() -> RecordChange {
    RecordChange {
        collection: "vehicles".into(),
        id: VEHICLE.0,
        op_id: Some(OpId(id(40))),
        changes: begun().1,
        whole: false,
        extra: Map::new(),
    }
}

/// An edit that replaces an earlier one, which may have arrived.
fn amended(heads: Vec<Hash>) -> RecordIntent {
    let mut edit = intent(step(Action::Edit, &json!({ "vin": { "set": null } })), heads);
    let both = json!({ "vin": { "set": null }, "color": { "set": null } });
    edit.instead = vec![Instead { op_id: OpId(id(41)), step: step(Action::Edit, &both) }];
    edit
}

fn written(heads: Vec<Hash>) -> RecordIntent {
    let text = json!({ "text": {
        "splices": [{ "at": 4, "delete": 1, "insert": "fr" }],
        "over": [{ "op_id": id(42), "splices": [{ "at": 0, "insert": "left" }] }],
    } });
    let mut edit = intent(step(Action::Edit, &json!({ "description": text })), heads);
    edit.collection = "reminders".into();
    edit
}

pub(crate) fn examples() -> Vec<Example> {
    let (document, _) = begun();
    let heads = document.heads();
    let body = |intent| Body::Record(Box::new(intent));
    let mut create = operation(40, 1, Hash::ZERO, body(created()));
    create.needs = vec![OpId(id(39))];
    let mut amend = operation(43, 2, Hash::ZERO, body(amended(heads.clone())));
    amend.supersedes = vec![OpId(id(41))];
    let deleted = Step { reassign_to: Some(GARAGE.0), ..step(Action::Delete, &json!({})) };
    let mut refused = Rejection::new("vin_taken", "another record has the same vin").field("vin");
    refused.taken_by = Some(id(50));
    let outcome = OpOutcome { op_id: Some(OpId(id(40))), outcome: Outcome::Rejected(refused) };
    assert!(find("vehicles").is_some());
    vec![
        example("operation_record_create", create),
        example("operation_record_amend", amend),
        example(
            "operation_record_text",
            operation(44, 3, Hash::ZERO, body(written(heads.clone()))),
        ),
        example(
            "operation_record_delete",
            operation(45, 4, Hash::ZERO, body(intent(deleted, heads))),
        ),
        example("outcome_rejected_record", outcome),
        example("change_record", Change { seq: 9, what: ChangeKind::Record(Box::new(creation())) }),
    ]
}
