//! The model server's log and cursors: a tenant's changes in sequence, each with the tag of the
//! transaction that wrote it, so that a restored log is told from the one before.

use std::sync::Arc;

use motomind_protocol::Hash;
use motomind_protocol::wire::{Change, ChangeKind};
use serde_json::value::RawValue;

use crate::dice::Dice;

/// One change.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The change, read.
    pub change: Change,
    /// The change as every device receives it, byte for byte.
    pub raw: Arc<RawValue>,
    tag: u64,
}

/// A tenant's changes from sequence 1.
#[derive(Clone, Debug)]
pub struct Log {
    epoch: u64,
    entries: Vec<Entry>,
}

/// Where a device stands, as far as this log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// After this sequence.
    At(u64),
    /// Not in this log: it was restored, or begun again.
    Elsewhere,
    /// Not a cursor of this server.
    Forged,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(dice: &mut Dice) -> Self {
        Self { epoch: dice.number(), entries: Vec::new() }
    }

    /// This life of the log.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sequence of the newest change.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Every change, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The changes after a sequence.
    #[must_use]
    pub fn after(&self, seq: u64) -> &[Entry] {
        let from = usize::try_from(seq).unwrap_or(usize::MAX);
        self.entries.get(from..).unwrap_or_default()
    }

    /// Appends a change and gives its sequence.
    ///
    /// # Panics
    /// When a change cannot be written as JSON, which no change of the protocol can.
    #[allow(clippy::expect_used)]
    pub fn append(&mut self, what: ChangeKind, dice: &mut Dice) -> u64 {
        let seq = self.head() + 1;
        let change = Change { seq, what };
        let raw = serde_json::value::to_raw_value(&change).expect("a change is JSON");
        self.entries.push(Entry { change, raw: raw.into(), tag: dice.number() });
        seq
    }

    /// The cursor after a sequence.
    #[must_use]
    pub fn cursor(&self, seq: u64) -> String {
        let text = format!("{:x}.{seq}.{:x}", self.epoch, self.tag(seq));
        let mac = Hash::of(format!("the model's secret {text}").as_bytes()).to_string();
        format!("{text}.{}", &mac[..8])
    }

    /// Finds a cursor's place. What is not in this log begins a new epoch, so that everyone
    /// notices.
    pub fn locate(&mut self, cursor: &str, dice: &mut Dice) -> Place {
        let Some((epoch, seq, tag)) = read_cursor(cursor) else {
            return Place::Forged;
        };
        if epoch != self.epoch {
            return Place::Elsewhere;
        }
        if seq > self.head() || tag != self.tag(seq) {
            self.epoch = dice.number();
            return Place::Elsewhere;
        }
        Place::At(seq)
    }

    fn tag(&self, seq: u64) -> u64 {
        let index = usize::try_from(seq).unwrap_or(usize::MAX).checked_sub(1);
        index.and_then(|index| self.entries.get(index)).map_or(0, |entry| entry.tag)
    }
}

fn read_cursor(cursor: &str) -> Option<(u64, u64, u64)> {
    let (text, mac) = cursor.rsplit_once('.')?;
    let right = Hash::of(format!("the model's secret {text}").as_bytes()).to_string();
    let mut parts = text.split('.');
    let epoch = u64::from_str_radix(parts.next()?, 16).ok()?;
    let seq = parts.next()?.parse().ok()?;
    let tag = u64::from_str_radix(parts.next()?, 16).ok()?;
    (mac == &right[..8]).then_some((epoch, seq, tag))
}
