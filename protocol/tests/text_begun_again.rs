//! Text edits over a document that has begun again under another one's name.

#![allow(clippy::unwrap_used, missing_docs)]

use motomind_protocol::records::{
    Action, Actor, Circumstances, Document, FieldEdit, Over, RecordIntent, Signature, Splice, Step,
    Taken, TextEdit, compacted, take, take_over_chain,
};
use motomind_protocol::{DeviceId, Hash, Millis, OpId, UserId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const NOW: Millis = 1_800_000_000_000;
const ID: Uuid = Uuid::from_u128(0x300);

fn intent(heads: Vec<Hash>, action: Action, patch: &[(&str, FieldEdit)]) -> RecordIntent {
    let patch = patch.iter().map(|(name, edit)| ((*name).into(), edit.clone())).collect();
    RecordIntent {
        collection: "reminders".into(),
        record_id: ID,
        step: Step { action, patch, reassign_to: None },
        heads,
        instead: Vec::new(),
        extra: Map::new(),
    }
}

fn around(device: u128, accepted: &[OpId]) -> Circumstances<'_> {
    let actor = Actor::Device(DeviceId(Uuid::from_u128(device)));
    let user = Some(UserId(Uuid::from_u128(device)));
    Circumstances { signature: Signature { actor, user, at: NOW }, now: NOW, accepted }
}

fn splice(at: usize, delete: usize, insert: &str) -> Splice {
    Splice { at, delete, insert: insert.into() }
}

fn text(splices: Vec<Splice>, over: Vec<Over>) -> [(&'static str, FieldEdit); 1] {
    [("description", FieldEdit::Text(TextEdit { splices, over }))]
}

fn done(document: Option<&Document>, intent: &RecordIntent, device: u128) -> Document {
    let Taken { document, .. } =
        take(document, intent, &intent.step, &around(device, &[])).unwrap();
    document
}

#[test]
fn places_count_in_what_the_person_saw_though_their_words_are_under_another_name() {
    let set = |value: &str| FieldEdit::Set(json!(value));
    let made = [("title", set("Oil")), ("status", set("active"))];
    let begun = done(None, &intent(Vec::new(), Action::Create, &made), 9);
    let seen = begun.heads();

    // Two people write without seeing each other; the second one's name is on the text.
    let mine = vec![splice(0, 0, "xy")];
    let edit = intent(seen.clone(), Action::Edit, &text(mine.clone(), Vec::new()));
    let written = done(Some(&begun), &edit, 1);
    let edit = intent(seen.clone(), Action::Edit, &text(vec![splice(0, 0, "z")], Vec::new()));
    let old = done(Some(&written), &edit, 2);
    let short = compacted(&old, ID).unwrap();

    // The first one still knows nothing but the beginning and their own words, and takes out the x.
    let accepted = [OpId(Uuid::from_u128(0xa))];
    let over = vec![Over { op_id: accepted[0], splices: mine }];
    let edit = intent(seen, Action::Edit, &text(vec![splice(0, 1, "")], over));
    let around = around(1, &accepted);
    let taken = take_over_chain(&short, &[&old], &edit, &edit.step, &around).unwrap();
    let fields = taken.document.fields();
    let words = fields.get("description").and_then(Value::as_str).unwrap_or_default();
    let mut letters: Vec<char> = words.chars().collect();
    letters.sort_unstable();
    assert_eq!(letters, ['y', 'z'], "{words}");
}
