//! A phone: a device on a disk that can lose power, with a clock that lies and a token that ends.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use motomind_core::{Capture, Device, OpenError, OpenOptions, TimelineEntry, TimelineQuery};
use motomind_protocol::{
    AppMetadata, Claims, EventId, Hash, Identity, Millis, OpId, Operation, Role, SealedOperation,
    TenantId,
};
use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

use super::network::Partition;
use super::photographing::{Kept, Unsure};
use crate::dice::Dice;
use crate::disk::{Disk, Image};

/// The journal's file name.
pub const JOURNAL: &str = "journal.db";
/// The mirror's file name.
pub const MIRROR: &str = "mirror.db";

/// A phone.
#[derive(Debug)]
pub struct Phone {
    /// The device while its process lives. Declared before the disk: it is dropped first.
    pub device: Option<Device>,
    /// Its files.
    pub disk: Disk,
    /// Who uses it.
    pub identity: Identity,
    /// What they may do.
    pub role: Role,
    /// Openings so far.
    pub boot: u32,
    /// Device clock minus true time, ms.
    pub clock_offset_ms: Millis,
    /// What the disk must hold, in the order of capture.
    pub held: Vec<OpId>,
    /// Calls whose answer the power took.
    pub in_doubt: Vec<OpId>,
    /// Captures among them that the person will make again, under the same id.
    pub unsure: Vec<Capture>,
    /// What it must hold of photos.
    pub kept: Kept,
    /// Captures with photos that the person will make again.
    pub unsure_photos: Vec<Unsure>,
    /// When the device wants to be asked again, true time.
    pub wake: Option<Millis>,
    /// How its network is broken.
    pub partition: Partition,
    /// What its screen has shown as accepted.
    pub shown: BTreeSet<EventId>,
    /// Older copies of its files, with what they hold.
    pub backups: Vec<(Image, Vec<OpId>, Kept)>,
    /// It shares its past with another phone.
    pub cloned: bool,
}

/// A row of the journal, read past the device.
#[derive(Clone, Debug)]
pub struct JournalRow {
    /// The operation.
    pub sealed: SealedOperation,
    /// Its stored state.
    pub state: String,
}

impl JournalRow {
    /// Whether it takes the place of another operation.
    #[must_use]
    pub fn replaces(&self, op: OpId) -> bool {
        let operation = serde_json::from_str::<Operation>(&self.sealed.text);
        operation.is_ok_and(|operation| operation.supersedes.contains(&op))
    }
}

impl Phone {
    /// A new phone, switched off.
    #[must_use]
    pub fn new(identity: Identity, role: Role) -> Self {
        Self {
            device: None,
            disk: Disk::new(),
            identity,
            role,
            boot: 0,
            clock_offset_ms: 0,
            held: Vec::new(),
            in_doubt: Vec::new(),
            unsure: Vec::new(),
            kept: Kept::default(),
            unsure_photos: Vec::new(),
            wake: None,
            partition: Partition::None,
            shown: BTreeSet::new(),
            backups: Vec::new(),
            cloned: false,
        }
    }

