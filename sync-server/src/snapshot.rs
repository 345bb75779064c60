//! First-sync snapshots: a tenant's mirror as a ready SQLite file at one sequence.
//!
//! A snapshot is immutable and named by its SHA-256. It is kept while it is recent, so that a
//! device can fetch it piece by piece; each tenant has the present one and the one before.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use motomind_protocol::{Hash, TenantId, limits};
use tempfile::TempDir;

use crate::App;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::log;

mod build;

/// Snapshots kept for one tenant.
const KEPT_PER_TENANT: usize = 2;

/// Snapshots kept on this instance; the longest unasked-for go first.
const KEPT_MAX: usize = 64;

/// A snapshot this many changes behind is still handed out: the next pull is one page.
const BEHIND_MAX: i64 = limits::PULL_CHANGES_MAX as i64;

/// One snapshot file.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// SHA-256 of the file.
    pub(crate) digest: Hash,
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Where it stands in the log.
    pub(crate) place: Cursor,
    /// The same, as devices carry it.
    pub(crate) cursor: String,
    file: std::fs::File,
}

impl Snapshot {
    /// Reads a piece.
    pub(crate) fn read(&self, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, from)?;
        Ok(piece)
    }
}

/// The snapshots of this instance.
#[derive(Debug)]
pub(crate) struct Snapshots {
    directory: TempDir,
    kept: Mutex<HashMap<TenantId, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Counts requests, to know who was asked for longest ago.
    asked: u64,
    /// Newest last.
    snapshots: Vec<Arc<Snapshot>>,
    /// One build at a time for a tenant; the others wait for it.
    building: Arc<tokio::sync::Mutex<()>>,
}

impl Snapshots {
    /// Keeps files in a directory of its own below this one, or below the system's temporary one.
    pub(crate) fn new(below: Option<&Path>) -> io::Result<Self> {
        let builder = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix("motomind-snapshots-");
            builder
        };
        let directory = match below {
            Some(below) => builder().tempdir_in(below)?,
            None => builder().tempdir()?,
        };
        Ok(Self { directory, kept: Mutex::default() })
    }

    /// The kept snapshot with this digest.
    pub(crate) fn find(&self, tenant: TenantId, digest: Hash) -> Option<Arc<Snapshot>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshots = kept.get(&tenant)?.snapshots.iter();
        snapshots.find(|one| one.digest == digest).cloned()
    }

    fn newest(&self, tenant: TenantId) -> (Option<Arc<Snapshot>>, Arc<tokio::sync::Mutex<()>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = kept.values().map(|one| one.asked).max().unwrap_or(0) + 1;
        let ours = kept.entry(tenant).or_default();
        ours.asked = asked;
        (ours.snapshots.last().cloned(), Arc::clone(&ours.building))
    }

    fn keep(&self, tenant: TenantId, snapshot: &Arc<Snapshot>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = kept.entry(tenant).or_default();
        ours.snapshots.push(Arc::clone(snapshot));
        if ours.snapshots.len() > KEPT_PER_TENANT {
            ours.snapshots.remove(0);
        }
        while kept.values().map(|one| one.snapshots.len()).sum::<usize>() > KEPT_MAX {
            let oldest = kept
                .iter()
                .filter(|(id, one)| **id != tenant && !one.snapshots.is_empty())
                .min_by_key(|(_, one)| one.asked)
                .map(|(id, _)| *id);
            match oldest.and_then(|id| kept.get_mut(&id)) {
                Some(oldest) => drop(oldest.snapshots.remove(0)),
                None => break,
            }
        }
    }
}

/// A snapshot of the tenant that is recent enough, built now if there is none.
///
/// The build goes on when the caller gives up waiting: the next one finds it.
pub(crate) async fn recent(app: &App, tenant: TenantId) -> Result<Arc<Snapshot>, Error> {
    let app = app.clone();
    let work = tokio::spawn(async move {
        let (_, building) = app.snapshots.newest(tenant);
        let _turn = building.lock().await;
        absorb_if_queued(&app, tenant).await?;
        let (newest, _) = app.snapshots.newest(tenant);
        if let Some(newest) = newest
            && is_recent(&app, tenant, &newest).await?
        {
            return Ok(newest);
        }
        let built = Arc::new(build::build(&app, tenant, app.snapshots.directory.path()).await?);
        app.snapshots.keep(tenant, &built);
        Ok(built)
    });
    work.await.map_err(|error| Error::Internal(format!("building a snapshot ended: {error}")))?
}

async fn absorb_if_queued(app: &App, tenant: TenantId) -> Result<(), Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    let counter = log::counter(&transaction, tenant).await?;
    transaction.commit().await?;
    drop(client);
    if counter.queued {
        crate::records::absorb_before_serving(app, tenant).await;
    }
    Ok(())
}

/// Whether a device that installs the snapshot can pull on from it, and soon has the rest.
async fn is_recent(app: &App, tenant: TenantId, snapshot: &Snapshot) -> Result<bool, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    let counter = log::counter(&transaction, tenant).await?;
    let place = snapshot.place;
    let same_log = counter.epoch == place.epoch
        && place.seq <= counter.head
        && log::tag_at(&transaction, tenant, place.seq).await? == place.tag;
    transaction.commit().await?;
    Ok(same_log && counter.head - place.seq < BEHIND_MAX)
}
