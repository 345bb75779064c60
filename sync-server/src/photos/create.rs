//! Creating an upload: room, and whether the photo is there already.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use motomind_protocol::wire::PhotoStored;
use motomind_protocol::{DeviceId, Hash, PhotoMime, Role, TenantId};
use uuid::Uuid;

use super::capability::Capability;
use super::metadata::Metadata;
use crate::App;
use crate::auth::Caller;
use crate::error::Error;

/// How long an upload is remembered that was complete when it was created.
const ANSWER_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A created upload, as it is told.
pub(crate) struct Created {
    pub(crate) id: Uuid,
    pub(crate) capability: Capability,
    pub(crate) expires_at: DateTime<Utc>,
    /// Bytes that the server has; all of them when the photo was there.
    pub(crate) received: u64,
}

/// Creates an upload of `bytes` bytes. The same device asking for the same photo again, while its
/// upload runs, gets that one with a new capability.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    metadata: &Metadata,
    bytes: u64,
) -> Result<Created, Error> {
    if caller.role == Role::Viewer {
        return Err(Error::Forbidden("uploading asks for the role technician".into()));
    }
    let device = caller.device_id.ok_or_else(|| {
        let name = motomind_protocol::wire::DEVICE_HEADER;
        Error::Malformed(format!("{name} is missing: an upload belongs to a device"))
    })?;
    // What the list says to be stored and the photo store has lost is taken again.
    let store = &super::of(app)?.store;
    let is_held = store.length(caller.tenant_id, metadata.sha256).await? == Some(bytes);
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, caller.tenant_id).await?;
    crate::log::admit(&transaction, caller).await?;
    may_preview(&transaction, caller, metadata).await?;
    // Also makes creations of one tenant follow each other: none takes what another was promised.
    let taken = lock_usage(&transaction, caller).await?;
    let is_there = find_photo(&transaction, caller, metadata, bytes, is_held).await?;
    let lifetime = Duration::from_secs(u64::from(app.settings.upload_days) * 24 * 60 * 60);
    let lifetime = if is_there { ANSWER_LIFETIME } else { lifetime };
    let mut created = Created {
        id: Uuid::new_v4(),
        capability: Capability::new(caller.tenant_id, Uuid::nil()),
        expires_at: Utc::now() + lifetime,
        received: if is_there { bytes } else { 0 },
    };
    let again = if is_there {
        None
    } else {
        resumed(&transaction, caller, device, metadata, bytes).await?
    };
    if let Some((id, received)) = again {
        (created.id, created.received) = (id, received);
    } else if !is_there {
        let max = taken.max.unwrap_or(app.settings.photo_bytes_max);
        if taken.bytes.saturating_add(bytes) > max {
            return Err(Error::QuotaExceeded { taken: taken.bytes, wanted: bytes, max });
        }
    }
    created.capability = Capability::new(caller.tenant_id, created.id);
    write(&transaction, caller, device, metadata, bytes, &created, is_there).await?;
    transaction.commit().await?;
    Ok(created)
}

struct Taken {
    bytes: u64,
    /// The tenant's own limit.
    max: Option<u64>,
}

async fn lock_usage(transaction: &Transaction<'_>, caller: &Caller) -> Result<Taken, Error> {
    let tenant = &caller.tenant_id.0;
    let row = "INSERT INTO photo_usage (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING";
    transaction.execute(&transaction.prepare_cached(row).await?, &[tenant]).await?;
    let statement = transaction
        .prepare_cached(
            "SELECT u.stored_bytes + u.running_bytes, t.photo_bytes_max
             FROM photo_usage u JOIN tenants t ON t.id = u.tenant_id
             WHERE u.tenant_id = $1 FOR UPDATE OF u",
        )
        .await?;
    let row = transaction.query_one(&statement, &[tenant]).await?;
    Ok(Taken {
        bytes: row.get::<_, i64>(0).unsigned_abs(),
        max: row.get::<_, Option<i64>>(1).map(i64::unsigned_abs),
    })
}

/// Whose preview everyone will see: once a photo is on an event, it comes from whoever put it on
/// one. And no photo that is on an event is the preview of another one: it keeps what its camera
/// wrote into it, which no preview does.
async fn may_preview(
    transaction: &Transaction<'_>,
    caller: &Caller,
    metadata: &Metadata,
) -> Result<(), Error> {
    let Some(of) = metadata.preview_of else { return Ok(()) };
    let statement = transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT FROM event_photos WHERE tenant_id = $1 AND photo = $2),
                    EXISTS (SELECT FROM event_photos
                            WHERE tenant_id = $1 AND photo = $2 AND user_id = $3),
                    $2 <> $4 AND EXISTS (SELECT FROM event_photos
                                         WHERE tenant_id = $1 AND photo = $4)",
        )
        .await?;
    let (of, own) = (of.to_string(), metadata.sha256.to_string());
    let row = transaction
        .query_one(&statement, &[&caller.tenant_id.0, &of, &caller.user_id.0, &own])
        .await?;
    let (on_an_event, by_caller, is_a_photo): (bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2));
    if is_a_photo {
        return Err(Error::Forbidden("a photo on an event is nobody's preview".into()));
    }
    if on_an_event && !by_caller {
        let message = "a photo's preview comes from whoever put the photo on an event";
        return Err(Error::Forbidden(message.into()));
    }
    Ok(())
}

