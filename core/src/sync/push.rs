//! Pushing: batches in the order of capture, outcomes recorded before anything else happens.

use motomind_protocol::wire::{OpOutcome, Outcome, PushRequest, PushResponse, Rejection};
use motomind_protocol::{Hash, Incarnation, Millis, OpId, OpState, SealedOperation, code, limits};
use rusqlite::Connection;
use uuid::Uuid;

use super::{
    Backoff, FailureKind, Next, Reply, RequestId, Setback, TokenSerial, backoff, excerpt, setback,
};
use crate::device::Device;
use crate::error::StoreError;
use crate::ids::{blob, read_id};
use crate::records::overlay as records;
use crate::{journal, open, overlay};

/// Bodies above this are compressed, bytes.
const GZIP_ABOVE_BYTES: usize = 2 * 1024;

/// How long an operation rests that the server failed on by itself, ms, doubled each time up to
/// [`LONE_FAULT_MS_MAX`].
const LONE_FAULT_MS: Millis = 60 * 1000;
const LONE_FAULT_MS_MAX: Millis = 60 * 60 * 1000;

/// The uploading half of the machine.
#[derive(Debug, Default)]
pub(crate) struct PushState {
    in_flight: Option<Batch>,
    pub(crate) backoff: Backoff,
    /// Operations per batch at most; halved when the server fails on a batch as a whole, so that
    /// the one to blame is found, and grown again by success. 0: the protocol's limit.
    batch_limit: usize,
    /// The operation that the server failed on alone, with what it said, until an empty batch has
    /// told whether it fails on everything.
    suspect: Option<(OpId, String)>,
}

#[derive(Debug)]
struct Batch {
    id: RequestId,
    ops: Vec<OpId>,
    /// The token that it was sent with.
    token: TokenSerial,
}

impl PushState {
    pub(crate) fn in_flight_is(&self, id: RequestId) -> bool {
        self.in_flight.as_ref().is_some_and(|batch| batch.id == id)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Stops waiting for a reply: it would speak of a log that is gone.
    pub(crate) fn forget_flight(&mut self) {
        self.in_flight = None;
    }

    fn limit(&self) -> usize {
        match self.batch_limit {
            0 => limits::PUSH_OPERATIONS_MAX,
            limit => limit,
        }
    }
}

/// What is ready to go, and when the next one will be.
struct Ready {
    operations: Vec<SealedOperation>,
    /// Those of them that were shown as refused until now.
    rested: Vec<OpId>,
    later: Option<Millis>,
}

/// Plans the next batch and marks it as sent, durably, before it leaves: from then on it may have
/// arrived.
pub(super) fn next(device: &mut Device, now: Millis) -> Result<Next, StoreError> {
    if device.sync.push.is_in_flight() {
        return Ok(Next::Nothing);
    }
    if let Some(until) = device.sync.push.backoff.waiting(now) {
        return Ok(if any_unsent(&device.conn)? { Next::At(until) } else { Next::Nothing });
    }
    if device.sync.push.suspect.is_some() {
        return send(device, Vec::new());
    }
    let ready = ready(device, now)?;
    if ready.operations.is_empty() {
        return Ok(ready.later.map_or(Next::Nothing, Next::At));
    }
    let ops: Vec<OpId> = ready.operations.iter().map(|op| op.op_id).collect();
    mark_sending(&device.conn, &ops)?;
    if !ready.rested.is_empty() {
        overlay::follow(device, &ready.rested);
    }
    send(device, ready.operations)
}

fn send(device: &mut Device, operations: Vec<SealedOperation>) -> Result<Next, StoreError> {
    let ops = operations.iter().map(|op| op.op_id).collect();
    let (headers, body) = encode(&PushRequest {
        protocol: limits::PROTOCOL_VERSION,
        incarnation: device.who.incarnation,
        operations,
    })?;
    let request = device.sync.request("POST", "/v1/sync/push".into(), headers, body);
    let token = device.sync.token_serial;
    device.sync.push.in_flight = Some(Batch { id: request.id, ops, token });
    Ok(Next::Send(request))
}

fn any_unsent(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM operations
             WHERE state NOT IN ('accepted', 'superseded')
               AND (state IN ('queued', 'sending') OR retry_at IS NOT NULL))",
        )?
        .query_row([], |row| row.get(0))?)
}

