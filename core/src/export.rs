//! Export: what this device holds, as lines of JSON that anyone can keep and read.
//!
//! The first line says what the file is; every further line is one operation with its sealed text
//! byte for byte, its hash and where it stands. The last line counts them and carries the SHA-256
//! of everything before it.

use std::io::{self, Write};

use motomind_protocol::wire::Rejection;
use motomind_protocol::{DeviceId, Hash, Identity, Millis, OpState, SealedOperation};
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::error::StoreError;
use crate::journal::{self, Stored};

/// Version of the export's lines.
pub const EXPORT_VERSION: u16 = 1;

/// What to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportScope {
    /// What the server does not have or has refused, and what was discarded before it arrived.
    Unsettled,
    /// Everything that the journal still holds.
    Everything,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHeader {
    /// `motomind-export`.
    pub format: String,
    /// [`EXPORT_VERSION`].
    pub version: u16,
    /// Whose captures these are.
    pub identity: Identity,
    /// Which device's.
    pub device_id: DeviceId,
    /// Device clock, UTC ms.
    pub exported_at: Millis,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportLine {
    /// The operation as captured.
    #[serde(flatten)]
    pub sealed: SealedOperation,
    /// Where it stands.
    pub state: OpState,
    /// The server's sequence, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Rejection>,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFooter {
    /// Operations above.
    pub operations: u64,
    /// SHA-256 of all bytes above.
    pub sha256: Hash,
}

/// An export could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The receiving end failed.
    #[error("the export could not be written: {0}")]
    Write(#[from] io::Error),
    /// The journal could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ExportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<serde_json::Error> for ExportError {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}

struct Hashed<W> {
    inner: W,
    sha: sha2::Sha256,
}

impl<W: Write> Hashed<W> {
    fn line(&mut self, value: &impl Serialize) -> Result<(), ExportError> {
        use sha2::Digest;
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.sha.update(&line);
        self.inner.write_all(&line)?;
        Ok(())
    }
}

impl Device {
    /// Writes an export. Returns how many operations it holds.
    ///
    /// # Errors
    /// [`ExportError`]; what was written by then is incomplete and has no last line.
    pub fn export(
        &self,
        scope: ExportScope,
        out: impl Write,
        now: Millis,
    ) -> Result<u64, ExportError> {
        use sha2::Digest;
        let mut out = Hashed { inner: out, sha: sha2::Sha256::new() };
        out.line(&ExportHeader {
            format: "motomind-export".into(),
            version: EXPORT_VERSION,
            identity: self.who.identity,
            device_id: self.who.device_id,
            exported_at: now,
        })?;
        let filter = match scope {
            ExportScope::Unsettled => "state <> 'accepted' AND seq IS NULL",
            ExportScope::Everything => "1 = 1",
        };
        let mut statement = self.conn.prepare(&format!(
            "SELECT {} FROM operations WHERE {filter} ORDER BY pos",
            journal::STORED
        ))?;
        let mut rows = statement.query([])?;
        let mut operations = 0;
        while let Some(row) = rows.next()? {
            let Stored { sealed, state, seq, reason, .. } = Stored::read(row)?;
            out.line(&ExportLine { sealed, state, seq, reason })?;
            operations += 1;
        }
        let sha256 = Hash(out.sha.clone().finalize().into());
        out.line(&ExportFooter { operations, sha256 })?;
        out.inner.flush()?;
        Ok(operations)
    }
}
