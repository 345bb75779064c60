//! Uploads as Postgres knows them: who may move one, how far it is, how it ended.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use motomind_protocol::{Hash, PhotoMime, Role, TenantId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::capability::Uploader;
use crate::App;
use crate::error::Error;

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored,
    HashMismatch,
    WrongMime,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::HashMismatch => "hash_mismatch",
            Self::WrongMime => "wrong_mime",
        }
    }

    fn read(text: &str) -> Result<Self, Error> {
        let all = [Self::Stored, Self::HashMismatch, Self::WrongMime];
        let known = all.into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| Error::Internal(format!("an upload ended as {text}")))
    }

    /// What is told to whoever asks again.
    pub(crate) fn told(self, mime: PhotoMime) -> Result<(), Error> {
        match self {
            Self::Stored => Ok(()),
            Self::HashMismatch => Err(Error::HashMismatch),
            Self::WrongMime => Err(Error::WrongMime(format!(
                "the bytes are no {mime}; the upload was thrown away"
            ))),
        }
    }
}

/// One upload.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) tenant: TenantId,
    pub(crate) id: Uuid,
    pub(crate) sha256: Hash,
    pub(crate) preview_of: Option<Hash>,
    pub(crate) mime: PhotoMime,
    pub(crate) bytes: u64,
    pub(crate) received: u64,
    pub(crate) metadata: String,
    pub(crate) user: Uuid,
    pub(crate) device: Uuid,
    /// `None`: it runs.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) expires_at: DateTime<Utc>,
}

impl Upload {
    /// Everything has come and nothing was decided yet.
    pub(crate) fn is_complete(&self) -> bool {
        self.outcome.is_none() && self.received == self.bytes
    }

    fn read(tenant: TenantId, row: &Row) -> Result<Self, Error> {
        let hash = |text: &str| {
            text.parse::<Hash>().map_err(|error| Error::Internal(format!("an upload: {error}")))
        };
        let mime: &str = row.get("mime");
        let outcome: Option<&str> = row.get("outcome");
        Ok(Self {
            tenant,
            id: row.get("id"),
            sha256: hash(row.get("sha256"))?,
            preview_of: row.get::<_, Option<&str>>("preview_of").map(hash).transpose()?,
            mime: mime.parse().map_err(|error| Error::Internal(format!("an upload: {error}")))?,
            bytes: row.get::<_, i64>("bytes").unsigned_abs(),
            received: row.get::<_, i64>("received").unsigned_abs(),
            metadata: row.get("metadata"),
            user: row.get("user_id"),
            device: row.get("device_id"),
            outcome: outcome.map(Outcome::read).transpose()?,
            expires_at: row.get("expires_at"),
        })
    }
}

/// A piece of an upload.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) first: u64,
    pub(crate) bytes: u64,
    /// Its name in the photo store.
    pub(crate) object: String,
}

/// An upload without asking who wants to know; `None` when there is none.
pub(crate) async fn find(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    id: Uuid,
) -> Result<Option<Upload>, Error> {
    let statement = transaction
        .prepare_cached("SELECT * FROM uploads WHERE tenant_id = $1 AND id = $2")
        .await?;
    let row = transaction.query_opt(&statement, &[&tenant.0, &id]).await?;
    row.map(|row| Upload::read(tenant, &row)).transpose()
}

/// Reads an upload in a transaction of its own.
pub(crate) async fn look(app: &App, tenant: TenantId, id: Uuid) -> Result<Upload, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    let upload = find(&transaction, tenant, id).await?;
    transaction.commit().await?;
    upload.ok_or(Error::NotFound)
}

/// The upload, for one who may move it: the person who began it, a manager, or the holder of its
/// capability. Nobody, once its device was revoked; nobody, once it has expired.
pub(crate) async fn admit(app: &App, uploader: &Uploader, id: Uuid) -> Result<Upload, Error> {
    let tenant = uploader.tenant();
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    if let Uploader::Caller(caller) = uploader {
        crate::log::admit(&transaction, caller).await?;
    }
    let statement = transaction
        .prepare_cached(
            "SELECT u.*, t.is_active,
                    EXISTS (SELECT FROM devices d WHERE d.tenant_id = u.tenant_id
                               AND d.id = u.device_id AND d.revoked_at IS NOT NULL) AS revoked
             FROM uploads u JOIN tenants t ON t.id = u.tenant_id
             WHERE u.tenant_id = $1 AND u.id = $2",
        )
        .await?;
    let row = transaction.query_opt(&statement, &[&tenant.0, &id]).await?;
    transaction.commit().await?;
    let upload = row.as_ref().map(|row| Upload::read(tenant, row)).transpose()?;
    judge(uploader, id, row.as_ref(), upload.as_ref())?;
    let upload = upload.ok_or(Error::NotFound)?;
    if upload.expires_at <= Utc::now() {
        return Err(Error::UploadExpired);
    }
    Ok(upload)
}

