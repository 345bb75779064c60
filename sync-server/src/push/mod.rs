//! Judging a batch in one transaction.
//!
//! ```text
//! read → lock device, then vehicles → judge and write piece by piece → number → keep outcomes
//! ```
//!
//! A piece is a run of events that name no others, of changes of records, or of statements beside
//! events, judged together from sets loaded at once; or a single event that corrects or supersedes. Should the database refuse a set, the whole
//! batch is tried again one by one, so that the operation to blame is refused alone.

mod conclude;
mod intents;
mod judge;
mod known;
mod load;
mod needs;
mod read;
mod records;
pub(crate) mod statements;
mod store;

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use motomind_protocol::wire::{OpOutcome, Rejection};
use motomind_protocol::{OpId, Operation, VehicleId, code};

pub(crate) use judge::Bench;
use judge::Verdict;
use known::Known;
pub(crate) use read::Batch;
use read::{Item, Received};
use store::Writes;
pub(crate) use store::{EVENT_ROWS, EventColumns, Sealer, body_text};

use crate::App;
use crate::error::Error;
use crate::records::Shelf;

/// Attempts of one batch when other transactions are in the way.
const ATTEMPTS_MAX: u32 = 4;

/// What the caller is told.
#[derive(Debug)]
pub(crate) struct Reply {
    /// One for each operation, in order.
    pub(crate) outcomes: Vec<OpOutcome>,
    /// The tenant's newest sequence.
    pub(crate) head: u64,
}

/// How the operations of a batch are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Runs together.
    Sets,
    /// Each for itself, behind a savepoint.
    OneByOne,
}

/// What is judged together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Events that name no others.
    Run,
    /// Changes of records.
    Changes,
    /// What is stated beside events.
    Statements,
    /// An event that corrects or supersedes another one.
    Single,
}

impl Piece {
    fn of(operation: &Operation) -> Self {
        if operation.intent().is_some() {
            Self::Changes
        } else if statements::kind(operation).is_some() {
            Self::Statements
        } else if judge::stands_alone(operation) {
            Self::Run
        } else {
            Self::Single
        }
    }
}

/// Judges a batch, again where other transactions got in the way.
pub(crate) async fn take(app: &App, bench: &Bench, batch: &Batch) -> Result<Reply, Error> {
    let mut mode = Mode::Sets;
    let mut attempt = 1;
    loop {
        match attempt_once(app, bench, batch, mode).await {
            Err(Error::Conflict(_)) if attempt < ATTEMPTS_MAX => attempt += 1,
            Err(Error::Conflict(why)) if mode == Mode::Sets => {
                tracing::warn!(why, "a batch ran into others again and again; one by one");
                mode = Mode::OneByOne;
            }
            Err(Error::Internal(why)) if mode == Mode::Sets => {
                tracing::warn!(why, "a batch could not be written as a set; one by one");
                mode = Mode::OneByOne;
            }
            Err(Error::Conflict(why)) => return Err(Error::Unavailable(why)),
            outcome => return outcome,
        }
    }
}

async fn attempt_once(app: &App, bench: &Bench, batch: &Batch, mode: Mode) -> Result<Reply, Error> {
    let tenant = bench.caller.tenant_id;
    let mut client = app.client().await?;
    let mut transaction = crate::database::begin(&mut client, tenant).await?;
    let counter = crate::log::admit(&transaction, &bench.caller).await?;
    let shelf = Shelf::new(tenant, counter.epoch, bench.now, app.settings.collections);
    let mut sitting = Sitting::new(bench, batch, shelf);
    sitting.admit(&transaction).await?;
    match mode {
        Mode::Sets => sitting.judge_in_pieces(&transaction).await?,
        Mode::OneByOne => sitting.judge_one_by_one(&mut transaction).await?,
    }
    let numbers = store::number(&transaction).await?;
    let head = crate::log::counter(&transaction, tenant).await?.head;
    let head = head.unsigned_abs();
    let outcomes = sitting.conclude(&transaction, &numbers, head).await?;
    transaction.commit().await?;
    Ok(Reply { outcomes, head })
}

/// One attempt at a batch.
struct Sitting<'a> {
    bench: &'a Bench,
    batch: &'a Batch,
    known: Known,
    /// Set when the device belongs to someone else of the tenant.
    foreign_device: bool,
    /// One for each operation that has been judged.
    verdicts: Vec<Option<Verdict>>,
    /// What each operation has closed.
    closed: Vec<Option<OpId>>,
    /// The records that it changes.
    shelf: Shelf,
}

