//! The wire as files: what version 1 looks like, byte for byte of meaning, for ever.
//!
//! Each file under `golden/v1` is one message. Reading it gives the Rust value in `examples`, and
//! writing that value gives the same JSON. `UPDATE_GOLDEN=1 cargo test -p motomind-protocol --test
//! golden` writes the files anew from the Rust values; the difference is then for a person to judge:
//! a changed file is a changed protocol.
#![allow(clippy::unwrap_used, clippy::panic)]

mod examples;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Once;

use examples::{Example, examples};
use motomind_protocol::registry::TYPES;
use motomind_protocol::wire::{
    Change, ChangeKind, Outcome, PullResponse, PushResponse, page_digest,
};
use motomind_protocol::{
    Body, Event, EventRecord, FixAbsence, FixSource, Flag, Hash, OpState, Operation,
    SealedOperation, Vehicle, code, records, validate, verify_chain,
};
use serde_json::{Value, json};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn golden(name: &str) -> String {
    static WRITTEN: Once = Once::new();
    WRITTEN.call_once(|| {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            for Example { name, text, .. } in examples() {
                let path = directory().join(format!("{name}.json"));
                std::fs::write(path, format!("{text}\n")).unwrap();
            }
        }
    });
    let path = directory().join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn value(name: &str) -> Value {
    serde_json::from_str(&golden(name)).unwrap()
}

#[test]
fn every_message_reads_and_writes_as_its_file() {
    for Example { name, text, check } in examples() {
        let file = golden(name);
        let from_rust: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value(name), from_rust, "{name}.json is not what the Rust value writes");
        if let Err(message) = check(&file) {
            panic!("{name}.json: {message}");
        }
    }
}

#[test]
fn there_is_a_file_for_every_example_and_none_besides() {
    let expected: BTreeSet<String> =
        examples().iter().map(|e| format!("{}.json", e.name)).collect();
    let found: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
    for spec in TYPES {
        assert!(expected.contains(&format!("event_{}.json", spec.name)), "{}", spec.name);
    }
}

#[test]
fn the_record_of_the_file_can_still_be_read() {
    let change: Change = serde_json::from_value(value("change_record")).unwrap();
    let ChangeKind::Record(record) = change.what else { panic!("{:?}", change.what) };
    let collection = records::find(&record.collection).unwrap();
    let document = records::Document::of_changes(collection, record.id, &record.changes).unwrap();
    assert_eq!(document.fields()["vin"], "1HGCM82633A004352");
    assert_eq!(document.fields()["year"], 2019);
}

#[test]
fn every_event_in_the_files_is_valid() {
    for example in examples().iter().filter(|example| example.name.starts_with("event_")) {
        if example.name.starts_with("event_record") {
            continue;
        }
        let event = Event::from_value(&value(example.name)).unwrap();
        assert_eq!(validate(&event), Ok(()), "{}", example.name);
    }
}

#[test]
fn a_sealed_operation_is_its_bytes() {
    let chain: Vec<SealedOperation> = ["sealed_operation", "sealed_amendment", "sealed_retraction"]
        .iter()
        .map(|name| serde_json::from_str(&golden(name)).unwrap())
        .collect();
    let opened: Vec<Operation> = chain.iter().map(|sealed| sealed.open().unwrap()).collect();
    assert_eq!(verify_chain(Hash::ZERO, &chain), Ok(chain[2].hash));
    assert_eq!(opened[1].supersedes, [opened[0].op_id]);
    assert_eq!(opened[0].seal().unwrap(), chain[0], "sealing is deterministic");
    for at in [0, 40, chain[0].text.len() - 1] {
        let mut flipped = chain[0].clone();
        let byte = flipped.text.as_bytes()[at];
        flipped.text.replace_range(at..=at, if byte == b'x' { "y" } else { "x" });
        assert_eq!(flipped.open().unwrap_err()[0].code, code::HASH_MISMATCH);
    }
    let push = value("push_request");
    assert_eq!(push["operations"].as_array().unwrap().len(), 3);
}

#[test]
fn a_page_has_the_digest_of_its_bytes() {
    let page: PullResponse = serde_json::from_str(&golden("pull_response")).unwrap();
    assert_eq!(page.digest, page_digest(&page.changes));
    let changes: Vec<Change> =
        page.changes.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
    let seqs: Vec<u64> = changes.iter().map(|change| change.seq).collect();
    assert_eq!(seqs, [42, 43, 44, 45]);
    assert!(matches!(changes[3].what, ChangeKind::Other(_)), "a newer server's");
    let empty: PullResponse = serde_json::from_str(&golden("pull_response_empty")).unwrap();
    assert_eq!(empty.digest, page_digest(&[]));
}

/// Reads, writes, and expects to find every key again.
fn survives<T: serde::Serialize + serde::de::DeserializeOwned>(with_newer_keys: Value) {
    let read: T = serde_json::from_value(with_newer_keys.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), with_newer_keys);
}

