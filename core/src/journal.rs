//! The journal: operations in the order of capture, and how far each has travelled.

use motomind_protocol::effective::Act;
use motomind_protocol::records::Action;
use motomind_protocol::{
    Body, Event, EventId, Hash, Incarnation, Millis, OpId, OpState, Operation, SealedOperation,
    code, limits, wire::Rejection,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::device::ChainHead;
use crate::error::StoreError;
use crate::ids::{blob, blob_opt, read_id, read_id_opt};
use crate::transfer;

/// A stored operation with its travel so far.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) sealed: SealedOperation,
    pub(crate) state: OpState,
    pub(crate) seq: Option<u64>,
    pub(crate) captured_at: Millis,
    pub(crate) attempts: u32,
    pub(crate) retry_at: Option<Millis>,
    pub(crate) supersedes: Option<OpId>,
    pub(crate) reason: Option<Rejection>,
    /// It is about an event or a session, and neither an event nor a change of a record.
    pub(crate) is_statement: bool,
}

pub(crate) const STORED: &str = "op_id, hash, text, state, seq, captured_at, attempts, retry_at, \
     supersedes, reason, kind IS NOT NULL";

impl Stored {
    /// Reads a row selected as [`STORED`].
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let state: String = row.get(3)?;
        let reason: Option<String> = row.get(9)?;
        Ok(Self {
            sealed: SealedOperation {
                op_id: read_id(row, 0)?.into(),
                hash: Hash(row.get(1)?),
                text: row.get(2)?,
            },
            state: state.parse().map_err(|()| StoreError::Damaged(format!("state {state}")))?,
            seq: row.get::<_, Option<i64>>(4)?.and_then(|seq| u64::try_from(seq).ok()),
            captured_at: row.get(5)?,
            attempts: row.get(6)?,
            retry_at: row.get(7)?,
            supersedes: read_id_opt(row, 8)?.map(OpId),
            reason: reason.map(|json| serde_json::from_str(&json)).transpose()?,
            is_statement: row.get(10)?,
        })
    }

    /// Whether its id turned out to belong to another operation, perhaps someone else's. Nothing
    /// may be said of that id on this one's behalf.
    pub(crate) fn has_a_foreign_id(&self) -> bool {
        self.state == OpState::Rejected
            && self.reason.as_ref().is_some_and(|reason| reason.code == code::OP_ID_REUSED)
    }

    /// Whether the server may have accepted it, for all this device has been told: one that the
    /// server failed on may have arrived before.
    pub(crate) fn may_have_arrived(&self) -> bool {
        let judged = |reason: &Rejection| reason.code != code::SERVER_FAULT;
        self.state != OpState::Rejected || !self.reason.as_ref().is_some_and(judged)
    }

    /// Whether it takes another event back.
    pub(crate) fn is_a_retraction(&self) -> Result<bool, StoreError> {
        Ok(self.act()? == Act::Retracts)
    }

    /// What its event does to the one that it names.
    pub(crate) fn act(&self) -> Result<Act, StoreError> {
        Ok(self.operation()?.event().map_or(Act::Corrects, Event::act))
    }

    /// The sealed operation, read.
    pub(crate) fn operation(&self) -> Result<Operation, StoreError> {
        Ok(serde_json::from_str(&self.sealed.text)?)
    }
}

/// What the next operation follows.
pub(crate) fn chain_head(conn: &Connection) -> Result<ChainHead, StoreError> {
    let (incarnation_n, opening_hash): (i64, [u8; 32]) = conn.query_row(
        "SELECT n, prev_hash FROM incarnations ORDER BY n DESC LIMIT 1",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let last = |table: &str| {
        conn.query_row(
            &format!(
                "SELECT device_seq, hash FROM {table} WHERE incarnation = ?1
                 ORDER BY pos DESC LIMIT 1"
            ),
            [incarnation_n],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)),
        )
        .optional()
    };
    let last = match last("operations")? {
        Some(last) => Some(last),
        None => last("checkpoints")?,
    };
    let (seq, hash) = last.unwrap_or((0, opening_hash));
    Ok(ChainHead { incarnation_n, device_seq: u64::try_from(seq).unwrap_or(0), hash: Hash(hash) })
}

