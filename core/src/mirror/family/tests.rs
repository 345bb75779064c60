use std::collections::BTreeMap;

use motomind_protocol::{VehicleId, registry};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::super::{Standing, begin_rebuild, create, finish_rebuild, put_event};
use super::*;

const EVENTS: u8 = 7;

/// What happens to a mirror.
#[derive(Clone, Debug)]
enum Step {
    /// A row comes, or another one under the same id: an id may turn out to be someone else's.
    Put { id: u8, corrects: Option<u8>, act: Act, seq: Option<u64>, rejected: bool },
    /// An overlaid row is taken out.
    Remove(u8),
    /// The server's log is another one from here on.
    Begin,
    /// That log has been read.
    Finish,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    corrects: Option<u8>,
    act: Act,
    seq: Option<u64>,
    rejected: bool,
    generation: i64,
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        3 => Just(Act::Corrects),
        2 => Just(Act::Retracts),
        1 => Just(Act::Restores),
    ];
    let put = (0..EVENTS, any::<u8>(), act, 0u64..30, 0u8..4).prop_map(
        |(id, corrects, act, seq, state)| Step::Put {
            id,
            // Only older ones are corrected: nobody corrects what is not there to be seen.
            corrects: (id > 0 && corrects < 200).then(|| corrects % id.max(1)),
            act: if id > 0 && corrects < 200 { act } else { Act::Corrects },
            seq: (state < 2).then_some(seq),
            rejected: state == 3,
        },
    );
    prop_oneof![
        12 => put,
        4 => (0..EVENTS).prop_map(Step::Remove),
        1 => Just(Step::Begin),
        1 => Just(Step::Finish),
    ]
}

fn id_of(event: u8) -> EventId {
    EventId(Uuid::from_u128(u128::from(event) + 1))
}

fn put(conn: &Connection, event: u8, known: &Known) {
    let kind = match known.act {
        Act::Corrects => "odometer",
        Act::Retracts => registry::RETRACTION,
        Act::Restores => registry::RESTORATION,
    };
    let data = json!({
        "event": {"id": id_of(event), "vehicle_id": VehicleId(Uuid::nil()), "type": kind,
                  "occurred_at": 0, "date": "2026-11-20", "miles": null},
        "received_at": 0,
        "corrects": known.corrects.map(id_of),
    });
    let state = match (known.rejected, known.seq) {
        (true, _) => "rejected",
        (false, Some(_)) => "accepted",
        (false, None) => "queued",
    };
    let standing = Standing { seq: known.seq, state, own: known.seq.is_none() };
    put_event(conn, &data.to_string(), standing, known.generation).unwrap();
}

/// Roots and what is hidden, from scratch.
fn expected(rows: &BTreeMap<u8, Known>) -> BTreeMap<u8, (u8, bool)> {
    let root = |mut event: u8| {
        while let Some(corrected) = rows.get(&event).and_then(|known| known.corrects) {
            event = corrected;
        }
        event
    };
    let counting = |family: u8| {
        let standing =
            rows.iter().filter(|(event, known)| root(**event) == family && !known.rejected);
        let member = |(event, known): (&u8, &Known)| Member {
            event_id: id_of(*event),
            seq: known.seq.unwrap_or(u64::MAX),
            corrects: known.corrects.map(id_of),
            act: known.act,
        };
        effective(id_of(family), &standing.map(member).collect::<Vec<_>>())
    };
    let expected = |(event, known): (&u8, &Known)| {
        let counts = counting(root(*event)) == Some(id_of(*event)) && known.act.states_a_fact();
        (*event, (root(*event), !(counts || known.rejected)))
    };
    rows.iter().map(expected).collect()
}

fn found(conn: &Connection) -> BTreeMap<u8, (u8, bool)> {
    let mut statement =
        conn.prepare("SELECT event_id, coalesce(root, event_id), hidden FROM events").unwrap();
    let event = |id: Uuid| u8::try_from(id.as_u128() - 1).unwrap();
    let rows = statement
        .query_map([], |row| Ok((event(read_id(row, 0)?), (event(read_id(row, 1)?), row.get(2)?))));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Law: whatever comes, changes and goes, the families are what the rows say at that moment.
    #[test]
    fn families_never_lag_behind_their_rows(steps in prop::collection::vec(step(), 1..40)) {
        let conn = Connection::open_in_memory().unwrap();
        create(&conn).unwrap();
        let mut rows: BTreeMap<u8, Known> = BTreeMap::new();
        let mut generation = 1;
        for step in steps {
            match step {
                Step::Put { id, corrects, act, seq, rejected } => {
                    let seq = seq.filter(|_| !rejected);
                    let known = Known { corrects, act, seq, rejected, generation };
                    put(&conn, id, &known);
                    rows.insert(id, known);
                }
                Step::Remove(id) => {
                    remove_own(&conn, id_of(id)).unwrap();
                    if rows.get(&id).is_some_and(|known| known.seq.is_none()) {
                        rows.remove(&id);
                    }
                }
                Step::Begin => {
                    generation += 1;
                    begin_rebuild(&conn, generation).unwrap();
                }
                Step::Finish => {
                    finish_rebuild(&conn).unwrap();
                    rows.retain(|_, k| k.seq.is_none() || k.generation == generation);
                }
            }
            prop_assert_eq!(found(&conn), expected(&rows));
        }
    }
}

/// An id that another device used first: its retraction there is refused as `op_id_reused`, and
/// the server's event of that id takes the row. What it had hidden must be seen again.
#[test]
fn a_row_that_leaves_its_family_shows_what_it_had_retracted() {
    let conn = Connection::open_in_memory().unwrap();
    create(&conn).unwrap();
    let act = Act::Corrects;
    let plain = Known { corrects: None, act, seq: Some(7), rejected: false, generation: 1 };
    put(&conn, 0, &plain);
    put(&conn, 1, &Known { corrects: Some(0), act: Act::Retracts, seq: None, ..plain });
    assert_eq!(found(&conn)[&0], (0, true));
    put(&conn, 1, &Known { seq: Some(26), ..plain });
    assert_eq!(found(&conn), BTreeMap::from([(0, (0, false)), (1, (1, false))]));
}
