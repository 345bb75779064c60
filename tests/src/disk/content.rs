//! The bytes of one simulated file: what a reader sees now, and what would survive a power loss.

use crate::dice::Dice;

/// The unit that a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// One change since the last sync.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
}

/// What becomes of unsynced changes when the power goes.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// None reached the device.
    Lost,
    /// All did, though nobody was told.
    Kept,
    /// The first so many did; the next one is torn.
    Prefix(usize),
    /// Each sector did or did not, this often in a thousand.
    Scattered(u64),
}

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Content {
    /// A file that has been there for long: every byte durable.
    pub(super) fn settled(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), current: bytes, unsynced: Vec::new() }
    }

    pub(super) fn current(&self) -> &[u8] {
        &self.current
    }

    /// Copies what is there into `buffer`; the number of bytes copied ends short at the end of file.
    pub(super) fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let there = self.current.get(offset..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        count
    }

    pub(super) fn write(&mut self, data: &[u8], offset: usize) {
        put(&mut self.current, offset, data);
        let data = data.to_vec();
        self.unsynced.push(Change::Write { offset, data });
    }

    pub(super) fn resize(&mut self, len: usize) {
        self.current.resize(len, 0);
        self.unsynced.push(Change::Resize(len));
    }

    /// Everything written so far survives from here on.
    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, data } => put(&mut self.durable, offset, &data),
                Change::Resize(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// The power went: unsynced changes survive in part, in sectors, as chance has it.
    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        let changes = std::mem::take(&mut self.unsynced);
        if !changes.is_empty() {
            let fate = match dice.below(8) {
                0 | 1 => Fate::Lost,
                2 => Fate::Kept,
                3 | 4 => Fate::Prefix(dice.index(changes.len()).unwrap_or(0)),
                _ => Fate::Scattered([30, 200, 500, 800, 970][dice.index(5).unwrap_or(0)]),
            };
            for (index, change) in changes.into_iter().enumerate() {
                let survives = match fate {
                    Fate::Lost => 0,
                    Fate::Kept => 1_000,
                    Fate::Prefix(whole) if index < whole => 1_000,
                    Fate::Prefix(whole) if index > whole => 0,
                    Fate::Prefix(_) => 500,
                    Fate::Scattered(permille) => permille,
                };
                self.land(change, survives, dice);
            }
        }
        self.current.clone_from(&self.durable);
    }

    /// Lets a change reach the device, each sector this often in a thousand.
    fn land(&mut self, change: Change, survives: u64, dice: &mut Dice) {
        match change {
            Change::Resize(len) if dice.permille(survives) => self.durable.resize(len, 0),
            Change::Resize(_) => {}
            Change::Write { offset, data } => {
                let end = offset + data.len();
                // The new size can be recorded without the bytes: they then read as zeros.
                if end > self.durable.len() && survives > 0 && dice.permille(200) {
                    self.durable.resize(end, 0);
                }
                let mut from = offset;
                while from < end {
                    let to = end.min((from / SECTOR_BYTES + 1) * SECTOR_BYTES);
                    if dice.permille(survives) {
                        put(&mut self.durable, from, &data[from - offset..to - offset]);
                    }
                    from = to;
                }
            }
        }
    }
}

/// Writes `data` at `offset`, growing the file with zeros where it must.
fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}
