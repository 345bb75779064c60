//! The device: one journal, one mirror, one sync machine.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::{
    ChainBreak, Hash, OpId, Operation, SealedOperation, VehicleId, verify_chain,
};
use rand_chacha::ChaCha20Rng;
use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;
use crate::journal;
use crate::mirror::RecordRef;
use crate::open::{DeviceIdentity, OpenOptions};
use crate::photos::HalfWritten;
use crate::sync::SyncState;

/// One installation's data for one user, open. Not shared between threads; wrap it in a mutex.
#[derive(Debug)]
pub struct Device {
    pub(crate) conn: Connection,
    pub(crate) who: DeviceIdentity,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) head: ChainHead,
    pub(crate) sync: SyncState,
    pub(crate) changes: Changes,
    /// The journal is ahead of the mirror, which could not be written.
    pub(crate) mirror_is_stale: Cell<bool>,
    /// Captures that are durable and will be laid over the mirror before anyone looks at it.
    pub(crate) unshown: RefCell<Vec<Operation>>,
    /// Reading the mirror found damage. The next call that may change something empties it.
    pub(crate) mirror_is_damaged: Cell<bool>,
    /// Photos between their beginning and their end.
    pub(crate) half_written: BTreeMap<u64, HalfWritten>,
    /// How many photos were begun since the opening.
    pub(crate) photos_begun: u64,
    /// The id that the caller made for the next operation.
    pub(crate) given_id: Option<OpId>,
    /// The files, to attach a mirror again.
    pub(crate) files: OpenOptions,
}

/// The end of the chain: what the next operation follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChainHead {
    pub(crate) incarnation_n: i64,
    pub(crate) device_seq: u64,
    pub(crate) hash: Hash,
}

/// What has changed since it was last asked, for live queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Which kinds of data: `events`, `pending`, `status`, `photos`, and the collections of records.
    pub tables: BTreeSet<&'static str>,
    /// Which records.
    pub records: BTreeSet<RecordRef>,
    /// Which vehicles' timelines.
    pub vehicles: BTreeSet<VehicleId>,
}

impl Changes {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.vehicles.is_empty() && self.records.is_empty()
    }

    pub(crate) fn records_changed(&mut self, records: impl IntoIterator<Item = RecordRef>) {
        for record in records {
            let collection = motomind_protocol::records::find(&record.collection);
            self.tables.extend(collection.map(|collection| collection.name));
            self.records.insert(record);
        }
    }

    pub(crate) fn event_of(&mut self, vehicle: VehicleId) {
        self.tables.insert("events");
        self.vehicles.insert(vehicle);
    }
}

impl Device {
    pub(crate) fn assemble(
        conn: Connection,
        who: DeviceIdentity,
        rng: ChaCha20Rng,
        files: OpenOptions,
    ) -> Result<Self, StoreError> {
        let head = journal::chain_head(&conn)?;
        Ok(Self {
            conn,
            who,
            rng,
            head,
            sync: SyncState::new(who.device_id),
            changes: Changes::default(),
            mirror_is_stale: Cell::new(false),
            unshown: RefCell::default(),
            mirror_is_damaged: Cell::new(false),
            half_written: BTreeMap::new(),
            photos_begun: 0,
            given_id: None,
            files,
        })
    }

    /// Passes on what reading the mirror gave, and remembers damage.
    pub(crate) fn noting_damage<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(read, Err(StoreError::Damaged(_))) {
            self.mirror_is_damaged.set(true);
        }
        read
    }

    /// Who this device is.
    #[must_use]
    pub fn identity(&self) -> DeviceIdentity {
        self.who
    }

    /// What has changed since the last call. Ask after each call that changes something.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Checks the evidence chain of everything the journal still holds.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read; a broken chain is an outcome.
    pub fn verify(&self) -> Result<Result<(), ChainBreak>, StoreError> {
        let checkpoint: Option<[u8; 32]> = self
            .conn
            .query_row("SELECT hash FROM checkpoints ORDER BY pos DESC LIMIT 1", [], |row| {
                row.get(0)
            })
            .optional()?;
        let mut head = Hash(checkpoint.unwrap_or_default());
        let mut statement =
            self.conn.prepare("SELECT op_id, hash, text FROM operations ORDER BY pos")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let sealed = SealedOperation {
                op_id: crate::ids::read_id(row, 0)?.into(),
                hash: Hash(row.get(1)?),
                text: row.get(2)?,
            };
            match verify_chain(head, [&sealed]) {
                Ok(next) => head = next,
                Err(broken) => return Ok(Err(broken)),
            }
        }
        Ok(Ok(()))
    }
}
