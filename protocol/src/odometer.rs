//! The odometer rule: readings of a vehicle never go down in time, within a segment.
//!
//! ```text
//!   before.miles ≤ new.miles ≤ after.miles
//! ```
//!
//! Readings are ordered by [`Reading::order`]. A reading that `starts_segment` (the odometer was
//! replaced) is bound to nothing before it. Superseded and retracted events are not readings.

use serde::{Deserialize, Serialize};

use crate::limits::JUMP_MILES_MAX;
use crate::{Event, EventId, Millis};

/// One effective reading on a vehicle's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The event that states it.
    pub event_id: EventId,
    /// When it was read, UTC ms; for an event flagged `clock_ahead` when the server received it.
    pub at: Millis,
    /// The server's sequence; `u64::MAX` for one that has none yet.
    pub seq: u64,
    /// Odometer, miles.
    pub miles: i64,
    /// The odometer was replaced: this reading begins a new segment.
    pub starts_segment: bool,
}

/// The neighbour that a reading contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Neighbour {
    /// The neighbouring event.
    pub event_id: EventId,
    /// Its reading, miles.
    pub miles: i64,
    /// When it was read, UTC ms.
    pub at: Millis,
}

/// A reading that does not fit between its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfOrder {
    /// Lower than the reading before it.
    BelowBefore(Neighbour),
    /// Higher than the reading after it.
    AboveAfter(Neighbour),
}

impl OutOfOrder {
    /// The contradicted neighbour.
    #[must_use]
    pub fn neighbour(&self) -> Neighbour {
        match self {
            Self::BelowBefore(neighbour) | Self::AboveAfter(neighbour) => *neighbour,
        }
    }

    /// A sentence for the person who can mend it.
    #[must_use]
    pub fn message(&self, miles: i64) -> String {
        match self {
            Self::BelowBefore(n) => {
                format!("{miles} is below the earlier reading of {}; amend one of them", n.miles)
            }
            Self::AboveAfter(n) => {
                format!("{miles} is above the later reading of {}; amend one of them", n.miles)
            }
        }
    }
}

impl Reading {
    /// The reading that an event states, if it states one.
    #[must_use]
    pub fn of(event: &Event, at: Millis, seq: u64) -> Option<Self> {
        Some(Self {
            event_id: event.id,
            at,
            seq,
            miles: event.miles?,
            starts_segment: event.payload_flag("odometer_replaced"),
        })
    }

    /// Position on the timeline: time, then the server's sequence.
    #[must_use]
    pub fn order(&self) -> (Millis, u64) {
        (self.at, self.seq)
    }

    fn neighbour(&self) -> Neighbour {
        Neighbour { event_id: self.event_id, miles: self.miles, at: self.at }
    }
}

/// Judges a reading between the effective ones before and after it.
///
/// # Errors
/// The neighbour that it contradicts.
pub fn judge(
    new: &Reading,
    before: Option<&Reading>,
    after: Option<&Reading>,
) -> Result<(), OutOfOrder> {
    if let Some(before) = before
        && !new.starts_segment
        && new.miles < before.miles
    {
        return Err(OutOfOrder::BelowBefore(before.neighbour()));
    }
    if let Some(after) = after
        && !after.starts_segment
        && new.miles > after.miles
    {
        return Err(OutOfOrder::AboveAfter(after.neighbour()));
    }
    Ok(())
}

/// Judges taking a reading away: what stood on both sides of it must fit together.
///
/// # Errors
/// The later neighbour, when it would fall below the earlier one (the reading taken away began a
/// segment).
pub fn judge_removal(before: Option<&Reading>, after: Option<&Reading>) -> Result<(), OutOfOrder> {
    match (before, after) {
        (Some(before), Some(after)) => judge(after, Some(before), None),
        _ => Ok(()),
    }
}

/// Judges a whole timeline in order; the law that [`judge`] keeps step by step.
///
/// # Errors
/// The first contradiction.
pub fn judge_timeline(readings: &[Reading]) -> Result<(), OutOfOrder> {
    readings.windows(2).try_for_each(|pair| judge(&pair[1], Some(&pair[0]), None))
}

/// Whether the event states openly that the rule does not bind it: `correction: true` with
/// `corrects`. (`odometer_replaced` is part of the rule itself.)
#[must_use]
pub fn is_override(event: &Event) -> bool {
    event.corrects.is_some() && event.payload_flag("correction")
}

/// Whether a person must confirm this reading first: more than 10,000 miles above the one before.
#[must_use]
pub fn needs_confirmation(event: &Event, before: Option<&Reading>) -> bool {
    let (Some(miles), Some(before)) = (event.miles, before) else {
        return false;
    };
    miles.saturating_sub(before.miles) > JUMP_MILES_MAX
        && !event.payload_flag("confirmed_jump")
        && !event.payload_flag("odometer_replaced")
}

/// Current mileage: the record's override, else the newest effective reading of any type.
#[must_use]
pub fn current_mileage(override_miles: Option<i64>, newest: Option<i64>) -> Option<i64> {
    override_miles.or(newest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn reading(at: i64, seq: u64, miles: i64, starts_segment: bool) -> Reading {
        Reading { event_id: EventId(Uuid::from_u128(seq.into())), at, seq, miles, starts_segment }
    }

    #[test]
    fn a_back_dated_receipt_fits_in_its_place() {
        let (a, b) = (reading(1, 1, 100, false), reading(9, 2, 200, false));
        assert_eq!(judge(&reading(5, 3, 150, false), Some(&a), Some(&b)), Ok(()));
        let low = judge(&reading(5, 3, 99, false), Some(&a), Some(&b));
        assert_eq!(low.map_err(|e| e.neighbour().event_id), Err(a.event_id));
        let high = judge(&reading(5, 3, 201, false), Some(&a), Some(&b));
        assert_eq!(high.map_err(|e| e.neighbour().event_id), Err(b.event_id));
    }

    #[test]
    fn a_replaced_odometer_starts_again_and_cannot_be_taken_from_between() {
        let old = reading(1, 1, 90_000, false);
        let fresh = reading(5, 2, 0, true);
        let next = reading(9, 3, 40, false);
        assert_eq!(judge(&fresh, Some(&old), None), Ok(()));
        assert_eq!(judge(&next, Some(&fresh), None), Ok(()));
        assert_eq!(judge(&reading(3, 4, 95_000, false), Some(&old), Some(&fresh)), Ok(()));
        assert!(judge_removal(Some(&old), Some(&next)).is_err());
    }

    proptest! {
        /// Law: whatever is offered in whatever order, readings that `judge` let in are in order.
        #[test]
        fn accepted_readings_are_always_in_order(
            offers in prop::collection::vec((0i64..50, 0i64..100, prop::bool::weighted(0.1)), 0..60)
        ) {
            let mut timeline: Vec<Reading> = Vec::new();
            for (index, (at, miles, starts)) in offers.into_iter().enumerate() {
                let new = reading(at, index as u64, miles, starts);
                let place = timeline.partition_point(|r| r.order() < new.order());
                let before = place.checked_sub(1).map(|i| timeline[i]);
                let after = timeline.get(place).copied();
                if judge(&new, before.as_ref(), after.as_ref()).is_ok() {
                    timeline.insert(place, new);
                }
                prop_assert_eq!(judge_timeline(&timeline), Ok(()));
            }
        }
    }
}
