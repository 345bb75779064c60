//! A long text that is rewritten again and again with no signal: what each rewriting says stays
//! within limits, and taking it in stays within bounds, whatever became of the earlier ones.
//!
//! How long it takes, through `take` as the server calls it:
//! `cargo test --release -p motomind-protocol --test rewritten_text -- --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use motomind_protocol::limits::{OPERATION_BYTES_MAX, OVER_BYTES_MAX, OVER_MAX, TEXT_CHARS_MAX};
use motomind_protocol::records::{
    Action, Actor, Circumstances, Document, FieldEdit, Over, Patch, RecordIntent, Signature, Step,
    TextEdit, take, text,
};
use motomind_protocol::{DeviceId, Millis, OpId, UserId, code};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const NOW: Millis = 1_800_000_000_000;
const ID: Uuid = Uuid::from_u128(7);

fn op(n: usize) -> OpId {
    OpId(Uuid::from_u128(1_000 + n as u128))
}

fn by(device: u128) -> Signature {
    Signature {
        actor: Actor::Device(DeviceId(Uuid::from_u128(device))),
        user: Some(UserId(Uuid::from_u128(100))),
        at: NOW,
    }
}

fn intent(id: Uuid, action: Action, patch: Patch) -> RecordIntent {
    RecordIntent {
        collection: "user_maintenance_preferences".into(),
        record_id: id,
        step: Step { action, patch, reassign_to: None },
        heads: Vec::new(),
        instead: Vec::new(),
        extra: Map::new(),
    }
}

/// Preferences, whose notes are the longest text of all.
fn preferences(notes: &str) -> (Uuid, Document) {
    let collection = motomind_protocol::records::find("user_maintenance_preferences").unwrap();
    let fields = json!({
        "user_id": Uuid::from_u128(100), "vehicle_id": ID, "interval_type": "oil_change",
        "interval_value": 1, "interval_unit": "miles",
    });
    let id = collection.natural_id(fields.as_object().unwrap()).unwrap();
    let set = |(name, value): (&String, &Value)| (name.clone(), FieldEdit::Set(value.clone()));
    let mut patch: Patch = fields.as_object().unwrap().iter().map(set).collect();
    let splices = text::difference("", notes);
    patch.insert("notes".into(), FieldEdit::Text(TextEdit { splices, over: Vec::new() }));
    let create = intent(id, Action::Create, patch);
    let around = Circumstances { signature: by(1), now: NOW, accepted: &[] };
    (id, take(None, &create, &create.step, &around).unwrap().document)
}

fn notes(document: &Document) -> String {
    document.fields().get("notes").and_then(Value::as_str).unwrap_or_default().to_string()
}

/// What a device seals that rewrites the notes again and again, and is not told what became of it.
fn rewritten(id: Uuid, document: &Document, texts: &[String]) -> Vec<RecordIntent> {
    let base = notes(document);
    let (mut before, mut over) = (base.clone(), Vec::<Over>::new());
    let mut intents = Vec::new();
    for (n, after) in texts.iter().enumerate() {
        let splices = text::difference(&before, after);
        let said = TextEdit { splices: splices.clone(), over: text::folded(&base, over.clone()) };
        let mut edit = intent(id, Action::Edit, Patch::new());
        edit.step.patch.insert("notes".into(), FieldEdit::Text(said));
        edit.heads = document.heads();
        intents.push(edit);
        over.push(Over { op_id: op(n), splices });
        before = after.clone();
    }
    intents
}

/// The server takes them in, but for those that it refuses for another reason. How long the
/// slowest took.
fn taken(
    mut document: Document,
    intents: &[RecordIntent],
    refused: impl Fn(usize) -> bool,
) -> (Document, Duration) {
    let (mut accepted, mut longest) = (Vec::new(), Duration::ZERO);
    for (n, intent) in intents.iter().enumerate() {
        if refused(n) {
            continue;
        }
        let begun = Instant::now();
        let around = Circumstances { signature: by(2), now: NOW, accepted: &accepted };
        let took = take(Some(&document), intent, &intent.step, &around);
        longest = longest.max(begun.elapsed());
        match took {
            Ok(taken) => {
                document = taken.document;
                accepted.push(op(n));
            }
            // What a refused one took out is there still: two long texts may have no room.
            Err(refusal) => assert_eq!(refusal.code, code::TOO_LONG),
        }
    }
    (document, longest)
}

