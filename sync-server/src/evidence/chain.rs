//! The sealed texts of a device, one after the other: put together, hashed, each held against the
//! one before and against its entry in the log.

use std::collections::HashSet;

use motomind_protocol::{Hash, Operation, SealedOperation};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::{Evidence, Gap};
use crate::error::with_source;
use crate::push::body_text;

/// Operations that are read and compared at once.
const PAGE: i64 = 500;

/// Operations of a device in the order in which they were sealed, after one of them, with what is
/// kept of each where. What was accepted has its entry in the log at its sequence, under its id;
/// only what took back nothing has the entry of what it closed, or none of its own.
const OPERATIONS: &str = r#"
    SELECT o.op_id, o.hash, o.incarnation, o.device_seq, o.user_id, o.received_at, o.outcome, o.seq,
           o.text, o.body_at, o.bytes, e.body AS event, q.text AS refused,
           q.device_id AS refused_device_id, q.user_id AS refused_user_id, o.superseded_by, COALESCE(p.body, l.body) AS stated, c.entry,
           c.kind, c.entity_id,
           c.entry <> concat('{"seq":', c.seq, ',"kind":"', c.kind, '","data":', CASE c.kind
               WHEN 'event' THEN event_record(e.body, e.received_at, e.op_id, e.device_id, e.user_id, e.corrects, e.clock_ahead)
               WHEN 'photo' THEN stated(p.id, p.body, p.event_id, p.received_at, p.op_id, p.device_id, p.user_id)
               WHEN 'location_correction' THEN stated(l.id, l.body, l.event_id, l.received_at, l.op_id, l.device_id, l.user_id)
               END, '}') AND c.kind IN ('event', 'photo', 'location_correction') AS mistold,
           o.superseded_by IS NOT NULL AND NOT EXISTS (
               SELECT FROM operations by
                 LEFT JOIN rejected_operations byq ON by.text IS NULL AND byq.tenant_id = by.tenant_id
                                                  AND byq.op_id = by.op_id AND byq.hash = by.hash
                WHERE by.tenant_id = o.tenant_id AND by.op_id = o.superseded_by
                  AND position(o.op_id::text IN COALESCE(by.text, convert_from(byq.text, 'UTF8'))) > 0) AS closed_by_none
      FROM operations o
      LEFT JOIN event_registry r ON o.body_at IS NOT NULL AND r.tenant_id = o.tenant_id AND r.event_id = o.op_id
      LEFT JOIN vehicle_events e ON e.tenant_id = r.tenant_id AND e.date = r.date AND e.id = r.event_id
      LEFT JOIN event_photos p ON p.tenant_id = o.tenant_id AND p.id = o.op_id
      LEFT JOIN location_corrections l ON l.tenant_id = o.tenant_id AND l.id = o.op_id
      LEFT JOIN rejected_operations q
        ON o.text IS NULL AND q.tenant_id = o.tenant_id AND q.op_id = o.op_id AND q.hash = o.hash
      LEFT JOIN change_log c ON c.tenant_id = o.tenant_id AND c.seq = o.seq
     WHERE o.tenant_id = $1 AND o.device_id = $2 AND o.hash IS NOT NULL
       AND ($3::uuid IS NULL
            OR (o.incarnation, o.device_seq, o.received_at, o.op_id) > ($3, $4::bigint, $5::timestamptz, $6::uuid))
     ORDER BY o.incarnation, o.device_seq, o.received_at, o.op_id LIMIT $7"#;

/// An operation that was accepted, as sealed, to be held against the rows that it made.
pub(super) struct Accepted {
    pub(super) sealed: SealedOperation,
    pub(super) operation: Operation,
    /// Its entry in the log, where it has one of its own.
    pub(super) entry: Option<String>,
}

/// Where a page ends: incarnation, sequence, when it came, id.
type End = (Uuid, i64, chrono::DateTime<chrono::Utc>, Uuid);

