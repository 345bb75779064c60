//! Photos against their names: each object of the photo store is read and hashed again.

use motomind_protocol::Hash;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Evidence, Finding, PhotoEvidence, query};
use crate::error::with_source;
use crate::photos::Store;

/// Photos that a device's operations name.
pub(super) const NAMED: &str = "
        SELECT p.photo FROM event_photos p WHERE p.tenant_id = $1 AND p.device_id = $2
        UNION
        SELECT photo FROM vehicle_events e,
               LATERAL jsonb_array_elements_text(CASE jsonb_typeof(e.payload -> 'photos')
                   WHEN 'array' THEN e.payload -> 'photos' ELSE '[]' END) AS photo
         WHERE e.tenant_id = $1 AND e.device_id = $2 AND e.payload ? 'photos'
           AND photo ~ '^[0-9a-f]{64}$'";

/// … with what is stored for them.
fn photos() -> String {
    format!(
        "WITH named AS ({NAMED})
         SELECT n.photo, s.sha256 IS NOT NULL, v.preview FROM named n
           LEFT JOIN photos s ON s.tenant_id = $1 AND s.sha256 = n.photo
           LEFT JOIN photo_previews v ON v.tenant_id = $1 AND v.photo = n.photo
          ORDER BY n.photo"
    )
}

/// Reads every object again and adds what was found.
pub(super) async fn verify(
    client: &Client,
    tenant: Uuid,
    device: Uuid,
    store: &Store,
    evidence: &mut Evidence,
) -> Result<(), String> {
    let mut found = PhotoEvidence::default();
    for row in query(client, &photos(), tenant, device).await? {
        let (photo, is_stored): (String, bool) = (row.get(0), row.get(1));
        let preview: Option<String> = row.get(2);
        found.missing += u64::from(!is_stored);
        let original = is_stored.then(|| photo.clone());
        for (name, what) in [(original, "photo"), (preview, "preview")] {
            let Some(name) = name else { continue };
            let Ok(named) = name.parse::<Hash>() else { continue };
            let why = match store.fingerprint(tenant.into(), named).await {
                Ok(Some((hash, bytes))) => {
                    found.objects += 1;
                    found.bytes += bytes;
                    if hash == named {
                        continue;
                    }
                    format!("the photo store's bytes hash to {hash}")
                }
                Ok(None) => "the photo store does not have it".to_string(),
                Err(error) => return Err(with_source(&error)),
            };
            evidence.findings.push(Finding { what: format!("{what} {name}"), why });
        }
    }
    evidence.photos = Some(found);
    Ok(())
}
