//! Judging what is stated beside events: photos on them, where they happened, capture sessions.
//!
//! A capture with ten photos is one event and ten statements: a run of them is read, judged and
//! written together. Statements are facts that nothing corrects; of several the newest counts.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use motomind_protocol::limits::AMENDMENTS_FOLLOWED_MAX;
use motomind_protocol::records::{Closed, Closing};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{Body, EventId, Identity, OpId, Operation, Role, Violation, code};
use uuid::Uuid;

use super::judge::{self, Verdict, reject};
use super::known::{Known, KnownState};
use super::read::Received;
use super::{Sitting, load, needs};
use crate::error::Error;

mod ground;
pub(crate) mod rows;
mod write;

use ground::Ground;
use write::Statements;

/// The log's name for what an operation states; none where it is no statement.
pub(super) fn kind(operation: &Operation) -> Option<&'static str> {
    match operation.body {
        Body::Photo(_) => Some("photo"),
        Body::LocationCorrection(_) => Some("location_correction"),
        Body::Session(_) => Some("session"),
        Body::Event(_) | Body::Record(_) | Body::Other(_) => None,
    }
}

impl<'a> Sitting<'a> {
    /// Judges a run of statements.
    pub(super) async fn judge_statements(
        &mut self,
        transaction: &Transaction<'_>,
        places: &[usize],
    ) -> Result<(), Error> {
        if places.is_empty() {
            return Ok(());
        }
        let (bench, batch, tenant) = (self.bench, self.batch, self.bench.caller.tenant_id);
        let run: Vec<(usize, &'a Received)> = places
            .iter()
            .filter_map(|place| Some((*place, batch.items[*place].received()?)))
            .collect();
        let operations: Vec<&Operation> = run.iter().map(|(_, one)| &one.operation).collect();
        let caller = bench.caller.identity();
        load_chains(transaction, caller, &operations, &mut self.known).await?;
        needs::load(transaction, caller, operations.iter().copied(), &mut self.known).await?;
        let mut ground = Ground::load(transaction, tenant, &operations, &self.known).await?;
        let mut statements = Statements::default();
        for (place, received) in run {
            let mut closed = Closed::default();
            let verdict = match self.judge_statement(received, &ground, &mut closed) {
                Ok(event) => {
                    ground.learn(&received.operation);
                    statements.add(received, event);
                    Verdict::Stated { kind: kind(&received.operation).unwrap_or("statement") }
                }
                Err(verdict) => *verdict,
            };
            self.closed[place] = closed.logged.first().copied();
            statements.close(received.operation.op_id, &closed);
            judge::remember(received, &verdict, &mut self.known, bench);
            self.verdicts[place] = Some(verdict);
        }
        statements.store(transaction, bench).await
    }

    /// Judges a statement; the event that it is about, as resolved.
    fn judge_statement(
        &mut self,
        received: &Received,
        ground: &Ground,
        closed: &mut Closed,
    ) -> Result<Option<EventId>, Box<Verdict>> {
        if self.foreign_device {
            return Err(Box::new(judge::foreign_device()));
        }
        if let Some(verdict) = judge::known_before(received, &mut self.known, self.bench) {
            return Err(Box::new(verdict));
        }
        let operation = &received.operation;
        let superseded = judge::superseded(operation, &self.known);
        let states_nothing =
            operation.takes_back() && none_accepted(operation, &superseded.unaccepted);
        *closed = Closed::of(&superseded.unaccepted, states_nothing);
        self.known.close(&closed.closed, operation.op_id, operation.user_id);
        if states_nothing {
            return Err(Box::new(Verdict::NothingToRetract));
        }
        let (known, role) = (&self.known, self.bench.caller.role);
        needs::unmet(operation, known)
            .or_else(|| admissible(operation, known, role))
            .map_or(Ok(()), |verdict| Err(Box::new(needs::blame(verdict, operation, known))))?;
        let event = resolved(operation, known)?;
        if role < Role::Manager && ground.takes_anothers(operation, event) {
            let message = "only a manager takes off a photo that someone else attached";
            return Err(Box::new(reject(code::FORBIDDEN, message, None)));
        }
        ground.admits(operation).map_or(Ok(event), |verdict| Err(Box::new(verdict)))
    }
}

/// Whether it supersedes operations, none of which was accepted.
fn none_accepted(operation: &Operation, unaccepted: &[(OpId, Closing)]) -> bool {
    let others = operation.supersedes.iter().filter(|op_id| **op_id != operation.op_id);
    let is_unaccepted = |op_id: &OpId| unaccepted.iter().any(|(one, _)| one == op_id);
    others.clone().next().is_some() && others.clone().all(is_unaccepted)
}

fn violations(operation: &Operation) -> Vec<Violation> {
    let judged = match &operation.body {
        Body::Photo(said) => said.validate(),
        Body::LocationCorrection(said) => said.validate(),
        Body::Session(said) => said.validate(),
        Body::Event(_) | Body::Record(_) | Body::Other(_) => Ok(()),
    };
    judged.err().unwrap_or_default()
}

/// What a statement must be whatever stands around it.
fn admissible(operation: &Operation, known: &Known, role: Role) -> Option<Verdict> {
    let violations = violations(operation);
    if !violations.is_empty() {
        return Some(Verdict::Rejected(violations.into()));
    }
    if role < Role::Technician {
        return Some(reject(code::FORBIDDEN, "a viewer cannot capture", None));
    }
    if operation.vehicle().is_none_or(|vehicle| !known.vehicles.contains(&vehicle)) {
        let message = "there is no such vehicle";
        return Some(reject(code::UNKNOWN_VEHICLE, message, Some("vehicle_id")));
    }
    None
}

/// The event that a statement names.
fn named(operation: &Operation) -> Option<EventId> {
    match &operation.body {
        Body::Photo(said) => Some(said.event_id),
        Body::LocationCorrection(said) => Some(said.event_id),
        _ => None,
    }
}

/// The event that a statement is about: the one it names, or what took that one's place.
fn resolved(operation: &Operation, known: &Known) -> Result<Option<EventId>, Box<Verdict>> {
    let Some(named) = named(operation) else {
        return Ok(None);
    };
    let refused = |code, message| Err(Box::new(reject(code, message, Some("event_id"))));
    let taken_back = "the event that it is about was itself taken back";
    let mut at = named;
    for _ in 0..AMENDMENTS_FOLLOWED_MAX {
        if let Some(event) = known.events.get(&at) {
            if !event.act.states_a_fact() {
                // What was discarded has nothing in its place.
                return if at == named {
                    let message = "it names a retraction or restoration, which is no event to see";
                    refused(code::NOT_CORRECTABLE, message)
                } else {
                    refused(code::PARENT_REJECTED, taken_back)
                };
            }
            // An amendment may have moved it to the vehicle that was meant; photos and place follow.
            if at == named && operation.vehicle() != Some(event.vehicle_id) {
                let message = "the event that it is about is another vehicle's";
                return refused(code::UNKNOWN_VEHICLE, message);
            }
            return Ok(Some(at));
        }
        match known.operations.get(&at.into()).map(|op| op.state) {
            Some(KnownState::Closed { by }) if by != operation.op_id => at = by.into(),
            Some(KnownState::Closed { .. } | KnownState::Accepted { .. }) => {
                return refused(code::PARENT_REJECTED, taken_back);
            }
            Some(KnownState::Rejected) | None => {
                return Err(Box::new(Verdict::Said(Outcome::Waiting { parent: at })));
            }
        }
    }
    refused(code::PARENT_REJECTED, taken_back)
}

/// Reads the statements themselves, what they supersede and are about, and on along the chains of
/// amendments.
async fn load_chains(
    transaction: &Transaction<'_>,
    caller: Identity,
    operations: &[&Operation],
    known: &mut Known,
) -> Result<(), Error> {
    let mut wanted: Vec<Uuid> = Vec::new();
    for operation in operations {
        wanted.push(operation.op_id.0);
        wanted.extend(operation.supersedes.iter().map(|op_id| op_id.0));
        wanted.extend(named(operation).map(|event| event.0));
    }
    let mut asked: HashSet<Uuid> = HashSet::new();
    for _ in 0..AMENDMENTS_FOLLOWED_MAX {
        wanted.retain(|id| asked.insert(*id));
        if wanted.is_empty() {
            break;
        }
        load::operations(transaction, caller, &wanted, known).await?;
        wanted = wanted
            .iter()
            .filter_map(|id| match known.operations.get(&OpId(*id))?.state {
                KnownState::Closed { by } => Some(by.0),
                _ => None,
            })
            .collect();
    }
    Ok(())
}
