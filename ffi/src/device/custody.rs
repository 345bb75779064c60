//! What the server holds of this journal, whether the journal is whole, and ways out of it.

use std::path::Path;

use motomind_core::protocol::{ChainBreak, OpId};
use motomind_core::{CustodyReport, ExportScope};

use super::{MotoMind, ended};
use crate::clock::threads;
use crate::failure::MotoMindError;
use crate::files::Sink;
use crate::types::SalvageReport;

/// Where a device's chain of evidence breaks.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum Break {
    /// The text of this operation does not have its stored hash.
    Altered {
        /// The operation.
        op_id: OpId,
    },
    /// This operation does not name the one before it.
    Unlinked {
        /// The operation.
        op_id: OpId,
    },
}

#[uniffi::export]
impl MotoMind {
    /// Checks the chain of evidence. Returns where it breaks, if it does.
    ///
    /// # Errors
    /// The storage's.
    pub async fn verify(&self) -> Result<Option<Break>, MotoMindError> {
        self.work(|device, _| {
            Ok(device.verify()?.err().map(|broken| match broken {
                ChainBreak::Altered(op_id) => Break::Altered { op_id },
                ChainBreak::Unlinked(op_id) => Break::Unlinked { op_id },
            }))
        })
        .await
    }

    /// Asks the server with the next sync what it holds of this journal.
    ///
    /// # Errors
    /// `Closed`, `Suspended`.
    pub async fn compare_custody(&self) -> Result<(), MotoMindError> {
        let asked = self.work(|device, _| {
            device.compare_custody();
            Ok(())
        });
        asked.await?;
        self.shared.syncing.wake();
        Ok(())
    }

    /// What the last comparison since opening found.
    ///
    /// # Errors
    /// `Closed`, `Suspended`.
    pub async fn custody(&self) -> Result<Option<CustodyReport>, MotoMindError> {
        self.work(|device, _| Ok(device.custody().cloned())).await
    }

    /// Writes what this device holds as lines of JSON: everything, or what the server does not have
    /// or has refused. Returns how many operations.
    ///
    /// # Errors
    /// `Host` as the file reports it; what was written by then has no last line.
    pub async fn export(&self, to: Sink, everything: bool) -> Result<u64, MotoMindError> {
        let scope = if everything { ExportScope::Everything } else { ExportScope::Unsettled };
        let shared = self.shared.clone();
        let exporting = threads()?.spawn_blocking(move || {
            let file = std::io::BufWriter::new(to.open()?);
            shared.with_device(|device, clock| Ok(device.export(scope, file, clock.wall_ms)?))
        });
        ended(exporting.await)
    }
}

/// Reads a damaged journal row by row into a new one, and puts that in its place. The damaged one
/// stays beside it as `journal-damaged.db`.
///
/// # Errors
/// `JournalDamaged` where not even whose it is can be read; `Host` where files cannot be moved.
#[uniffi::export]
pub async fn salvage(
    directory: String,
    key: Option<String>,
) -> Result<SalvageReport, MotoMindError> {
    let salvaging = threads()?.spawn_blocking(move || {
        let path = |name: &str| Path::new(&directory).join(name);
        let text = |name: &str| path(name).display().to_string();
        let (journal, into) = (text("journal.db"), text("salvaged.db"));
        let salvaged = motomind_core::salvage(&journal, &into, None, key.as_deref())?;
        for part in ["", "-wal", "-shm"] {
            let (from, to) = (format!("journal.db{part}"), format!("journal-damaged.db{part}"));
            if path(&from).exists() {
                std::fs::rename(path(&from), path(&to))?;
            }
        }
        std::fs::rename(&into, &journal)?;
        Ok(salvaged.into())
    });
    ended(salvaging.await)
}
