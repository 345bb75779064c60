//! A small server for these tests: it judges records with `protocol`'s own rules, keeps a log, and
//! answers pushes and pulls. It knows no time but what it is told.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use motomind_core::protocol::records::{
    self, Action, Actor, Circumstances, Closed, Document, RecordIntent, Signature, Step, Taken,
    schema,
};
use motomind_core::protocol::wire::{
    ChangeKind, OpOutcome, Outcome, Problem, PullResponse, PushRequest, PushResponse, RecordChange,
    Rejection, page_digest,
};
use motomind_core::protocol::{EventRecord, Hash, Millis, OpId, Operation, code};
use motomind_core::{Device, RecordRef, Reply, Request, Step as Next};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What the server knows of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate {
    Accepted(u64),
    Waiting,
    Refused,
    Closed(OpId),
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) documents: BTreeMap<RecordRef, Document>,
    pub(crate) fates: BTreeMap<OpId, (Option<Hash>, Fate)>,
    pub(crate) log: Vec<Value>,
    pub(crate) epoch: u32,
    pub(crate) page: usize,
    /// Entries name their operations.
    pub(crate) pushes: u32,
    pub(crate) change_bytes: usize,
}

type Judged = Result<u64, Box<Outcome>>;

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            documents: BTreeMap::new(),
            fates: BTreeMap::new(),
            log: Vec::new(),
            epoch: 1,
            page: 1_000,
            pushes: 0,
            change_bytes: 0,
        }
    }

    pub(crate) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    pub(crate) fn append(&mut self, kind: &str, data: Value) -> u64 {
        let seq = self.head() + 1;
        self.log.push(json!({ "seq": seq, "kind": kind, "data": data }));
        seq
    }

    pub(crate) fn answer(&mut self, request: &Request, now: Millis) -> Reply {
        match request.path.as_str() {
            "/v1/sync/push" => self.push(request, now),
            path if path.starts_with("/v1/sync/pull") => self.pull(path, now),
            _ => problem(404, "not_found"),
        }
    }

    fn push(&mut self, request: &Request, now: Millis) -> Reply {
        self.pushes += 1;
        let push: PushRequest = serde_json::from_slice(&body(request)).unwrap();
        let mut outcomes = Vec::new();
        for sealed in push.operations {
            let outcome = match sealed.open() {
                Err(violations) => Outcome::Rejected(violations.into()),
                Ok(operation) => self.judge(&operation, sealed.hash, now),
            };
            outcomes.push(OpOutcome { op_id: Some(sealed.op_id), outcome });
        }
        let response = PushResponse {
            protocol: 1,
            outcomes,
            head: self.head(),
            server_time_ms: now,
            retention_days: 30,
        };
        reply(200, &response)
    }

    fn pull(&self, path: &str, now: Millis) -> Reply {
        let cursor = path.split_once("cursor=").map(|(_, cursor)| cursor);
        let after = match cursor.map(|cursor| cursor.split_once('-').unwrap()) {
            None => 0,
            Some((epoch, _)) if epoch != self.epoch.to_string() => {
                return problem(409, "resnapshot");
            }
            Some((_, seq)) => seq.parse::<usize>().unwrap(),
        };
        let until = (after + self.page).min(self.log.len());
        let changes: Vec<Box<RawValue>> = self.log[after.min(until)..until]
            .iter()
            .map(|entry| RawValue::from_string(entry.to_string()).unwrap())
            .collect();
        let digest = page_digest(&changes);
        let response = PullResponse {
            protocol: 1,
            changes,
            next_cursor: format!("{}-{until}", self.epoch),
            seq: until as u64,
            head: self.head(),
            digest,
            server_time_ms: now,
        };
        reply(200, &response)
    }

    fn judge(&mut self, operation: &Operation, hash: Hash, now: Millis) -> Outcome {
        match self.fates.get(&operation.op_id) {
            Some((Some(known_hash), _)) if *known_hash != hash => {
                return Outcome::OpIdReused { known_hash: *known_hash };
            }
            Some((_, Fate::Accepted(seq))) => return Outcome::Duplicate { seq: *seq },
            Some((_, Fate::Closed(_))) => {
                return Outcome::Rejected(Rejection::new(code::SUPERSEDED, "closed"));
            }
            _ => {}
        }
        let judged = match operation.intent() {
            Some(intent) => self.judge_record(operation, intent, now),
            None => self.judge_event(operation, now),
        };
        let (fate, outcome) = match judged {
            Ok(seq) => (Fate::Accepted(seq), Outcome::Accepted { seq, flags: Vec::new() }),
            Err(outcome) => match *outcome {
                Outcome::Waiting { parent } => (Fate::Waiting, Outcome::Waiting { parent }),
                other => (Fate::Refused, other),
            },
        };
        self.fates.insert(operation.op_id, (Some(hash), fate));
        outcome
    }

    /// What became of an operation, for those that name it.
    fn fate(&self, op_id: OpId) -> Option<records::Fate> {
        match self.fates.get(&op_id)?.1 {
            Fate::Accepted(_) => Some(records::Fate::Accepted),
            Fate::Refused => Some(records::Fate::Refused),
            Fate::Closed(by) => Some(records::Fate::Closed { by }),
            Fate::Waiting => None,
        }
    }

    /// Closes what was superseded and not accepted. The first sequence that tells of it.
    fn close(&mut self, operation: &Operation, needs_seq: bool) -> Option<u64> {
        let unaccepted = records::closings(operation, |op_id| self.fate(op_id));
        let Closed { closed, logged } = Closed::of(&unaccepted, needs_seq);
        for op_id in closed {
            let hash = self.fates.get(&op_id).and_then(|(hash, _)| *hash);
            self.fates.insert(op_id, (hash, Fate::Closed(operation.op_id)));
        }
        let by = operation.op_id;
        let told =
            logged.iter().map(|op_id| self.append("closed", json!({ "op_id": op_id, "by": by })));
        told.collect::<Vec<u64>>().first().copied()
    }

    fn needs(&self, operation: &Operation) -> Result<(), Box<Outcome>> {
        match records::unmet_need(operation, |op_id| self.fate(op_id)) {
            Some(unmet) => Err(Box::new(Outcome::Waiting { parent: unmet.into() })),
            None => Ok(()),
        }
    }

    fn judge_event(&mut self, operation: &Operation, now: Millis) -> Judged {
        self.needs(operation)?;
        let event = operation.event().unwrap();
        let vehicle = RecordRef::new("vehicles", event.vehicle_id.0);
        let live = self.documents.get(&vehicle).is_some_and(|d| d.deleted_at().is_none());
        if !live {
            return refuse(Rejection::new(code::UNKNOWN_VEHICLE, "no such vehicle"));
        }
        self.close(operation, false);
        let record = EventRecord {
            event: event.clone(),
            received_at: now,
            op_id: Some(operation.op_id),
            device_id: Some(operation.device_id),
            user_id: Some(operation.user_id),
            corrects: event.corrects,
            flags: Vec::new(),
            extra: Map::new(),
        };
        Ok(self.append("event", serde_json::to_value(record).unwrap()))
    }

    fn judge_record(
        &mut self,
        operation: &Operation,
        intent: &RecordIntent,
        now: Millis,
    ) -> Judged {
        let accepted = records::first_accepted(&operation.supersedes, |op_id| self.fate(op_id));
        let step = intent.step_after(accepted).clone();
        let does_nothing = step.action == Action::Nothing;
        let closed = self.close(operation, does_nothing && accepted.is_none());
        if does_nothing {
            return Ok(closed.unwrap_or(self.head()));
        }
        self.needs(operation)?;
        let overs = records::earlier_edits(&step).map(|over| over.op_id);
        let known: Vec<OpId> =
            overs.filter(|op_id| self.fate(*op_id) == Some(records::Fate::Accepted)).collect();
        let record = RecordRef::new(&*intent.collection, intent.record_id);
        let signature = records::signature_of(operation, now);
        let around = Circumstances { signature, now, accepted: &known };
        let existing = self.documents.get(&record);
        let taken = records::take(existing, intent, &step, &around)
            .map_err(|rejection| Box::new(Outcome::Rejected(*rejection)))?;
        self.stands(&record, &step, &taken.document)?;
        Ok(self.keep(&record, taken, Some(operation.op_id)))
    }

    fn stands(
        &self,
        record: &RecordRef,
        step: &Step,
        document: &Document,
    ) -> Result<(), Box<Outcome>> {
        let collection = document.collection();
        for (field, target, id) in records::referred(collection, step) {
            if !self.documents.contains_key(&RecordRef::new(target, id)) {
                return Err(Box::new(Outcome::Rejected(records::no_such(target, field))));
            }
        }
        for claim in records::new_claims(self.documents.get(record), document) {
            let rival = self.documents.iter().find(|(other, held)| {
                other.collection == record.collection
                    && *other != record
                    && held.deleted_at().is_none()
                    && records::claims(collection, &held.fields()).contains(&claim)
            });
            if let Some((other, _)) = rival {
                let taken = records::claim_taken(&claim, other.id);
                return Err(Box::new(Outcome::Rejected(taken)));
            }
        }
        Ok(())
    }

    fn keep(&mut self, record: &RecordRef, taken: Taken, op_id: Option<OpId>) -> u64 {
        self.documents.insert(record.clone(), taken.document);
        if taken.changes.is_empty() {
            return self.head();
        }
        self.change_bytes += taken.changes.iter().map(Vec::len).sum::<usize>();
        self.tell(record, taken.changes, op_id)
    }

    /// Appends changes of a record to the log, whatever they are.
    pub(crate) fn tell(
        &mut self,
        record: &RecordRef,
        changes: Vec<Vec<u8>>,
        op_id: Option<OpId>,
    ) -> u64 {
        let change = RecordChange {
            collection: record.collection.clone(),
            id: record.id,
            op_id,
            changes,
            whole: false,
            extra: Map::new(),
        };
        let kind = serde_json::to_value(ChangeKind::Record(Box::new(change))).unwrap();
        self.append("record", kind["data"].clone())
    }

    /// Another SQL client writes a record's row.
    pub(crate) fn write(
        &mut self,
        record: &RecordRef,
        fields: Value,
        deleted_at: Option<Millis>,
    ) -> u64 {
        let collection = schema::find(&record.collection).unwrap();
        let mut row = self.documents.get(record).map(Document::fields).unwrap_or_default();
        for (name, value) in fields.as_object().unwrap() {
            row.insert(name.clone(), value.clone());
        }
        let signature = Signature {
            actor: Actor::Server(Uuid::from_u128(self.epoch.into())),
            user: None,
            at: 1,
        };
        let existing = self.documents.get(record);
        let taken =
            records::absorb(existing, collection, record.id, &row, deleted_at, &signature).unwrap();
        self.keep(record, taken, None)
    }

    /// The server is put back from a backup: its log is another one now.
    pub(crate) fn restored(&mut self, backup: Self) {
        let epoch = self.epoch + 1;
        *self = backup;
        self.epoch = epoch;
    }
}

