//! How the records' documents are stored, and what they were before they began again.

use motomind_protocol::records::schema::Collection;
use motomind_protocol::records::{BadDocument, Document};
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::error::StoreError;
use crate::ids::blob;

/// A document as it is stored.
pub(crate) struct StoredDocument {
    pub(crate) document: Result<Document, BadDocument>,
    pub(crate) generation: i64,
}

/// A record's document.
pub(crate) fn stored(
    conn: &Connection,
    collection: &'static Collection,
    id: Uuid,
) -> Result<Option<StoredDocument>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT generation, doc FROM record_docs WHERE collection = ?1 AND id = ?2",
    )?;
    let mut rows = statement.query(params![collection.name, blob(&id)])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let bytes = row.get_ref(1)?.as_blob().unwrap_or_default();
    let document = Document::load(collection, id, bytes);
    Ok(Some(StoredDocument { document, generation: row.get(0)? }))
}

/// Stores a record's document in place of the one before.
pub(super) fn store(
    conn: &Connection,
    document: &Document,
    id: Uuid,
    generation: i64,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO record_docs (collection, id, generation, doc) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (collection, id) DO UPDATE SET generation = ?3, doc = ?4",
    )?
    .execute(params![document.collection().name, blob(&id), generation, document.save()])?;
    Ok(())
}

/// Keeps a document that ends here, because its record begins again without the history.
pub(super) fn keep(
    conn: &Connection,
    document: &Document,
    id: Uuid,
    generation: i64,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO record_earlier (collection, id, generation, doc) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![document.collection().name, blob(&id), generation, document.save()])?;
    Ok(())
}

/// What a record's document was before each new beginning, the oldest first. From one that cannot
/// be read nothing leads on: those before it are left out.
pub(crate) fn earlier(
    conn: &Connection,
    collection: &'static Collection,
    id: Uuid,
    generation: i64,
) -> Result<Vec<Document>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT doc FROM record_earlier
         WHERE id = ?1 AND collection = ?2 AND generation = ?3 ORDER BY n",
    )?;
    let mut rows = statement.query(params![blob(&id), collection.name, generation])?;
    let mut earlier = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob().unwrap_or_default();
        match Document::load(collection, id, bytes) {
            Ok(document) => earlier.push(document),
            Err(_) => earlier.clear(),
        }
    }
    Ok(earlier)
}
