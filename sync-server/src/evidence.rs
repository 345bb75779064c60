//! Proving what a device sealed: every text against its hash, every hash against the operation after
//! it, what is kept elsewhere against the sealed text, photos against their names.
//!
//! ```text
//! SHA-256(text(n)) = hash(n),   text(n) names hash(n − 1),   text(n) = around(n) + event.body
//! ```
//!
//! An operation that never came is a gap, not a break: a device sends no capture that was amended
//! before it left.

use std::collections::HashSet;
use std::fmt;

use futures::TryStreamExt;
use motomind_protocol::{Hash, Operation, SealedOperation};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::error::with_source;
use crate::photos::Store;
use crate::push::body_text;

mod photos;

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

/// Every operation of a device in the order in which it was sealed, with what is kept of it where.
const OPERATIONS: &str = r#"
    SELECT o.op_id, o.hash, o.incarnation, o.device_seq, o.user_id, o.text, o.body_at, e.body AS event,
           q.text AS refused, COALESCE(p.body, l.body) AS stated, c.entry,
           c.entry <> concat('{"seq":', c.seq, ',"kind":"', c.kind, '","data":', CASE c.kind
               WHEN 'event' THEN event_record(e.body, e.received_at, e.op_id, e.device_id, e.user_id, e.corrects, e.clock_ahead)
               WHEN 'photo' THEN stated(p.id, p.body, p.event_id, p.received_at, p.op_id, p.device_id, p.user_id)
               WHEN 'location_correction' THEN stated(l.id, l.body, l.event_id, l.received_at, l.op_id, l.device_id, l.user_id)
               END, '}') AND c.kind <> 'session' AS mistold
      FROM operations o
      LEFT JOIN event_registry r ON o.body_at IS NOT NULL AND r.tenant_id = o.tenant_id AND r.event_id = o.op_id
      LEFT JOIN vehicle_events e ON e.tenant_id = r.tenant_id AND e.date = r.date AND e.id = r.event_id
      LEFT JOIN event_photos p ON p.tenant_id = o.tenant_id AND p.id = o.op_id
      LEFT JOIN location_corrections l ON l.tenant_id = o.tenant_id AND l.id = o.op_id
      LEFT JOIN rejected_operations q
        ON o.text IS NULL AND q.tenant_id = o.tenant_id AND q.op_id = o.op_id AND q.hash = o.hash
      LEFT JOIN change_log c
        ON c.tenant_id = o.tenant_id AND c.seq = o.seq AND c.entity_id = o.op_id
       AND c.kind IN ('event', 'photo', 'location_correction', 'session')
     WHERE o.tenant_id = $1 AND o.device_id = $2 AND o.hash IS NOT NULL
     ORDER BY o.incarnation, o.device_seq, o.received_at, o.op_id"#;

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
    let mut chain = Chain::new(tenant, device);
    let rows = client.query_raw(OPERATIONS, [tenant, device]).await.map_err(|e| with_source(&e))?;
    futures::pin_mut!(rows);
    while let Some(row) = rows.try_next().await.map_err(|error| with_source(&error))? {
        chain.add(&row)?;
    }
    let mut evidence = chain.conclude();
    let refused = client.query(REFUSED, &[&tenant, &device]).await;
    for row in refused.map_err(|error| with_source(&error))? {
        let why = "the text of this refused operation is not what it hashes to".to_string();
        let what = row.get::<_, Uuid>(0).to_string();
        if !evidence.findings.iter().any(|finding| finding.what == what) {
            evidence.findings.push(Finding { what, why });
        }
    }
    if let Some(place) = photo_store {
        let store = Store::open(place)?;
        photos::verify(client, tenant, device, &store, &mut evidence).await?;
    }
    Ok(evidence)
}

/// A device's operations as they are read, one after the other.
struct Chain {
    tenant: Uuid,
    device: Uuid,
    found: Evidence,
    /// Every hash of the device: the next life names the head of an earlier one.
    hashes: HashSet<Hash>,
    /// The life that is being read.
    life: Option<Uuid>,
    /// Whether two operations of it have one sequence.
    forked: bool,
    /// The sequence before, with the hashes that have it.
    before: (u64, Vec<Hash>),
    /// The present one.
    now: (u64, Vec<Hash>),
    /// Lives whose first operation came, with what that names.
    beginnings: Vec<(Uuid, Hash)>,
}

impl Chain {
    fn new(tenant: Uuid, device: Uuid) -> Self {
        Self {
            tenant,
            device,
            found: Evidence::default(),
            hashes: HashSet::new(),
            life: None,
            forked: false,
            before: (0, Vec::new()),
            now: (0, Vec::new()),
            beginnings: Vec::new(),
        }
    }

    fn find(&mut self, what: Uuid, why: impl Into<String>) {
        self.found.findings.push(Finding { what: what.to_string(), why: why.into() });
    }

