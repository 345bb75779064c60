//! An upload on a disk: one file, to which one request after the other adds, and which is the photo
//! once it has all of it.
//!
//! Whoever has the [`Staged`] is the only one who ever writes to that file, in whatever process: it
//! is made under a name of its own and handed on, never opened again. What lies beyond the bytes
//! that it counts (of a write that failed, of a request that nobody heard the end of) is nothing.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use motomind_protocol::photo::MAGIC_BYTES;
use motomind_protocol::{Hash, TenantId};
use sha2::{Digest, Sha256};
use tokio::task::{JoinError, spawn_blocking};
use uuid::Uuid;

use super::upload::{Outcome, Piece, Upload};
use crate::error::Error;

/// A file that an upload is being written to.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Its name in the photo store.
    object: String,
    path: PathBuf,
    /// The photo store.
    root: PathBuf,
    file: Arc<File>,
    is_named: bool,
    /// Where in the photo it begins.
    first: u64,
    /// What it has from there.
    bytes: u64,
    /// Of all that it has, where that is the photo from its beginning.
    hash: Option<Sha256>,
}

impl Staged {
    /// Makes the file for what comes at `first`. Its name is durable with the first bytes.
    pub(crate) async fn begin(
        root: &Path,
        tenant: TenantId,
        upload: Uuid,
        first: u64,
    ) -> Result<Self, Error> {
        let object = format!("uploads/{tenant}/{upload}/{first:010}-{}", Uuid::new_v4().simple());
        let (root, path) = (root.to_path_buf(), root.join(&object));
        let made = move || {
            path.parent().map_or(Ok(()), create_dir_all)?;
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            let hash = (first == 0).then(Sha256::new);
            let file = Arc::new(file);
            Ok(Self { object, path, root, file, is_named: false, first, bytes: 0, hash })
        };
        apart(made).await
    }

    /// Where in the photo it ends.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.bytes
    }

    /// What Postgres is to know of it.
    pub(crate) fn piece(&self) -> Piece {
        Piece { first: self.first, bytes: self.bytes, object: self.object.clone() }
    }

    /// Adds bytes; they are hashed while they are written. They are durable once they were synced,
    /// here or by a later [`Staged::sync`]. After a failure the file is not gone on with: what a
    /// disk refused once, it may later seem to have.
    pub(crate) async fn append(mut self, pieces: Vec<Bytes>, durably: bool) -> Result<Self, Error> {
        let (mut hash, hashed) = (self.hash.take(), pieces.clone());
        let writing = spawn_blocking(move || {
            for piece in pieces {
                self.file.write_all_at(&piece, self.bytes)?;
                self.bytes += piece.len() as u64;
            }
            if durably {
                self.sync().run()?;
            }
            Ok(self)
        });
        if let Some(hash) = &mut hash {
            for piece in hashed {
                hash.update(&piece);
                tokio::task::yield_now().await;
            }
        }
        let written = done(writing.await)?;
        Ok(Self { hash, ..written })
    }

    /// What makes all that was written until now durable, while more is being written; the first
    /// time also the file's name.
    pub(crate) fn sync(&mut self) -> Sync {
        let is_named = std::mem::replace(&mut self.is_named, true);
        let name = (!is_named).then(|| (self.path.clone(), self.root.clone()));
        Sync { file: Arc::clone(&self.file), name }
    }

    /// What it turned out to be, if it is all of an upload; the photo that was said gets `second`
    /// as another name. `None`: it cannot be said from this file alone.
    pub(crate) async fn conclude(
        self,
        upload: &Upload,
        second: &str,
    ) -> Result<Option<Outcome>, Error> {
        let Some(hash) = self.hash.clone().filter(|_| self.bytes == upload.bytes) else {
            return Ok(None);
        };
        let (sha256, mime, second) = (upload.sha256, upload.mime, self.root.join(second));
        apart(move || {
            if self.file.metadata()?.len() != self.bytes {
                return Ok(None);
            }
            let length = usize::try_from(self.bytes).unwrap_or(MAGIC_BYTES);
            let mut head = vec![0; length.min(MAGIC_BYTES)];
            self.file.read_exact_at(&mut head, 0)?;
            if !mime.fits(&head) {
                return Ok(Some(Outcome::WrongMime));
            }
            if Hash(hash.finalize().into()) != sha256 {
                return Ok(Some(Outcome::HashMismatch));
            }
            // Gone, or a file system without second names: its pieces come together then.
            Ok(std::fs::hard_link(&self.path, second).ok().map(|()| Outcome::Stored))
        })
        .await
    }
}

/// Makes a file durable.
pub(crate) struct Sync {
    file: Arc<File>,
    /// A name that is not yet, and below which folder.
    name: Option<(PathBuf, PathBuf)>,
}

impl Sync {
    /// Does it.
    pub(crate) async fn apart(self) -> Result<(), Error> {
        apart(move || self.run()).await
    }

    fn run(self) -> io::Result<()> {
        let Some((path, root)) = self.name else {
            return self.file.sync_data();
        };
        self.file.sync_all()?;
        for folder in path.ancestors().skip(1) {
            File::open(folder)?.sync_all()?;
            if folder == root {
                break;
            }
        }
        Ok(())
    }
}

/// Work on the disk, off the threads that answer requests.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    done(spawn_blocking(work).await)
}

fn done<T>(work: Result<io::Result<T>, JoinError>) -> Result<T, Error> {
    let done = work.map_err(|error| Error::Internal(error.to_string()))?;
    done.map_err(|error| match error.kind() {
        // Whoever ended the upload meanwhile cleared away.
        io::ErrorKind::NotFound => Error::NotFound,
        _ => Error::Unavailable(format!("the photo store: {error}")),
    })
}

/// Bytes `first..end` of a file; `None` when it is not there, or not as long.
pub(crate) async fn read(path: PathBuf, first: u64, end: u64) -> Result<Option<Bytes>, Error> {
    apart(move || {
        let mut bytes = vec![0; usize::try_from(end - first).unwrap_or(0)];
        let read = File::open(path).and_then(|file| file.read_exact_at(&mut bytes, first));
        match read.map_err(|error| (error.kind(), error)) {
            Ok(()) => Ok(Some(bytes.into())),
            Err((io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof, _)) => Ok(None),
            Err((_, error)) => Err(error),
        }
    })
    .await
}
