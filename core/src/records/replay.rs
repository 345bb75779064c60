//! Own operations on a record, done again over a copy of its document: what a person sees.

use std::collections::BTreeMap;

use motomind_protocol::records::schema::Collection;
use motomind_protocol::records::{
    self, Action, Actor, Circumstances, Document, FieldEdit, Over, Patch, RecordIntent, Signature,
    Step, TextEdit, text,
};
use motomind_protocol::{DeviceId, Millis, OpId, OpState, Operation, code};
use rusqlite::{Connection, params};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::StoreError;
use crate::ids::{blob, blob_opt};
use crate::journal::{self, Stored};
use crate::mirror::{self, RecordState, documents, records as docs};

/// An own operation that what is shown of a record may have to include.
pub(crate) struct Own {
    pub(crate) op_id: OpId,
    seq: Option<u64>,
    /// Refused by a verdict; one that the server failed on may still come.
    pub(crate) refused: bool,
    pub(crate) operation: Operation,
    /// The newest of what it takes the place of that the server had accepted after all.
    accepted: Option<OpId>,
}

impl Own {
    fn intent(&self) -> Option<&RecordIntent> {
        self.operation.intent()
    }

    fn step(&self) -> Option<&Step> {
        self.intent().map(|intent| intent.step_after(self.accepted))
    }

    pub(crate) fn creates(&self) -> bool {
        self.intent().is_some_and(|intent| intent.step.action == Action::Create)
    }
}

/// A record's agreed document and the own operations beside it.
pub(crate) struct Replay {
    pub(crate) collection: &'static Collection,
    pub(crate) id: Uuid,
    pub(crate) agreed: Option<Document>,
    /// What it was before each new beginning, the oldest first: own edits may name heads of those.
    earlier: Vec<Document>,
    /// There is a document, and it cannot be read.
    pub(crate) unreadable: bool,
    pub(crate) generation: i64,
    /// In the order in which the server takes them.
    pub(crate) own: Vec<Own>,
    /// Unsettled operations that the document holds: the log was faster than the reply.
    held: Vec<OpId>,
}

/// What is shown of a record.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) document: Option<Document>,
    pub(crate) state: RecordState,
    pub(crate) refused: u64,
    /// Texts that own operations changed here, oldest first.
    over: BTreeMap<String, Vec<Over>>,
    /// What those texts were before.
    bases: BTreeMap<String, String>,
    /// Own operations that are in the document.
    accepted: Vec<OpId>,
}

impl Replay {
    /// Reads a record and what this device did to it.
    pub(crate) fn read(
        conn: &Connection,
        collection: &'static Collection,
        id: Uuid,
    ) -> Result<Self, StoreError> {
        Self::read_for(conn, collection, id, None)
    }

    /// The same, with what an operation took the place of: that may have arrived too.
    pub(crate) fn read_for(
        conn: &Connection,
        collection: &'static Collection,
        id: Uuid,
        replacing: Option<OpId>,
    ) -> Result<Self, StoreError> {
        let position = mirror::position(conn)?;
        let stored = documents::stored(conn, collection, id)?;
        let generation = stored.as_ref().map_or(position.generation, |found| found.generation);
        let unreadable = stored.as_ref().is_some_and(|found| found.document.is_err());
        let agreed = stored.and_then(|found| found.document.ok());
        let beyond = if position.rebuilding { 0 } else { position.seq };
        let (mut own, held) = own_operations(conn, id, beyond, generation, replacing)?;
        own.retain(|own| own.intent().is_some_and(|intent| intent.collection == collection.name));
        let intents = || own.iter().filter_map(Own::intent);
        let earlier = match &agreed {
            Some(agreed) if !intents().all(|intent| records::knows_all(agreed, intent)) => {
                documents::earlier(conn, collection, id, generation)?
            }
            _ => Vec::new(),
        };
        Ok(Self { collection, id, agreed, earlier, unreadable, generation, own, held })
    }

    /// Whether the document holds an unsettled operation.
    pub(crate) fn holds(&self, op_id: OpId) -> bool {
        self.held.contains(&op_id)
    }

    /// Whether what is shown includes an own operation that the agreed document does not hold, and
    /// that was not refused.
    pub(crate) fn shows_own(&self, shown: &Shown) -> bool {
        self.own.iter().any(|own| !own.refused && shown.has(own.op_id))
    }

    /// What is shown.
    pub(crate) fn shown(&self) -> Shown {
        self.shown_with(|own| match own.refused {
            // A refused creation stays on the screen, marked.
            true => own.creates(),
            false => true,
        })
    }

    /// What would be shown if these of the own operations counted.
    pub(crate) fn shown_with(&self, mut counts: impl FnMut(&Own) -> bool) -> Shown {
        let mut shown = Shown::of(self.agreed.clone());
        for own in &self.own {
            let did = counts(own) && shown.take(own, &self.earlier);
            if own.refused {
                shown.refused += u64::from(!own.creates());
                if did && own.creates() {
                    shown.state = RecordState::Refused;
                }
            } else if own.seq.is_none() && shown.state == RecordState::Agreed {
                shown.state = RecordState::Pending;
            }
        }
        shown
    }
}

impl Shown {
    /// A document, and nothing done over it.
    pub(crate) fn of(document: Option<Document>) -> Self {
        Self {
            document,
            state: RecordState::Agreed,
            refused: 0,
            over: BTreeMap::new(),
            bases: BTreeMap::new(),
            accepted: Vec::new(),
        }
    }

