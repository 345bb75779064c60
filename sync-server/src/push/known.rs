//! What is known that bears on a batch: rows of the database, and what the batch itself has
//! already added to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use motomind_protocol::effective::{Act, Member, effective, is_retracted};
use motomind_protocol::odometer::Reading;
use motomind_protocol::records::Fate;
use motomind_protocol::{EventId, Hash, Millis, OpId, UserId, VehicleId};

/// Everything the judge may look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Operations by id: those offered again, superseded or corrected.
    pub(crate) operations: HashMap<OpId, KnownOperation>,
    /// Hashes by `device_seq`, within the incarnation that sends.
    pub(crate) sequences: HashMap<u64, Hash>,
    /// The first sequence of this batch that another journal has used.
    pub(crate) forked_at: Option<u64>,
    /// Live vehicles of the tenant, locked.
    pub(crate) vehicles: HashSet<VehicleId>,
    /// Events by id: those corrected, and those in the way of a new one.
    pub(crate) events: HashMap<EventId, KnownEvent>,
    /// Effective readings of each vehicle around the new ones.
    pub(crate) timelines: HashMap<VehicleId, Timeline>,
    /// The family of the event that the operation corrects.
    pub(crate) family: Family,
}

impl Known {
    /// What became of an operation, for those that name it.
    pub(crate) fn fate(&self, op_id: OpId) -> Option<Fate> {
        self.operations.get(&op_id).map(|known| match known.state {
            KnownState::Accepted { .. } => Fate::Accepted,
            KnownState::Rejected => Fate::Refused,
            KnownState::Closed { by } => Fate::Closed { by },
        })
    }

    /// Takes in that an operation of this user has closed ids.
    pub(crate) fn close(&mut self, ids: &[OpId], by: OpId, user: UserId) {
        let state = KnownState::Closed { by };
        let closed = KnownOperation { hash: None, state, user_id: Some(user) };
        for op_id in ids {
            self.operations.entry(*op_id).or_insert(closed).state = state;
        }
    }
}

/// An operation that the server has heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownOperation {
    /// Absent for one that was closed before it arrived.
    pub(crate) hash: Option<Hash>,
    /// What became of it.
    pub(crate) state: KnownState,
    /// Whose it is: who sent it, or who closed its id before it came. Absent for ids that were
    /// closed before that was kept: those are closed to everybody.
    pub(crate) user_id: Option<UserId>,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownState {
    /// In the log.
    Accepted {
        /// Its sequence; 0 while this batch's are not numbered.
        seq: u64,
    },
    /// Refused; it may be offered again.
    Rejected,
    /// Closed for ever by an amendment or discard.
    Closed {
        /// What took its place.
        by: OpId,
    },
}

/// An event in the tenant's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownEvent {
    /// Its vehicle.
    pub(crate) vehicle_id: VehicleId,
    /// Who captured it, where that is known.
    pub(crate) user_id: Option<UserId>,
    /// The event that it names.
    pub(crate) corrects: Option<EventId>,
    /// What it does to that one.
    pub(crate) act: Act,
}

/// Effective readings of one vehicle, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline(BTreeMap<(Millis, u64), Reading>);

impl Timeline {
    /// Adds an effective reading.
    pub(crate) fn insert(&mut self, reading: Reading) {
        self.0.insert(reading.order(), reading);
    }

    /// Takes a reading away.
    pub(crate) fn remove(&mut self, reading: &Reading) {
        self.0.remove(&reading.order());
    }

    /// The readings before and after a place.
    pub(crate) fn around(&self, reading: &Reading) -> (Option<&Reading>, Option<&Reading>) {
        use std::ops::Bound::{Excluded, Unbounded};
        let place = reading.order();
        let before = self.0.range(..place).next_back();
        let after = self.0.range((Excluded(place), Unbounded)).next();
        (before.map(|(_, reading)| reading), after.map(|(_, reading)| reading))
    }
}

/// An event, its corrections, and what was retracted and restored of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    /// The first event of the chain.
    pub(crate) root: Option<EventId>,
    /// Every event of it, the root, retractions and restorations too.
    pub(crate) members: Vec<FamilyMember>,
}

/// One event of a [`Family`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FamilyMember {
    /// The event, its order of arrival, and what it does to which other one.
    pub(crate) kin: Member,
    /// The reading that it states.
    pub(crate) reading: Option<Reading>,
}

impl Family {
    /// The reading that counts, if one does.
    pub(crate) fn reading(&self) -> Option<Reading> {
        let counts = effective(self.root?, &self.kin())?;
        self.members
            .iter()
            .find(|member| member.kin.event_id == counts)
            .and_then(|member| member.reading)
    }

    /// Whether an event of it is retracted.
    pub(crate) fn is_retracted(&self, event: EventId) -> bool {
        is_retracted(event, &self.kin())
    }

    fn kin(&self) -> Vec<Member> {
        self.members.iter().map(|member| member.kin).collect()
    }

    /// The family with one more event in it.
    pub(crate) fn with(&self, member: FamilyMember) -> Self {
        let mut grown = self.clone();
        grown.members.push(member);
        grown
    }
}