#[test]
fn unknown_keys_survive_wherever_facts_rest() {
    let newer = json!({"nested": [1, {"deep": "\u{0}"}]});
    let mut event = value("event_fuel");
    event["ai_summary"] = newer.clone();
    event["payload"]["octane"] = newer.clone();
    event["fix"]["satellites"] = newer.clone();
    event["fix"]["source"] = json!("galileo_has");
    survives::<Event>(event.clone());
    let mut absent = value("event_damage");
    absent["fix_absent"] = json!("airplane_mode");
    survives::<Event>(absent);
    let mut record = value("event_record");
    record["event"] = event;
    record["flags"] = json!(["clock_ahead", "seen_by_auditor"]);
    record["approved_by"] = newer.clone();
    survives::<EventRecord>(record);
    let mut vehicle = value("vehicle");
    vehicle["battery_kwh"] = newer;
    survives::<Vehicle>(vehicle);
    assert_eq!(
        serde_json::from_value::<FixSource>(json!("lidar")).unwrap(),
        FixSource::Other("lidar".into())
    );
    assert_eq!(
        serde_json::from_value::<FixAbsence>(json!("jammed")).unwrap(),
        FixAbsence::Other("jammed".into())
    );
    assert_eq!(serde_json::from_value::<Flag>(json!("odd")).unwrap(), Flag::Other("odd".into()));
}

#[test]
fn unknown_keys_of_messages_are_passed_over() {
    for name in
        ["push_request", "push_response", "pull_response", "poke", "problem", "claims", "custody"]
    {
        let newer = golden(name).replacen('{', "{\"from_the_future\":{\"a\":1},", 1);
        let example = examples().into_iter().find(|example| example.name == name).unwrap();
        // The check compares with the Rust value, which has no such key.
        assert_eq!((example.check)(&newer), Err("writes other JSON than it was read from".into()));
    }
}

#[test]
fn an_unknown_event_type_is_kept_whole() {
    let event = Event::from_value(&value("event_unknown_type")).unwrap();
    assert_eq!(event.canonical_type(), "hovercraft_skirt");
    assert_eq!(event.payload["skirt"]["segments_replaced"], 3);
}

#[test]
fn an_unknown_body_is_opened_and_kept() {
    let mut operation: Value = serde_json::from_str(&golden("operation_unknown_body")).unwrap();
    let read: Operation = serde_json::from_value(operation.clone()).unwrap();
    assert!(matches!(read.body, Body::Other(_)));
    assert_eq!(read.event(), None);
    let sealed = read.seal().unwrap();
    assert_eq!(sealed.open().unwrap(), read);

    // Two kinds at once, an event that is none, no kind at all.
    let event = value("event_odometer");
    for (body, code) in [
        (json!({"event": event, "patch": {}}), code::MALFORMED),
        (json!({"event": {"miles": "abc"}}), code::MISSING),
        (json!({"event": 5}), code::WRONG_TYPE),
    ] {
        operation["body"] = body;
        let text = operation.to_string();
        let sealed = SealedOperation { op_id: read.op_id, hash: Hash::of(text.as_bytes()), text };
        assert_eq!(sealed.open().unwrap_err()[0].code, code);
    }
}

#[test]
fn an_unknown_outcome_leaves_the_others_readable() {
    let mut reply = value("push_response");
    reply["outcomes"][0] =
        json!({"op_id": reply["outcomes"][0]["op_id"], "outcome": "deferred", "until": 5});
    let reply: PushResponse = serde_json::from_value(reply).unwrap();
    assert_eq!(reply.outcomes[0].outcome, Outcome::Unknown);
    assert!(matches!(reply.outcomes[1].outcome, Outcome::Accepted { .. }));
    assert!(reply.outcomes[0].op_id.is_some());
}

#[test]
fn a_known_change_that_does_not_fit_is_an_error_and_an_unknown_one_is_not() {
    let newer = json!({"seq": 5, "kind": "reminder", "data": {"id": 1}, "by": "x"});
    let change: Change = serde_json::from_value(newer.clone()).unwrap();
    assert_eq!(serde_json::to_value(&change).unwrap(), newer);
    for broken in [
        json!({"seq": 5, "kind": "event", "data": {"event": {}}}),
        json!({"seq": 5, "kind": "record", "data": {}}),
        json!({"seq": 5, "kind": "record"}),
        json!({"seq": 5, "kind": "closed", "data": {"op_id": "x"}}),
        json!({"seq": -1, "kind": "event", "data": {}}),
        json!({"seq": 5, "data": {}}),
    ] {
        assert!(serde_json::from_value::<Change>(broken.clone()).is_err(), "{broken}");
    }
}

#[test]
fn states_have_one_name_in_the_database_and_on_the_wire() {
    for name in ["queued", "sending", "accepted", "rejected", "waiting", "superseded"] {
        let state: OpState = serde_json::from_value(json!(name)).unwrap();
        assert_eq!((state.as_str(), name.parse()), (name, Ok(state)));
    }
}