    /// Does an operation again. One that cannot be done is not shown.
    fn take(&mut self, own: &Own, earlier: &[Document]) -> bool {
        let Some((intent, step)) = own.intent().zip(own.step()) else { return false };
        let around = Circumstances {
            signature: signature(&own.operation),
            now: own.operation.clock.wall_ms,
            accepted: &self.accepted,
        };
        let Some(collection) = records::find(&intent.collection) else { return false };
        let earlier: Vec<&Document> = earlier.iter().collect();
        let existing = self.document.as_ref();
        let taken = records::take_as_seen(collection, existing, &earlier, intent, step, &around);
        let Ok(taken) = taken else { return false };
        let texts = step.patch.iter().filter(|(_, edit)| matches!(edit, FieldEdit::Text(_)));
        for (name, _) in texts {
            let before = text_of(self.document.as_ref(), name);
            let after = text_of(Some(&taken.document), name);
            let splices = text::difference(&before, &after);
            let over = Over { op_id: own.op_id, splices };
            self.over.entry(name.clone()).or_default().push(over);
            self.bases.entry(name.clone()).or_insert(before);
        }
        self.document = Some(taken.document);
        self.accepted.push(own.op_id);
        true
    }

    /// Whether an own operation is in it.
    pub(crate) fn has(&self, op_id: OpId) -> bool {
        self.accepted.contains(&op_id)
    }

    /// The fields that are shown.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        self.document.as_ref().map(Document::fields).unwrap_or_default()
    }

    /// When the record was deleted.
    pub(crate) fn deleted_at(&self) -> Option<Millis> {
        self.document.as_ref().and_then(Document::deleted_at)
    }

    /// The patch that turns what is shown into what is wanted.
    pub(crate) fn patch_to(&self, collection: &Collection, wanted: &Map<String, Value>) -> Patch {
        let mut patch = records::difference(collection, &self.fields(), wanted);
        self.place_texts(&mut patch);
        patch
    }

    /// Tells of each text what this device had changed in it before, unsettled.
    pub(crate) fn place_texts(&self, patch: &mut Patch) {
        for (name, edit) in patch {
            if let FieldEdit::Text(TextEdit { over, .. }) = edit {
                let base = self.bases.get(name).map_or("", String::as_str);
                *over = text::folded(base, self.over.get(name).cloned().unwrap_or_default());
            }
        }
    }

    /// Whether the server would take an intent over what is shown.
    pub(crate) fn try_out(
        &self,
        intent: &RecordIntent,
        by: Signature,
        now: Millis,
    ) -> Result<Document, Box<motomind_protocol::wire::Rejection>> {
        let around = Circumstances { signature: by, now, accepted: &self.accepted };
        records::take(self.document.as_ref(), intent, &intent.step, &around)
            .map(|taken| taken.document)
    }
}

/// What an operation is signed with.
fn signature(operation: &Operation) -> Signature {
    Signature {
        actor: Actor::Device(operation.device_id),
        user: Some(operation.user_id),
        at: operation.clock.wall_ms,
    }
}

/// What this device signs with.
pub(crate) fn own_signature(
    device: DeviceId,
    user: motomind_protocol::UserId,
    at: Millis,
) -> Signature {
    Signature { actor: Actor::Device(device), user: Some(user), at }
}

fn text_of(document: Option<&Document>, name: &str) -> String {
    let fields = document.map(Document::fields).unwrap_or_default();
    fields.get(name).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// Own operations on a record that its document does not hold, as the server will take them: those
/// that it has accepted in its order, then the others, creations before edits.
fn own_operations(
    conn: &Connection,
    id: Uuid,
    beyond: u64,
    generation: i64,
    replacing: Option<OpId>,
) -> Result<(Vec<Own>, Vec<OpId>), StoreError> {
    let columns = journal::STORED;
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {columns} FROM operations
         WHERE lane = ?1 AND action IS NOT NULL
           AND (state NOT IN ('accepted', 'superseded') OR seq > ?2 OR op_id IN (
             WITH RECURSIVE chain (op_id) AS (
               SELECT ?3
               UNION SELECT o.supersedes FROM operations o JOIN chain c ON o.op_id = c.op_id)
             SELECT op_id FROM chain))
         ORDER BY pos"
    ))?;
    let mut rows =
        statement.query(params![blob(&id), beyond as i64, blob_opt(replacing.map(|op| op.0))])?;
    let (mut own, mut held) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let stored = Stored::read(row)?;
        if docs::told(conn, stored.sealed.op_id, generation)? == Some(true) {
            held.push(stored.sealed.op_id);
            continue;
        }
        let operation = stored.operation()?;
        own.push(Own {
            op_id: stored.sealed.op_id,
            seq: stored.seq,
            refused: stored.state == OpState::Rejected
                && stored.reason.as_ref().is_none_or(|why| why.code != code::SERVER_FAULT),
            accepted: accepted_of(conn, &operation.supersedes, generation)?,
            operation,
        });
    }
    own.sort_by_key(|own| (own.seq.is_none(), own.seq, !own.creates()));
    Ok((own, held))
}

/// The first of these that the server has accepted, for all this device has been told.
fn accepted_of(
    conn: &Connection,
    ops: &[OpId],
    generation: i64,
) -> Result<Option<OpId>, StoreError> {
    for op in ops {
        let accepted = journal::find(conn, *op)?.is_some_and(|stored| stored.seq.is_some());
        if accepted || docs::told(conn, *op, generation)? == Some(true) {
            return Ok(Some(*op));
        }
    }
    Ok(None)
}
