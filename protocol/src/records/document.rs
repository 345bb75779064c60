//! A record's document: an Automerge document with one value per field.
//!
//! Long texts and objects that merge key by key are Automerge objects of their own. Everybody
//! makes the same ones, by changes that depend on nothing but the record's id and the field's
//! name, so that two people who both write into an empty text write into one text.

mod put;
mod scalar;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{
    ActorId, Automerge, Change, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, TextEncoding,
    Value as Stored,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::bounds;
use super::schema::{Collection, Form};
use super::sound::{Sound, Unsound};
use crate::{DeviceId, Hash, Millis, UserId, limits};

pub(super) use put::{CannotPut, Put};
pub(super) use scalar::read_scalar;

/// The key under which a document says when its record was deleted.
pub const DELETED_AT: &str = "deleted_at";

/// A record's document.
#[derive(Clone, Debug)]
pub struct Document {
    collection: &'static Collection,
    automerge: Automerge,
}

/// Bytes that are not a document or change of the record that they are said to be of.
#[derive(Debug, thiserror::Error)]
pub enum BadDocument {
    /// Over [`limits::DOCUMENT_BYTES_MAX`] or [`limits::CHANGE_BYTES_MAX`].
    #[error("{0} bytes are more than a record may take")]
    TooLarge(usize),
    /// Automerge cannot read it.
    #[error("not a record's document: {0}")]
    Unreadable(String),
    /// A change names one before it that is not there.
    #[error("a change is missing that a later one builds on")]
    Incomplete,
    /// It belongs to another record.
    #[error("it is another record's")]
    Foreign,
}

/// Who makes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Under which actor of the document.
    pub actor: Actor,
    /// The person, where known.
    pub user: Option<UserId>,
    /// When, UTC ms of the person's clock.
    pub at: Millis,
}

/// An actor of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A device, for what was done on it.
    Device(DeviceId),
    /// The server, for what other SQL clients wrote and for what follows from other changes; one
    /// for each epoch of the tenant's log, so that a restored server never repeats a change.
    Server(Uuid),
}

impl Actor {
    fn id(self) -> ActorId {
        match self {
            Self::Device(device) => ActorId::from(&device.as_bytes()[..]),
            Self::Server(epoch) => ActorId::from([b"s", &epoch.as_bytes()[..]].concat()),
        }
    }

    /// The actor of these bytes; none for the changes that every document begins with.
    pub(super) fn read(id: &ActorId) -> Option<Self> {
        match id.to_bytes() {
            bytes if bytes.len() == 16 => {
                Uuid::from_slice(bytes).ok().map(|id| Self::Device(DeviceId(id)))
            }
            [b's', epoch @ ..] => Uuid::from_slice(epoch).ok().map(Self::Server),
            _ => None,
        }
    }
}

