//! Who changed what, when, and which values compete: read straight from the document.

use std::collections::BTreeSet;

use automerge::{ChangeHash, PatchAction, ROOT, ReadDoc, Value as Stored};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::{Actor, DELETED_AT, Document, read_scalar};
use super::schema::Form;
use crate::{DeviceId, Hash, Millis, UserId};

/// A field with several values, none of which was made by someone who had seen the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Conflict {
    /// The field; `preferences.units` for a key of an object.
    pub field: String,
    /// The values, the one that is shown first.
    pub values: Vec<Competing>,
}

/// One of several values of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Competing {
    /// The value; null where the field was cleared.
    pub value: Value,
    /// Who, when and where.
    #[serde(flatten)]
    pub by: By,
}

/// Who made a change, when and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct By {
    /// The person, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The device; absent for what was written on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// When, UTC ms of the person's clock.
    pub at: Millis,
}

/// One change of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Revision {
    /// The change.
    pub hash: Hash,
    /// Who, when and where.
    #[serde(flatten)]
    pub by: By,
    /// Fields that it changed and their values after it; null where it cleared one.
    pub fields: Map<String, Value>,
}

impl Document {
    /// Fields with competing values, in the order of their declaration.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut out = Vec::new();
        let doc = self.automerge();
        for field in self.collection().fields {
            match field.form {
                Form::Text(_) => {}
                Form::Map(_) => {
                    let Ok(Some((_, object))) = doc.get(ROOT, field.name) else {
                        continue;
                    };
                    let keys: Vec<String> = doc.keys(&object).collect();
                    for key in keys {
                        let name = format!("{}.{key}", field.name);
                        out.extend(self.competing(&object, &key, Form::Json(0), name));
                    }
                }
                form => out.extend(self.competing(&ROOT, field.name, form, field.name.into())),
            }
        }
        let integer = Form::Integer(i64::MIN, i64::MAX);
        out.extend(self.competing(&ROOT, DELETED_AT, integer, DELETED_AT.into()));
        out
    }

    fn competing(
        &self,
        object: &automerge::ObjId,
        key: &str,
        form: Form,
        field: String,
    ) -> Option<Conflict> {
        let found = self.automerge().get_all(object, key).ok()?;
        if found.len() < 2 {
            return None;
        }
        let mut values: Vec<Competing> = Vec::new();
        // Automerge lists the one that it shows last.
        for (stored, id) in found.into_iter().rev() {
            let value = match &stored {
                Stored::Scalar(value) => read_scalar(form, value).unwrap_or(Value::Null),
                Stored::Object(_) => continue,
            };
            if values.iter().any(|other| other.value == value) {
                continue; // the same words twice are no choice
            }
            let by = self.automerge().hash_for_opid(&id).map(|hash| self.by(&hash));
            values.push(Competing { value, by: by.unwrap_or_default() });
        }
        (values.len() > 1).then_some(Conflict { field, values })
    }

    fn by(&self, hash: &ChangeHash) -> By {
        let Some(meta) = self.automerge().get_change_meta_by_hash(hash) else {
            return By::default();
        };
        let device_id = match Actor::read(&meta.actor) {
            Some(Actor::Device(device)) => Some(device),
            _ => None,
        };
        let user_id = meta.message.as_deref().and_then(|user| user.parse().ok());
        By { user_id, device_id, at: meta.timestamp }
    }

    /// Every change by someone, each after those that it had seen.
    #[must_use]
    pub fn history(&self) -> Vec<Revision> {
        let doc = self.automerge();
        doc.get_changes_meta(&[])
            .into_iter()
            .filter(|meta| Actor::read(&meta.actor).is_some())
            .map(|meta| Revision {
                hash: Hash(meta.hash.0),
                by: self.by(&meta.hash),
                fields: self.changed_between(&meta.deps, meta.hash),
            })
            .collect()
    }

    fn changed_between(&self, deps: &[ChangeHash], hash: ChangeHash) -> Map<String, Value> {
        let mut names = BTreeSet::new();
        for patch in self.automerge().diff(deps, &[hash]) {
            let name = match (patch.path.first(), &patch.action) {
                (Some((_, prop)), _) => prop.to_string(),
                (None, PatchAction::PutMap { key, .. } | PatchAction::DeleteMap { key }) => {
                    key.clone()
                }
                (None, PatchAction::Conflict { prop }) => prop.to_string(),
                _ => continue,
            };
            names.insert(name);
        }
        let at = [hash];
        let mut fields = self.read_fields(Some(&at));
        fields.retain(|name, _| names.contains(name));
        if names.remove(DELETED_AT) {
            let value = match self.automerge().get_at(ROOT, DELETED_AT, &at) {
                Ok(Some((Stored::Scalar(value), _))) => value.as_i64().map(Value::from),
                _ => None,
            };
            fields.insert(DELETED_AT.into(), value.unwrap_or(Value::Null));
        }
        for name in names {
            if self.collection().field(&name).is_some() {
                fields.entry(name).or_insert(Value::Null);
            }
        }
        fields
    }

    /// Who made the record and who changed it last; `None` while nobody has.
    #[must_use]
    pub fn first_and_last(&self) -> Option<(By, By)> {
        let metas = self.automerge().get_changes_meta(&[]);
        let by_someone = || metas.iter().filter(|meta| Actor::read(&meta.actor).is_some());
        let first = by_someone().next()?;
        let last = by_someone().max_by_key(|meta| (meta.timestamp, meta.max_op))?;
        Some((self.by(&first.hash), self.by(&last.hash)))
    }
}