/// Collects what may be sent, in the order of capture, creations first: one that was mended comes
/// before the edits that followed it. A resting operation holds back its own lane only; a refused
/// one holds back nothing.
fn ready(device: &Device, now: Millis) -> Result<Ready, StoreError> {
    let limit = device.sync.push.limit();
    let mut statement = device.conn.prepare_cached(
        "SELECT op_id, hash, text, lane, state, retry_at FROM operations
         WHERE state NOT IN ('accepted', 'superseded')
           AND (state IN ('queued', 'sending') OR retry_at IS NOT NULL)
         ORDER BY action IS NOT 'create', pos",
    )?;
    let mut rows = statement.query([])?;
    let mut ready = Ready { operations: Vec::new(), rested: Vec::new(), later: None };
    let mut held: Vec<Uuid> = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let lane = read_id(row, 3)?;
        let retry_at: Option<Millis> = row.get(5)?;
        let refused = row.get_ref(4)?.as_str().ok() == Some(OpState::Rejected.as_str());
        if let Some(at) = retry_at.filter(|at| *at > now && at - now <= LONE_FAULT_MS_MAX) {
            ready.later = Some(ready.later.map_or(at, |later| later.min(at)));
            if !refused {
                held.push(lane);
            }
            continue;
        }
        if held.contains(&lane) {
            continue;
        }
        let text: String = row.get(2)?;
        bytes += text.len();
        if ready.operations.len() == limit
            || (bytes > limits::PUSH_TEXT_BYTES_TARGET && !ready.operations.is_empty())
        {
            break;
        }
        let op_id = OpId(read_id(row, 0)?);
        if refused {
            ready.rested.push(op_id);
        }
        ready.operations.push(SealedOperation { op_id, hash: Hash(row.get(1)?), text });
    }
    Ok(ready)
}

fn mark_sending(conn: &Connection, ops: &[OpId]) -> Result<(), StoreError> {
    let tx = conn.unchecked_transaction()?;
    let mut changed = 0;
    for op in ops {
        changed += tx
            .prepare_cached(
                "UPDATE operations SET state = 'sending', retry_at = NULL
                 WHERE op_id = ?1 AND state <> 'sending'",
            )?
            .execute([blob(&op.0)])?;
    }
    // Nothing changed when a batch goes out again: no need for another disk sync.
    if changed > 0 {
        tx.commit()?
    } else {
        tx.rollback()?
    }
    Ok(())
}