    fn add(&mut self, row: &Row) -> Result<(), String> {
        let (op_id, life): (Uuid, Uuid) = (row.get("op_id"), row.get("incarnation"));
        let seq = row.get::<_, i64>("device_seq").unsigned_abs();
        let hash: [u8; 32] = row
            .get::<_, &[u8]>("hash")
            .try_into()
            .map_err(|_| format!("operation {op_id} has a hash that is not 32 bytes long"))?;
        let hash = Hash(hash);
        self.found.operations += 1;
        self.hashes.insert(hash);
        self.advance(life, seq, hash);
        let text = match kept_text(row) {
            Ok(Some(text)) => text,
            Ok(None) => {
                self.found.without_text += 1;
                return Ok(());
            }
            Err(why) => {
                self.find(op_id, why);
                return Ok(());
            }
        };
        if Hash::of(text.as_bytes()) != hash {
            self.find(op_id, altered(row));
            return Ok(());
        }
        let sealed = SealedOperation { op_id: op_id.into(), hash, text };
        let operation: Operation = match serde_json::from_str(&sealed.text) {
            Ok(operation) => operation,
            // Refused as unreadable, and kept as it came.
            Err(_) => return Ok(()),
        };
        self.compare(row, &sealed, &operation);
        self.link(op_id, life, seq, operation.prev_hash);
        Ok(())
    }

    /// Goes to the next operation's place and notes what is missing before it.
    fn advance(&mut self, life: Uuid, seq: u64, hash: Hash) {
        if self.life != Some(life) {
            self.life = Some(life);
            self.found.lives += 1;
            self.forked = false;
            self.before = (0, Vec::new());
            self.now = (0, Vec::new());
        }
        if self.now.0 == seq {
            self.forked = true;
            self.now.1.push(hash);
            return;
        }
        self.before = std::mem::replace(&mut self.now, (seq, vec![hash]));
        if seq > self.before.0 + 1 {
            let (first, last) = (self.before.0 + 1, seq - 1);
            self.found.gaps.push(Gap { incarnation: life, first, last });
        }
    }

    /// Compares what is kept beside the sealed text with what that says.
    fn compare(&mut self, row: &Row, sealed: &SealedOperation, operation: &Operation) {
        let op_id: Uuid = row.get("op_id");
        let stands = operation.op_id.0 == op_id
            && operation.tenant_id.0 == self.tenant
            && operation.device_id.0 == self.device
            && operation.incarnation.0 == row.get::<_, Uuid>("incarnation")
            && operation.device_seq == row.get::<_, i64>("device_seq").unsigned_abs()
            && Some(operation.user_id.0) == row.get::<_, Option<Uuid>>("user_id");
        if !stands {
            self.find(op_id, "its row says another place, device or person than its sealed text");
        }
        let kind = ["event", "photo", "location_correction", "session"]
            .into_iter()
            .find_map(|kind| Some((kind, body_text(sealed, kind).ok()?)));
        let Some((kind, body)) = kind else {
            return;
        };
        if row.get::<_, Option<&str>>("stated").is_some_and(|stated| stated != body) {
            let table = if kind == "photo" { "event_photos" } else { "location_corrections" };
            self.find(op_id, format!("{table}.body is not what was sealed"));
        }
        let mistold = row.get::<_, Option<bool>>("mistold") == Some(true);
        if mistold || row.get::<_, Option<&str>>("entry").is_some_and(|entry| !entry.contains(body))
        {
            self.find(op_id, "its entry in change_log is not what was sealed and received");
        }
    }

    /// Checks that an operation names the one before it.
    fn link(&mut self, op_id: Uuid, life: Uuid, seq: u64, prev_hash: Hash) {
        if seq <= 1 {
            self.beginnings.push((life, prev_hash));
        } else if self.before.0 + 1 == seq && !self.before.1.contains(&prev_hash) && !self.forked {
            self.find(
                op_id,
                "it does not follow the operation that has the sequence before its own",
            );
        }
    }

    fn conclude(mut self) -> Evidence {
        for (life, prev_hash) in &self.beginnings {
            let comes_first = *prev_hash == Hash::ZERO;
            if !comes_first && !self.hashes.contains(prev_hash) && !self.found.loose.contains(life)
            {
                self.found.loose.push(*life);
            }
        }
        self.found
    }
}

/// The whole sealed text of an operation, put together; none of one from before texts were kept.
fn kept_text(row: &Row) -> Result<Option<String>, String> {
    let Some(text) = row.get::<_, Option<&str>>("text") else {
        let Some(refused) = row.get::<_, Option<&[u8]>>("refused") else {
            return Ok(None);
        };
        return match std::str::from_utf8(refused) {
            Ok(text) => Ok(Some(text.to_string())),
            Err(_) => Err("the text of this refused operation is not what was sealed".into()),
        };
    };
    let Some(at) = row.get::<_, Option<i32>>("body_at") else {
        return Ok(Some(text.to_string()));
    };
    let Some(event) = row.get::<_, Option<&str>>("event") else {
        return Err("its event, or the event's body, is gone".into());
    };
    let (before, after) = usize::try_from(at)
        .ok()
        .and_then(|at| text.split_at_checked(at))
        .ok_or("operations.text is not what was sealed")?;
    Ok(Some(format!("{before}{event}{after}")))
}

/// Which of the kept pieces is not what was sealed; the log has the event a second time.
fn altered(row: &Row) -> String {
    let event = row.get::<_, Option<&str>>("event");
    let entry = row.get::<_, Option<&str>>("entry");
    match (event, entry) {
        (Some(event), Some(entry)) if !entry.contains(event) => {
            "vehicle_events.body is not what was sealed".into()
        }
        (Some(_), None) => "operations.text or vehicle_events.body is not what was sealed".into(),
        _ if row.get::<_, Option<&str>>("text").is_none() => {
            "the text of this refused operation is not what it hashes to".into()
        }
        _ => "operations.text or operations.hash is not what was sealed".into(),
    }
}
