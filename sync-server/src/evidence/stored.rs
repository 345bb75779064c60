//! What the tables say of stored photos, against what the log told when each was stored.

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::photos::NAMED;
use super::{Evidence, query};

/// What the log told of the photos that a device's operations name, beside the rows of each. Names are
/// found as text: an entry that was altered may be no JSON any more.
fn told() -> String {
    format!(
        "WITH named AS ({NAMED}), told AS (
             SELECT substring(c.entry FROM '\"photo\":\"([0-9a-f]{{64}})\"') AS photo,
                    substring(c.entry FROM '\"preview\":\"([0-9a-f]{{64}})\"') AS preview,
                    c.seq, c.entry
               FROM change_log c WHERE c.tenant_id = $1 AND c.kind = 'photo_stored'
         )
         SELECT n.photo, t.entry, s.bytes, s.mime, v.preview, ps.bytes, ps.mime,
                s.sha256 IS NOT NULL AND NOT EXISTS (
                    SELECT FROM told o WHERE COALESCE(o.preview, o.photo) = n.photo) AS untold,
                v.photo IS NOT NULL AND NOT EXISTS (
                    SELECT FROM told o WHERE o.photo = n.photo AND o.preview IS NOT NULL) AS untold_preview, t.seq
           FROM named n
           LEFT JOIN told t ON t.photo = n.photo
           LEFT JOIN photos s ON s.tenant_id = $1 AND s.sha256 = n.photo
           LEFT JOIN photo_previews v ON v.tenant_id = $1 AND v.photo = n.photo
           LEFT JOIN photos ps ON ps.tenant_id = $1 AND ps.sha256 = v.preview
          ORDER BY n.photo"
    )
}

/// Compares them.
pub(super) async fn compare(
    client: &Client,
    tenant: Uuid,
    device: Uuid,
    evidence: &mut Evidence,
) -> Result<(), String> {
    for row in query(client, &told(), tenant, device).await? {
        let photo: &str = row.get(0);
        for (is_untold, table) in [(7, "photos"), (8, "photo_previews")] {
            if row.get(is_untold) {
                evidence.find(photo, format!("{table} has it, and no entry in change_log says so"));
            }
        }
        let Some(entry) = row.get::<_, Option<&str>>(1) else { continue };
        let entry = serde_json::from_str::<Value>(entry).unwrap_or_default();
        let head =
            json!({"seq": row.get::<_, i64>(9), "kind": "photo_stored", "data": entry["data"]});
        if entry != head || entry["data"]["photo"] != photo {
            evidence.find(photo, "change_log.entry, of its being stored, is not what it was");
            continue;
        }
        let data = &entry["data"];
        let is_preview = data.get("preview").is_some();
        let (bytes, mime): (Option<i64>, Option<&str>) = match is_preview {
            true => (row.get(5), row.get(6)),
            false => (row.get(2), row.get(3)),
        };
        let preview: Option<&str> = row.get(4);
        for (column, differs) in [
            ("photo_previews.preview", is_preview && data["preview"] != json!(preview)),
            ("photos.bytes", data["bytes"] != json!(bytes)),
            ("photos.mime", data["mime"] != json!(mime)),
        ] {
            if differs {
                let why = format!("{column} is not what change_log told, or its row is gone");
                evidence.find(photo, why);
            }
        }
    }
    Ok(())
}
