//! Which of an event and its corrections counts.
//!
//! An event that names another one *acts* on it: it corrects, retracts or restores it ([`Act`]).
//! Corrections name a fact or an earlier correction; chains lead to one *root*. Retractions and
//! restorations name a fact or a correction too, never each other ([`may_act`]). Of those that
//! name an event the newest decides whether it is retracted, and of a root and everything that
//! corrects it, directly or through a chain, the newest that is not retracted counts. Retracting
//! the root takes the whole family out; restoring it brings back what would have counted.
//! "Newest" is the highest server sequence.
//!
//! ```text
//!   retracted(e)      = argmax seq { a | a retracts or restores e }  is a retraction
//!
//!   effective(family) = none                                         if retracted(root)
//!                     = argmax seq { e ∈ family, not retracted(e) }  otherwise
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EventId, code, registry};

/// What an event does to the one that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// It states a fact in the place of that one, or one of its own where it names none.
    Corrects,
    /// It takes that one back.
    Retracts,
    /// It brings back what a retraction took.
    Restores,
}

impl Act {
    /// The act of an event by its type.
    #[must_use]
    pub fn of_type(kind: &str) -> Self {
        match kind {
            registry::RETRACTION => Self::Retracts,
            registry::RESTORATION => Self::Restores,
            _ => Self::Corrects,
        }
    }

    /// Whether an event of this kind states something that can count.
    #[must_use]
    pub fn states_a_fact(self) -> bool {
        self == Self::Corrects
    }
}

/// One event of a family: its root, a correction, a retraction or a restoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The event.
    pub event_id: EventId,
    /// The server's sequence; `u64::MAX` for one of this device's that has none yet.
    pub seq: u64,
    /// The event that it names, as the server resolved it.
    pub corrects: Option<EventId>,
    /// What it does to that one.
    pub act: Act,
}

/// The event of a family that counts, if one does. `root` is the first event; it need not be
/// known. Ties (several without a sequence) go to the younger id.
#[must_use]
pub fn effective(root: EventId, family: &[Member]) -> Option<EventId> {
    let retracted = retracted(family);
    if retracted(root) {
        return None;
    }
    let newest = family
        .iter()
        .filter(|member| member.act.states_a_fact() && member.event_id != root)
        .filter(|member| !retracted(member.event_id))
        .max_by_key(|member| (member.seq, member.event_id));
    Some(newest.map_or(root, |member| member.event_id))
}

/// Whether an event of a family is retracted.
#[must_use]
pub fn is_retracted(event: EventId, family: &[Member]) -> bool {
    retracted(family)(event)
}

/// Which events of a family are retracted: by the newest of those that retract or restore each.
fn retracted(family: &[Member]) -> impl Fn(EventId) -> bool {
    let mut newest: BTreeMap<EventId, (u64, EventId, Act)> = BTreeMap::new();
    for member in family.iter().filter(|member| !member.act.states_a_fact()) {
        let Some(named) = member.corrects else {
            continue;
        };
        let this = (member.seq, member.event_id, member.act);
        let last = newest.entry(named).or_insert(this);
        if (this.0, this.1) > (last.0, last.1) {
            *last = this;
        }
    }
    move |event| newest.get(&event).is_some_and(|(_, _, act)| *act == Act::Retracts)
}

