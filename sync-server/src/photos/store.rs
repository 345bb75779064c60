//! The photo store: a directory, or S3.
//!
//! `photos/{tenant}/{sha256}` holds what is published, `uploads/{tenant}/{upload}/…` what is on its
//! way. On disk every object is written beside its place, synced, renamed into it, and the
//! directories synced (`LocalFileSystem::with_fsync`; without it nothing is). What a crash leaves
//! beside a place (`…#1`) no listing shows, so that everything unfinished is kept below the
//! upload's own directory, which goes as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use motomind_protocol::limits::PIECE_BYTES_MAX;
use motomind_protocol::{Hash, TenantId};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::staged::{self, Staged};
use super::upload::{Outcome, Piece, Upload};
use crate::error::Error;

/// A part of an object while it is written to a disk, bytes.
const DISK_PART_BYTES: usize = 1024 * 1024;

/// The same for S3, which takes no smaller one but the last.
const S3_PART_BYTES: usize = 5 * 1024 * 1024;

/// Longest time that a request to S3 is repeated.
const RETRY_WAIT: Duration = Duration::from_secs(15);

/// Where photos rest.
#[derive(Debug)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    /// On a disk, where.
    directory: Option<PathBuf>,
}

impl Store {
    /// Opens a directory, made when missing, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn open(place: &str) -> Result<Self, String> {
        match place.strip_prefix("s3://") {
            Some(rest) => Self::open_s3(rest).map_err(|error| error.to_string()),
            None if place.contains("://") => Err(format!("{place} is no directory and no s3://")),
            None => Self::open_directory(place),
        }
    }

    fn open_s3(rest: &str) -> Result<Self, object_store::Error> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let retry =
            RetryConfig { max_retries: 4, retry_timeout: RETRY_WAIT, ..RetryConfig::default() };
        let s3 = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build()?;
        let prefix = Path::parse(prefix.trim_matches('/'))?;
        let objects: Arc<dyn ObjectStore> = if prefix.as_ref().is_empty() {
            Arc::new(s3)
        } else {
            Arc::new(PrefixStore::new(s3, prefix))
        };
        Ok(Self { objects, directory: None })
    }

    fn open_directory(place: &str) -> Result<Self, String> {
        let named = |error: &dyn std::error::Error| format!("{place}: {error}");
        std::fs::create_dir_all(place).map_err(|error| named(&error))?;
        let directory = PathBuf::from(place).canonicalize().map_err(|error| named(&error))?;
        let disk = LocalFileSystem::new_with_prefix(&directory).map_err(|error| named(&error))?;
        Ok(Self { objects: Arc::new(disk.with_fsync(true)), directory: Some(directory) })
    }

    /// Stores what comes next of an upload: on a disk in its file, which is given back for what
    /// follows, and `durably` or until it is synced; on S3 as an object of its own.
    pub(crate) async fn keep(
        &self,
        staged: Option<Staged>,
        upload: &Upload,
        first: u64,
        bytes: Vec<Bytes>,
        durably: bool,
    ) -> Result<(Option<Staged>, Piece), Error> {
        let (tenant, id) = (upload.tenant, upload.id);
        if let Some(root) = &self.directory {
            let staged = match staged.filter(|staged| staged.end() == first) {
                Some(staged) => staged,
                None => Staged::begin(root, tenant, id, first).await?,
            };
            let staged = staged.append(bytes, durably).await?;
            let piece = staged.piece();
            return Ok((Some(staged), piece));
        }
        // Two requests may store the same place; neither overwrites the other's.
        let object = format!("uploads/{tenant}/{id}/{first:010}-{}", Uuid::new_v4().simple());
        let length = bytes.iter().map(|bytes| bytes.len() as u64).sum();
        let payload: PutPayload = bytes.into_iter().collect();
        self.objects.put(&Path::from(object.as_str()), payload).await?;
        Ok((None, Piece { first, bytes: length, object }))
    }

    /// Bytes that are worth storing at once: for a disk what is still in the processor's caches, for
    /// S3 what is worth a request.
    pub(crate) fn unit_bytes(&self) -> usize {
        if self.directory.is_some() { PIECE_BYTES_MAX / 2 } else { PIECE_BYTES_MAX }
    }

    /// Bytes `first..end` of a piece; `None` when it is not there, or not as long.
    pub(crate) async fn piece(
        &self,
        piece: &Piece,
        first: u64,
        end: u64,
    ) -> Result<Option<Bytes>, Error> {
        if let Some(root) = &self.directory {
            let path = root.join(&piece.object);
            return staged::read(path, first, end).await;
        }
        match self.objects.get_range(&Path::from(piece.object.as_str()), first..end).await {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| bytes.len() as u64 == end - first)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends an upload that is one file: published if it is the photo that was said, without its
    /// bytes being moved. `None`: it is not all of it.
    pub(crate) async fn conclude(
        &self,
        staged: Staged,
        upload: &Upload,
    ) -> Result<Option<Outcome>, Error> {
        let second = whole_name(upload.tenant, upload.id);
        let outcome = staged.conclude(upload, &second).await?;
        if outcome == Some(Outcome::Stored) {
            let to = published(upload.tenant, upload.sha256);
            match self.objects.rename(&Path::from(second), &to).await {
                // Whoever else published it has cleared away.
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                renamed => renamed?,
            }
        }
        Ok(outcome)
    }

    /// Removes everything of an upload, what a crash left there included.
    pub(crate) async fn remove_upload(&self, tenant: TenantId, upload: Uuid) -> Result<(), Error> {
        let prefix = format!("uploads/{tenant}/{upload}");
        if let Some(directory) = &self.directory {
            return match tokio::fs::remove_dir_all(directory.join(prefix)).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::Unavailable(format!("the photo store: {error}")))
                }
                _ => Ok(()),
            };
        }
        let listed = self.objects.list(Some(&Path::from(prefix)));
        let names = listed.map_ok(|object| object.location).boxed();
        self.objects.delete_stream(names).try_for_each(|_| async { Ok(()) }).await?;
        Ok(())
    }

    /// Every upload that has anything in the store.
    pub(crate) async fn uploads(&self) -> Result<Vec<(TenantId, Uuid)>, Error> {
        let mut found = Vec::new();
        let tenants = self.objects.list_with_delimiter(Some(&Path::from("uploads"))).await?;
        for tenant in tenants.common_prefixes {
            let uploads = self.objects.list_with_delimiter(Some(&tenant)).await?;
            let id = |path: &Path| path.filename().and_then(|name| Uuid::parse_str(name).ok());
            let Some(tenant) = id(&tenant) else { continue };
            let ids = uploads.common_prefixes.iter().filter_map(id);
            found.extend(ids.map(|upload| (TenantId(tenant), upload)));
        }
        Ok(found)
    }

    /// Begins the object in which the pieces of an upload come together.
    pub(crate) async fn begin(&self, tenant: TenantId, upload: Uuid) -> Result<Whole<'_>, Error> {
        let (part_bytes, parts) = if self.directory.is_some() {
            let path = Path::from(whole_name(tenant, upload));
            let parts = self.objects.put_multipart(&path).await?;
            (DISK_PART_BYTES, Some((parts, path)))
        } else {
            (S3_PART_BYTES, None)
        };
        Ok(Whole { store: self, tenant, part_bytes, parts, open: Vec::new(), open_bytes: 0 })
    }

    /// What a published photo hashes to now, and its bytes; none where it is not there.
    pub(crate) async fn fingerprint(
        &self,
        tenant: TenantId,
        sha256: Hash,
    ) -> Result<Option<(Hash, u64)>, object_store::Error> {
        let object = match self.objects.get(&published(tenant, sha256)).await {
            Ok(object) => object,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut hash, mut length) = (Sha256::new(), 0);
        let mut parts = object.into_stream();
        while let Some(part) = parts.try_next().await? {
            hash.update(&part);
            length += part.len() as u64;
        }
        Ok(Some((Hash(hash.finalize().into()), length)))
    }

    /// Whether a published photo is there, and how long it is.
    pub(crate) async fn length(
        &self,
        tenant: TenantId,
        sha256: Hash,
    ) -> Result<Option<u64>, object_store::Error> {
        match self.objects.head(&published(tenant, sha256)).await {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Bytes `first..end` of a published photo, as they are asked for.
    pub(crate) async fn read(
        &self,
        tenant: TenantId,
        sha256: Hash,
        first: u64,
        end: u64,
    ) -> Result<axum::body::Body, Error> {
        let path = published(tenant, sha256);
        if self.directory.is_none() {
            let options = object_store::GetOptions::new().with_range(Some(first..end));
            let stream = self.objects.get_opts(&path, options).await?.into_stream();
            return Ok(axum::body::Body::from_stream(stream));
        }
        let objects = Arc::clone(&self.objects);
        // The first part now: what is not there is an answer, not a body that breaks off.
        let part = move |from: u64| from..end.min(from + DISK_PART_BYTES as u64);
        let mut next: Bytes = objects.get_range(&path, part(first)).await?;
        let parts = async_stream::stream! {
            let mut from = first;
            loop {
                from += next.len() as u64;
                yield Ok(next);
                if from >= end {
                    break;
                }
                match objects.get_range(&path, part(from)).await {
                    Ok(bytes) => next = bytes,
                    Err(error) => {
                        yield Err(error);
                        break;
                    }
                }
            }
        };
        Ok(axum::body::Body::from_stream(parts))
    }
}

/// A name for the whole of an upload, before it is published.
fn whole_name(tenant: TenantId, upload: Uuid) -> String {
    format!("uploads/{tenant}/{upload}/whole-{}", Uuid::new_v4().simple())
}

fn published(tenant: TenantId, sha256: Hash) -> Path {
    Path::from(format!("photos/{tenant}/{sha256}"))
}

/// A photo that is being assembled. Dropped before [`Whole::publish`], it never was.
pub(crate) struct Whole<'a> {
    store: &'a Store,
    tenant: TenantId,
    part_bytes: usize,
    /// On S3 none until the first part is full: a small photo is one request.
    parts: Option<(Box<dyn MultipartUpload>, Path)>,
    open: Vec<Bytes>,
    open_bytes: usize,
}

