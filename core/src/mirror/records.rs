//! The records' documents: what the server's log has made of them, and nothing else.
//!
//! ```text
//! document = changes of the log up to the cursor
//! row      = document + own operations replayed   (crate::records)
//! ```
//! An entry that cannot be read is kept aside as received and marks its record; the others flow.
//! Each later entry of that record tries again to take in what rests aside.

use motomind_protocol::records::schema::{self, Collection};
use motomind_protocol::records::{BadDocument, Document};
use motomind_protocol::wire::RecordChange;
use motomind_protocol::{OpId, limits};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::documents::{self, StoredDocument};
use super::layout::{self, RecordRow};
use crate::error::StoreError;
use crate::ids::{blob, blob_opt, read_id_opt};

/// Names a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct RecordRef {
    /// The name of its collection.
    pub collection: String,
    /// Its id.
    pub id: Uuid,
}

impl RecordRef {
    /// The record of that id in a collection.
    pub fn new(collection: impl Into<String>, id: Uuid) -> Self {
        Self { collection: collection.into(), id }
    }
}

/// An entry of the log that rests aside.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Aside {
    /// Its place in the log.
    pub seq: u64,
    /// Its record, as far as it says.
    pub collection: Option<String>,
    /// Its record, as far as it says.
    pub id: Option<Uuid>,
    /// What is wrong with it; `None`: its collection is of a newer version.
    pub damage: Option<String>,
}

/// What an entry of the log did.
pub(super) struct Took {
    pub(super) record: Option<RecordRef>,
    pub(super) op_id: Option<OpId>,
    /// The document holds it.
    pub(super) in_document: bool,
}

/// What can be told of an entry whatever else is wrong with it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Whose {
    collection: Option<Value>,
    id: Option<Value>,
    op_id: Option<OpId>,
}

/// Takes in an entry of the log.
pub(super) fn take_in(
    conn: &Connection,
    seq: u64,
    data: &str,
    generation: i64,
) -> Result<Took, StoreError> {
    let change: RecordChange = match serde_json::from_str(data) {
        Ok(change) => change,
        Err(error) => {
            let whose: Whose = serde_json::from_str(data).unwrap_or_default();
            let text = |value: &Option<Value>| value.as_ref()?.as_str().map(str::to_owned);
            let (collection, id) = (text(&whose.collection), text(&whose.id));
            let id = id.and_then(|id| Uuid::parse_str(&id).ok());
            let of = (collection.as_deref(), id);
            set_aside(conn, seq, of, generation, Some(&error.to_string()), data)?;
            let record = collection.zip(id).map(|(name, id)| RecordRef::new(name, id));
            return Ok(Took { record, op_id: whose.op_id, in_document: false });
        }
    };
    let record = RecordRef::new(&*change.collection, change.id);
    let mut took = Took { record: Some(record), op_id: change.op_id, in_document: false };
    let of = (Some(&*change.collection), Some(change.id));
    let Some(collection) = schema::find(&change.collection) else {
        set_aside(conn, seq, of, generation, None, data)?;
        return Ok(took);
    };
    if let Some(damage) = grow(conn, collection, &change, generation)? {
        set_aside(conn, seq, of, generation, Some(&damage.to_string()), data)?;
        return Ok(took);
    }
    took.in_document = true;
    show_agreed(conn, collection, change.id)?;
    Ok(took)
}

/// Adds changes to a record's document, and what rests aside of it if that fits now. Returns what
/// is wrong with the changes, if they do not fit.
fn grow(
    conn: &Connection,
    collection: &'static Collection,
    change: &RecordChange,
    generation: i64,
) -> Result<Option<BadDocument>, StoreError> {
    let (id, changes) = (change.id, &change.changes);
    let known =
        documents::stored(conn, collection, id)?.filter(|found| found.generation == generation);
    let known = match known.map(|found| found.document) {
        None => None,
        Some(Ok(document)) => Some(document),
        Some(Err(_)) if change.whole => None,
        Some(Err(bad)) => return Ok(Some(bad)),
    };
    if change.whole {
        return match grown(None, collection, id, changes) {
            Ok(document) => {
                if let Some(known) = known {
                    documents::keep(conn, &known, id, generation)?;
                }
                documents::store(conn, &document, id, generation)?;
                forget_aside(conn, id, collection, generation).map(|()| None)
            }
            Err(bad) => Ok(Some(bad)),
        };
    }
    let aside = changes_aside(conn, id, collection, generation)?;
    if !aside.is_empty() {
        let all: Vec<&Vec<u8>> = aside.iter().chain(changes).collect();
        if let Ok(document) = grown(known.clone(), collection, id, &all) {
            documents::store(conn, &document, id, generation)?;
            return forget_aside(conn, id, collection, generation).map(|()| None);
        }
    }
    match grown(known, collection, id, changes) {
        Ok(document) => documents::store(conn, &document, id, generation).map(|()| None),
        Err(bad) => Ok(Some(bad)),
    }
}

