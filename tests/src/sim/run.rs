//! One simulation from a seed: trouble, then peace, then everything must be right.

use std::collections::BTreeMap;

use motomind_protocol::{Millis, OpState, VehicleId};
use uuid::Uuid;

use super::Weakness;
use super::capture::How;
use super::editors::Editors;
use super::ledger::Ledger;
use super::network::{Network, Partition, Weather};
use super::phone::MIRROR;
use super::records::Row;
use super::server::{Ailments, Server};
use super::trace::Trace;
use super::world::{Checked, World};
use crate::dice::Dice;

/// 2026-11-20.
const BEGINNING_MS: Millis = 1_795_132_800_000;
const MINUTE_MS: Millis = 60_000;
const HOUR_MS: Millis = 60 * MINUTE_MS;

/// What a simulation left behind.
#[derive(Debug)]
pub struct Report {
    /// The violated invariant, if one was.
    pub violation: Option<String>,
    /// Hash of everything that happened.
    pub trace: u64,
    /// Everything that happened, when asked for.
    pub text: String,
    /// How often what happened.
    pub tally: BTreeMap<String, u64>,
}

/// Runs one seed.
#[must_use]
pub fn simulate(seed: u64, weakness: Weakness, keep_trace: bool) -> Report {
    let mut world = World::new(seed, weakness, keep_trace);
    let outcome = world.live();
    if let Err(violation) = &outcome {
        world.note(|| format!("VIOLATION {violation}"));
    }
    Report {
        violation: outcome.err(),
        trace: world.trace.hash(),
        text: world.trace.text(),
        tally: world.trace.tally().clone(),
    }
}

impl World {
    fn new(seed: u64, weakness: Weakness, keep_trace: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut server = Server::new(dice.fork());
        server.ailments.reverses_pushes = weakness == Weakness::ReversedLanes;
        server.tenant.records.forgets_what_was_seen = weakness == Weakness::ForgottenHeads;
        let mut world = Self {
            now: BEGINNING_MS,
            server,
            dice,
            network: Network::default(),
            phones: Vec::new(),
            ledger: Ledger::default(),
            editors: Editors::default(),
            vehicles: Vec::new(),
            backups: Vec::new(),
            lost_by_server: std::collections::BTreeSet::new(),
            restores: 0,
            accepted: std::collections::BTreeMap::new(),
            arrivals_checked: 0,
            weakness,
            pictures: BTreeMap::new(),
            places_seen: BTreeMap::new(),
            trace: Trace::new(keep_trace),
            captures: 0,
        };
        for number in 0..=world.dice.below(3) {
            let id = VehicleId(Uuid::from_u128(0x100 + u128::from(number)));
            world.vehicles.push(id);
            let nickname = format!("truck {number}");
            let fields = [("nickname".to_string(), nickname.into())].into_iter().collect();
            let row = Row { fields, deleted_at: None };
            world.server.tenant.write_row(("vehicles", id.0), row);
            let oil = serde_json::json!({"title": "Oil", "status": "active"});
            let fields = oil.as_object().cloned().unwrap_or_default();
            let reminder = ("reminders", Uuid::from_u128(0x300 + u128::from(number)));
            world.server.tenant.write_row(reminder, Row { fields, deleted_at: None });
        }
        for _ in 0..=world.dice.below(3) {
            world.new_phone();
        }
        world.network.weather = world.draw_weather();
        world
    }

    /// Some seeds have a calm network, some a bad one, most something of each.
    fn draw_weather(&mut self) -> Weather {
        let mut storm = |worst: u64| match self.dice.below(3) {
            0 => 0,
            1 => self.dice.below(worst / 5 + 1),
            _ => self.dice.below(worst),
        };
        Weather {
            lose_requests: storm(400),
            lose_replies: storm(400),
            duplicate: storm(300),
            delay: storm(300),
            portal: storm(200),
            garble: storm(200),
            busy: storm(200),
        }
    }

    fn live(&mut self) -> Checked {
        for index in 0..self.phones.len() {
            self.switch_on(index)?;
        }
        let actions = 30 + self.dice.below(60);
        for _ in 0..actions {
            self.act()?;
            if self.dice.permille(6) {
                self.holiday()?;
            }
            let pause = match self.dice.below(20) {
                0 => self.dice.between(0, 12 * HOUR_MS),
                1..=3 => self.dice.between(0, HOUR_MS),
                4..=8 => self.dice.between(0, MINUTE_MS),
                _ => self.dice.between(0, 800),
            };
            self.advance(self.now + pause)?;
        }
        if self.dice.permille(300) {
            self.pull_while_pushing_fails()?;
        }
        self.find_peace()?;
        self.check_everything()
    }

    /// Everyone goes away for six weeks, longer than a device keeps what the server has.
    fn holiday(&mut self) -> Checked {
        for index in 0..self.phones.len() {
            if self.phones[index].device.is_some() {
                self.switch_off(index);
            }
        }
        self.advance(self.now + 42 * 24 * HOUR_MS)?;
        self.note(|| "everyone comes back".into());
        for index in 0..self.phones.len() {
            if self.dice.permille(600) {
                self.make_room_after_a_while(index)?;
            }
        }
        Ok(())
    }

