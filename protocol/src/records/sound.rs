//! Whether changes fit the document that they are to become part of, before Automerge reads them
//! into it.
//!
//! Automerge takes it for granted that operations name what is there, and ends the program where
//! they do not. On a server that is caught; in a browser it cannot be. So each operation is looked
//! at here first. Little is allowed, for documents of records are made of little: values in the
//! root and in its objects, characters put into texts and taken out of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Automerge, Change, ChangeHash, ObjType, ReadDoc, ScalarValue};

/// Highest counter of an operation: what a document's operations come to many times over.
const COUNTER_MAX: u64 = 1 << 30;

/// Changes that are looked up one by one.
const FEW: usize = 8;

/// What an operation has made, where another one may name it.
struct Made {
    /// The number of its change among those of its actor.
    seq: u64,
    object: ObjectId,
    key: Key,
    what: What,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Object(ObjType),
    Value,
    /// A character; its key is its own id.
    Character,
}

/// What a document has, as far as changes name it.
#[derive(Default)]
pub(super) struct Sound {
    made: HashMap<OpId, Made>,
    changes: HashMap<ChangeHash, Seen>,
    actors: HashMap<ActorId, usize>,
    /// The last change of each actor.
    last: Vec<u64>,
}

/// What whoever made a change had seen, that change included.
#[derive(Clone, Default)]
struct Seen {
    /// The highest operation.
    highest: u64,
    /// How many changes of each actor.
    changes: Vec<u64>,
}

impl Seen {
    fn join(&mut self, other: &Self) {
        self.highest = self.highest.max(other.highest);
        if self.changes.len() < other.changes.len() {
            self.changes.resize(other.changes.len(), 0);
        }
        for (one, other) in self.changes.iter_mut().zip(&other.changes) {
            *one = (*one).max(*other);
        }
    }

    fn of(&self, actor: usize) -> u64 {
        self.changes.get(actor).copied().unwrap_or(0)
    }
}

/// Why a change does not fit.
#[derive(Debug, PartialEq)]
pub(super) enum Unsound {
    /// One before it is missing.
    Incomplete,
    /// It says what no change of a record says, or names what is not there.
    Contradiction,
}

impl Sound {
    /// What a document has, of its operations those that these changes name. Its own changes fit:
    /// they were looked at when they came.
    pub(super) fn of(document: &Automerge, news: &[Change]) -> Self {
        let mut sound = Self::default();
        let named = named(news);
        let mut holders = Vec::new();
        for meta in document.get_changes_meta(&[]) {
            let seen = sound.joined(&meta.deps).unwrap_or_default();
            let holds = named.get(&*meta.actor).is_some_and(|counters| {
                let next = counters.range(meta.start_op..).next();
                next.is_some_and(|counter| *counter <= meta.max_op)
            });
            if holds {
                holders.push(meta.hash);
            }
            sound.note_change(meta.hash, &meta.actor, meta.seq, meta.max_op, seen);
        }
        // Finding one change costs about as much as reading a few dozen in a row.
        let changes: Vec<Change> = match holders.len() <= FEW {
            true => holders.iter().filter_map(|one| document.get_change_by_hash(one)).collect(),
            false => document.get_changes(&[]),
        };
        for change in changes {
            let decoded = change.decode();
            for (counter, op) in (change.start_op().get()..).zip(&decoded.operations) {
                sound.note(OpId(counter, decoded.actor_id.clone()), change.seq(), op);
            }
        }
        sound
    }

    /// Looks at a change, and counts it as there if it fits. One that is there changes nothing.
    pub(super) fn take(&mut self, change: &Change) -> Result<(), Unsound> {
        if self.changes.contains_key(&change.hash()) {
            return Ok(());
        }
        let seen = self.joined(change.deps()).ok_or(Unsound::Incomplete)?;
        if !self.follows(change, &seen) {
            return Err(Unsound::Contradiction);
        }
        let decoded = change.decode();
        for (counter, op) in (change.start_op().get()..).zip(&decoded.operations) {
            let id = OpId(counter, decoded.actor_id.clone());
            let it = This { id: &id, seq: change.seq(), seen: &seen };
            if !self.fits(&it, op) {
                return Err(Unsound::Contradiction);
            }
            self.note(id, change.seq(), op);
        }
        // What Automerge would write in another way could not be read again.
        if Change::from(decoded).hash() != change.hash() {
            return Err(Unsound::Contradiction);
        }
        let highest = (change.start_op().get() + change.len() as u64).saturating_sub(1);
        self.note_change(change.hash(), change.actor_id(), change.seq(), highest, seen);
        Ok(())
    }

    /// What whoever made a change after these had seen; `None` where one of them is missing.
    fn joined(&self, deps: &[ChangeHash]) -> Option<Seen> {
        let mut seen = Seen::default();
        for dep in deps {
            seen.join(self.changes.get(dep)?);
        }
        Some(seen)
    }

