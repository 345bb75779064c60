//! Who holds what only one live record may have: by the rows, and by what this batch has changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use deadpool_postgres::Transaction;
use motomind_protocol::TenantId;
use motomind_protocol::records::Claim;
use motomind_protocol::records::schema::Collection;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{fields, table};
use crate::error::Error;

/// A claim of a collection, comparable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClaimKey {
    collection: &'static str,
    code: &'static str,
    values: String,
}

impl ClaimKey {
    /// The key of a claim.
    pub(crate) fn of(collection: &'static Collection, claim: &Claim) -> Self {
        let values = fields::without_nul(Value::Array(claim.values.clone())).to_string();
        Self { collection: collection.name, code: claim.code, values }
    }
}

/// Claims known so far.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By the rows as they were when they were asked.
    rows: HashMap<ClaimKey, Vec<Uuid>>,
    /// By this batch: newer than the rows. `None`: given up.
    held: HashMap<ClaimKey, Option<Uuid>>,
    /// Given up in documents whose rows are not written yet.
    unwritten: HashSet<ClaimKey>,
}

impl Claims {
    /// The record other than `id` that holds the claim. `Err` where the rows were not asked.
    pub(super) fn holder(&self, key: &ClaimKey, id: Uuid) -> Result<Option<Uuid>, Unasked> {
        if let Some(held) = self.held.get(key) {
            return Ok(held.filter(|holder| *holder != id));
        }
        let rows = self.rows.get(key).ok_or(Unasked)?;
        Ok(rows.iter().copied().find(|holder| *holder != id))
    }

    /// Whether another record's row still has it, though its document has given it up.
    pub(super) fn must_be_written_first(&self, key: &ClaimKey) -> bool {
        self.unwritten.contains(key)
    }

    /// A record gives claims up and makes others.
    pub(super) fn change(&mut self, id: Uuid, before: &[ClaimKey], after: &[ClaimKey]) {
        for given_up in before.iter().filter(|key| !after.contains(key)) {
            self.held.insert(given_up.clone(), None);
            self.unwritten.insert(given_up.clone());
        }
        for made in after.iter().filter(|key| !before.contains(key)) {
            self.held.insert(made.clone(), Some(id));
        }
    }

    /// Rows are as the documents say.
    pub(super) fn written(&mut self) {
        self.unwritten.clear();
    }

    /// Forgets what is not in the database.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Asks the rows for those of the claims that are not known, one statement for each kind.
    pub(super) async fn ask(
        &mut self,
        transaction: &Transaction<'_>,
        tenant: TenantId,
        wanted: Vec<(&'static Collection, Claim)>,
    ) -> Result<(), Error> {
        type Kind = (&'static str, &'static str, Vec<bool>);
        let mut kinds: BTreeMap<Kind, Vec<(&'static Collection, ClaimKey, Claim)>> =
            BTreeMap::new();
        for (collection, claim) in wanted {
            let key = ClaimKey::of(collection, &claim);
            if self.rows.contains_key(&key) {
                continue;
            }
            self.rows.insert(key.clone(), Vec::new());
            let absent = claim.values.iter().map(Value::is_null).collect();
            let kind = (collection.name, claim.code, absent);
            kinds.entry(kind).or_default().push((collection, key, claim));
        }
        for claims in kinds.into_values() {
            self.ask_kind(transaction, tenant, &claims).await?;
        }
        Ok(())
    }

    async fn ask_kind(
        &mut self,
        transaction: &Transaction<'_>,
        tenant: TenantId,
        claims: &[(&'static Collection, ClaimKey, Claim)],
    ) -> Result<(), Error> {
        let Some((collection, _, first)) = claims.first() else {
            return Ok(());
        };
        let unique = collection.unique.iter().find(|unique| unique.code == first.code);
        let Some(unique) = unique else {
            return Ok(());
        };
        let rows: Vec<Value> = claims
            .iter()
            .map(|(_, _, claim)| {
                let values = claim.fields.iter().zip(&claim.values);
                let row: Map<String, Value> = values
                    .map(|(name, value)| (name.to_string(), fields::without_nul(value.clone())))
                    .collect();
                Value::Object(row)
            })
            .collect();
        let sql = table::holders(collection, unique, &first.values);
        let statement = transaction.prepare_cached(&sql).await?;
        let rows = Value::Array(rows).to_string();
        for row in transaction.query(&statement, &[&tenant.0, &rows]).await? {
            let nth: i64 = row.get(0);
            let claim = usize::try_from(nth - 1).ok().and_then(|at| claims.get(at));
            if let Some((_, key, _)) = claim {
                self.rows.entry(key.clone()).or_default().push(row.get(1));
            }
        }
        Ok(())
    }
}

/// The rows have not been asked for this claim.
#[derive(Debug)]
pub(super) struct Unasked;