    /// A second phone with the same files, switched off.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self {
            disk: self.disk.clone_disk(),
            held: self.held.clone(),
            in_doubt: self.in_doubt.clone(),
            kept: self.kept.clone(),
            clock_offset_ms: self.clock_offset_ms,
            shown: self.shown.clone(),
            cloned: true,
            ..Self::new(self.identity, self.role)
        }
    }

    /// The device clock.
    #[must_use]
    pub fn clock(&self, now: Millis) -> Millis {
        now + self.clock_offset_ms
    }

    /// Opens the device.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open(&mut self, now: Millis, dice: &mut Dice) -> Result<(), OpenError> {
        self.boot += 1;
        let device = Device::open(OpenOptions {
            journal: JOURNAL.into(),
            mirror: MIRROR.into(),
            vfs: Some(self.disk.vfs().into()),
            identity: Some(self.identity),
            key: None,
            seed: dice.bytes(),
            now: self.clock(now),
        })?;
        self.device = Some(device);
        self.wake = Some(now);
        Ok(())
    }

    /// The power goes and comes back; the phone is off.
    pub fn lose_power(&mut self, dice: &mut Dice) {
        self.disk.power_loss(dice);
        self.device = None;
        self.wake = None;
        // What others captured may have to be pulled again: the mirror is a cache.
        self.shown.clear();
    }

    /// The process is killed; what it wrote is there.
    pub fn kill(&mut self) {
        self.disk.kill_process();
        self.device = None;
        self.wake = None;
    }

    /// The app is closed properly.
    pub fn close(&mut self) {
        self.device = None;
        self.wake = None;
    }

    /// A token for someone, valid until an instant of true time.
    #[must_use]
    pub fn token(identity: Identity, role: Role, until: Millis) -> String {
        let claims = Claims {
            sub: identity.user_id,
            exp: until / 1_000,
            iss: None,
            aud: None,
            role: None,
            app_metadata: AppMetadata { tenant_id: identity.tenant_id, role },
        };
        let json = serde_json::to_vec(&claims).unwrap_or_default();
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(json))
    }

    /// A token that is not this person's.
    #[must_use]
    pub fn foreign_token(&self, until: Millis) -> String {
        let tenant_id = TenantId(Uuid::from_u128(0xdead));
        let identity = Identity { tenant_id, ..self.identity };
        Self::token(identity, self.role, until)
    }

    /// The journal, read from a copy of the disk, past the device's own code.
    ///
    /// # Errors
    /// What SQLite says of the copy.
    pub fn journal(&self) -> rusqlite::Result<Vec<JournalRow>> {
        let copy = self.disk.clone_disk();
        let db = copy.connect(JOURNAL)?;
        if !has_operations(&db)? {
            return Ok(Vec::new());
        }
        let mut statement =
            db.prepare("SELECT op_id, hash, text, state FROM operations ORDER BY pos")?;
        let rows = statement.query_map([], |row| {
            let id = |bytes: [u8; 16]| OpId(Uuid::from_bytes(bytes));
            Ok(JournalRow {
                sealed: SealedOperation {
                    op_id: id(row.get(0)?),
                    hash: Hash(row.get(1)?),
                    text: row.get(2)?,
                },
                state: row.get(3)?,
            })
        })?;
        rows.collect()
    }

    /// The hash of the last operation that the journal has pruned, read past the device's code.
    ///
    /// # Errors
    /// What SQLite says of a copy of the disk.
    pub fn pruned_up_to(&self) -> rusqlite::Result<Option<Hash>> {
        let copy = self.disk.clone_disk();
        let db = copy.connect(JOURNAL)?;
        if !has_operations(&db)? {
            return Ok(None);
        }
        let newest = "SELECT hash FROM checkpoints ORDER BY pos DESC LIMIT 1";
        db.query_row(newest, [], |row| Ok(Hash(row.get(0)?))).optional()
    }

    /// What the files say of an operation, for whoever reads about a violated invariant.
    #[must_use]
    pub fn explain(&self, op: OpId) -> String {
        let copy = self.disk.clone_disk();
        let ask = |file: &str, sql: &str| -> rusqlite::Result<String> {
            let db = copy.connect(file)?;
            let mut statement = db.prepare(sql)?;
            let given = statement.parameter_count();
            let mut rows =
                statement.query(rusqlite::params_from_iter([op.as_bytes()].iter().take(given)))?;
            rows.next()?.map_or(Ok("none".into()), |row| row.get(0))
        };
        let operation = "SELECT printf('%s, seq %s, awaits %s, retry at %s', state, seq,
             hex(awaits), retry_at) FROM operations WHERE op_id = ?1";
        let event = "SELECT printf('%s, seq %s, own %s, hidden %s, generation %s', state, seq,
             own, hidden, generation) FROM events WHERE event_id = ?1";
        let mirror = "SELECT printf('seq %s, generation %s, rebuilding %s', seq, generation,
             rebuilding) FROM mirror";
        format!(
            "\n  operation: {:?}\n  event: {:?}\n  mirror: {:?}",
            ask(JOURNAL, operation),
            ask(MIRROR, event),
            ask(MIRROR, mirror)
        )
    }

    /// The whole timeline, hidden entries included, newest first.
    ///
    /// # Errors
    /// What the device says, or that it is off.
    pub fn timeline(&self) -> Result<Vec<TimelineEntry>, String> {
        let device = self.device.as_ref().ok_or("the phone is off")?;
        let mut query =
            TimelineQuery { limit: 40, include_hidden: true, ..TimelineQuery::default() };
        let mut entries = Vec::new();
        loop {
            let page = device.timeline(&query).map_err(|error| error.to_string())?;
            entries.extend(page.entries);
            match page.next {
                Some(next) => query.before = Some(next),
                None => return Ok(entries),
            }
        }
    }
}

fn has_operations(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'operations')",
        [],
        |row| row.get(0),
    )
}