/// The document with changes; one that could be stored and read again.
fn grown<B: AsRef<[u8]>>(
    known: Option<Document>,
    collection: &'static Collection,
    id: Uuid,
    changes: &[B],
) -> Result<Document, BadDocument> {
    let document = match known {
        None => Document::of_changes(collection, id, changes)?,
        Some(mut document) => {
            document.apply(changes)?;
            document
        }
    };
    Document::load(collection, id, &document.save())
}

fn set_aside(
    conn: &Connection,
    seq: u64,
    (collection, id): (Option<&str>, Option<Uuid>),
    generation: i64,
    damage: Option<&str>,
    data: &str,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO record_aside (seq, collection, id, generation, damage, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![seq as i64, collection, blob_opt(id), generation, damage, data])?;
    Ok(())
}

/// The changes of a record that rest aside, as far as they can be read and a document can hold.
fn changes_aside(
    conn: &Connection,
    id: Uuid,
    collection: &Collection,
    generation: i64,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT data FROM record_aside
         WHERE id = ?1 AND collection = ?2 AND generation = ?3 ORDER BY seq",
    )?;
    let mut rows = statement.query(params![blob(&id), collection.name, generation])?;
    let (mut changes, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let change = serde_json::from_str::<RecordChange>(row.get_ref(0)?.as_str().unwrap_or(""));
        let Ok(change) = change else { return Ok(Vec::new()) };
        bytes += change.changes.iter().map(Vec::len).sum::<usize>();
        if bytes > limits::DOCUMENT_BYTES_MAX {
            return Ok(Vec::new());
        }
        changes.extend(change.changes);
    }
    Ok(changes)
}

fn forget_aside(
    conn: &Connection,
    id: Uuid,
    collection: &Collection,
    generation: i64,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "DELETE FROM record_aside WHERE id = ?1 AND collection = ?2 AND generation = ?3",
    )?
    .execute(params![blob(&id), collection.name, generation])?;
    Ok(())
}

/// Shows a record as its document alone says.
pub(super) fn show_agreed(
    conn: &Connection,
    collection: &'static Collection,
    id: Uuid,
) -> Result<(), StoreError> {
    match documents::stored(conn, collection, id)? {
        Some(StoredDocument { document: Ok(document), generation, .. }) => {
            let fields = document.fields();
            let row = RecordRow {
                fields: &fields,
                deleted_at: document.deleted_at(),
                state: "agreed",
                refused: 0,
                conflicts: document.conflicts().len(),
                own: false,
                generation,
            };
            layout::put_row(conn, collection, id, &row)
        }
        _ => Ok(()),
    }
}

/// Lays out the records' tables anew and fills them from the documents: this build declares them
/// otherwise than the one that made the file.
pub(super) fn lay_out_again(conn: &Connection, schema: &str) -> Result<(), StoreError> {
    layout::drop_tables(conn, schema)?;
    layout::create(conn, schema)?;
    let mut statement = conn.prepare(&format!(
        "SELECT seq, generation, data FROM {schema}.record_aside ORDER BY seq"
    ))?;
    let aside: Vec<(i64, i64, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (seq, generation, data) in aside {
        conn.execute(&format!("DELETE FROM {schema}.record_aside WHERE seq = ?1"), [seq])?;
        take_in(conn, seq.unsigned_abs(), &data, generation)?;
    }
    let mut statement =
        conn.prepare(&format!("SELECT collection, id FROM {schema}.record_docs"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let collection = schema::find(row.get_ref(0)?.as_str().unwrap_or_default());
        if let Some((collection, id)) = collection.zip(read_id_opt(row, 1)?) {
            show_agreed(conn, collection, id)?;
        }
    }
    Ok(())
}

/// Drops documents and rows that the new epoch did not bring again.
pub(super) fn remove_untold(conn: &Connection) -> Result<(), StoreError> {
    const UNTOLD: &str = "generation <> (SELECT generation FROM mirror)";
    for table in ["record_docs", "record_earlier", "record_aside", "record_told"] {
        conn.execute(&format!("DELETE FROM {table} WHERE {UNTOLD}"), [])?;
    }
    for collection in schema::collections() {
        conn.execute(&format!("DELETE FROM {} WHERE {UNTOLD}", collection.name), [])?;
    }
    Ok(())
}

/// What rests aside of one record, or of all.
pub(crate) fn aside(conn: &Connection, id: Option<Uuid>) -> Result<Vec<Aside>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, collection, id, damage FROM record_aside
         WHERE ?1 IS NULL OR id = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([blob_opt(id)])?;
    let mut aside = Vec::new();
    while let Some(row) = rows.next()? {
        aside.push(Aside {
            seq: row.get::<_, i64>(0)?.unsigned_abs(),
            collection: row.get(1)?,
            id: read_id_opt(row, 2)?,
            damage: row.get(3)?,
        });
    }
    Ok(aside)
}

/// A record's row as far as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct RecordEntry {
    /// Its id.
    pub id: Uuid,
    /// What lists call it.
    pub label: String,
    /// Its fields that have a value.
    pub fields: Map<String, Value>,
    /// When it was deleted, UTC ms.
    pub deleted_at: Option<i64>,
    /// Where it stands.
    #[serde(flatten)]
    pub marks: RecordMarks,
}

