//! Proving what a device sealed: every text against its hash, every hash against the operation after
//! it, what is kept elsewhere against the sealed text, photos against their names.
//!
//! ```text
//! SHA-256(text(n)) = hash(n),   text(n) names hash(n − 1),   text(n) = around(n) + event.body
//! ```
//!
//! An operation that never came is a gap, not a break: a device sends no capture that was amended
//! before it left.
//!
//! What readers ask of rests in columns, projected from the sealed texts (`projected`), derived from
//! several of them (`derived`), and told of photos (`stored`, `photos`): each is made again and
//! compared. Two things are nobody's but the server's, when something came and as what it was
//! resolved; a row and its entry in the log witness each other for those.

use std::fmt;

use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::error::with_source;
use crate::photos::Store;

mod chain;
mod derived;
mod photos;
mod projected;
mod stored;

use chain::Chain;

/// What was found of one device.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Operations of which the server keeps id and hash.
    pub operations: u64,
    /// Lives of the journal that they are of.
    pub lives: u64,
    /// Operations from before sealed texts were kept: their hash can be compared, nothing else.
    pub without_text: u64,
    /// Operations that never came.
    pub gaps: Vec<Gap>,
    /// Lives that begin after an operation, of an earlier life, that never came.
    pub loose: Vec<Uuid>,
    /// What is not as it was sealed.
    pub findings: Vec<Finding>,
    /// Photos, where they were asked for.
    pub photos: Option<PhotoEvidence>,
}

/// What was found of the photos that a device's operations name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhotoEvidence {
    /// Objects that were read again, originals and previews.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Photos whose originals have not come.
    pub missing: u64,
}

/// Sequences of a life of which nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The life.
    pub incarnation: Uuid,
    /// The first that is missing …
    pub first: u64,
    /// … and the last.
    pub last: u64,
}

/// Something that is not as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The operation's id, or the photo's name.
    pub what: String,
    /// What is wrong with it, for an operator.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "operations {:>10}   in {} lives of the journal", self.operations, self.lives)?;
        if self.without_text > 0 {
            let count = self.without_text;
            writeln!(f, "  unproven {count:>10}   from before sealed texts were kept")?;
        }
        for gap in &self.gaps {
            let Gap { incarnation, first, last } = gap;
            writeln!(f, "gap        {incarnation}: {first} to {last} never came")?;
        }
        for incarnation in &self.loose {
            writeln!(f, "gap        {incarnation}: follows an operation that never came")?;
        }
        if let Some(photos) = &self.photos {
            let PhotoEvidence { objects, bytes, missing } = photos;
            writeln!(
                f,
                "photos     {objects:>10}   objects, {bytes} bytes; {missing} not here yet"
            )?;
        }
        for finding in &self.findings {
            writeln!(f, "ALTERED    {finding}")?;
        }
        let verdict = if self.findings.is_empty() {
            "everything is as it was sealed"
        } else {
            "not as it was sealed"
        };
        write!(f, "{verdict}")
    }
}

/// Refused operations whose kept text is not what they hash to.
const REFUSED: &str = "
    SELECT op_id FROM rejected_operations
     WHERE tenant_id = $1 AND device_id = $2 AND sha256(text) <> hash ORDER BY op_id";

/// Verifies what is kept of a device: in the database of a client that has named the tenant, and,
/// where a photo store is given, in that.
///
/// # Errors
/// A sentence for the operator, where something cannot be asked.
pub async fn verify(
    client: &Client,
    tenant: Uuid,
    device: Uuid,
    photo_store: Option<&str>,
) -> Result<Evidence, String> {
    let compacted_to = compacted_to(client, tenant).await?;
    let mut chain = Chain::new(tenant, device, compacted_to);
    while let Some(page) = chain.page(client).await? {
        for row in &page {
            chain.add(row)?;
        }
        projected::compare(client, &mut chain).await?;
    }
    let mut evidence = chain.conclude();
    let refused = query(client, REFUSED, tenant, device).await?;
    for row in refused {
        let why = "rejected_operations.text, of this refused operation, is not what it hashes to"
            .to_string();
        let what = row.get::<_, Uuid>(0).to_string();
        if !evidence.findings.iter().any(|finding| finding.what == what) {
            evidence.findings.push(Finding { what, why });
        }
    }
    projected::compare_facts(client, tenant, device, &mut evidence).await?;
    derived::compare(client, tenant, device, &mut evidence).await?;
    stored::compare(client, tenant, device, &mut evidence).await?;
    if let Some(place) = photo_store {
        let store = Store::open(place)?;
        photos::verify(client, tenant, device, &store, &mut evidence).await?;
    }
    Ok(evidence)
}

/// Up to where the log was compacted: entries before that are gone, and no fault.
async fn compacted_to(client: &Client, tenant: Uuid) -> Result<i64, String> {
    let sql = "SELECT compacted_to FROM tenant_counters WHERE tenant_id = $1";
    let row = client.query_opt(sql, &[&tenant]).await.map_err(|error| with_source(&error))?;
    Ok(row.map_or(0, |row| row.get(0)))
}

/// Asks about a device.
async fn query(client: &Client, sql: &str, tenant: Uuid, device: Uuid) -> Result<Vec<Row>, String> {
    client.query(sql, &[&tenant, &device]).await.map_err(|error| with_source(&error))
}

impl Evidence {
    fn find(&mut self, what: impl fmt::Display, why: impl Into<String>) {
        self.findings.push(Finding { what: what.to_string(), why: why.into() });
    }
}
