//! Changes that are well formed and say what cannot be: operations on what is not there, in the
//! place of others' values, out of turn. They are refused before Automerge looks at them, which
//! would end the program; in a browser nobody could catch that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::num::NonZeroU64;

use automerge::legacy::{ElementId, Key, ObjectId, OpId, OpType};
use automerge::{ActorId, Change, ExpandedChange, ObjType, ScalarValue};
use motomind_protocol::records::{Actor, Document, Signature, absorb, find};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);

/// A document that two servers have written to, with texts, a competing value and a deletion.
fn changes() -> Vec<Vec<u8>> {
    let collection = find("reminders").unwrap();
    let by = |n| Signature { actor: Actor::Server(Uuid::from_u128(n)), user: None, at: 1 };
    let mut document: Option<Document> = None;
    for (n, row) in [
        json!({ "title": "Oil", "status": "active", "due_miles": 5_000, "description": "drain" }),
        json!({ "title": "Oil", "status": "active", "description": "drain, fill" }),
        json!({ "title": "Filter", "status": "active", "description": "refill", "priority": "low" }),
    ]
    .into_iter()
    .enumerate()
    {
        let Value::Object(row) = row else { unreachable!() };
        let signature = by(n as u128 % 2);
        let taken = absorb(document.as_ref(), collection, ID, &row, None, &signature).unwrap();
        document = Some(taken.document);
    }
    document.unwrap().changes_since(&[])
}

fn decoded(bytes: &[u8]) -> ExpandedChange {
    Change::try_from(bytes).unwrap().decode()
}

/// Something else in the place of what an operation names or does.
#[derive(Clone, Debug)]
struct Twist {
    kind: u8,
    op: prop::sample::Index,
    other: prop::sample::Index,
    number: u64,
}

fn twists() -> impl Strategy<Value = Vec<Twist>> {
    let number = prop_oneof![0u64..60, Just(u64::from(u32::MAX) - 1), Just(1 << 30)];
    let twist = (0u8..16, any::<prop::sample::Index>(), any::<prop::sample::Index>(), number);
    let twist = twist.prop_map(|(kind, op, other, number)| Twist { kind, op, other, number });
    proptest::collection::vec(twist, 1..4)
}

fn twist(change: &mut ExpandedChange, twist: &Twist, all: &[ExpandedChange]) {
    let elsewhere = twist.other.get(all);
    let actor = elsewhere.actor_id.clone();
    let id = OpId(twist.number.max(1), actor.clone());
    match twist.kind {
        0 => change.seq = twist.number,
        1 => change.start_op = NonZeroU64::new(twist.number.max(1)).unwrap(),
        2 => change.actor_id = actor,
        3 => change.actor_id = ActorId::from(&twist.number.to_be_bytes()[..]),
        4 => change.deps.extend(elsewhere.hash),
        5 => change.deps.clear(),
        6 => change.extra_bytes = vec![1, 0],
        _ if change.operations.is_empty() => {}
        kind => {
            let index = twist.op.index(change.operations.len());
            let op = &mut change.operations[index];
            match kind {
                7 => op.obj = ObjectId::Id(id),
                8 => op.obj = ObjectId::Root,
                9 => op.key = Key::Seq(ElementId::Id(id)),
                10 => op.key = Key::Seq(ElementId::Head),
                11 => op.key = Key::Map("title".into()),
                12 => op.insert = !op.insert,
                13 => op.pred = op.pred.iter().cloned().chain([id]).collect(),
                14 => op.pred = Vec::new().into(),
                _ => {
                    op.action = match twist.number % 7 {
                        0 => OpType::Delete,
                        1 => OpType::Increment(1),
                        2 => OpType::Make(ObjType::List),
                        3 => OpType::Make(ObjType::Text),
                        4 => OpType::Make(ObjType::Map),
                        5 => OpType::Put(ScalarValue::counter(1)),
                        _ => OpType::Put(ScalarValue::Str("x".into())),
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_cannot_be_is_refused_and_what_is_taken_can_be_read_again(
        which in any::<prop::sample::Index>(), twists in twists(),
    ) {
        let collection = find("reminders").unwrap();
        let all = changes();
        let expanded: Vec<ExpandedChange> = all.iter().map(|bytes| decoded(bytes)).collect();
        let which = which.index(all.len());
        let mut change = expanded[which].clone();
        for one in &twists {
            twist(&mut change, one, &expanded);
        }
        let bytes = Change::from(change).raw_bytes().to_vec();
        let mut known = all.clone();
        known.truncate(which);
        // As the last of those before it, and beside all that came since.
        for before in [&known, &all] {
            let Ok(mut document) = Document::of_changes(collection, ID, before) else { continue };
            let heads = document.heads();
            // A panic fails the test, though it would be caught: the message is looked for.
            match document.apply(&[&bytes]) {
                Ok(()) => {
                    let _ = (document.fields(), document.conflicts(), document.history());
                    let again = Document::load(collection, ID, &document.save());
                    prop_assert_eq!(again.unwrap().heads(), document.heads());
                }
                Err(refused) => {
                    prop_assert!(!refused.to_string().contains("reading it failed"), "{refused}");
                    prop_assert_eq!(document.heads(), heads);
                }
            }
        }
    }
}