/// A device's operations as they are read, one after the other.
pub(super) struct Chain {
    pub(super) tenant: Uuid,
    pub(super) device: Uuid,
    pub(super) found: Evidence,
    /// What was accepted, until its rows are compared.
    pub(super) accepted: Vec<Accepted>,
    compacted_to: i64,
    /// Where the page before ended.
    end: Option<End>,
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
    pub(super) fn new(tenant: Uuid, device: Uuid, compacted_to: i64) -> Self {
        Self {
            tenant,
            device,
            found: Evidence::default(),
            accepted: Vec::new(),
            compacted_to,
            end: None,
            hashes: HashSet::new(),
            life: None,
            forked: false,
            before: (0, Vec::new()),
            now: (0, Vec::new()),
            beginnings: Vec::new(),
        }
    }

    /// The next operations; none at the end.
    pub(super) async fn page(&mut self, client: &Client) -> Result<Option<Vec<Row>>, String> {
        let end = self.end;
        let (life, seq) = (end.map(|end| end.0), end.map(|end| end.1));
        let (at, op_id) = (end.map(|end| end.2), end.map(|end| end.3));
        let rows = client
            .query(OPERATIONS, &[&self.tenant, &self.device, &life, &seq, &at, &op_id, &PAGE])
            .await
            .map_err(|error| with_source(&error))?;
        self.end = rows.last().map(|row| {
            (
                row.get("incarnation"),
                row.get("device_seq"),
                row.get("received_at"),
                row.get("op_id"),
            )
        });
        Ok(self.end.map(|_| rows))
    }

    fn find(&mut self, what: Uuid, why: impl Into<String>) {
        self.found.find(what, why);
    }

    pub(super) fn add(&mut self, row: &Row) -> Result<(), String> {
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
                if row.get::<_, Option<i64>>("seq").is_none() {
                    self.find(op_id, "its row in rejected_operations is gone");
                }
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
        if row.get::<_, Option<i64>>("seq").is_some() {
            let entry = self.told(row, &sealed, &operation);
            self.accepted.push(Accepted { sealed, operation, entry });
        }
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
        let seq = row.get::<_, i64>("device_seq").unsigned_abs();
        let outcome = match row.get::<_, Option<i64>>("seq") {
            Some(_) => "accepted",
            None if row.get::<_, Option<Uuid>>("superseded_by").is_some() => "closed",
            None => "rejected",
        };
        for (column, stands) in [
            ("op_id", operation.op_id.0 == op_id),
            ("tenant_id", operation.tenant_id.0 == self.tenant),
            ("device_id", operation.device_id.0 == self.device),
            ("incarnation", operation.incarnation.0 == row.get::<_, Uuid>("incarnation")),
            ("device_seq", operation.device_seq == seq),
            ("user_id", Some(operation.user_id.0) == row.get::<_, Option<Uuid>>("user_id")),
        ] {
            if !stands {
                self.find(op_id, format!("operations.{column} is not what was sealed"));
            }
        }
        if row.get::<_, &str>("outcome") != outcome {
            self.find(op_id, "operations.outcome is not what follows from the rest of its row");
        }
        let bytes = row.get::<_, Option<i32>>("bytes");
        if bytes.is_some_and(|bytes| i64::from(bytes) != sealed.text.len() as i64) {
            self.find(op_id, "operations.bytes is not the length of what was sealed");
        }
        if row.get("closed_by_none") {
            self.find(op_id, "operations.superseded_by is nothing that took its place");
        }
        for (column, sealed) in
            [("device_id", operation.device_id.0), ("user_id", operation.user_id.0)]
        {
            let kept = row.get::<_, Option<Uuid>>(format!("refused_{column}").as_str());
            if kept.is_some_and(|kept| kept != sealed) {
                self.find(op_id, format!("rejected_operations.{column} is not what was sealed"));
            }
        }
    }

