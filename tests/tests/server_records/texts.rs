//! Long texts, merged letter by letter.

use motomind_protocol::records::{FieldEdit, Over, Patch, Splice, TextEdit};
use motomind_protocol::{OpId, Role};
use motomind_tests::postgres::Postgres;
use motomind_tests::records::{set, typed};
use motomind_tests::server::{Sender, accepted, new_id, rejection, serve};
use serde_json::json;

#[tokio::test]
async fn words_that_two_typed_into_an_empty_text_are_all_there() {
    stage!(database, server, tenant);
    let mut ann = Sender::new(&server, tenant, Role::Technician);
    let mut bob = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let create = ann.create("reminders", id, json!({"title": "Oil", "status": "active"}));
    accepted(&ann.outcome(create).await);
    let seen = ann.record("reminders", id).await;
    for (device, words) in [(&mut ann, "before winter\0"), (&mut bob, "ask Joe")] {
        let edit = device.edit(&seen, typed("description", 0, words));
        accepted(&device.outcome(edit).await);
    }
    let words = ann.record("reminders", id).await.field("description");
    let words = words.as_str().unwrap();
    assert!(words.contains("before winter\0") && words.contains("ask Joe"), "{words}");
    let admin = database.admin().await;
    let row = format!("SELECT description FROM reminders WHERE id = '{id}'");
    let row: String = admin.query_one(&row, &[]).await.unwrap().get(0);
    assert_eq!(row, words.replace('\0', "\u{fffd}"));
    server.stop().await;
}

#[tokio::test]
async fn text_typed_over_a_refused_edit_stands_where_it_was_meant() {
    stage!(database, server, tenant);
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let id = new_id();
    let create = device.create("reminders", id, json!({"title": "Oil", "status": "active"}));
    accepted(&device.outcome(create).await);
    let seen = device.record("reminders", id).await;
    let first = device.edit(&seen, typed("description", 0, "5W-30."));
    accepted(&device.outcome(first).await);
    let seen = device.record("reminders", id).await;
    // Offline: one edit whose title is too long, two that count with it.
    let splice = |at, insert: &str| vec![Splice { at, delete: 0, insert: insert.into() }];
    let text = |over: &[(OpId, Vec<Splice>)], splices| {
        let over =
            over.iter().map(|(op_id, splices)| Over { op_id: *op_id, splices: splices.clone() });
        let edit = TextEdit { splices, over: over.collect() };
        Patch::from([("description".to_string(), FieldEdit::Text(edit))])
    };
    let mut refused = text(&[], splice(0, "Never this. "));
    refused.extend(set(json!({"title": "x".repeat(256)})));
    let refused = device.edit(&seen, refused);
    let before = vec![(refused.op_id, splice(0, "Never this. "))];
    let second = device.edit(&seen, text(&before, splice(18, " Ask Joe.")));
    let mut before = before;
    before.push((second.op_id, splice(18, " Ask Joe.")));
    let third = device.edit(&seen, text(&before, splice(27, " Soon.")));
    let outcomes = device.outcomes(vec![refused, second, third]).await;
    assert_eq!(rejection(&outcomes[0]), ("too_long", Some("title")));
    accepted(&outcomes[1]);
    accepted(&outcomes[2]);
    let now = device.record("reminders", id).await;
    assert_eq!(now.field("description"), "5W-30. Ask Joe. Soon.");
    drop(database);
    server.stop().await;
}