impl<'a> Sitting<'a> {
    fn new(bench: &'a Bench, batch: &'a Batch, shelf: Shelf) -> Self {
        Self {
            bench,
            batch,
            known: Known::default(),
            foreign_device: false,
            verdicts: batch.items.iter().map(|_| None).collect(),
            closed: vec![None; batch.items.len()],
            shelf,
        }
    }

    /// Registers the device, locks its vehicles and records, and reads which of its sequences are
    /// taken.
    async fn admit(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let Some(device) = self.batch.device_id else {
            return Ok(());
        };
        let (bench, tenant) = (self.bench, self.bench.caller.tenant_id);
        self.foreign_device = !load::admit_device(transaction, bench, device).await?;
        let operations = self.batch.items.iter().filter_map(Item::received);
        let mut vehicles: HashSet<VehicleId> =
            operations.clone().filter_map(|received| received.operation.vehicle()).collect();
        let sequences: Vec<i64> =
            operations.map(|received| store::signed(received.operation.device_seq)).collect();
        let keys = intents::keys(self.batch, self.shelf.collections);
        vehicles.extend(intents::vehicles_among(transaction, tenant, self.batch).await?);
        self.known.vehicles = load::lock_vehicles(transaction, tenant, &vehicles).await?;
        self.shelf.load(transaction, keys).await?;
        let life = bench.incarnation;
        let known = &mut self.known;
        load::sequences(transaction, tenant, device, life, &sequences, known).await
    }

    async fn judge_in_pieces(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let batch = self.batch;
        let (mut kind, mut piece) = (Piece::Run, Vec::new());
        for (place, item) in batch.items.iter().enumerate() {
            let Some(received) = item.received() else {
                continue;
            };
            let next = Piece::of(&received.operation);
            if next != kind || next == Piece::Single {
                self.judge_piece(transaction, kind, &std::mem::take(&mut piece)).await?;
            }
            kind = next;
            piece.push(place);
        }
        self.judge_piece(transaction, kind, &piece).await
    }

    async fn judge_piece(
        &mut self,
        transaction: &Transaction<'_>,
        kind: Piece,
        places: &[usize],
    ) -> Result<(), Error> {
        match kind {
            Piece::Run => self.judge_run(transaction, places).await,
            Piece::Changes => self.judge_records(transaction, places).await,
            Piece::Statements => self.judge_statements(transaction, places).await,
            Piece::Single => {
                let batch = self.batch;
                for place in places {
                    if let Some(received) = batch.items[*place].received() {
                        self.judge_dependent(transaction, *place, received).await?;
                    }
                }
                Ok(())
            }
        }
    }