/// Appends a sealed operation. Durable once the surrounding transaction has committed.
pub(crate) fn append(
    conn: &Connection,
    head: &ChainHead,
    operation: &Operation,
    sealed: &SealedOperation,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO operations
           (op_id, incarnation, device_seq, lane, supersedes, captured_at, hash, text, action, kind)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        blob(&sealed.op_id.0),
        head.incarnation_n,
        operation.device_seq as i64,
        blob(&operation.lane),
        blob_opt(operation.supersedes.first().map(|op| op.0)),
        operation.clock.wall_ms,
        sealed.hash.0,
        sealed.text,
        action_of(operation),
        kind_of(operation),
    ])
    .map(drop)
}

/// What an operation is, beside events and changes of records.
pub(crate) fn kind_of(operation: &Operation) -> Option<&'static str> {
    match operation.body {
        Body::Photo(_) => Some("photo"),
        Body::LocationCorrection(_) => Some("location_correction"),
        Body::Session(_) => Some("session"),
        Body::Event(_) | Body::Record(_) | Body::Other(_) => None,
    }
}

/// What an operation does to a record.
pub(crate) fn action_of(operation: &Operation) -> Option<&'static str> {
    operation.intent().map(|intent| match intent.step.action {
        Action::Create => "create",
        Action::Edit => "edit",
        Action::Delete => "delete",
        Action::Restore => "restore",
        Action::Nothing => "nothing",
    })
}

/// One operation.
pub(crate) fn find(conn: &Connection, op_id: OpId) -> Result<Option<Stored>, StoreError> {
    let sql = format!("SELECT {STORED} FROM operations WHERE op_id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([blob(&op_id.0)])?;
    rows.next()?.map(Stored::read).transpose()
}

/// The operation that has taken another one's place.
pub(crate) fn superseding(conn: &Connection, op_id: OpId) -> Result<Option<Stored>, StoreError> {
    let sql = format!("SELECT {STORED} FROM operations WHERE supersedes = ?1 ORDER BY pos DESC");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([blob(&op_id.0)])?;
    rows.next()?.map(Stored::read).transpose()
}

/// What stands in the place of an event of this device: itself, or what has superseded it at last.
/// An amendment that was refused and taken back leaves what it was to replace, where that had
/// arrived: of the chain the last that is an event counts.
pub(crate) fn stands_for(conn: &Connection, event: EventId) -> Result<EventId, StoreError> {
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE later (op_id, depth) AS (
           SELECT ?1, 0
           UNION SELECT o.op_id, depth + 1 FROM operations o JOIN later l ON o.supersedes = l.op_id)
         SELECT op_id FROM later
         ORDER BY EXISTS (SELECT 1 FROM events e WHERE e.event_id = op_id) DESC, depth DESC LIMIT 1",
    )?;
    Ok(EventId(statement.query_row([blob(&event.0)], |row| read_id(row, 0))?))
}

/// The operation and, newest first, what it was itself to replace, as far as not known accepted. An
/// id of which the server has said that it is someone else's is left out.
pub(crate) fn replaced_with(conn: &Connection, op_id: OpId) -> Result<Vec<OpId>, StoreError> {
    let (mut chain, mut anothers) = (vec![op_id], Vec::new());
    let mut at = find(conn, op_id)?;
    while let Some(stored) = at {
        anothers.extend(stored.reason.as_ref().and_then(Rejection::superseded_of_another));
        let Some(op) = stored.supersedes else { break };
        chain.push(op);
        at = find(conn, op)?.filter(|stored| stored.seq.is_none());
    }
    chain.retain(|op| !anothers.contains(op));
    Ok(chain)
}

/// Marks an operation as replaced by an amendment or discard; it is not sent any more.
pub(crate) fn supersede(conn: &Connection, op_id: OpId) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE operations SET state = 'superseded', awaits = NULL, retry_at = NULL
         WHERE op_id = ?1 AND state <> 'accepted'",
    )?
    .execute([blob(&op_id.0)])
    .map(drop)
}