    /// What was uploaded long ago may go: somebody makes room, and wants to see some of it again.
    fn make_room_after_a_while(&mut self, index: usize) -> Checked {
        self.switch_on(index)?;
        self.advance(self.now + MINUTE_MS)?;
        self.make_room(index)?;
        self.advance(self.now + 5 * MINUTE_MS)?;
        self.fetch(index)
    }

    /// One thing happens.
    fn act(&mut self) -> Checked {
        let Some(index) = self.dice.index(self.phones.len()) else {
            return Ok(());
        };
        if self.phones[index].device.is_none() {
            if self.dice.permille(150) {
                self.lose_mirror(index);
            }
            if self.dice.permille(600) {
                self.switch_on(index)?;
            }
            return Ok(());
        }
        if self.dice.permille(120) {
            return self.photograph(index);
        }
        match self.dice.below(100) {
            0..=13 => {
                let capture = self.invent(index);
                self.capture(index, capture, How::New)
            }
            18..=27 => self.edit_something(index),
            28..=29 => self.bring_back(index),
            30..=32 => self.tap_twice(index),
            33..=34 => self.import(index),
            35 => self.reuse_id(index),
            36..=41 => self.mend(index, false),
            42..=45 => self.mend(index, true),
            46..=48 => self.retry(index),
            49..=53 => self.correct_another(index),
            54..=57 => {
                self.switch_off(index);
                Ok(())
            }
            58..=64 => {
                self.doom(index);
                Ok(())
            }
            65..=69 => self.check_screen(index),
            70..=71 => {
                self.back_up_phone(index);
                Ok(())
            }
            72 => self.restore_phone(index),
            73 => self.clone_phone(index),
            74..=77 => self.jump_clock(index),
            78..=81 => self.change_token(index),
            82..=85 => {
                self.change_signal(index);
                Ok(())
            }
            86..=89 => self.write_by_sql(),
            90 | 97 => self.compact_something(),
            91..=93 => {
                self.back_up_server();
                Ok(())
            }
            94 => {
                self.restore_server();
                Ok(())
            }
            95..=96 => {
                let ill = self.dice.permille(500);
                self.server.ailments.poison = ill;
                self.server.ailments.holds = !ill;
                Ok(())
            }
            _ => self.poll(index),
        }
    }

    /// The app comes to the front, or its timer fires: it asks the server.
    fn poll(&mut self, index: usize) -> Checked {
        let asks_for_custody = self.dice.permille(50);
        let phone = &mut self.phones[index];
        let clock = phone.clock(self.now);
        if let Some(device) = phone.device.as_mut() {
            if asks_for_custody {
                device.compare_custody();
            }
            device.on_poke(clock);
        }
        self.ask(index)
    }

    fn calm(&mut self) -> Checked {
        self.network.weather = Weather::default();
        for index in 0..self.phones.len() {
            self.phones[index].partition = Partition::None;
            self.phones[index].disk.crash_at(None);
            if self.phones[index].disk.power_is_out() {
                self.lose_power(index);
            }
            while self.phones[index].device.is_none() {
                self.switch_on(index)?;
            }
            self.sign_in(index, 400 * 24 * HOUR_MS)?;
        }
        Ok(())
    }

    /// Downloads go on while every upload fails.
    fn pull_while_pushing_fails(&mut self) -> Checked {
        self.server.ailments.refuses_pushes = true;
        self.calm()?;
        self.write_by_sql()?;
        let head = self.server.tenant.log.head();
        for _ in 0..30 {
            for index in 0..self.phones.len() {
                self.poll(index)?;
            }
            self.advance(self.now + MINUTE_MS)?;
        }
        for index in 0..self.phones.len() {
            let clock = self.phones[index].clock(self.now);
            let device = self.phones[index].device.as_ref().ok_or("it is off")?;
            let seq = device.status(clock).map_err(|error| error.to_string())?.seq;
            if seq < head {
                return Err(format!(
                    "phone {index} is at {seq} of {head}: its pulls wait for its pushes"
                ));
            }
        }
        self.server.ailments.refuses_pushes = false;
        Ok(())
    }

    /// Everything heals; people see to what was refused; then there must be quiet, soon.
    fn find_peace(&mut self) -> Checked {
        let reverses_pushes = self.server.ailments.reverses_pushes;
        self.server.ailments = Ailments { reverses_pushes, ..Ailments::default() };
        self.bring_vehicles_back();
        self.calm()?;
        self.note(|| "peace".into());
        for minute in 0..5 * 60 {
            for index in 0..self.phones.len() {
                if self.phones[index].device.is_none() {
                    self.switch_on(index)?;
                }
                self.poll(index)?;
                self.see_to_refused(index, minute > 60)?;
                self.see_to_refused_pictures(index)?;
            }
            self.advance(self.now + MINUTE_MS)?;
            if self.is_quiet()? {
                self.note(|| "quiet".into());
                if self.compare_custody()? {
                    return Ok(());
                }
            }
        }
        Err(format!("no quiet within five hours: {}", self.unrest()?))
    }