/// Where a record stands on this device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct RecordMarks {
    /// Whether what is shown is agreed.
    pub state: RecordState,
    /// Own edits that the server has refused; they are not shown.
    pub refused: u64,
    /// Fields with competing values.
    pub conflicts: u64,
}

/// Whether what is shown of a record is agreed with the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// As the server's log says.
    #[default]
    Agreed,
    /// Own edits are shown over it that the server has not accepted yet.
    Pending,
    /// The server has refused its creation.
    Refused,
}

impl RecordState {
    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Pending => "pending",
            Self::Refused => "refused",
        }
    }

    fn read(text: &str) -> Self {
        match text {
            "pending" => Self::Pending,
            "refused" => Self::Refused,
            _ => Self::Agreed,
        }
    }
}

/// Reads the common columns: state, refused, conflicts.
pub(super) fn read_marks(row: &rusqlite::Row<'_>, first: usize) -> Result<RecordMarks, StoreError> {
    Ok(RecordMarks {
        state: RecordState::read(row.get_ref(first)?.as_str().unwrap_or_default()),
        refused: row.get::<_, i64>(first + 1)?.unsigned_abs(),
        conflicts: row.get::<_, i64>(first + 2)?.unsigned_abs(),
    })
}

/// Rows of a collection, the live ones by their labels; deleted ones too if wanted.
pub(crate) fn rows(
    conn: &Connection,
    collection: &'static Collection,
    deleted_too: bool,
) -> Result<Vec<RecordEntry>, StoreError> {
    let select = layout::select(collection);
    let which = if deleted_too { "" } else { "WHERE deleted_at IS NULL" };
    read_rows(conn, collection, &format!("{select} {which} ORDER BY label, id"), [])
}

/// One row.
pub(crate) fn row(
    conn: &Connection,
    collection: &'static Collection,
    id: Uuid,
) -> Result<Option<RecordEntry>, StoreError> {
    let sql = format!("{} WHERE id = ?1", layout::select(collection));
    Ok(read_rows(conn, collection, &sql, [blob(&id)])?.pop())
}

fn read_rows(
    conn: &Connection,
    collection: &'static Collection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<RecordEntry>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(RecordEntry {
            id: crate::ids::read_id(row, 0)?,
            label: row.get(1)?,
            deleted_at: row.get(2)?,
            marks: read_marks(row, 3)?,
            fields: layout::read_fields(collection, row, layout::BEFORE_COUNT)?,
        });
    }
    Ok(entries)
}

/// Whether the log has told of an operation: `Some(true)`: documents of this generation hold it.
pub(crate) fn told(
    conn: &Connection,
    op_id: OpId,
    generation: i64,
) -> Result<Option<bool>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT in_document FROM record_told WHERE op_id = ?1 AND generation = ?2")?
        .query_row(params![blob(&op_id.0), generation], |row| row.get(0))
        .optional()?)
}

/// Remembers that the log has told of an operation, or that the server knows it.
pub(crate) fn tell(
    conn: &Connection,
    op_id: OpId,
    generation: i64,
    in_document: bool,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO record_told (op_id, generation, in_document) VALUES (?1, ?2, ?3)
         ON CONFLICT (op_id) DO UPDATE SET generation = ?2,
           in_document = max(?3, CASE generation WHEN ?2 THEN in_document ELSE 0 END)",
    )?
    .execute(params![blob(&op_id.0), generation, in_document])?;
    Ok(())
}