/// Words that are others for each seed.
fn letters(seed: usize, count: usize) -> String {
    let letter = |n: usize| match (n + seed) % 7 {
        0 => ' ',
        _ => char::from(b'a' + u8::try_from((n * n + seed * 7 + n / 13) % 26).unwrap()),
    };
    (0..count).map(letter).collect()
}

#[test]
fn a_long_text_is_rewritten_many_times() {
    let (id, document) = preferences(&letters(0, TEXT_CHARS_MAX));
    let texts: Vec<String> = (1..37).map(|seed| letters(seed, TEXT_CHARS_MAX)).collect();
    let begun = Instant::now();
    let intents = rewritten(id, &document, &texts);
    let sealed = begun.elapsed();
    let bytes = intents.iter().map(|intent| serde_json::to_string(intent).unwrap().len()).max();
    assert!(bytes.unwrap() < OPERATION_BYTES_MAX, "{bytes:?}");
    let every = taken(document.clone(), &intents, |_| false);
    assert_eq!(notes(&every.0), texts[texts.len() - 1]);
    let third = taken(document, &intents, |n| n % 3 == 1);
    println!(
        "{} rewritings of {TEXT_CHARS_MAX} characters: {sealed:?} to make them all, at most {:?} \
         bytes; through take at most {:?} each, {:?} where a third was refused",
        texts.len(),
        bytes.unwrap(),
        every.1,
        third.1
    );
}

#[test]
fn more_than_the_limit_is_refused() {
    let (id, document) = preferences("a");
    let over = |n| Over { op_id: op(n), splices: text::difference("a", "a") };
    let around = Circumstances { signature: by(2), now: NOW, accepted: &[] };
    let tried = |count| {
        let said = TextEdit { splices: Vec::new(), over: (0..count).map(over).collect() };
        let patch = Patch::from([("notes".to_string(), FieldEdit::Text(said))]);
        let mut edit = intent(id, Action::Edit, patch);
        edit.heads = document.heads();
        take(Some(&document), &edit, &edit.step, &around)
    };
    assert!(tried(OVER_MAX).is_ok());
    let refused = tried(OVER_MAX + 1).unwrap_err();
    assert_eq!((refused.code.as_str(), refused.field.as_deref()), (code::TOO_LONG, Some("notes")));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// However many rewritings are folded into one, and whichever of them the server refused:
    /// nothing is out of range, and the last words stand.
    #[test]
    fn folded_rewritings_keep_the_last_words(
        counts in proptest::collection::vec(0usize..40, 1..90),
        refused in any::<u128>(),
    ) {
        let (id, document) = preferences("the first words");
        let mut texts: Vec<String> =
            counts.iter().enumerate().map(|(seed, count)| letters(seed, *count)).collect();
        let last = format!("{}THE LAST", texts.last().cloned().unwrap_or_default());
        texts.push(last);
        let intents = rewritten(id, &document, &texts);
        for edit in intents.iter().flat_map(|intent| intent.step.patch.values()) {
            let FieldEdit::Text(text) = edit else { continue };
            prop_assert!(text.over.len() <= OVER_MAX);
        }
        let end = intents.len() - 1;
        let is_refused = |n: usize| n != end && (refused >> (n % 128)) & 1 == 1;
        let (document, _) = taken(document.clone(), &intents, is_refused);
        let now = notes(&document);
        prop_assert!(now.contains("THE LAST"), "{now}");
        if refused == 0 {
            prop_assert_eq!(Some(&now), texts.last());
        }
    }

    /// What is folded says the same of the text, in few words.
    #[test]
    fn folding_makes_the_same_text(counts in proptest::collection::vec(0usize..1_500, 1..50)) {
        let texts: Vec<String> =
            counts.iter().enumerate().map(|(seed, count)| letters(seed, *count)).collect();
        let mut before = String::new();
        let mut over = Vec::new();
        for (n, after) in texts.iter().enumerate() {
            over.push(Over { op_id: op(n), splices: text::difference(&before, after) });
            before.clone_from(after);
        }
        let folded = text::folded("", over);
        let bytes = |over: &Over| over.splices.iter().map(|s| s.insert.len()).sum::<usize>();
        prop_assert!(folded.len() <= OVER_MAX);
        prop_assert!(folded.len() == 1 || folded[1..].iter().map(bytes).sum::<usize>() <= OVER_BYTES_MAX);
        let same = folded.iter().try_fold(String::new(), |words, over| text::spliced(&words, &over.splices));
        prop_assert_eq!(same.as_ref(), texts.last());
    }
}