    /// Whether it comes after its actor's last one, and its operations after those it has seen.
    fn follows(&self, change: &Change, seen: &Seen) -> bool {
        let actor = self.actors.get(change.actor_id());
        let last = actor.map_or(0, |actor| self.last.get(*actor).copied().unwrap_or(0));
        let first = change.start_op().get();
        change.seq() == last + 1
            && actor.map_or(0, |actor| seen.of(*actor)) == last
            && first > seen.highest
            && first < COUNTER_MAX
            && change.deps().iter().collect::<HashSet<_>>().len() == change.deps().len()
            && change.extra_bytes().is_empty()
    }

    fn fits(&self, it: &This<'_>, op: &Op) -> bool {
        match &op.obj {
            ObjectId::Root => {
                let makes = match &op.action {
                    OpType::Make(kind) => matches!(kind, ObjType::Map | ObjType::Text),
                    _ => false,
                };
                (makes || sets(&op.action)) && self.in_map(it, op)
            }
            ObjectId::Id(object) => match self.seen(it, object).map(|made| made.what) {
                Some(What::Object(ObjType::Map)) => sets(&op.action) && self.in_map(it, op),
                Some(What::Object(ObjType::Text)) => self.in_text(it, op),
                _ => false,
            },
        }
    }

    /// A value under a key, in the place of others under the same key.
    fn in_map(&self, it: &This<'_>, op: &Op) -> bool {
        let is_in_place = |other: &OpId| {
            let made = self.seen(it, other);
            made.is_some_and(|made| made.object == op.obj && made.key == op.key)
        };
        op.key.is_map_key()
            && !op.insert
            && (op.action != OpType::Delete || !op.pred.is_empty())
            && op.pred.iter().all(is_in_place)
            && op.pred.iter().collect::<HashSet<_>>().len() == op.pred.len()
    }

    /// A character behind another one, or one that is taken out.
    fn in_text(&self, it: &This<'_>, op: &Op) -> bool {
        let is_there = |element: &OpId| {
            let made = self.seen(it, element);
            made.is_some_and(|made| made.object == op.obj && made.what == What::Character)
        };
        match (&op.key, &op.action) {
            (Key::Seq(after), OpType::Put(ScalarValue::Str(_))) => {
                let behind = match after {
                    ElementId::Head => true,
                    ElementId::Id(element) => is_there(element),
                };
                op.insert && op.pred.is_empty() && behind
            }
            (Key::Seq(ElementId::Id(element)), OpType::Delete) => {
                let only = op.pred.len() == 1 && op.pred.get(0) == Some(element);
                !op.insert && only && is_there(element)
            }
            _ => false,
        }
    }

    /// What an operation has made that whoever made this one had seen.
    fn seen(&self, it: &This<'_>, other: &OpId) -> Option<&Made> {
        let made = self.made.get(other)?;
        let own = other.1 == it.id.1 && made.seq == it.seq;
        let had_seen = || self.actors.get(&other.1).is_some_and(|a| it.seen.of(*a) >= made.seq);
        (other.0 < it.id.0 && (own || had_seen())).then_some(made)
    }

    fn note(&mut self, id: OpId, seq: u64, op: &Op) {
        let (key, what) = match &op.action {
            OpType::Make(kind) => (op.key.clone(), What::Object(*kind)),
            OpType::Put(_) if op.insert => (Key::Seq(ElementId::Id(id.clone())), What::Character),
            OpType::Put(_) => (op.key.clone(), What::Value),
            _ => return,
        };
        self.made.insert(id, Made { seq, object: op.obj.clone(), key, what });
    }

    fn note_change(
        &mut self,
        hash: ChangeHash,
        actor: &ActorId,
        seq: u64,
        highest: u64,
        mut seen: Seen,
    ) {
        let actor = *self.actors.entry(actor.clone()).or_insert(self.last.len());
        if actor == self.last.len() {
            self.last.push(0);
        }
        let changes = (0..actor).map(|_| 0).chain([seq]).collect();
        seen.join(&Seen { highest, changes });
        self.last[actor] = seq;
        self.changes.insert(hash, seen);
    }
}

/// The operations that changes name, by actor.
fn named(changes: &[Change]) -> HashMap<ActorId, BTreeSet<u64>> {
    let mut named = HashMap::<ActorId, BTreeSet<u64>>::new();
    for op in changes.iter().flat_map(|change| change.decode().operations) {
        let object = match op.obj {
            ObjectId::Id(object) => Some(object),
            ObjectId::Root => None,
        };
        let element = op.key.to_opid();
        for id in op.pred.iter().cloned().chain(object).chain(element) {
            named.entry(id.1).or_default().insert(id.0);
        }
    }
    named
}

/// The operation that is looked at.
struct This<'a> {
    id: &'a OpId,
    seq: u64,
    seen: &'a Seen,
}

fn sets(action: &OpType) -> bool {
    match action {
        OpType::Delete => true,
        OpType::Put(value) => {
            !matches!(value, ScalarValue::Counter(_) | ScalarValue::Unknown { .. })
        }
        _ => false,
    }
}