    /// Compares what the log tells of an accepted operation, and a statement's own bytes. The entry,
    /// where there is one of its own.
    fn told(
        &mut self,
        row: &Row,
        sealed: &SealedOperation,
        operation: &Operation,
    ) -> Option<String> {
        let op_id: Uuid = row.get("op_id");
        let entry = row.get::<_, Option<&str>>("entry");
        let is_own = row.get::<_, Option<Uuid>>("entity_id") == Some(op_id);
        if entry.is_none() && row.get::<_, Option<i64>>("seq") > Some(self.compacted_to) {
            self.find(op_id, "its entry in change_log, at operations.seq, is gone");
            return None;
        }
        let (kind, body) = ["event", "photo", "location_correction", "session"]
            .into_iter()
            .find_map(|kind| Some((kind, body_text(sealed, kind).ok()?)))?;
        let entry = entry?;
        if !is_own {
            // What took back nothing has the entry of what it closed.
            if !operation.takes_back() || row.get::<_, Option<i32>>("body_at").is_some() {
                let why = "the entry in change_log at operations.seq is another one's \
                           (change_log.entity_id)";
                self.find(op_id, why);
            }
            return None;
        }
        if row.get::<_, Option<&str>>("kind") != Some(kind) {
            self.find(op_id, "change_log.kind is not what was sealed");
        }
        if row.get::<_, Option<&str>>("stated").is_some_and(|stated| stated != body) {
            let table = if kind == "photo" { "event_photos" } else { "location_corrections" };
            self.find(op_id, format!("{table}.body is not what was sealed"));
        }
        if !is_told(entry, row.get::<_, i64>("seq"), kind, body, operation) {
            self.find(op_id, "change_log.entry is not what was sealed");
        } else if row.get::<_, Option<bool>>("mistold") == Some(true) {
            let table = match kind {
                "event" => "vehicle_events",
                "photo" => "event_photos",
                _ => "location_corrections",
            };
            let why = format!("{table} and change_log.entry differ about what was received");
            self.find(op_id, why);
        }
        Some(entry.to_string())
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

    pub(super) fn conclude(mut self) -> Evidence {
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
            Err(_) => {
                Err("rejected_operations.text, of this refused operation, is not what was sealed"
                    .into())
            }
        };
    };
    let Some(at) = row.get::<_, Option<i32>>("body_at") else {
        return Ok(Some(text.to_string()));
    };
    let Some(event) = row.get::<_, Option<&str>>("event") else {
        return Err(
            "its event is gone: operations.body_at, event_registry or vehicle_events.body".into()
        );
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
            "rejected_operations.text, of this refused operation, is not what it hashes to".into()
        }
        _ => "operations.text or operations.hash is not what was sealed".into(),
    }
}

/// Whether an entry of the log has what was sealed where it belongs. When it was received, and as
/// what it was resolved, nobody sealed.
fn is_told(entry: &str, seq: i64, kind: &str, body: &str, operation: &Operation) -> bool {
    let (op_id, device, user) = (operation.op_id, operation.device_id, operation.user_id);
    let before = match kind {
        "event" => format!(r#"{{"seq":{seq},"kind":"{kind}","data":{{"event":{body},"#),
        _ => format!(r#"{{"seq":{seq},"kind":"{kind}","data":{{"id":"{op_id}","said":{body},"#),
    };
    let after = format!(r#","op_id":"{op_id}","device_id":"{device}","user_id":"{user}""#);
    let Some((received, end)) =
        entry.strip_prefix(before.as_str()).and_then(|rest| rest.split_once(after.as_str()))
    else {
        return false;
    };
    let event = |text: &str, key: &str| match text.is_empty() {
        true => Some(()),
        false => text
            .strip_prefix(format!(r#""{key}":""#).as_str())?
            .strip_suffix('"')?
            .parse::<Uuid>()
            .ok()
            .map(drop),
    };
    let Some((resolved, at)) = received.rsplit_once(r#""received_at":"#) else { return false };
    let end = end.strip_suffix("}}").map(|end| {
        let end = end.strip_suffix(r#","flags":["clock_ahead"]"#).unwrap_or(end);
        end.strip_prefix(',').unwrap_or(end)
    });
    let is_resolved = event(resolved.strip_suffix(',').unwrap_or(resolved), "event_id").is_some();
    let is_ended = end.is_some_and(|end| event(end, "corrects").is_some());
    at.parse::<i64>().is_ok() && is_resolved && is_ended
}