fn judge(
    uploader: &Uploader,
    id: Uuid,
    row: Option<&Row>,
    upload: Option<&Upload>,
) -> Result<(), Error> {
    match uploader {
        Uploader::Holder(capability) => {
            let stored: Option<Vec<u8>> = row.map(|row| row.get("capability"));
            let known = stored.is_some_and(|stored| stored == capability.hash().0);
            if capability.upload != id || !known {
                let text = "this capability is not of this upload, or was replaced";
                return Err(Error::Unauthenticated(text.into()));
            }
        }
        Uploader::Caller(caller) => {
            if caller.role == Role::Viewer {
                return Err(Error::Forbidden("uploading asks for the role technician".into()));
            }
            let theirs = upload.is_some_and(|upload| upload.user == caller.user_id.0);
            if !theirs && !matches!(caller.role, Role::Manager | Role::Service) {
                return Err(Error::NotFound); // whose it is, is nobody's business
            }
        }
    }
    let Some(row) = row else {
        return Err(Error::NotFound);
    };
    if !row.get::<_, bool>("is_active") {
        return Err(Error::Forbidden("this tenant is not active".into()));
    }
    if row.get("revoked") {
        return Err(Error::DeviceRevoked);
    }
    Ok(())
}

/// Makes this request the one that may add pieces, at this offset. Another that was adding some
/// finds out at its next piece.
pub(crate) async fn take_over(
    app: &App,
    upload: &Upload,
    holder: Uuid,
    offset: u64,
) -> Result<(), Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, upload.tenant).await?;
    let statement = transaction
        .prepare_cached(
            "UPDATE uploads SET holder = $3, touched_at = now()
             WHERE tenant_id = $1 AND id = $2 AND received = $4 AND outcome IS NULL",
        )
        .await?;
    let offset = offset.cast_signed();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&upload.tenant.0, &upload.id, &holder, &offset];
    let taken = transaction.execute(&statement, &parameters).await?;
    transaction.commit().await?;
    if taken == 1 { Ok(()) } else { Err(conflict(app, upload).await) }
}

/// Who may add pieces to an upload, as Postgres is asked with each step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand {
    pub(crate) uploader: Uploader,
    /// The request that took the upload over.
    pub(crate) holder: Uuid,
    /// It goes on where an earlier request stopped and was not admitted itself.
    pub(crate) is_unseen: bool,
}

/// Moves an upload from one offset to the next, both within stored pieces, in one round trip: a
/// function that is a transaction by itself and binds it to the tenant.
pub(crate) async fn advance(
    app: &App,
    upload: &Upload,
    hand: Hand,
    (from, to): (u64, u64),
    pieces: &[Piece],
) -> Result<(), Error> {
    let client = app.client().await?;
    let statement =
        client.prepare_cached("SELECT advance_upload($1, $2, $3, $4, $5, $6, $7, $8, $9)").await?;
    let secret = match hand.uploader {
        Uploader::Holder(capability) if hand.is_unseen => Some(capability.hash()),
        _ => None,
    };
    let secret = secret.as_ref().map(|secret| &secret.0[..]);
    let (from, to) = (from.cast_signed(), to.cast_signed());
    let firsts: Vec<i64> = pieces.iter().map(|piece| piece.first.cast_signed()).collect();
    let lengths: Vec<i64> = pieces.iter().map(|piece| piece.bytes.cast_signed()).collect();
    let objects: Vec<&str> = pieces.iter().map(|piece| piece.object.as_str()).collect();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 9] = [
        &upload.tenant.0,
        &upload.id,
        &secret,
        &hand.holder,
        &from,
        &to,
        &firsts,
        &lengths,
        &objects,
    ];
    let moved: bool = client.query_one(&statement, &parameters).await?.get(0);
    drop(client);
    if moved {
        return Ok(());
    }
    admit(app, &hand.uploader, upload.id).await?;
    Err(conflict(app, upload).await)
}

/// Why an upload did not move: what it is now.
async fn conflict(app: &App, upload: &Upload) -> Error {
    match look(app, upload.tenant, upload.id).await {
        Err(error) => error,
        Ok(now) => match now.outcome {
            Some(Outcome::HashMismatch | Outcome::WrongMime) => {
                now.outcome.and_then(|one| one.told(now.mime).err()).unwrap_or(Error::NotFound)
            }
            _ => Error::OffsetConflict { offset: now.received },
        },
    }
}

/// The pieces of an upload, in order.
pub(crate) async fn pieces(app: &App, upload: &Upload) -> Result<Vec<Piece>, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, upload.tenant).await?;
    let statement = transaction
        .prepare_cached(
            "SELECT first_byte, bytes, object FROM upload_pieces
             WHERE tenant_id = $1 AND upload_id = $2 ORDER BY first_byte",
        )
        .await?;
    let rows = transaction.query(&statement, &[&upload.tenant.0, &upload.id]).await?;
    transaction.commit().await?;
    let piece = |row: &Row| Piece {
        first: row.get::<_, i64>(0).unsigned_abs(),
        bytes: row.get::<_, i64>(1).unsigned_abs(),
        object: row.get(2),
    };
    Ok(rows.iter().map(piece).collect())
}

/// Forgets an upload; whether it was there.
pub(crate) async fn forget(app: &App, tenant: TenantId, id: Uuid) -> Result<bool, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    let gone = transaction
        .execute("DELETE FROM uploads WHERE tenant_id = $1 AND id = $2", &[&tenant.0, &id])
        .await?;
    transaction.commit().await?;
    Ok(gone == 1)
}