    async fn judge_one_by_one(&mut self, transaction: &mut Transaction<'_>) -> Result<(), Error> {
        let batch = self.batch;
        for (place, item) in batch.items.iter().enumerate() {
            let Some(received) = item.received() else {
                continue;
            };
            let savepoint = transaction.savepoint("operation").await?;
            let known = self.known.clone();
            let kind = Piece::of(&received.operation);
            let judged = self.judge_piece(&savepoint, kind, &[place]).await;
            match judged {
                Ok(()) => savepoint.commit().await?,
                Err(Error::Internal(why) | Error::Conflict(why)) => {
                    savepoint.rollback().await?;
                    // Nor has it closed anything, or added to a timeline.
                    self.known = known;
                    self.shelf.forget();
                    tracing::error!(why, op_id = ?item.op_id, "an operation could not be written");
                    let message = "the server failed on this operation; it can be offered again";
                    let rejection = Rejection::new(code::SERVER_FAULT, message);
                    self.closed[place] = None;
                    self.verdicts[place] = Some(Verdict::Rejected(rejection));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Judges operations that name no others, from sets loaded at once.
    async fn judge_run(
        &mut self,
        transaction: &Transaction<'_>,
        places: &[usize],
    ) -> Result<(), Error> {
        if places.is_empty() {
            return Ok(());
        }
        let (bench, batch, tenant) = (self.bench, self.batch, self.bench.caller.tenant_id);
        self.known.timelines.clear(); // what was written since is read again, numbered
        let run: Vec<(usize, &Received)> = places
            .iter()
            .filter_map(|place| Some((*place, batch.items[*place].received()?)))
            .collect();
        let ids: Vec<_> = run.iter().map(|(_, one)| one.operation.op_id.0).collect();
        load::operations(transaction, bench.caller.identity(), &ids, &mut self.known).await?;
        let operations = run.iter().map(|(_, received)| &received.operation);
        needs::load(transaction, bench.caller.identity(), operations, &mut self.known).await?;
        let readings: Vec<_> = run
            .iter()
            .filter_map(|(place, received)| {
                let event = received.operation.event()?;
                Some((event.vehicle_id, judge::reading_of(event, *place, bench)?))
            })
            .collect();
        load::neighbours(transaction, tenant, &readings, &mut self.known).await?;

        let mut writes = Writes::default();
        for (place, received) in run {
            let verdict = self.judge_alone(place, received);
            if let Verdict::Accepted { .. } = verdict {
                writes.events.push((received, None));
            }
            judge::remember(received, &verdict, &mut self.known, bench);
            self.verdicts[place] = Some(verdict);
        }
        writes.store(transaction, bench).await
    }

    fn judge_alone(&mut self, place: usize, received: &Received) -> Verdict {
        if self.foreign_device {
            return judge::foreign_device();
        }
        if let Some(verdict) = judge::known_before(received, &mut self.known, self.bench) {
            return verdict;
        }
        let Some(event) = received.operation.event() else {
            return judge::unsupported();
        };
        let operation = &received.operation;
        needs::unmet(operation, &self.known)
            .or_else(|| judge::admissible(event, &self.known, self.bench))
            .map(|verdict| needs::blame(verdict, operation, &self.known))
            .unwrap_or_else(|| judge::state(event, place, &mut self.known, self.bench))
    }

    /// Judges an operation that corrects or supersedes another one.
    async fn judge_dependent(
        &mut self,
        transaction: &Transaction<'_>,
        place: usize,
        received: &'a Received,
    ) -> Result<(), Error> {
        let (bench, caller) = (self.bench, self.bench.caller.identity());
        self.known.timelines.clear();
        load::chain(transaction, caller, received, &mut self.known).await?;
        let operation = std::iter::once(&received.operation);
        needs::load(transaction, caller, operation, &mut self.known).await?;
        let mut writes = Writes::default();
        let verdict = self.judge_against_target(transaction, place, received, &mut writes).await?;
        if let Verdict::Accepted { corrects, .. } = &verdict {
            writes.events.push((received, *corrects));
        }
        writes.by = Some(received.operation.op_id);
        writes.store(transaction, bench).await?;
        self.closed[place] = writes.logged.first().copied();
        self.known.close(&writes.closed, received.operation.op_id, caller.user_id);
        judge::remember(received, &verdict, &mut self.known, bench);
        self.verdicts[place] = Some(verdict);
        Ok(())
    }

    async fn judge_against_target(
        &mut self,
        transaction: &Transaction<'_>,
        place: usize,
        received: &'a Received,
        writes: &mut Writes<'a>,
    ) -> Result<Verdict, Error> {
        let (bench, tenant) = (self.bench, self.bench.caller.tenant_id);
        if self.foreign_device {
            return Ok(judge::foreign_device());
        }
        if let Some(verdict) = judge::known_before(received, &mut self.known, bench) {
            return Ok(verdict);
        }
        let operation = &received.operation;
        let Some(event) = operation.event() else {
            return Ok(judge::unsupported());
        };
        let superseded = judge::superseded(operation, &self.known);
        let states_nothing =
            event.is_retraction() && superseded.event.is_none() && !operation.supersedes.is_empty();
        let hindered = || {
            needs::unmet(operation, &self.known)
                .or_else(|| judge::admissible(event, &self.known, bench))
        };
        if !states_nothing && let Some(verdict) = hindered() {
            return Ok(needs::blame(verdict, operation, &self.known));
        }
        writes.close(&superseded.unaccepted, states_nothing);
        if states_nothing {
            return Ok(Verdict::NothingToRetract);
        }
        let corrects = match superseded.event {
            Some(target) => judge::in_place_of(event, target, &self.known),
            None => match judge::named(operation, &self.known) {
                Ok(named) => named,
                Err(verdict) => return Ok(*verdict),
            },
        };
        let Some(corrects) = corrects else {
            if let Some(reading) = judge::reading_of(event, place, bench) {
                let places = [(event.vehicle_id, reading)];
                load::neighbours(transaction, tenant, &places, &mut self.known).await?;
            }
            return Ok(judge::state(event, place, &mut self.known, bench));
        };
        self.known.family = load::family(transaction, tenant, corrects).await?;
        if let Some(verdict) = judge::may_correct(event, corrects, &self.known, bench) {
            return Ok(verdict);
        }
        let (old, new) = judge::reading_change(event, corrects, place, &self.known, bench);
        let places: Vec<_> =
            [old, new].into_iter().flatten().map(|reading| (event.vehicle_id, reading)).collect();
        load::neighbours(transaction, tenant, &places, &mut self.known).await?;
        Ok(judge::correct(event, corrects, place, &mut self.known, bench))
    }
}