/// Whether there is nothing to send. A photo has one preview, the first that came: for another one
/// there is nothing to send either.
async fn find_photo(
    transaction: &Transaction<'_>,
    caller: &Caller,
    metadata: &Metadata,
    bytes: u64,
    is_held: bool,
) -> Result<bool, Error> {
    let (tenant, sha256) = (&caller.tenant_id.0, metadata.sha256.to_string());
    let of = metadata.preview_of;
    let statement = transaction
        .prepare_cached(
            "SELECT (SELECT bytes FROM photos WHERE tenant_id = $1 AND sha256 = $2),
                    EXISTS (SELECT FROM photo_previews WHERE tenant_id = $1 AND photo = $3)",
        )
        .await?;
    let photo = of.map(|of| of.to_string());
    let row = transaction.query_one(&statement, &[tenant, &sha256, &photo]).await?;
    if row.get(1) {
        return Ok(true);
    }
    let Some(stored) = row.get::<_, Option<i64>>(0) else {
        return Ok(false);
    };
    if stored.unsigned_abs() != bytes {
        return Err(Error::HashMismatch); // no other length hashes to this
    }
    if !is_held {
        return Ok(false);
    }
    if let Some(of) = of {
        let stored = (metadata.sha256, bytes, metadata.mime);
        name_preview(transaction, caller.tenant_id, of, stored).await?;
    }
    Ok(true)
}

/// Says which stored photo is the preview of which, unless another one is; and says so in the log.
pub(crate) async fn name_preview(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    of: Hash,
    stored: (Hash, u64, PhotoMime),
) -> Result<(), Error> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO photo_previews (tenant_id, photo, preview) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .await?;
    let (preview, bytes, mime) = stored;
    let named: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&tenant.0, &of.to_string(), &preview.to_string()];
    if transaction.execute(&statement, &named).await? > 0 {
        let entry = PhotoStored { photo: of, preview: Some(preview), bytes, mime };
        log_stored(transaction, &entry).await?;
    }
    Ok(())
}

/// Tells the tenant's devices of bytes that have come.
pub(crate) async fn log_stored(
    transaction: &Transaction<'_>,
    stored: &PhotoStored,
) -> Result<(), Error> {
    // Entries carry an id of 16 bytes; which photo it is, their data says.
    let mut id = [0; 16];
    id.copy_from_slice(&stored.preview.unwrap_or(stored.photo).0[..16]);
    let statement =
        transaction.prepare_cached("SELECT append_change('photo_stored', $1, $2)").await?;
    let data = serde_json::to_string(stored)?;
    transaction.query(&statement, &[&Uuid::from_bytes(id), &data]).await?;
    Ok(())
}

/// The upload of the same photo that this device began before and lost sight of.
async fn resumed(
    transaction: &Transaction<'_>,
    caller: &Caller,
    device: DeviceId,
    metadata: &Metadata,
    bytes: u64,
) -> Result<Option<(Uuid, u64)>, Error> {
    let statement = transaction
        .prepare_cached(
            "SELECT id, received FROM uploads
             WHERE tenant_id = $1 AND device_id = $2 AND sha256 = $3 AND user_id = $4
               AND bytes = $5 AND mime = $6 AND preview_of IS NOT DISTINCT FROM $7
               AND outcome IS NULL AND expires_at > now()
             ORDER BY received DESC LIMIT 1 FOR UPDATE",
        )
        .await?;
    let (sha256, bytes) = (metadata.sha256.to_string(), bytes.cast_signed());
    let (mime, of) = (metadata.mime.as_str(), metadata.preview_of.map(|of| of.to_string()));
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&caller.tenant_id.0, &device.0, &sha256, &caller.user_id.0, &bytes, &mime, &of];
    let row = transaction.query_opt(&statement, &parameters).await?;
    Ok(row.map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())))
}

/// Writes the upload's row; for one that is resumed, its new capability and end.
async fn write(
    transaction: &Transaction<'_>,
    caller: &Caller,
    device: DeviceId,
    metadata: &Metadata,
    bytes: u64,
    created: &Created,
    is_there: bool,
) -> Result<(), Error> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO uploads (tenant_id, id, sha256, preview_of, mime, bytes, metadata, user_id,
                                  device_id, capability, received, outcome, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (tenant_id, id) DO UPDATE
                SET capability = EXCLUDED.capability, metadata = EXCLUDED.metadata,
                    expires_at = EXCLUDED.expires_at, touched_at = now()",
        )
        .await?;
    let (sha256, mime) = (metadata.sha256.to_string(), metadata.mime.as_str());
    let of = metadata.preview_of.map(|of| of.to_string());
    let (bytes, received) = (bytes.cast_signed(), created.received.cast_signed());
    let secret = &created.capability.hash().0[..];
    let outcome = is_there.then_some(super::upload::Outcome::Stored.as_str());
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 13] = [
        &caller.tenant_id.0,
        &created.id,
        &sha256,
        &of,
        &mime,
        &bytes,
        &metadata.text,
        &caller.user_id.0,
        &device.0,
        &secret,
        &received,
        &outcome,
        &created.expires_at,
    ];
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}