impl Whole<'_> {
    /// Adds the next bytes.
    pub(crate) async fn add(&mut self, bytes: Bytes, sha256: Hash) -> Result<(), Error> {
        self.open_bytes += bytes.len();
        self.open.push(bytes);
        if self.open_bytes >= self.part_bytes {
            self.close_part(sha256).await?;
        }
        Ok(())
    }

    async fn close_part(&mut self, sha256: Hash) -> Result<(), Error> {
        let payload: PutPayload = std::mem::take(&mut self.open).into_iter().collect();
        self.open_bytes = 0;
        let (parts, _) = match &mut self.parts {
            Some(parts) => parts,
            none => {
                let path = published(self.tenant, sha256);
                let parts = self.store.objects.put_multipart(&path).await?;
                none.insert((parts, path))
            }
        };
        Ok(parts.put_part(payload).await?)
    }

    /// Makes the whole durable under its hash, which the caller has verified.
    pub(crate) async fn publish(mut self, sha256: Hash) -> Result<(), Error> {
        let path = published(self.tenant, sha256);
        if self.parts.is_none() {
            let payload: PutPayload = self.open.into_iter().collect();
            self.store.objects.put(&path, payload).await?;
            return Ok(());
        }
        if self.open_bytes > 0 {
            self.close_part(sha256).await?;
        }
        if let Some((mut parts, staged)) = self.parts {
            parts.complete().await?;
            if self.store.directory.is_some() {
                self.store.objects.rename(&staged, &path).await?;
            }
        }
        Ok(())
    }

    /// Throws away what was assembled.
    pub(crate) async fn abandon(self) {
        if let Some((mut parts, _)) = self.parts
            && let Err(error) = parts.abort().await
        {
            tracing::warn!(%error, "an assembly was not cleaned up");
        }
    }
}