/// Sets an operation aside on this device alone, with the person's words.
pub(crate) fn set_aside(conn: &Connection, op_id: OpId, why: String) -> Result<(), StoreError> {
    conn.execute(
        "UPDATE operations
         SET state = 'superseded', awaits = NULL, retry_at = NULL, reason = ?2
         WHERE op_id = ?1 AND state = 'rejected'",
        params![blob(&op_id.0), serde_json::to_string(&Rejection::new("discarded", why))?],
    )?;
    Ok(())
}

/// Puts an operation back in the queue.
pub(crate) fn requeue(
    conn: &Connection,
    op_id: OpId,
    retry_at: Option<Millis>,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE operations
         SET state = 'queued', awaits = NULL, reason = NULL, retry_at = ?2
         WHERE op_id = ?1 AND state IN ('queued', 'sending', 'rejected', 'waiting')",
    )?
    .execute(params![blob(&op_id.0), retry_at])
    .map(drop)
}

/// Records that the server has an operation. One that was amended meanwhile stays superseded and
/// only learns its sequence.
pub(crate) fn accept(
    conn: &Connection,
    op_id: OpId,
    seq: u64,
    server_time: Millis,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE operations
         SET state = CASE state WHEN 'superseded' THEN state ELSE 'accepted' END,
             seq = ?2, settled_at = ?3, awaits = NULL, retry_at = NULL, reason = NULL
         WHERE op_id = ?1",
    )?
    .execute(params![blob(&op_id.0), seq as i64, server_time])?;
    // What it took the place of is settled with it, and what that took the place of, …
    conn.prepare_cached(
        "WITH RECURSIVE replaced (op_id) AS (
           SELECT supersedes FROM operations WHERE op_id = ?1
           UNION SELECT o.supersedes FROM operations o JOIN replaced r ON o.op_id = r.op_id)
         UPDATE operations SET settled_at = ?2
         WHERE op_id IN (SELECT op_id FROM replaced WHERE op_id IS NOT NULL)
           AND settled_at IS NULL",
    )?
    .execute(params![blob(&op_id.0), server_time])
    .map(drop)
}

/// Records a refusal. A contradicted reading is remembered, so that its mending offers this one
/// again; a server's fault is tried again by itself at `retry_at`.
pub(crate) fn reject(
    conn: &Connection,
    op_id: OpId,
    reason: &Rejection,
    retry_at: Option<Millis>,
) -> Result<(), StoreError> {
    let awaits = reason
        .neighbour
        .filter(|_| reason.code == code::ODOMETER_OUT_OF_ORDER)
        .map(|neighbour| neighbour.event_id.0);
    conn.prepare_cached(
        "UPDATE operations
         SET state = 'rejected', reason = ?2, awaits = ?3, retry_at = ?4, attempts = attempts + 1
         WHERE op_id = ?1 AND state IN ('queued', 'sending', 'waiting', 'rejected')",
    )?
    .execute(params![
        blob(&op_id.0),
        serde_json::to_string(reason)?,
        blob_opt(awaits),
        retry_at
    ])?;
    Ok(())
}

/// Records that an operation waits for an event that the server does not know.
pub(crate) fn wait_for(conn: &Connection, op_id: OpId, parent: Uuid) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE operations
         SET state = 'waiting', awaits = ?2, reason = NULL, attempts = attempts + 1
         WHERE op_id = ?1 AND state IN ('queued', 'sending', 'waiting', 'rejected')",
    )?
    .execute(params![blob(&op_id.0), blob(&parent)])
    .map(drop)
}

/// Offers again everything that the server had accepted: its log is another one now. Known ones
/// are answered as duplicates.
pub(crate) fn offer_all_again(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE operations SET state = 'queued', seq = NULL, settled_at = NULL
         WHERE state = 'accepted'",
        [],
    )?;
    conn.execute(
        "UPDATE operations SET state = 'queued', awaits = NULL WHERE state = 'waiting'",
        [],
    )?;
    conn.execute("UPDATE operations SET seq = NULL WHERE state = 'superseded'", [])?;
    transfer::offer_all_again(conn)?;
    conn.execute("UPDATE device SET log_generation = log_generation + 1", []).map(drop)
}

