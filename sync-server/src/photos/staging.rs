//! Files of uploads between two requests: the one that brings the next bytes goes on in the file of
//! the one before it. Known to this process alone; another one begins another file.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use motomind_protocol::Hash;
use uuid::Uuid;

use super::capability::Uploader;
use super::staged::Staged;
use super::upload::Upload;

/// Files kept open for uploads that pause; the one that waited longest is let go, and its upload
/// goes on in another file.
const FILES_MAX: usize = 256;

/// Longest pause in which a file is kept. The upload may have been removed by another instance.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a request left for the next one.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) staged: Staged,
    /// As it was when somebody was admitted to it.
    pub(crate) upload: Upload,
    /// The request that could add pieces, and that the next one goes on as.
    pub(crate) holder: Uuid,
    /// The SHA-256 of the secret by which it was admitted.
    pub(crate) secret: Option<Hash>,
}

/// The files that nobody writes to just now, and since when.
#[derive(Debug, Default)]
pub(crate) struct Staging(Mutex<HashMap<Uuid, (Instant, Left)>>);

impl Staging {
    /// Leaves a file for the next request.
    pub(crate) fn put(&self, left: Left) {
        self.let_go();
        let mut files = self.lock();
        files.insert(left.upload.id, (Instant::now(), left));
        if files.len() > FILES_MAX {
            let oldest = files.iter().min_by_key(|(_, (since, _))| *since).map(|(id, _)| *id);
            oldest.and_then(|id| files.remove(&id));
        }
    }

    /// Lets files go whose upload pauses for too long.
    pub(crate) fn let_go(&self) {
        self.lock().retain(|_, (since, _)| since.elapsed() < PAUSE_MAX);
    }

    /// Takes the file of an upload, whoever asks.
    pub(crate) fn take(&self, upload: Uuid) -> Option<Left> {
        self.lock().remove(&upload).map(|(_, left)| left)
    }

    /// Takes it for one who brings what follows by the capability that was admitted before. Postgres
    /// is asked whether all that still holds when it is told of the bytes.
    pub(crate) fn resume(&self, upload: Uuid, uploader: &Uploader, offset: u64) -> Option<Left> {
        let Uploader::Holder(capability) = uploader else {
            return None;
        };
        let mut files = self.lock();
        let (_, left) = files.get(&upload)?;
        let goes_on = left.upload.tenant == capability.tenant
            && capability.upload == upload
            && left.secret == Some(capability.hash())
            && left.staged.end() == offset;
        if goes_on { files.remove(&upload).map(|(_, left)| left) } else { None }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (Instant, Left)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