    /// Every phone asks what the server holds of its journal: it holds everything, but for pictures
    /// that a restore took. Whether those are there, too.
    fn compare_custody(&mut self) -> Checked<bool> {
        let before = self.now;
        for index in 0..self.phones.len() {
            if let Some(device) = self.phones[index].device.as_mut() {
                device.compare_custody();
            }
            self.ask(index)?;
        }
        self.advance(self.now + MINUTE_MS)?;
        let mut has_photos = true;
        for (index, phone) in self.phones.iter().enumerate() {
            let report = phone.device.as_ref().and_then(|device| device.custody());
            let report = report.filter(|report| report.compared_at >= phone.clock(before));
            let Some(report) = report else {
                return Err(format!("phone {index} was not told what the server holds of it"));
            };
            let split = self.editors.split.contains(&phone.identity.user_id);
            if !report.offered_again.is_empty() || (report.chains_differ && !split) {
                return Err(format!("phone {index} misses its own on the server: {report:?}"));
            }
            if !report.photos_again.is_empty() && !self.server.has_lost_pictures() {
                return Err(format!("phone {index} was told of a photo that is lost: {report:?}"));
            }
            // A phone that came back from an older backup, or has a twin, may have told of photos
            // whose bytes went with what was lost.
            if !report.photos_lost.is_empty() && !split {
                return Err(format!("photos of phone {index} are nowhere: {report:?}"));
            }
            has_photos &= report.photos_again.is_empty();
        }
        Ok(has_photos)
    }

    fn see_to_refused(&mut self, index: usize, only_discard: bool) -> Checked {
        // What waits for an event that a restore of the server lost waits for ever.
        let states: &[OpState] = match only_discard {
            false => &[OpState::Rejected],
            true => &[OpState::Rejected, OpState::Waiting],
        };
        for op in self.pending_as(index, states)? {
            let discard = only_discard || self.dice.permille(500);
            match self.editors.edit(op).is_some() {
                true => self.see_to_edit(index, op, discard, only_discard)?,
                false if self.ledger.statement(op).is_some() => {
                    self.take_back_statement(index, op)?;
                }
                false => self.mend_one(index, op, discard)?,
            }
        }
        Ok(())
    }

    fn is_quiet(&self) -> Checked<bool> {
        Ok(self.network.is_empty() && self.unrest()?.is_empty())
    }

    /// What is not quiet yet.
    fn unrest(&self) -> Checked<String> {
        let head = self.server.tenant.log.head();
        let mut unrest = String::new();
        if self.server.tenant.records.is_behind() {
            unrest += "rows wait to be absorbed\n";
        }
        for (index, phone) in self.phones.iter().enumerate() {
            let device = phone.device.as_ref().ok_or(format!("{index} is off"))?;
            let clock = phone.clock(self.now);
            let status = device.status(clock).map_err(|error| error.to_string())?;
            let pending = device.pending(clock).map_err(|error| error.to_string())?;
            let refused = self.previews_of_others(index)?.len() as u64;
            let pictures = status.pictures_unsent + status.pictures_refused - refused;
            if !pending.is_empty() || status.seq != head || status.in_flight || pictures > 0 {
                let states = pending.iter().map(|item| (item.op_id, item.state, &item.reason));
                let states: Vec<_> = states.collect();
                let why: String = pending.iter().map(|item| phone.explain(item.op_id)).collect();
                unrest += &format!("phone {index}: head {head}, {status:?}, {states:?}{why}\n");
            }
        }
        Ok(unrest)
    }

    /// Makes the mirror lose what this device did, by triggers in its file, and opens the device on
    /// it: its own events as they come, or rows of records with edits of its own.
    pub(super) fn sabotage_mirror(&mut self, index: usize) -> Checked {
        let triggers = match self.weakness {
            Weakness::SkippedOverlay => {
                "CREATE TRIGGER IF NOT EXISTS skip_overlay AFTER INSERT ON events
                 WHEN NEW.own = 1 BEGIN DELETE FROM events WHERE n = NEW.n; END;
                 DELETE FROM events WHERE own = 1;"
            }
            Weakness::SkippedReplay => {
                "CREATE TRIGGER IF NOT EXISTS skip_vehicles BEFORE INSERT ON vehicles
                 WHEN NEW.state = 'pending' BEGIN SELECT RAISE(IGNORE); END;
                 CREATE TRIGGER IF NOT EXISTS skip_reminders BEFORE INSERT ON reminders
                 WHEN NEW.state = 'pending' BEGIN SELECT RAISE(IGNORE); END;"
            }
            _ => return Ok(()),
        };
        let phone = &mut self.phones[index];
        phone.close();
        let sabotage = phone.disk.connect(MIRROR).and_then(|db| db.execute_batch(triggers));
        sabotage.map_err(|error| error.to_string())?;
        let opened = phone.open(self.now, &mut self.dice);
        opened.map_err(|error| error.to_string())
    }
}
