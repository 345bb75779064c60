//! What people know: every capture that a device acknowledged, and what they meant by it.

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::{EventId, OpId, VehicleId};

/// A capture as the person remembers it.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its vehicle, and so its lane.
    pub vehicle: VehicleId,
    /// A text that no other capture has.
    pub notes: Option<String>,
    /// Odometer, miles.
    pub miles: Option<i64>,
    /// The capture that it amends or discards.
    pub replaces: Option<OpId>,
    /// It takes that one back.
    pub discard: bool,
    /// It corrects or retracts what may be someone else's.
    pub corrects: Option<EventId>,
    /// The model server may set it aside, so nobody promises its place in the lane.
    pub set_aside: bool,
}

/// Every capture.
#[derive(Debug, Default)]
pub struct Ledger {
    facts: BTreeMap<OpId, Fact>,
    replaced: BTreeMap<OpId, Vec<OpId>>,
    statements: BTreeMap<OpId, (VehicleId, Option<EventId>)>,
    /// Families about which nobody can say who meant what last: two phones, or two people.
    pub contested: BTreeSet<OpId>,
    /// Ids that two captures have.
    pub reused: BTreeSet<OpId>,
    /// Captures under such an id that a person has thrown away.
    pub set_aside: BTreeSet<OpId>,
}

impl Ledger {
    /// A device may hold this from now on.
    pub fn add(&mut self, op: OpId, fact: Fact) {
        if let Some(old) = fact.replaces {
            self.replaced.entry(old).or_default().push(op);
        }
        if let Some(corrected) = fact.corrects {
            self.contested.insert(self.first(corrected.into()));
        }
        self.facts.insert(op, fact);
    }

    /// A device holds a statement beside events.
    pub fn say(
        &mut self,
        op: OpId,
        vehicle: VehicleId,
        event: Option<EventId>,
        replaces: Option<OpId>,
    ) {
        if let Some(old) = replaces {
            self.replaced.entry(old).or_default().push(op);
        }
        self.statements.insert(op, (vehicle, event));
    }

    /// The vehicle of a statement beside events, and the event that it named.
    #[must_use]
    pub fn statement(&self, op: OpId) -> Option<(VehicleId, Option<EventId>)> {
        self.statements.get(&op).copied()
    }

    /// Another capture has the id of one that is remembered, and may be set aside.
    pub fn reuse(&mut self, op: OpId, set_aside: bool) {
        self.reused.insert(op);
        if let Some(fact) = self.facts.get_mut(&op) {
            fact.set_aside |= set_aside;
        }
    }

    /// The person was told that nothing was stored.
    pub fn forget(&mut self, op: OpId) {
        if let Some(fact) = self.facts.remove(&op)
            && let Some(replacements) = fact.replaces.and_then(|old| self.replaced.get_mut(&old))
        {
            replacements.retain(|other| *other != op);
        }
    }

    /// What is remembered of a capture.
    #[must_use]
    pub fn fact(&self, op: OpId) -> Option<&Fact> {
        self.facts.get(&op)
    }

    /// Every capture.
    pub fn facts(&self) -> impl Iterator<Item = (OpId, &Fact)> {
        self.facts.iter().map(|(op, fact)| (*op, fact))
    }

    /// Whether an amendment or discard took its place.
    #[must_use]
    pub fn is_replaced(&self, op: OpId) -> bool {
        self.set_aside.contains(&op) || self.replaced.get(&op).is_some_and(|by| !by.is_empty())
    }

    /// Whether a capture, or an amendment of it, was taken back.
    #[must_use]
    pub fn is_discarded(&self, op: OpId) -> bool {
        let discard = |by: &OpId| self.fact(*by).is_some_and(|fact| fact.discard);
        self.replacements(op).iter().any(|by| discard(by) || self.is_discarded(*by))
    }

    /// What took its place, if exactly one did.
    #[must_use]
    pub fn replacements(&self, op: OpId) -> &[OpId] {
        self.replaced.get(&op).map_or(&[], Vec::as_slice)
    }

    /// The capture at the beginning of a chain of amendments.
    #[must_use]
    pub fn first(&self, mut op: OpId) -> OpId {
        while let Some(old) = self.fact(op).and_then(|fact| fact.replaces) {
            op = old;
        }
        op
    }
}
