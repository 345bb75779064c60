//! How the server judges an operation: the rules of `docs/protocol.md`, first match wins. No
//! database here: the judge sees what is known and says what is to be written.

use motomind_protocol::effective::{self, Member};
use motomind_protocol::limits::AMENDMENTS_FOLLOWED_MAX;
use motomind_protocol::odometer::{self, OutOfOrder, Reading};
use motomind_protocol::records::{Closing, Fate, closings};
use motomind_protocol::wire::{Outcome, Rejection};
use motomind_protocol::{
    Event, EventId, Flag, Incarnation, Millis, OpId, Operation, Role, code, is_clock_ahead,
    validate,
};

use super::known::{FamilyMember, Known, KnownOperation, KnownState};
use super::read::Received;
use crate::auth::Caller;

/// Sequences of readings that have none yet start here: after every numbered one.
const UNNUMBERED: u64 = 1 << 62;

/// In whose name and when a batch is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench {
    /// Whose batch it is.
    pub(crate) caller: Caller,
    /// The life of the journal that sends it.
    pub(crate) incarnation: Incarnation,
    /// Server clock, UTC ms.
    pub(crate) now: Millis,
}

/// What is to become of an operation.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing is written.
    Said(Outcome),
    /// It was accepted earlier in this very batch; its sequence is not known yet.
    Repeated,
    /// The refusal is kept with the operation's text.
    Rejected(Rejection),
    /// It states a fact: an event is written.
    Accepted {
        /// The event that it corrects, retracts or restores, as resolved.
        corrects: Option<EventId>,
        /// What the server remarks.
        flags: Vec<Flag>,
    },
    /// It states something beside events.
    Stated {
        /// The log's name for it.
        kind: &'static str,
    },
    /// It takes back what never was: only the closing is written.
    NothingToRetract,
    /// It changes a record, or would have.
    Recorded {
        /// Whether anything changed, so that the log has an entry of it.
        is_logged: bool,
        /// What the server remarks.
        flags: Vec<Flag>,
    },
}

/// Whether an operation can be judged together with others: it names no other one.
pub(crate) fn stands_alone(operation: &Operation) -> bool {
    operation.supersedes.is_empty()
        && operation.event().is_none_or(|event| event.corrects.is_none())
}

/// Rules 2 and 3: an operation that is known, a journal that was forked, and an operation that is
/// to take the place of someone else's.
pub(crate) fn known_before(
    received: &Received,
    known: &mut Known,
    bench: &Bench,
) -> Option<Verdict> {
    let (sealed, operation) = (&received.sealed, &received.operation);
    if let Some(earlier) = known.operations.get(&operation.op_id) {
        if let Some(known_hash) = earlier.hash.filter(|hash| *hash != sealed.hash) {
            return Some(Verdict::Said(Outcome::OpIdReused { known_hash }));
        }
        if let KnownState::Closed { .. } = earlier.state {
            let message = "an amendment or discard has taken its place";
            let rejection = Rejection::new(code::SUPERSEDED, message);
            return Some(Verdict::Said(Outcome::Rejected(rejection)));
        }
        if let KnownState::Accepted { seq } = earlier.state {
            return Some(match seq {
                0 => Verdict::Repeated,
                seq => Verdict::Said(Outcome::Duplicate { seq }),
            });
        }
    }
    if operation.incarnation == bench.incarnation {
        let taken = known.sequences.get(&operation.device_seq);
        if taken.is_some_and(|hash| *hash != sealed.hash) {
            known.forked_at.get_or_insert(operation.device_seq);
        }
        // What follows a fork in its journal forks with it, so that the order of capture holds.
        if let Some(at) = known.forked_at {
            return Some(Verdict::Said(Outcome::Forked { at }));
        }
    }
    takes_anothers_place(operation, known)
}

/// The end of rule 3: whoever supersedes closes ids, and nobody closes another one's.
fn takes_anothers_place(operation: &Operation, known: &Known) -> Option<Verdict> {
    let is_anothers = |op_id: &&OpId| {
        let known = known.operations.get(op_id).and_then(|one| one.user_id);
        known.is_some_and(|user| user != operation.user_id)
    };
    let anothers = operation.supersedes.iter().find(is_anothers)?;
    Some(Verdict::Rejected(Rejection::supersedes_anothers(*anothers)))
}

/// Rule 4: what an event must be whatever stands around it.
pub(crate) fn admissible(event: &Event, known: &Known, bench: &Bench) -> Option<Verdict> {
    if let Err(violations) = validate(event) {
        return Some(Verdict::Rejected(violations.into()));
    }
    if !known.vehicles.contains(&event.vehicle_id) {
        let message = "there is no such vehicle";
        return Some(reject(code::UNKNOWN_VEHICLE, message, Some("vehicle_id")));
    }
    if bench.caller.role < Role::Technician {
        return Some(reject(code::FORBIDDEN, "a viewer cannot capture", None));
    }
    if known.events.contains_key(&event.id) {
        let message = "another event already has this id";
        return Some(reject(code::EVENT_ID_TAKEN, message, Some("id")));
    }
    None
}

