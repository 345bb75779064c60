//! What a person meant to change, at what they saw. The server alone turns it into a change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Hash, OpId};

/// The body of an operation on a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct RecordIntent {
    /// The name of its [`super::Collection`].
    pub collection: String,
    /// The record.
    pub record_id: Uuid,
    /// What is to be done if nothing that this operation supersedes has been accepted.
    #[serde(flatten)]
    pub step: Step,
    /// The heads of the agreed document that the person saw; none for a creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<Hash>,
    /// What is to be done instead if an operation that this one supersedes has been accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<Instead>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What is to be done to a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Step {
    /// The kind of change.
    pub action: Action,
    /// Field by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub patch: Patch,
    /// Where the vehicles of a deleted garage go; absent: to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reassign_to: Option<Uuid>,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The record begins.
    Create,
    /// Fields change.
    Edit,
    /// The record is marked as deleted. What it says is kept.
    Delete,
    /// The mark is taken away, within [`crate::limits::RESTORE_DAYS_MAX`].
    Restore,
    /// Nothing: what this operation supersedes is taken back before it arrived.
    Nothing,
}

/// What is to be done if a superseded operation has been accepted after all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Instead {
    /// The superseded operation.
    pub op_id: OpId,
    /// What is to be done over it.
    #[serde(flatten)]
    pub step: Step,
}

/// Fields and what becomes of each.
pub type Patch = BTreeMap<String, FieldEdit>;

/// What becomes of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FieldEdit {
    /// It gets this value; `null` clears it.
    Set(Value),
    /// Its text changes in these places.
    Text(TextEdit),
    /// Of its object these keys get these values; `null` clears one.
    Keys(Map<String, Value>),
}

/// Changes of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct TextEdit {
    /// What the person changed, in the text that they saw.
    pub splices: Vec<Splice>,
    /// What they had changed before, oldest first, without knowing whether it is accepted. Each
    /// counts in the text with those before it; the first in the text of the agreed document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Over>,
}

/// An earlier change of the same text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Over {
    /// The operation that made it.
    pub op_id: OpId,
    /// What it changed.
    pub splices: Vec<Splice>,
}

/// Characters taken out and put in at one place. Places of one list count in the text before any
/// of it, ascend and do not overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Splice {
    /// Unicode scalar values before it.
    pub at: usize,
    /// Unicode scalar values taken out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delete: usize,
    /// What is put in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub insert: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl RecordIntent {
    /// What is to be done, given which of the superseded operations has been accepted.
    ///
    /// An accepted one that the intent has no alternative for is left as it is.
    #[must_use]
    pub fn step_after(&self, accepted: Option<OpId>) -> &Step {
        accepted
            .and_then(|op_id| self.instead.iter().find(|instead| instead.op_id == op_id))
            .map_or(&self.step, |instead| &instead.step)
    }
}