impl Document {
    /// The document as everybody begins it: the record's identity, its texts and objects empty.
    #[must_use]
    pub fn new(collection: &'static Collection, id: Uuid) -> Self {
        let mut automerge = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint);
        automerge.set_actor(ActorId::from(&b"g"[..]));
        let mut tx = automerge.transaction();
        // Into the root of a new document any key can be put.
        let _ = tx.put(ROOT, "collection", collection.name);
        let _ = tx.put(ROOT, "id", id.to_string());
        tx.commit_with(CommitOptions::default().with_time(0));
        let mut document = Self { collection, automerge };
        document.give_birth(id);
        document
    }

    /// Makes the texts and objects that are not there yet. Returns whether any was made.
    fn give_birth(&mut self, id: Uuid) -> bool {
        let objects = self.collection.fields.iter().filter_map(|field| match field.form {
            Form::Text(_) => Some((field.name, ObjType::Text)),
            Form::Map(_) => Some((field.name, ObjType::Map)),
            _ => None,
        });
        let missing: Vec<_> = objects
            .filter(|(name, _)| !matches!(self.automerge.get(ROOT, *name), Ok(Some(_))))
            .collect();
        let born = !missing.is_empty();
        for (name, kind) in missing {
            let mut alone = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint);
            alone.set_actor(ActorId::from(&b"g"[..]));
            let mut tx = alone.transaction();
            let _ = tx.put(ROOT, "collection", self.collection.name);
            let _ = tx.put(ROOT, "id", id.to_string());
            tx.commit_with(CommitOptions::default().with_time(0));
            alone.set_actor(ActorId::from([b"b", name.as_bytes()].concat()));
            let mut tx = alone.transaction();
            let _ = tx.put_object(ROOT, name, kind);
            tx.commit_with(CommitOptions::default().with_time(0));
            let _ = self.automerge.apply_changes(alone.get_last_local_change());
        }
        born
    }

    /// Reads a document that [`Document::save`] wrote.
    ///
    /// # Errors
    /// [`BadDocument`].
    pub fn load(
        collection: &'static Collection,
        id: Uuid,
        bytes: &[u8],
    ) -> Result<Self, BadDocument> {
        if bytes.len() > limits::DOCUMENT_BYTES_MAX {
            return Err(BadDocument::TooLarge(bytes.len()));
        }
        if !bounds::is_bounded(bytes, bounds::Chunk::Document) {
            return Err(BadDocument::Unreadable("not one whole document".into()));
        }
        guarded(|| {
            let options = automerge::LoadOptions::new();
            let options = options.text_encoding(TextEncoding::UnicodeCodePoint);
            let automerge = Automerge::load_with_options(bytes, options)
                .map_err(|error| BadDocument::Unreadable(error.to_string()))?;
            let document = Self { collection, automerge };
            document.is_of(id).then_some(document).ok_or(BadDocument::Foreign)
        })
    }

    /// The document that these changes make, the first of them those that it begins with.
    ///
    /// # Errors
    /// [`BadDocument`].
    pub fn of_changes<B: AsRef<[u8]>>(
        collection: &'static Collection,
        id: Uuid,
        changes: &[B],
    ) -> Result<Self, BadDocument> {
        let automerge = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint);
        let mut document = Self { collection, automerge };
        document.grow(id, changes)?;
        Ok(document)
    }

    fn is_of(&self, id: Uuid) -> bool {
        let says = |key: &str, value: &str| match self.automerge.get_all(ROOT, key) {
            Ok(found) => {
                let is_value = |stored: &Stored<'_>| match stored {
                    Stored::Scalar(found) => found.as_str() == Some(value),
                    Stored::Object(_) => false,
                };
                !found.is_empty() && found.iter().all(|(stored, _)| is_value(stored))
            }
            Err(_) => false,
        };
        says("collection", self.collection.name) && says("id", &id.to_string())
    }

    /// The whole document, with its history, as bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        self.automerge.save()
    }

    /// How many operations its history has: at most [`limits::DOCUMENT_OPERATIONS_MAX`] can be
    /// loaded again.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.automerge.stats().num_ops
    }

    /// Its collection.
    #[must_use]
    pub fn collection(&self) -> &'static Collection {
        self.collection
    }

    /// The changes that no other builds on: what a person has seen who has seen this document.
    #[must_use]
    pub fn heads(&self) -> Vec<Hash> {
        let mut heads: Vec<Hash> =
            self.automerge.get_heads().into_iter().map(|head| Hash(head.0)).collect();
        heads.sort_unstable();
        heads
    }

    /// Changes that whoever knows only `seen` lacks, in an order in which they can be applied.
    #[must_use]
    pub fn changes_since(&self, seen: &[Hash]) -> Vec<Vec<u8>> {
        let seen = self.known(seen);
        let changes = self.automerge.get_changes(&seen);
        changes.iter().map(|change| change.raw_bytes().to_vec()).collect()
    }

    /// Adds changes from the server. Those that are there already change nothing.
    ///
    /// # Errors
    /// [`BadDocument`]; the document is then as it was.
    pub fn apply<B: AsRef<[u8]>>(&mut self, changes: &[B]) -> Result<(), BadDocument> {
        let id = self.id().ok_or(BadDocument::Foreign)?;
        self.grow(id, changes)
    }

    fn id(&self) -> Option<Uuid> {
        match self.automerge.get(ROOT, "id") {
            Ok(Some((Stored::Scalar(id), _))) => Uuid::parse_str(id.as_str()?).ok(),
            _ => None,
        }
    }

    fn grow<B: AsRef<[u8]>>(&mut self, id: Uuid, changes: &[B]) -> Result<(), BadDocument> {
        *self = guarded(|| self.grown(id, changes))?;
        Ok(())
    }

    fn grown<B: AsRef<[u8]>>(&self, id: Uuid, changes: &[B]) -> Result<Self, BadDocument> {
        let mut read = Vec::with_capacity(changes.len());
        for bytes in changes {
            read.push(read_change(bytes.as_ref())?);
        }
        let mut sound = Sound::of(&self.automerge, &read);
        for change in &read {
            sound.take(change).map_err(|unsound| match unsound {
                Unsound::Incomplete => BadDocument::Incomplete,
                Unsound::Contradiction => {
                    BadDocument::Unreadable("a change contradicts the document".into())
                }
            })?;
        }
        let mut grown = self.automerge.clone();
        grown.apply_changes(read).map_err(|error| BadDocument::Unreadable(error.to_string()))?;
        let grown = Self { collection: self.collection, automerge: grown };
        grown.is_of(id).then_some(grown).ok_or(BadDocument::Foreign)
    }

    /// Whether a change is part of this document.
    #[must_use]
    pub fn knows(&self, change: &Hash) -> bool {
        self.automerge.get_change_meta_by_hash(&ChangeHash(change.0)).is_some()
    }

    /// Those of the hashes that this document knows.
    pub(super) fn known(&self, hashes: &[Hash]) -> Vec<ChangeHash> {
        let hashes = hashes.iter().map(|hash| ChangeHash(hash.0));
        hashes.filter(|hash| self.automerge.get_change_meta_by_hash(hash).is_some()).collect()
    }

    /// When the record was deleted, UTC ms; `None` while it is live.
    #[must_use]
    pub fn deleted_at(&self) -> Option<Millis> {
        match self.automerge.get(ROOT, DELETED_AT) {
            Ok(Some((Stored::Scalar(value), _))) => value.as_i64(),
            _ => None,
        }
    }

    /// The record as it is shown and projected: each field that has a value.
    #[must_use]
    pub fn fields(&self) -> Map<String, Value> {
        self.read_fields(None)
    }

    /// The record as it was at some heads.
    #[must_use]
    pub fn fields_at(&self, heads: &[Hash]) -> Map<String, Value> {
        self.read_fields(Some(&self.known(heads)))
    }

    pub(super) fn read_fields(&self, at: Option<&[ChangeHash]>) -> Map<String, Value> {
        let mut fields = Map::new();
        for field in self.collection.fields {
            let found = match at {
                Some(heads) => self.automerge.get_at(ROOT, field.name, heads),
                None => self.automerge.get(ROOT, field.name),
            };
            let Ok(Some((stored, object))) = found else {
                continue;
            };
            if let Some(value) = self.read(field.form, &stored, &object, at) {
                fields.insert(field.name.into(), value);
            }
        }
        fields
    }

    fn read(
        &self,
        form: Form,
        stored: &Stored<'_>,
        object: &ObjId,
        at: Option<&[ChangeHash]>,
    ) -> Option<Value> {
        match stored {
            Stored::Object(ObjType::Text) => {
                let text = match at {
                    Some(heads) => self.automerge.text_at(object, heads),
                    None => self.automerge.text(object),
                };
                text.ok().filter(|text| !text.is_empty()).map(Value::String)
            }
            Stored::Object(ObjType::Map) => {
                let keys: Vec<String> = match at {
                    Some(heads) => self.automerge.keys_at(object, heads).collect(),
                    None => self.automerge.keys(object).collect(),
                };
                let mut map = Map::new();
                for key in keys {
                    let found = match at {
                        Some(heads) => self.automerge.get_at(object, key.as_str(), heads),
                        None => self.automerge.get(object, key.as_str()),
                    };
                    if let Ok(Some((Stored::Scalar(value), _))) = found
                        && let Some(value) = read_scalar(Form::Json(0), &value)
                    {
                        map.insert(key, value);
                    }
                }
                (!map.is_empty()).then_some(Value::Object(map))
            }
            Stored::Scalar(value) => read_scalar(form, value),
            Stored::Object(_) => None,
        }
    }

    /// The newest change of an actor.
    pub(super) fn last_by(&self, actor: Actor) -> Option<ChangeHash> {
        let id = actor.id();
        let metas = self.automerge.get_changes_meta(&[]);
        metas.iter().filter(|meta| *meta.actor == id).max_by_key(|meta| meta.seq).map(|m| m.hash)
    }

    /// The changes that every document of the collection begins with.
    fn births(&self) -> Vec<ChangeHash> {
        let metas = self.automerge.get_changes_meta(&[]);
        metas
            .iter()
            .filter(|meta| matches!(meta.actor.to_bytes(), [b'g'] | [b'b', ..]))
            .filter(|meta| Actor::read(&meta.actor).is_none())
            .map(|meta| meta.hash)
            .collect()
    }

    pub(super) fn automerge(&self) -> &Automerge {
        &self.automerge
    }
}

/// The last wall against hostile bytes: whatever Automerge trips over is the bytes' fault, and
/// what it had begun with them is thrown away. In a browser a panic ends the program; changes,
/// which come from the network, are therefore looked at before ([`super::sound`]).
fn guarded<T>(read: impl FnOnce() -> Result<T, BadDocument>) -> Result<T, BadDocument> {
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err(BadDocument::Unreadable("reading it failed".into())))
}

fn read_change(bytes: &[u8]) -> Result<Change, BadDocument> {
    if bytes.len() > limits::CHANGE_BYTES_MAX {
        return Err(BadDocument::TooLarge(bytes.len()));
    }
    if !bounds::is_bounded(bytes, bounds::Chunk::Change) {
        return Err(BadDocument::Unreadable("not a plain change".into()));
    }
    Change::try_from(bytes).map_err(|error| BadDocument::Unreadable(error.to_string()))
}