/// Which of the server's logs the journal's sequences belong to.
pub(crate) fn log_generation(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.query_row("SELECT log_generation FROM device", [], |row| row.get(0))?)
}

/// Operations pruned in one go, so that no call holds the device long.
const PRUNE_OPERATIONS_MAX: i64 = 500;

/// Takes out the oldest operations that the server confirmed longer ago than the retention, up to
/// the first that is not, and leaves a checkpoint. Both times are the server's: a device clock
/// that jumps by years prunes nothing. Only what the mirror has seen in the server's log up to
/// `mirror_seq` goes: a server may have been restored while this device was away. The newest
/// operation stays, for its place numbers the next one's.
pub(crate) fn prune(
    conn: &Connection,
    server_time: Millis,
    retention_days: u32,
    mirror_seq: u64,
) -> Result<(), StoreError> {
    let days = retention_days.max(limits::RETENTION_DAYS_DEFAULT);
    let before = server_time.saturating_sub(i64::from(days) * 86_400_000);
    let last: Option<i64> = conn
        .prepare_cached(
            "SELECT max(pos) FROM (
               SELECT pos FROM operations
               WHERE pos < (SELECT max(pos) FROM operations) AND pos < coalesce(
                 (SELECT min(pos) FROM operations
                  WHERE NOT (state IN ('accepted', 'superseded')
                             AND coalesce(settled_at, 9e18) < ?1
                             AND coalesce(seq, 0) <= ?3)),
                 9e18)
               ORDER BY pos LIMIT ?2)",
        )?
        .query_row(params![before, PRUNE_OPERATIONS_MAX, mirror_seq as i64], |row| row.get(0))?;
    let Some(last) = last else { return Ok(()) };
    let tx = conn.unchecked_transaction()?;
    tx.execute(
        "INSERT INTO checkpoints (pos, incarnation, device_seq, hash, pruned_at)
         SELECT pos, incarnation, device_seq, hash, ?2 FROM operations WHERE pos = ?1",
        params![last, server_time],
    )?;
    tx.execute("DELETE FROM operations WHERE pos <= ?1", [last])?;
    tx.commit()?;
    Ok(())
}

/// Begins a new life of the journal.
pub(crate) fn open_incarnation(
    conn: &Connection,
    incarnation: Incarnation,
    old_head: Hash,
    now: Millis,
) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO incarnations (incarnation, prev_hash, opened_at) VALUES (?1, ?2, ?3)",
        params![blob(&incarnation.0), old_head.0, now],
    )
    .map(drop)
}

/// Highest sequence that the server has given to an operation of this journal.
pub(crate) fn highest_seq(conn: &Connection) -> Result<u64, StoreError> {
    let highest: Option<i64> = conn
        .prepare_cached("SELECT max(seq) FROM operations WHERE seq IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(highest.map_or(0, i64::unsigned_abs))
}

/// Accepted operations with a sequence that lies beyond what the server now calls its newest.
pub(crate) fn promised_beyond(
    conn: &Connection,
    head: u64,
    promised: u64,
) -> Result<Vec<OpId>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT op_id FROM operations WHERE state = 'accepted' AND seq > ?1 AND seq <= ?2",
    )?;
    let mut rows = statement.query([head as i64, promised as i64])?;
    let mut ops = Vec::new();
    while let Some(row) = rows.next()? {
        ops.push(OpId(read_id(row, 0)?));
    }
    Ok(ops)
}

/// Offers one accepted operation again.
pub(crate) fn offer_again(conn: &Connection, op_id: OpId) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE operations SET state = 'queued', seq = NULL, settled_at = NULL
         WHERE op_id = ?1 AND state = 'accepted'",
    )?
    .execute([blob(&op_id.0)])
    .map(drop)
}

#[cfg(test)]
mod tests;