fn refuse(rejection: Rejection) -> Judged {
    Err(Box::new(Outcome::Rejected(rejection)))
}

fn reply(status: u16, body: &impl serde::Serialize) -> Reply {
    Reply {
        status,
        retry_after_s: None,
        headers: Vec::new(),
        body: serde_json::to_vec(body).unwrap(),
    }
}

fn problem(status: u16, code: &str) -> Reply {
    let problem = Problem {
        kind: "about:blank".into(),
        title: code.into(),
        status,
        code: code.into(),
        detail: code.into(),
        request_id: None,
    };
    reply(status, &problem)
}

pub(crate) fn body(request: &Request) -> Vec<u8> {
    use std::io::Read as _;
    if !request.headers.contains(&("content-encoding", "gzip".to_string())) {
        return request.body.clone();
    }
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut json).unwrap();
    json
}

pub(crate) fn token(user: u128) -> String {
    token_of(user, "manager")
}

pub(crate) fn token_of(user: u128, role: &str) -> String {
    let claims = json!({
        "sub": Uuid::from_u128(user), "exp": 4_000_000_000_u64,
        "app_metadata": { "tenant_id": Uuid::from_u128(1), "role": role },
    });
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part("{}"), part(&claims.to_string()), part("signature"))
}

/// Lets a device talk until it has nothing to say.
pub(crate) fn sync(device: &mut Device, server: &mut Server, now: Millis) {
    device.on_poke(now);
    let mut now = now;
    for _ in 0..200 {
        match device.next_step(now).unwrap() {
            Next::Send(requests) => {
                for request in requests {
                    let reply = server.answer(&request, now);
                    device.on_reply(request.id, &reply, now).unwrap();
                }
            }
            Next::WaitUntil(at) if at < now + 7_200_000 => now = at,
            _ => return,
        }
    }
    panic!("it does not come to rest");
}