/// What an operation means to replace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Superseded {
    /// The newest of them that is in the log: this one becomes its correction.
    pub(crate) event: Option<EventId>,
    /// Those that were not accepted, in the order they are named.
    pub(crate) unaccepted: Vec<(OpId, Closing)>,
}

/// Rule 5: which of the superseded operations is meant, and which are closed.
pub(crate) fn superseded(operation: &Operation, known: &Known) -> Superseded {
    let is_accepted = |op_id: &&OpId| known.fate(**op_id) == Some(Fate::Accepted);
    let accepted = operation.supersedes.iter().filter(is_accepted);
    let others = accepted.filter(|op_id| **op_id != operation.op_id);
    Superseded {
        event: others
            .map(|op_id| EventId::from(*op_id))
            .find(|event| known.events.contains_key(event)),
        unaccepted: closings(operation, |op_id| known.fate(op_id)),
    }
}

/// The rest of rule 5: what an event corrects that takes the place of an accepted one. Retractions
/// and restorations are not acted on: a fact in the place of one stands alone (in a family that was
/// taken back, it would never count), another act is about the same event.
pub(crate) fn in_place_of(event: &Event, target: EventId, known: &Known) -> Option<EventId> {
    match known.events.get(&target) {
        Some(replaced) if !replaced.act.states_a_fact() => {
            replaced.corrects.filter(|_| !event.act().states_a_fact())
        }
        _ => Some(target),
    }
}

/// Rule 6: the event that a correction names, where it does not name what it supersedes.
///
/// # Errors
/// The verdict, where that question already decides.
pub(crate) fn named(operation: &Operation, known: &Known) -> Result<Option<EventId>, Box<Verdict>> {
    match operation.parent() {
        Some(named) => follow_corrected(named, operation.op_id, known).map(Some),
        None => Ok(None),
    }
}

/// The event that a correction names, or what took its place.
fn follow_corrected(named: EventId, by: OpId, known: &Known) -> Result<EventId, Box<Verdict>> {
    let refused = || {
        let message = "the event that this one corrects was itself refused or taken back";
        Box::new(reject(code::PARENT_REJECTED, message, Some("corrects")))
    };
    let mut at = named;
    for _ in 0..AMENDMENTS_FOLLOWED_MAX {
        if let Some(event) = known.events.get(&at) {
            // What was discarded has nothing in its place.
            let discarded = !event.act.states_a_fact() && at != named;
            return if discarded { Err(refused()) } else { Ok(at) };
        }
        match known.operations.get(&at.into()).map(|op| op.state) {
            Some(KnownState::Closed { by: next }) if next != by => at = next.into(),
            Some(_) => return Err(refused()),
            None => return Err(Box::new(Verdict::Said(Outcome::Waiting { parent: at }))),
        }
    }
    Err(refused())
}

/// The rest of rule 4 and of rule 6, once the target is known: whose event it is, of which vehicle,
/// and whether it can be acted on at all. The target's family is known.
pub(crate) fn may_correct(
    event: &Event,
    corrects: EventId,
    known: &Known,
    bench: &Bench,
) -> Option<Verdict> {
    let target = known.events.get(&corrects)?;
    if target.vehicle_id != event.vehicle_id {
        let message = "it corrects an event of another vehicle";
        return Some(reject(code::UNKNOWN_VEHICLE, message, Some("corrects")));
    }
    let own = target.user_id == Some(bench.caller.user_id);
    if !event.act().states_a_fact() && !own && bench.caller.role < Role::Manager {
        let message = "only a manager takes back or brings back what someone else captured";
        return Some(reject(code::FORBIDDEN, message, None));
    }
    let retracted = known.family.is_retracted(corrects);
    if let Err((code, message)) = effective::may_act(event.act(), target.act, retracted) {
        return Some(reject(code, message, Some("corrects")));
    }
    None
}

/// Rules 7 and 8 for an operation that corrects nothing; an accepted reading joins the timeline.
pub(crate) fn state(event: &Event, place: usize, known: &mut Known, bench: &Bench) -> Verdict {
    if let Some(reading) = reading_of(event, place, bench) {
        let timeline = known.timelines.entry(event.vehicle_id).or_default();
        let (before, after) = timeline.around(&reading);
        if let Err(contradiction) = odometer::judge(&reading, before, after) {
            return out_of_order(event, &contradiction, reading.miles);
        }
        timeline.insert(reading);
    }
    accept(event, None, bench)
}

