//! The end of an upload. Where this process wrote all of it into one file, that file is published,
//! by the hash that was taken while it was written; else its pieces come together and are hashed on
//! the way. May run twice at once and may be cut off anywhere: it is begun again by whoever asks for
//! the upload next, or by the sweep.

use bytes::Bytes;
use motomind_protocol::Hash;
use motomind_protocol::limits::PIECE_BYTES_MAX;
use motomind_protocol::photo::MAGIC_BYTES;
use motomind_protocol::wire::PhotoStored;
use sha2::{Digest, Sha256};

use super::store::Whole;
use super::upload::{Outcome, Piece, Upload};
use super::{Photos, create, upload};
use crate::App;
use crate::error::Error;

/// Completes an upload that has all its bytes; returns it as it is then.
pub(crate) async fn complete(app: &App, upload: &Upload) -> Result<Upload, Error> {
    // Apart, so that it comes to its end when whoever asked is gone.
    let (app, upload) = (app.clone(), upload.clone());
    let work = tokio::spawn(async move { work(&app, &upload).await });
    work.await.map_err(|error| Error::Internal(format!("a photo was not assembled: {error}")))?
}

async fn work(app: &App, upload: &Upload) -> Result<Upload, Error> {
    let photos = super::of(app)?;
    let written = match photos.staging.take(upload.id) {
        Some(left) => photos.store.conclude(left.staged, upload).await?,
        None => None,
    };
    let outcome = match written {
        Some(outcome) => outcome,
        None => {
            let _permit = photos.assembling.acquire().await;
            let pieces = upload::pieces(app, upload).await?;
            match assemble(photos, upload, &pieces).await {
                Ok(outcome) => outcome,
                Err(Assembly::Failed(error)) => return Err(error),
                Err(Assembly::Lost(name)) => return lost(app, upload, &name).await,
            }
        }
    };
    conclude(app, upload, outcome).await?;
    let labels = [("outcome", outcome.as_str())];
    metrics::counter!("motomind_uploads_total", &labels).increment(1);
    if let Err(error) = photos.store.remove_upload(upload.tenant, upload.id).await {
        tracing::warn!(%error, "the pieces of an upload stay until it is swept");
    }
    Ok(Upload { outcome: Some(outcome), ..upload.clone() })
}

/// Somebody else published it and cleared away, or the store lost a piece.
async fn lost(app: &App, upload: &Upload, name: &str) -> Result<Upload, Error> {
    let now = upload::look(app, upload.tenant, upload.id).await?;
    if now.outcome.is_none() {
        tracing::error!(%name, "a piece is not in the photo store; the upload begins again");
        upload::forget(app, upload.tenant, upload.id).await?;
        return Err(Error::NotFound);
    }
    Ok(now)
}

/// Why nothing was assembled.
enum Assembly {
    Failed(Error),
    /// This piece is not there.
    Lost(String),
}

impl From<Error> for Assembly {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads the pieces in order, hashes them and writes the whole; a piece is read while the one
/// before it is written.
async fn assemble(photos: &Photos, upload: &Upload, pieces: &[Piece]) -> Result<Outcome, Assembly> {
    let mut whole = photos.store.begin(upload.tenant, upload.id).await?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut spans = pieces.iter().flat_map(spans);
    let mut next = read(photos, spans.next()).await?;
    while let Some(bytes) = next {
        if length == 0 && !upload.mime.fits(&bytes[..bytes.len().min(MAGIC_BYTES)]) {
            whole.abandon().await;
            return Ok(Outcome::WrongMime);
        }
        hash.update(&bytes);
        length += bytes.len() as u64;
        let (written, read) =
            futures::join!(whole.add(bytes, upload.sha256), read(photos, spans.next()));
        written?;
        next = read?;
    }
    if length != upload.bytes {
        whole.abandon().await;
        let text = format!("an upload of {} bytes has pieces of {length}", upload.bytes);
        return Err(Error::Internal(text).into());
    }
    publish(whole, upload, Hash(hash.finalize().into())).await
}

async fn publish(whole: Whole<'_>, upload: &Upload, hash: Hash) -> Result<Outcome, Assembly> {
    if hash != upload.sha256 {
        whole.abandon().await;
        return Ok(Outcome::HashMismatch);
    }
    whole.publish(hash).await?;
    Ok(Outcome::Stored)
}

/// Where a piece is read: no more at once than is held in memory.
fn spans(piece: &Piece) -> impl Iterator<Item = (&Piece, u64, u64)> {
    let step = PIECE_BYTES_MAX as u64;
    let firsts = (0..piece.bytes.div_ceil(step)).map(move |nth| nth * step);
    firsts.map(move |first| (piece, first, piece.bytes.min(first + step)))
}

async fn read(
    photos: &Photos,
    span: Option<(&Piece, u64, u64)>,
) -> Result<Option<Bytes>, Assembly> {
    let Some((piece, first, end)) = span else {
        return Ok(None);
    };
    let read = photos.store.piece(piece, first, end).await?;
    read.map(Some).ok_or_else(|| Assembly::Lost(piece.object.clone()))
}

/// Writes down how it ended: the photo, its entry in the log and the end of the upload, together.
async fn conclude(app: &App, upload: &Upload, outcome: Outcome) -> Result<(), Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, upload.tenant).await?;
    let tenant = &upload.tenant.0;
    if outcome == Outcome::Stored {
        let (sha256, bytes) = (upload.sha256.to_string(), upload.bytes.cast_signed());
        let row = "INSERT INTO photos (tenant_id, sha256, mime, bytes, user_id, device_id)
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [tenant, &sha256, &upload.mime.as_str(), &bytes, &upload.user, &upload.device];
        let row = transaction.prepare_cached(row).await?;
        let is_new = transaction.execute(&row, &parameters).await? > 0;
        let (photo, mime) = (upload.sha256, upload.mime);
        // A photo may be so small that it is its own preview.
        if is_new && upload.preview_of.is_none_or(|of| of == photo) {
            let entry = PhotoStored { photo, preview: None, bytes: upload.bytes, mime };
            create::log_stored(&transaction, &entry).await?;
        }
        if let Some(of) = upload.preview_of {
            let stored = (photo, upload.bytes, mime);
            create::name_preview(&transaction, upload.tenant, of, stored).await?;
        }
    }
    let end = "UPDATE uploads SET outcome = $3, touched_at = now()
               WHERE tenant_id = $1 AND id = $2 AND outcome IS NULL";
    let end = transaction.prepare_cached(end).await?;
    transaction.execute(&end, &[tenant, &upload.id, &outcome.as_str()]).await?;
    Ok(transaction.commit().await?)
}
