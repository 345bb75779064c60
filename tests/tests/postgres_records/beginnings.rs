//! Documents that begin again without their history.

use motomind_protocol::records::{Document, find};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{Role, limits};
use motomind_tests::postgres::{Database, Postgres, count};
use motomind_tests::records::{Mirrored, set, typed};
use motomind_tests::server::{Sender, accepted, new_id, serve};
use serde_json::{Value, json};
use uuid::Uuid;

/// Gives a reminder other titles, which hardly compress, until its document begins again.
async fn begin_again(database: &Database, device: &mut Sender, id: Uuid, nth: i64) {
    let admin = database.admin().await;
    let begun = format!("SELECT count(*) FROM earlier_documents WHERE record_id = '{id}'");
    for _ in 0..10 {
        let seen = device.record("reminders", id).await;
        let edits = (0..100).map(|_| {
            let words = (0..7).map(|_| Uuid::new_v4().simple().to_string());
            device.edit(&seen, set(json!({"title": words.collect::<String>()})))
        });
        let edits = edits.collect();
        device.outcomes(edits).await.iter().for_each(|outcome| {
            accepted(outcome);
        });
        if count(&admin, &begun).await == nth {
            return;
        }
    }
    panic!("it did not begin again");
}

/// A reminder, and a person's copy of it from before it first began again.
async fn reminder(device: &mut Sender) -> Mirrored {
    let id = new_id();
    let fields = json!({"title": "Oil", "status": "active", "priority": "low"});
    let create = device.create("reminders", id, fields);
    accepted(&device.outcome(create).await);
    let seen = device.record("reminders", id).await;
    let edit = device.edit(&seen, typed("description", 0, "5W-30."));
    accepted(&device.outcome(edit).await);
    device.record("reminders", id).await
}

fn accepted_without_remarks(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Accepted { flags, .. } if flags.is_empty()), "{outcome:?}");
}

#[tokio::test]
async fn whoever_was_away_for_several_beginnings_is_still_understood() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let early = reminder(&mut device).await;
    for nth in [1, 2, 3] {
        begin_again(&database, &mut device, early.id, nth).await;
        let seen = device.record("reminders", early.id).await;
        assert!(seen.document.conflicts().is_empty(), "{:?}", seen.document.conflicts());
        let there = seen.field("description").as_str().unwrap().chars().count();
        let mut patch = typed("description", there, &format!(" Beginning {nth}."));
        patch.extend(set(json!({"priority": "medium", "due_miles": nth * 1_000})));
        let edit = device.edit(&seen, patch);
        accepted(&device.outcome(edit).await);
    }
    let admin = database.admin().await;
    let size = "SELECT octet_length(document)::bigint FROM record_documents WHERE collection = 'reminders'";
    assert!(count(&admin, size).await < limits::DOCUMENT_COMPACT_BYTES as i64 / 2);

    // They have seen neither the later values nor any of the new beginnings.
    let mut other = Sender::new(&server, tenant, Role::Technician);
    let mut patch = typed("description", 6, " Ask Joe.");
    patch.extend(set(json!({"priority": "high", "category": "other"})));
    let edit = other.edit(&early, patch);
    accepted_without_remarks(&other.outcome(edit).await);
    let now = other.record("reminders", early.id).await;
    assert_eq!((now.field("due_miles"), now.field("category")), (json!(3_000), json!("other")));
    let words = now.field("description");
    let words = words.as_str().unwrap();
    for part in ["5W-30.", " Ask Joe.", " Beginning 1.", " Beginning 2.", " Beginning 3."] {
        assert!(words.contains(part), "{part} in {words}");
    }
    let conflicts = now.document.conflicts();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    let mut values: Vec<Value> = conflicts[0].values.iter().map(|one| one.value.clone()).collect();
    values.sort_by_key(Value::to_string);
    assert_eq!(
        (conflicts[0].field.as_str(), values),
        ("priority", vec![json!("high"), json!("medium")])
    );

    // The next one follows on what they have done, still at what they saw.
    let edit = other.edit(&early, set(json!({"priority": "low"})));
    accepted_without_remarks(&other.outcome(edit).await);
    let now = other.record("reminders", early.id).await;
    let row =
        format!("SELECT count(*) FROM reminders WHERE id = '{}' AND due_miles = 3000", now.id);
    assert_eq!(count(&admin, &row).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn what_a_document_was_before_is_never_altered() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let early = reminder(&mut device).await;
    begin_again(&database, &mut device, early.id, 1).await;
    let admin = database.admin().await;
    for change in [
        "UPDATE earlier_documents SET document = 'x'",
        "DELETE FROM earlier_documents",
        "TRUNCATE earlier_documents",
    ] {
        assert!(admin.batch_execute(change).await.is_err(), "{change}");
    }
    let kept = admin.query_one("SELECT document FROM earlier_documents", &[]).await.unwrap();
    let kept = Document::load(find("reminders").unwrap(), early.id, kept.get(0)).unwrap();
    assert!(early.document.heads().iter().all(|head| kept.knows(head)), "with its history");
    server.stop().await;
}
