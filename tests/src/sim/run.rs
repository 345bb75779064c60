//! One simulation from a seed: trouble, then peace, then everything must be right.

use std::collections::BTreeMap;

use motomind_protocol::{Millis, VehicleId};
use uuid::Uuid;

use super::Weakness;
use super::capture::How;
use super::editors::Editors;
use super::ledger::Ledger;
use super::network::{Network, Weather};
use super::phone::MIRROR;
use super::records::Row;
use super::server::Server;
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
    pub(super) fn poll(&mut self, index: usize) -> Checked {
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