/// Whether an event may act on the one that it names: that must state a fact, and what is to be
/// brought back must be retracted. Retracting what is retracted changes nothing and may be said.
///
/// # Errors
/// [`code::NOT_CORRECTABLE`] or [`code::NOT_RETRACTED`], with a sentence.
pub fn may_act(
    act: Act,
    named: Act,
    is_retracted: bool,
) -> Result<(), (&'static str, &'static str)> {
    if !named.states_a_fact() {
        let message = "it names a retraction or restoration; name the event that that one is about";
        return Err((code::NOT_CORRECTABLE, message));
    }
    if act == Act::Restores && !is_retracted {
        let message = "the event that it brings back is not retracted";
        return Err((code::NOT_RETRACTED, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(number: u64) -> EventId {
        EventId(Uuid::from_u128(number.into()))
    }

    fn member(event: u64, seq: u64, corrects: u64, act: Act) -> Member {
        Member { event_id: id(event), seq, corrects: Some(id(corrects)), act }
    }

    const ROOT: u64 = 0;

    fn root() -> Member {
        Member { event_id: id(ROOT), seq: 0, corrects: None, act: Act::Corrects }
    }

    /// A family that grew one event at a time, as the log tells it. Event `n` has sequence `n` and
    /// names one of the facts before it.
    fn families() -> impl Strategy<Value = Vec<Member>> {
        let act = prop_oneof![
            2 => Just(Act::Corrects),
            2 => Just(Act::Retracts),
            1 => Just(Act::Restores),
        ];
        prop::collection::vec((any::<prop::sample::Index>(), act), 0..14).prop_map(|steps| {
            let mut family = vec![root()];
            for (number, (named, act)) in (1..).zip(steps) {
                let facts: Vec<_> = family.iter().filter(|m| m.act.states_a_fact()).collect();
                let named = facts[named.index(facts.len())].event_id;
                if may_act(act, Act::Corrects, is_retracted(named, &family)).is_ok() {
                    family.push(Member {
                        event_id: id(number),
                        seq: number,
                        corrects: Some(named),
                        act,
                    });
                }
            }
            family
        })
    }

    /// The same law told as a story: each event in turn changes what is in force.
    fn told(family: &[Member]) -> Option<EventId> {
        let mut standing: Vec<(EventId, bool)> = Vec::new();
        for member in family {
            match member.act {
                Act::Corrects => standing.push((member.event_id, true)),
                act => {
                    let named = standing.iter_mut().find(|(e, _)| Some(*e) == member.corrects);
                    named.unwrap().1 = act == Act::Restores;
                }
            }
        }
        let (_, root_stands) = standing[0];
        let last = standing.iter().rev().find(|(_, stands)| *stands);
        last.filter(|_| root_stands).map(|(event, _)| *event)
    }

    proptest! {
        /// Law: the order in which events become known does not matter, only their sequences.
        #[test]
        fn order_of_arrival_is_irrelevant(
            (family, shuffled) in families().prop_flat_map(|family| {
                (Just(family.clone()), Just(family).prop_shuffle())
            })
        ) {
            prop_assert_eq!(effective(id(ROOT), &family), effective(id(ROOT), &shuffled));
        }

        /// Law: it is what the events say when they are told one after the other.
        #[test]
        fn it_is_what_the_log_tells(family in families()) {
            prop_assert_eq!(effective(id(ROOT), &family), told(&family));
        }

        /// Law: a retraction and its restoration leave everything as it was.
        #[test]
        fn restoring_undoes_retracting(family in families(), which: prop::sample::Index) {
            let facts: Vec<_> = family.iter().filter(|m| m.act.states_a_fact()).collect();
            let named = facts[which.index(facts.len())].event_id;
            prop_assume!(!is_retracted(named, &family));
            let before = effective(id(ROOT), &family);
            let mut family = family;
            family.push(Member {
                event_id: id(100), seq: 100, corrects: Some(named), act: Act::Retracts,
            });
            prop_assert!(is_retracted(named, &family));
            prop_assert_ne!(effective(id(ROOT), &family), Some(named));
            family.push(Member {
                event_id: id(101), seq: 101, corrects: Some(named), act: Act::Restores,
            });
            prop_assert!(!is_retracted(named, &family));
            prop_assert_eq!(effective(id(ROOT), &family), before);
        }
    }

    #[test]
    fn the_newest_standing_correction_counts() {
        use Act::{Corrects, Restores, Retracts};
        let mut family = vec![
            root(),
            member(2, 5, 0, Corrects),
            member(3, 9, 2, Corrects),
            member(4, 7, 0, Corrects),
        ];
        assert_eq!(effective(id(ROOT), &family), Some(id(3)));
        family.push(member(5, 10, 3, Retracts));
        assert_eq!(effective(id(ROOT), &family), Some(id(4)));
        // A restored correction has the place of its own sequence.
        family.push(member(6, 11, 3, Restores));
        assert_eq!(effective(id(ROOT), &family), Some(id(3)));
        family.push(member(7, 12, 0, Retracts));
        assert_eq!(effective(id(ROOT), &family), None);
        // This device's own, not yet in the log, comes after all that is.
        family.push(member(8, u64::MAX, 0, Restores));
        assert_eq!(effective(id(ROOT), &family), Some(id(3)));
        assert_eq!(effective(id(ROOT), &[]), Some(id(ROOT)));
    }

    #[test]
    fn retractions_and_restorations_are_not_acted_on() {
        use Act::{Corrects, Restores, Retracts};
        for act in [Corrects, Retracts, Restores] {
            for named in [Retracts, Restores] {
                let refused = may_act(act, named, true).map_err(|(code, _)| code);
                assert_eq!(refused, Err(code::NOT_CORRECTABLE));
            }
        }
        let refused = may_act(Restores, Corrects, false).map_err(|(code, _)| code);
        assert_eq!(refused, Err(code::NOT_RETRACTED));
        for (act, retracted) in
            [(Corrects, true), (Retracts, true), (Retracts, false), (Restores, true)]
        {
            assert_eq!(may_act(act, Corrects, retracted), Ok(()));
        }
    }
}