type Encoded = (Vec<(&'static str, String)>, Vec<u8>);

fn encode(request: &PushRequest) -> Result<Encoded, StoreError> {
    let json = serde_json::to_vec(request)?;
    let mut headers = vec![("content-type", "application/json".to_string())];
    if json.len() <= GZIP_ABOVE_BYTES {
        return Ok((headers, json));
    }
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let compressed = gzip.write_all(&json).and_then(|()| gzip.finish());
    match compressed {
        Ok(compressed) => {
            headers.push(("content-encoding", "gzip".to_string()));
            Ok((headers, compressed))
        }
        Err(_) => Ok((headers, json)),
    }
}

pub(super) fn on_reply(device: &mut Device, reply: &Reply, now: Millis) -> Result<(), StoreError> {
    let Some(batch) = device.sync.push.in_flight.take() else {
        return Ok(());
    };
    if reply.status == 200 {
        if let Some(response) = expected(reply, &batch) {
            return settle(device, &batch, response, now);
        }
        // A portal, or a proxy that cut the body: whatever it was, it was not our server.
        device.sync.last_problem = Some(excerpt(&reply.body));
        device.sync.push.backoff.fail(now, reply.retry_after_s, &mut device.rng);
        return Ok(());
    }
    match setback(reply) {
        Setback::Blocked(blocked) => {
            device.sync.block(blocked, batch.token);
            Ok(())
        }
        Setback::Later { retry_after_s, what } => {
            device.sync.last_problem = Some(what);
            device.sync.push.backoff.fail(now, retry_after_s, &mut device.rng);
            Ok(())
        }
        Setback::Content(problem) => {
            let what = problem.map_or_else(|| format!("HTTP {}", reply.status), |p| p.detail);
            isolate(device, &batch, what, now);
            Ok(())
        }
    }
}

/// The reply, if it is really the answer to this batch.
fn expected(reply: &Reply, batch: &Batch) -> Option<PushResponse> {
    let response: PushResponse = serde_json::from_slice(&reply.body).ok()?;
    let answers = response.outcomes.len() == batch.ops.len()
        && response.outcomes.iter().zip(&batch.ops).all(|(outcome, op)| outcome.op_id == Some(*op));
    answers.then_some(response)
}

/// The server failed on the batch as a whole. Halve it until an operation is alone; if the server
/// fails on that one too, ask it for an empty batch. Only a server that answers that has failed on
/// the operation; one that fails on everything is asked less and less.
fn isolate(device: &mut Device, batch: &Batch, what: String, now: Millis) {
    device.sync.last_problem = Some(what.clone());
    let push = &mut device.sync.push;
    match batch.ops.as_slice() {
        [] => {
            push.suspect = None;
            push.backoff.fail(now, None, &mut device.rng);
        }
        [alone] => push.suspect = Some((*alone, what)),
        many => push.batch_limit = (many.len() / 2).max(1),
    }
}

/// How long an operation rests that the server has failed on so often, ms.
fn rest(attempts: u32) -> Millis {
    LONE_FAULT_MS.saturating_mul(1 << attempts.min(10)).min(LONE_FAULT_MS_MAX)
}

/// Lets an operation rest that the server failed on, visible with its reason; it is offered again
/// by itself.
fn let_rest(
    conn: &Connection,
    op: OpId,
    reason: &Rejection,
    now: Millis,
) -> Result<(), StoreError> {
    let attempts = journal::find(conn, op)?.map_or(0, |stored| stored.attempts);
    journal::reject(conn, op, reason, Some(now.saturating_add(rest(attempts))))
}

/// Records every outcome in one transaction of the journal, then lets the mirror follow.
fn settle(
    device: &mut Device,
    batch: &Batch,
    response: PushResponse,
    now: Millis,
) -> Result<(), StoreError> {
    device.sync.heard_from_server(response.server_time_ms, now);
    device.sync.push.backoff.reset();
    device.sync.push.batch_limit = (device.sync.push.limit() * 2).min(limits::PUSH_OPERATIONS_MAX);
    device.sync.pull.saw_head(response.head);
    let forked = response.outcomes.iter().any(|o| matches!(o.outcome, Outcome::Forked { .. }));
    let incarnation = forked.then(|| Incarnation(open::new_uuid(&mut device.rng, now)));
    let tx = device.conn.unchecked_transaction()?;
    for (op, OpOutcome { outcome, .. }) in batch.ops.iter().zip(response.outcomes) {
        match outcome {
            Outcome::Accepted { seq, .. } => {
                journal::accept(&tx, *op, seq, response.server_time_ms)?;
            }
            Outcome::Duplicate { seq } => {
                journal::accept(&tx, *op, seq, response.server_time_ms)?;
                records::is_known(&tx, *op)?;
            }
            Outcome::Waiting { parent } => journal::wait_for(&tx, *op, parent.0)?,
            Outcome::Rejected(reason) if reason.code == code::SERVER_FAULT => {
                let_rest(&tx, *op, &reason, now)?;
            }
            Outcome::Rejected(reason) => journal::reject(&tx, *op, &reason, None)?,
            Outcome::OpIdReused { known_hash } => {
                let message = format!("the server knows this id with other content ({known_hash})");
                journal::reject(&tx, *op, &Rejection::new(code::OP_ID_REUSED, message), None)?;
            }
            Outcome::Forked { .. } => journal::requeue(&tx, *op, None)?,
            Outcome::Unknown => {
                let wait = backoff::delay(8, &mut device.rng);
                journal::requeue(&tx, *op, Some(now.saturating_add(wait)))?;
            }
        }
    }
    let suspect = device.sync.push.suspect.take();
    if let Some((suspect, what)) = &suspect {
        // The server answers: it failed on this one alone.
        let_rest(&tx, *suspect, &Rejection::new(code::SERVER_FAULT, what), now)?;
    }
    if let Some(incarnation) = incarnation {
        // The journal was cloned or restored, and its twin has used this sequence. A new life
        // begins; its first operation will name the old head.
        journal::open_incarnation(&tx, incarnation, device.head.hash, now)?;
    }
    let other_log = overlay::contradicted(&tx, &batch.ops)?;
    if other_log {
        // The mirror should hold what was accepted before its own sequence. It does not: the
        // server was restored, and this sequence is of another log than the mirror's.
        journal::offer_all_again(&tx)?;
    }
    tx.commit()?;
    if let Some(incarnation) = incarnation {
        device.who.incarnation = incarnation;
        device.head = journal::chain_head(&device.conn)?;
    }
    if other_log {
        device.sync.custody.wanted = true;
        super::pull::rebuild(device)?;
    }
    let suspect = suspect.map(|(suspect, _)| suspect);
    let changed: Vec<OpId> = batch.ops.iter().copied().chain(suspect).collect();
    overlay::follow(device, &changed);
    device.sync.retention_days = Some(response.retention_days);
    super::reoffer_released(device, now)
}

pub(super) fn on_failure(device: &mut Device, kind: FailureKind, now: Millis) {
    let sent = device.sync.push.in_flight.take().map_or(0, |batch| batch.ops.len());
    if kind == FailureKind::Timeout {
        // Too much for this way, perhaps: less at a time.
        device.sync.push.batch_limit = (sent / 2).max(1);
    }
    device.sync.push.backoff.fail(now, None, &mut device.rng);
}