/// Rules 7 and 8 for what corrects, retracts or restores: the timeline that it would produce.
pub(crate) fn correct(
    event: &Event,
    corrects: EventId,
    place: usize,
    known: &mut Known,
    bench: &Bench,
) -> Verdict {
    let (old, new) = reading_change(event, corrects, place, known, bench);
    if old != new && !odometer::is_override(event) {
        let timeline = known.timelines.entry(event.vehicle_id).or_default();
        if let Some(old) = &old {
            timeline.remove(old);
        }
        let judged = new.map_or(Ok(()), |new| {
            let (before, after) = timeline.around(&new);
            odometer::judge(&new, before, after)?;
            timeline.insert(new);
            Ok(())
        });
        let judged = judged.and_then(|()| {
            old.map_or(Ok(()), |old| {
                let (before, after) = timeline.around(&old);
                odometer::judge_removal(before, after)
            })
        });
        if let Err(contradiction) = judged {
            let miles = new.or(old).map_or(0, |reading| reading.miles);
            return out_of_order(event, &contradiction, miles);
        }
    }
    accept(event, Some(corrects), bench)
}

/// The reading that the corrected family states now, and the one it would state.
pub(crate) fn reading_change(
    event: &Event,
    corrects: EventId,
    place: usize,
    known: &Known,
    bench: &Bench,
) -> (Option<Reading>, Option<Reading>) {
    let grown = known.family.with(FamilyMember {
        kin: Member {
            event_id: event.id,
            seq: UNNUMBERED + place as u64,
            corrects: Some(corrects),
            act: event.act(),
        },
        reading: reading_of(event, place, bench),
    });
    (known.family.reading(), grown.reading())
}

/// The reading that an event states; one from far ahead counts when it is received.
pub(crate) fn reading_of(event: &Event, place: usize, bench: &Bench) -> Option<Reading> {
    let ahead = is_clock_ahead(event.occurred_at, bench.now);
    let at = if ahead { bench.now } else { event.occurred_at };
    Reading::of(event, at, UNNUMBERED + place as u64)
}

fn accept(event: &Event, corrects: Option<EventId>, bench: &Bench) -> Verdict {
    let mut flags = Vec::new();
    if is_clock_ahead(event.occurred_at, bench.now) {
        flags.push(Flag::ClockAhead);
    }
    Verdict::Accepted { corrects, flags }
}

fn out_of_order(event: &Event, contradiction: &OutOfOrder, miles: i64) -> Verdict {
    let message = if event.is_retraction() {
        let neighbour = contradiction.neighbour().miles;
        format!("without it {miles} and {neighbour} contradict each other; amend one of them")
    } else {
        contradiction.message(miles)
    };
    let mut rejection = Rejection::new(code::ODOMETER_OUT_OF_ORDER, message).field("miles");
    rejection.neighbour = Some(contradiction.neighbour());
    Verdict::Rejected(rejection)
}

/// The refusal with this code.
pub(crate) fn reject(code: &str, message: &str, field: Option<&str>) -> Verdict {
    let rejection = Rejection::new(code, message);
    Verdict::Rejected(match field {
        Some(field) => rejection.field(field),
        None => rejection,
    })
}

/// The device belongs to someone else of the tenant; the text is kept, the operation is not.
pub(crate) fn foreign_device() -> Verdict {
    let message = "this device is someone else's; sign in as them to send it";
    let rejection = Rejection::new(code::WRONG_IDENTITY, message).field("device_id");
    Verdict::Said(Outcome::Rejected(rejection))
}

/// A body that is no event.
pub(crate) fn unsupported() -> Verdict {
    let message = "this server does not know this kind of operation yet";
    reject(code::UNSUPPORTED, message, None)
}

/// Takes a verdict into what is known, for the operations after it.
pub(crate) fn remember(received: &Received, verdict: &Verdict, known: &mut Known, bench: &Bench) {
    let (sealed, operation) = (&received.sealed, &received.operation);
    let state = match verdict {
        Verdict::Accepted { .. }
        | Verdict::Stated { .. }
        | Verdict::NothingToRetract
        | Verdict::Recorded { .. } => KnownState::Accepted { seq: 0 },
        Verdict::Rejected(_) => KnownState::Rejected,
        Verdict::Said(_) | Verdict::Repeated => return,
    };
    known
        .operations
        .entry(operation.op_id)
        .or_insert(KnownOperation {
            hash: Some(sealed.hash),
            state,
            user_id: Some(operation.user_id),
        })
        .state = state;
    if operation.incarnation == bench.incarnation {
        known.sequences.entry(operation.device_seq).or_insert(sealed.hash);
    }
}
