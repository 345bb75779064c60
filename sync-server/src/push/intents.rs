//! What intents are about, before anything is judged: so that all of it is read at once.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use motomind_protocol::records::{
    self, Action, Claim, Collection, FieldEdit, RecordIntent, Step, check_value, claims,
    normalised, steps,
};
use motomind_protocol::{TenantId, VehicleId};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::load;
use super::read::{Batch, Item};
use crate::error::Error;
use crate::records::{GARAGES, Key, Shelf, VEHICLES, find_in};

/// What records there are.
pub(super) type Collections = &'static [Collection];

/// The record that an intent is about, where its collection is known.
pub(super) fn key_of(intent: &RecordIntent, collections: Collections) -> Option<Key> {
    let collection = find_in(collections, &intent.collection)?;
    Some(Key { collection, id: intent.record_id })
}

/// The records that a batch changes.
pub(super) fn keys(batch: &Batch, collections: Collections) -> Vec<Key> {
    let operations = batch.items.iter().filter_map(Item::received);
    let intents = operations.filter_map(|received| received.operation.intent());
    intents.filter_map(|intent| key_of(intent, collections)).collect()
}

/// The vehicles that must be locked for a batch's changes of records: those that it changes, and
/// those of garages that it deletes.
pub(super) async fn vehicles_among(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    batch: &Batch,
) -> Result<Vec<VehicleId>, Error> {
    let intents = || {
        let operations = batch.items.iter().filter_map(Item::received);
        operations.filter_map(|received| received.operation.intent())
    };
    let changed = intents().filter(|intent| intent.collection == VEHICLES);
    let mut vehicles: Vec<VehicleId> = changed.map(|intent| VehicleId(intent.record_id)).collect();
    let deletes = |intent: &&RecordIntent| {
        let is_deletion = |step: &Step| step.action == Action::Delete;
        intent.collection == GARAGES && steps(intent).any(is_deletion)
    };
    let garages: Vec<Uuid> = intents().filter(deletes).map(|intent| intent.record_id).collect();
    if !garages.is_empty() {
        vehicles.extend(load::vehicles_in(transaction, tenant, &garages).await?);
    }
    Ok(vehicles)
}

/// The records that an intent refers to.
pub(super) fn referred(intent: &RecordIntent, collections: Collections) -> Vec<Key> {
    let find = |name: &str| find_in(collections, name);
    let Some(collection) = find(&intent.collection) else {
        return Vec::new();
    };
    let named = steps(intent).flat_map(|step| records::referred(collection, step));
    named.filter_map(|(_, name, id)| Some(Key { collection: find(name)?, id })).collect()
}

/// Claims that intents probably make, so that the rows are asked once for all.
pub(super) fn likely_claims<'a>(
    shelf: &Shelf,
    intents: impl Iterator<Item = &'a RecordIntent>,
) -> Vec<(&'static Collection, Claim)> {
    let mut drafts: HashMap<Key, Map<String, Value>> = HashMap::new();
    let mut wanted = Vec::new();
    for intent in intents {
        let key = key_of(intent, shelf.collections);
        let Some(key) = key.filter(|key| !key.collection.unique.is_empty()) else {
            continue;
        };
        let shown = || shelf.document(key).map(records::Document::fields);
        let draft = drafts.entry(key).or_insert_with(|| shown().unwrap_or_default());
        for step in steps(intent) {
            for (name, edit) in &step.patch {
                if let (Some(field), FieldEdit::Set(value)) = (key.collection.field(name), edit) {
                    let value = normalised(field.form, value.clone());
                    // What no column can hold is refused by its rule, not by the database.
                    if value.is_null() || check_value(field, &value, shelf.now).is_ok() {
                        draft.insert(name.clone(), value);
                    }
                }
            }
            let touches = |claim: &Claim| {
                let patched = claim.fields.iter().any(|name| step.patch.contains_key(*name));
                patched || step.action == Action::Restore
            };
            draft.retain(|_, value| !value.is_null());
            let made = claims(key.collection, draft).into_iter().filter(touches);
            wanted.extend(made.map(|claim| (key.collection, claim)));
        }
    }
    wanted
}
