//! The world of a simulation: true time, the phones, the network and the server, and how one
//! moment leads to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use motomind_core::{OpenError, RequestId, Step};
use motomind_protocol::wire::{Outcome, Problem, PushResponse, problem};
use motomind_protocol::{EventId, Hash, Millis, OpId, VehicleId};

use super::Weakness;
use super::editors::Editors;
use super::ledger::Ledger;
use super::network::{Network, Packet, Partition, Process};
use super::phone::Phone;
use super::server::{Answer, Call, Server, trouble};
use super::tenant::Tenant;
use super::trace::{Trace, digest};
use crate::dice::Dice;

/// Nothing is wrong, or what is, in a sentence.
pub type Checked<T = ()> = Result<T, String>;

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// True time, which the server's clock tells, UTC ms.
    pub now: Millis,
    /// Chance.
    pub dice: Dice,
    /// The server.
    pub server: Server,
    /// Between them.
    pub network: Network,
    /// The phones.
    pub phones: Vec<Phone>,
    /// What people know.
    pub ledger: Ledger,
    /// What they did to records.
    pub editors: Editors,
    /// The vehicles that people drive, mirrored or not.
    pub vehicles: Vec<VehicleId>,
    /// The server's backups, with their time.
    pub backups: Vec<(Millis, Tenant)>,
    /// Events that some restore of the server lost.
    pub lost_by_server: BTreeSet<EventId>,
    /// How often the server was restored.
    pub restores: u64,
    /// Every operation that was ever accepted, and how often the server had been restored then.
    pub accepted: BTreeMap<OpId, u64>,
    /// Arrivals whose order has been checked.
    pub arrivals_checked: usize,
    /// What is broken on purpose.
    pub weakness: Weakness,
    /// Every picture that was taken.
    pub pictures: BTreeMap<Hash, Arc<Vec<u8>>>,
    /// Of each correction of a place, which others the person saw.
    pub places_seen: BTreeMap<OpId, Vec<OpId>>,
    /// What happened.
    pub trace: Trace,
    /// Captures so far; numbers their notes.
    pub captures: u64,
}

