//! Disks in memory that can lose power, for SQLite.
//!
//! A [`Disk`] is a SQLite VFS of its own. It knows which bytes were synced: when the power goes,
//! everything else survives in part, in sectors of 512 bytes, in any subset, or not at all, as the
//! dice have it. Creations and deletions of files that were not synced may come or go.
//!
//! ```
//! use motomind_tests::{dice::Dice, disk::Disk};
//!
//! let disk = Disk::new();
//! let db = disk.connect("notes.db").unwrap();
//! db.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE note (text TEXT)").unwrap();
//! db.execute("INSERT INTO note VALUES ('acknowledged')", []).unwrap();
//! disk.power_loss(&mut Dice::new(1));
//! drop(db);
//! let db = disk.connect("notes.db").unwrap();
//! let text: String = db.query_row("SELECT text FROM note", [], |row| row.get(0)).unwrap();
//! assert_eq!(text, "acknowledged");
//! ```

mod content;
mod state;
#[cfg(test)]
mod tests;
mod vfs;

use std::collections::BTreeMap;

use rusqlite::{Connection, OpenFlags};

use crate::dice::Dice;
use state::State;
use vfs::{Registered, Shared};

/// Files of a disk at one moment: a phone's backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(BTreeMap<String, Vec<u8>>);

/// How often a disk was asked to write or sync since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Writes, size changes and deletions.
    pub writes: u64,
    /// Syncs.
    pub syncs: u64,
}

/// Where the power goes, counted by [`Counters`] from the disk's beginning. From there on every
/// call fails until [`Disk::power_loss`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// While this write is on its way.
    Write(u64),
    /// As this sync begins: nothing of it is certain.
    BeforeSync(u64),
    /// As this sync ends: all of it is certain, and nobody is told.
    AfterSync(u64),
}

/// A disk in memory that can lose power. Drop the connections on it before the disk itself.
#[derive(Debug)]
pub struct Disk(Registered);

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// An empty disk.
    ///
    /// # Panics
    /// When SQLite has no memory left to list one more VFS.
    #[must_use]
    pub fn new() -> Self {
        Self::with_state(State::default())
    }

    /// A disk that holds these files, all durable.
    #[must_use]
    pub fn of_image(image: &Image) -> Self {
        Self::with_state(State::of_image(image))
    }

    #[allow(clippy::expect_used)] // a test without its disk cannot go on
    fn with_state(state: State) -> Self {
        Self(Registered::new(Shared::new(state)).expect("SQLite takes one more VFS"))
    }

    /// The name to open SQLite files on this disk with.
    #[must_use]
    pub fn vfs(&self) -> &str {
        &self.0.name
    }

    /// Opens a connection to a file on this disk, exclusive, so that WAL needs no shared memory.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn connect(&self, name: &str) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::default() - OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags_and_vfs(name, flags, self.vfs())?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        Ok(connection)
    }

    /// The files as a running phone would copy them, synced or not.
    #[must_use]
    pub fn image(&self) -> Image {
        self.0.shared.lock().image()
    }

    /// A second phone with the same files.
    #[must_use]
    pub fn clone_disk(&self) -> Self {
        Self::of_image(&self.image())
    }

    /// Puts back one database (the file and its journals) as it was in `image`; the rest stays.
    /// Nothing may be open.
    pub fn restore_file(&self, image: &Image, name: &str) {
        let mut state = self.0.shared.lock();
        let of_it = |other: &String| other.starts_with(name);
        let present: Vec<String> = state.names().filter(|name| of_it(name)).cloned().collect();
        for name in present {
            state.uninstall(&name);
        }
        for (name, bytes) in image.0.iter().filter(|(name, _)| of_it(name)) {
            state.install(name, bytes.clone());
        }
    }

    /// Removes one database, the file and its journals. Nothing may be open.
    pub fn remove_file(&self, name: &str) {
        self.restore_file(&Image::default(), name);
    }

    /// The power goes and comes back. What was not synced survives as the dice have it; every
    /// open connection is dead and can only be dropped.
    pub fn power_loss(&self, dice: &mut Dice) {
        self.0.shared.lock().lose_power(dice);
    }

    /// The process that had it open is killed: its handles are dead, what it wrote is there.
    pub fn kill_process(&self) {
        self.0.shared.lock().kill_process();
    }

    /// Lets the power go at a point; `None` calls it off.
    pub fn crash_at(&self, point: Option<CrashPoint>) {
        self.0.shared.lock().crash_at(point);
    }

    /// Whether the power has gone and [`Disk::power_loss`] has not settled it yet.
    #[must_use]
    pub fn power_is_out(&self) -> bool {
        self.0.shared.lock().power_is_out()
    }

    /// From now on keeps a copy of the disk at the beginning and the end of every sync.
    pub fn record_syncs(&self) {
        self.0.shared.lock().recorded = Some(Vec::new());
    }

    /// Keeps one more copy, of the disk as it is now.
    pub fn record_now(&self) {
        self.0.shared.lock().record();
    }

    /// The copies since the last call, each as a disk whose power has just gone.
    #[must_use]
    pub fn take_recorded(&self, dice: &mut Dice) -> Vec<Self> {
        let recorded = self.0.shared.lock().recorded.replace(Vec::new());
        let lose = |state| {
            let disk = Self::with_state(state);
            disk.power_loss(dice);
            disk
        };
        recorded.into_iter().flatten().map(lose).collect()
    }

    /// Promises and does not do the syncs of files whose names begin with `prefix`: what a lying
    /// flash controller does, or a database opened with `synchronous` weakened.
    pub fn lie_about_syncs_of(&self, prefix: &str) {
        self.0.shared.lock().lying_about = Some(prefix.into());
    }

    /// Writes and syncs so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.shared.lock().counters
    }
}
