//! What happened, as one number: two runs of a seed must leave the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use motomind_protocol::Hash;

/// A running account of a simulation.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    tally: BTreeMap<String, u64>,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Begins an account; keeps its lines when asked to.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, tally: BTreeMap::new(), lines: keep.then(Vec::new) }
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line.to_owned());
        }
    }

    /// Counts something that happened, so that a test can see that it did.
    pub fn count(&mut self, what: &str) {
        match self.tally.get_mut(what) {
            Some(times) => *times += 1,
            None => drop(self.tally.insert(what.to_owned(), 1)),
        }
    }

    /// How often what happened.
    #[must_use]
    pub fn tally(&self) -> &BTreeMap<String, u64> {
        &self.tally
    }

    /// The account so far, as one number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The account so far, when its lines were kept.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.as_deref().unwrap_or_default().join("\n")
    }
}

/// A short name for some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash = Hash::of(bytes);
    hash.0[..4].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