impl World {
    /// Adds to the account.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{} {}", self.now, line());
        self.trace.line(&line);
    }

    /// Phones that are on.
    #[must_use]
    pub fn on(&self) -> Vec<usize> {
        let on = |index: &usize| self.phones[*index].device.is_some();
        (0..self.phones.len()).filter(on).collect()
    }

    /// Lets time pass, with everything that happens meanwhile.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn advance(&mut self, until: Millis) -> Checked {
        loop {
            let wakes = self.phones.iter().filter_map(|phone| phone.wake);
            let Some(next) = wakes.chain(self.network.next_at()).min() else {
                break;
            };
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            while let Some(packet) = self.network.take(self.now) {
                self.deliver(packet)?;
            }
            for index in 0..self.phones.len() {
                if self.phones[index].wake.is_some_and(|wake| wake <= self.now) {
                    self.ask(index)?;
                }
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Asks a device what to do, and does it.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn ask(&mut self, index: usize) -> Checked {
        for _ in 0..4 {
            let phone = &mut self.phones[index];
            phone.wake = None;
            let clock = phone.clock(self.now);
            let Some(device) = phone.device.as_mut() else {
                return Ok(());
            };
            let step = device.next_step(clock).map_err(|error| error.to_string());
            let Some(step) = self.survived(index, step)? else {
                return Ok(());
            };
            match step {
                Step::Idle => return Ok(()),
                Step::WaitUntil(at) if at <= clock => {
                    return Err(format!(
                        "phone {index} asks to wait until {at}, which is past at {clock}"
                    ));
                }
                Step::WaitUntil(at) => {
                    let phone = &mut self.phones[index];
                    phone.wake = Some(at.saturating_sub(phone.clock_offset_ms).max(self.now + 1));
                    return Ok(());
                }
                Step::Send(requests) => self.send(index, requests),
            }
        }
        Err(format!("phone {index} sends and sends without waiting"))
    }

    fn send(&mut self, index: usize, requests: Vec<motomind_core::Request>) {
        for request in requests {
            self.note(|| {
                let body = digest(&request.body);
                format!("{index} sends {} {body}", request.path)
            });
            let phone = &self.phones[index];
            let who = Process { phone: index, boot: phone.boot };
            let (id, partition) = (request.id, phone.partition);
            let before = self.network.duplicated;
            self.network.send(who, id, request.into(), partition, self.now, &mut self.dice);
            if self.network.duplicated > before {
                self.trace.count("request duplicated");
            }
        }
    }

    fn deliver(&mut self, packet: Packet) -> Checked {
        match packet {
            Packet::Request(who, id, call) => self.serve(who, id, &call),
            Packet::Reply(who, id, answer) => self.hear(who, |device, clock| {
                let reply = answer.into();
                let heard = device.on_reply(id, &reply, clock);
                heard.map_err(|error| error.to_string())
            }),
            Packet::Failure(who, id, kind) => self.hear(who, |device, clock| {
                device.on_failure(id, kind, clock);
                Ok(())
            }),
            Packet::Poke(who) => self.hear(who, |device, clock| {
                device.on_poke(clock);
                Ok(())
            }),
        }
    }

    /// Something reaches a process, if it still lives.
    fn hear(
        &mut self,
        who: Process,
        tell: impl FnOnce(&mut motomind_core::Device, Millis) -> Checked,
    ) -> Checked {
        let Some(phone) = self.phones.get_mut(who.phone) else {
            return Ok(());
        };
        let clock = phone.clock(self.now);
        let alive = phone.boot == who.boot;
        let Some(device) = phone.device.as_mut().filter(|_| alive) else {
            return Ok(());
        };
        let heard = tell(device, clock);
        if self.survived(who.phone, heard)?.is_some() {
            self.ask(who.phone)?;
        }
        Ok(())
    }

    fn serve(&mut self, who: Process, id: RequestId, call: &Call) -> Checked {
        let head = self.server.tenant.log.head();
        let busy = self.network.weather.busy;
        let cut = self.cut_short(call);
        self.server.cuts = cut.is_some();
        let answer = if self.dice.permille(busy) {
            self.busy()
        } else {
            self.server.answer(cut.as_ref().unwrap_or(call), self.now)
        };
        self.note(|| {
            let said = summary(&answer.body);
            format!("served {} {} {} {said}", who.phone, call.path, answer.status)
        });
        self.tally(&answer);
        if answer.status == 200 && call.path.ends_with("/custody") {
            self.trace.count("custody told");
        }
        self.account_for(head)?;
        let partition = self.phones[who.phone].partition;
        let partition = if cut.is_some() { Partition::RepliesLost } else { partition };
        self.network.reply(who, id, answer, partition, self.now, &mut self.dice);
        self.check_arrivals()
    }

    /// Of bytes on their way up a part arrives, and then the connection breaks.
    fn cut_short(&mut self, call: &Call) -> Option<Call> {
        let breaks = self.network.weather.lose_replies;
        let uploads = call.path.starts_with("/v1/uploads") && !call.body.is_empty();
        if !uploads || !self.dice.permille(breaks) {
            return None;
        }
        let part = self.dice.index(call.body.len())?;
        Some(Call { body: call.body[..part].to_vec(), ..call.clone() })
    }

    fn tally(&mut self, answer: &Answer) {
        if let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) {
            self.trace.count(&problem.code);
        }
        let response = serde_json::from_slice::<PushResponse>(&answer.body);
        for item in response.into_iter().flat_map(|response| response.outcomes) {
            match item.outcome {
                Outcome::Accepted { .. } => self.trace.count("accepted"),
                Outcome::Duplicate { .. } => self.trace.count("duplicate"),
                Outcome::Waiting { .. } => self.trace.count("waiting"),
                Outcome::Rejected(reason) => self.trace.count(&reason.code),
                Outcome::OpIdReused { .. } => self.trace.count("op_id_reused"),
                Outcome::Forked { .. } => self.trace.count("forked"),
                Outcome::Unknown => self.trace.count("unknown outcome"),
            }
        }
    }

    fn busy(&mut self) -> Answer {
        if self.dice.permille(500) {
            return trouble(503, problem::UNAVAILABLE);
        }
        let mut answer = trouble(429, problem::RATE_LIMITED);
        answer.headers.push(("retry-after".into(), "7".into()));
        answer
    }

    /// Takes note of what the log has gained since `head`, and lets the phones know.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn account_for(&mut self, head: u64) -> Checked {
        let tenant = &mut self.server.tenant;
        for remark in std::mem::take(&mut tenant.records.remarks) {
            self.trace.count(remark);
        }
        for op in std::mem::take(&mut tenant.fresh) {
            if self.accepted.insert(op, self.restores) == Some(self.restores) {
                return Err(format!("operation {op} was accepted twice"));
            }
        }
        if tenant.log.head() == head && !tenant.records.is_behind() {
            return Ok(());
        }
        for index in self.on() {
            let boot = self.phones[index].boot;
            let who = Process { phone: index, boot };
            if self.phones[index].partition == Partition::None {
                self.network.poke(who, self.now, &mut self.dice);
            }
        }
        Ok(())
    }

    /// What a call on a device gave, unless the power went with it.
    ///
    /// # Errors
    /// The device failed with the power on.
    pub fn survived<T>(&mut self, index: usize, result: Checked<T>) -> Checked<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.phones[index].disk.power_is_out() => {
                self.lose_power(index);
                Ok(None)
            }
            Err(error) => Err(format!("phone {index} failed with the power on: {error}")),
        }
    }

    /// The power of a phone goes and comes back.
    pub fn lose_power(&mut self, index: usize) {
        self.note(|| format!("{index} loses power"));
        self.trace.count("power lost");
        self.phones[index].lose_power(&mut self.dice);
    }

    /// Switches a phone on, and looks at once whether everything is there.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn switch_on(&mut self, index: usize) -> Checked {
        if self.phones[index].device.is_some() {
            return Ok(());
        }
        if self.phones[index].disk.power_is_out() {
            self.lose_power(index);
        }
        self.check_journal(index)?;
        let opened = self.phones[index].open(self.now, &mut self.dice);
        self.note(|| format!("{index} opens {:?}", opened.as_ref().err()));
        match opened {
            Ok(()) => {}
            Err(_) if self.phones[index].disk.power_is_out() => {
                self.lose_power(index);
                return Ok(());
            }
            Err(OpenError::AlreadyOpen) => return Err(format!("phone {index} is locked out")),
            Err(error) => return Err(format!("phone {index} does not open: {error}")),
        }
        let chain = self.phones[index].device.as_ref().map(|device| device.verify());
        if !matches!(chain, Some(Ok(Ok(())))) {
            return Err(format!("the chain of phone {index} does not hold: {chain:?}"));
        }
        self.sabotage_mirror(index)?;
        self.check_screen(index)?;
        if self.phones[index].device.is_some() {
            self.check_photos_kept(index)?;
        }
        self.sign_in(index, 8 * 60 * 60_000)?;
        self.repeat_doubtful(index)
    }

    /// Gives a phone a token that is good for so long, ms.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn sign_in(&mut self, index: usize, lifetime: Millis) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let phone = &mut self.phones[index];
        let token = Phone::token(phone.identity, phone.role, self.now + lifetime);
        if let Some(device) = phone.device.as_mut()
            && let Some(blocked) = device.set_token(Some(&token), clock)
        {
            return Err(format!("a good token is refused: {blocked:?}"));
        }
        self.ask(index)
    }
}

/// A reply in a few words: a push's outcomes, or a digest.
fn summary(body: &[u8]) -> String {
    let Ok(response) = serde_json::from_slice::<PushResponse>(body) else {
        return digest(body);
    };
    let outcomes = response.outcomes.iter().map(|item| {
        let op = item.op_id.map(|op| op.to_string()).unwrap_or_default();
        format!("\n    {op} {:?}", item.outcome)
    });
    outcomes.collect()
}
