//! What happens to people: batteries, thieves, backups, clocks, expired tokens, the network, and
//! operators who restore databases.

use motomind_core::Blocked;
use motomind_protocol::wire::ChangeKind;
use motomind_protocol::{Event, Identity, Millis, Role, TenantId, UserId, VehicleId, uuid_v7};
use uuid::Uuid;

use super::Weakness;
use super::network::Partition;
use super::phone::{JOURNAL, MIRROR, Phone};
use super::world::{Checked, World};
use crate::disk::CrashPoint;

const HOUR_MS: Millis = 60 * 60_000;
const YEAR_MS: Millis = 365 * 24 * HOUR_MS;
const PHONES_MAX: usize = 5;

impl World {
    /// A person gets a phone.
    pub fn new_phone(&mut self) {
        let number = self.phones.len() as u128 + 1;
        let identity = Identity {
            tenant_id: TenantId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(100 + number)),
        };
        let role = [Role::Technician, Role::Manager][self.dice.index(2).unwrap_or(0)];
        let mut phone = Phone::new(identity, role);
        if self.dice.permille(200) {
            phone.clock_offset_ms = self.dice.between(-3 * HOUR_MS, 3 * HOUR_MS);
        }
        self.weaken(&phone);
        self.phones.push(phone);
    }

    fn weaken(&self, phone: &Phone) {
        if self.weakness == Weakness::IgnoredSyncs {
            phone.disk.lie_about_syncs_of(JOURNAL);
        }
    }

    /// The power will go soon, in the middle of a write or at a sync.
    pub fn doom(&mut self, index: usize) {
        let soon = 1 + self.dice.below(12);
        let disk = &self.phones[index].disk;
        let counters = disk.counters();
        let point = match self.dice.below(3) {
            0 => CrashPoint::Write(counters.writes + soon * 2),
            1 => CrashPoint::BeforeSync(counters.syncs + soon),
            _ => CrashPoint::AfterSync(counters.syncs + soon),
        };
        disk.crash_at(Some(point));
        self.note(|| format!("{index} will lose power at {point:?}"));
    }

    /// A phone goes off in one of the ways in which phones do.
    pub fn switch_off(&mut self, index: usize) {
        match self.dice.below(5) {
            0..=2 => self.lose_power(index),
            3 => {
                self.note(|| format!("{index} is killed"));
                self.phones[index].kill();
            }
            _ => {
                self.note(|| format!("{index} is closed"));
                self.phones[index].close();
                // Closing writes; the power may go meanwhile.
                if self.phones[index].disk.power_is_out() {
                    self.lose_power(index);
                }
            }
        }
    }

    /// While a phone is off: its mirror rolls back alone, or is gone.
    pub fn lose_mirror(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        if phone.device.is_some() {
            return;
        }
        match self.dice.pick(&phone.backups) {
            Some((image, ..)) if self.dice.permille(500) => {
                phone.disk.restore_file(image, MIRROR);
            }
            _ => phone.disk.remove_file(MIRROR),
        }
        phone.shown.clear();
        self.trace.count("mirror rolled back");
        self.note(|| format!("{index} has an older mirror"));
    }

    /// The phone's backup runs.
    pub fn back_up_phone(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        if phone.in_doubt.is_empty() && !phone.kept.in_doubt && !self.editors.doubts(index) {
            let copy = (phone.disk.image(), phone.held.clone(), phone.kept.clone());
            phone.backups.push(copy);
        }
    }

    /// A phone is replaced by a restored backup of itself; what it captured since is gone.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn restore_phone(&mut self, index: usize) -> Checked {
        let Some((image, held, kept)) = self.dice.pick(&self.phones[index].backups).cloned() else {
            return Ok(());
        };
        self.trace.count("phone restored");
        self.note(|| format!("{index} is restored from its backup"));
        self.contest(index);
        let phone = &mut self.phones[index];
        phone.kill();
        let disk = crate::disk::Disk::of_image(&image);
        phone.disk = disk;
        phone.held = held;
        phone.kept = kept;
        phone.unsure.clear();
        phone.unsure_photos.clear();
        phone.shown.clear();
        phone.in_doubt.clear();
        self.editors.settle_doubts(index);
        let phone = &self.phones[index];
        self.weaken(phone);
        self.switch_on(index)
    }

    /// Someone sets up a second phone from a copy of the first; both live on.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn clone_phone(&mut self, index: usize) -> Checked {
        if self.phones.len() >= PHONES_MAX || self.phones[index].disk.power_is_out() {
            return Ok(());
        }
        self.trace.count("phone cloned");
        self.note(|| format!("{index} is cloned"));
        self.phones[index].cloned = true;
        self.contest(index);
        let twin = self.phones[index].twin();
        self.weaken(&twin);
        self.phones.push(twin);
        self.switch_on(self.phones.len() - 1)
    }

    /// From here on two phones know of these captures.
    fn contest(&mut self, index: usize) {
        self.editors.split.insert(self.phones[index].identity.user_id);
        for op in &self.phones[index].held {
            let first = self.ledger.first(*op);
            self.ledger.contested.insert(first);
        }
    }

    /// The clock jumps, by seconds or by years.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn jump_clock(&mut self, index: usize) -> Checked {
        let phone = &mut self.phones[index];
        phone.clock_offset_ms = match self.dice.below(5) {
            0 => 0,
            1 => self.dice.between(-20 * YEAR_MS, 20 * YEAR_MS),
            2 => self.dice.between(-3 * HOUR_MS, 3 * HOUR_MS),
            3 => self.dice.between(-5_000, 5_000),
            _ => self.dice.between(-2 * YEAR_MS, 0),
        };
        let offset = phone.clock_offset_ms;
        self.trace.count("clock jumped");
        self.note(|| format!("the clock of {index} is {offset} ms off"));
        self.ask(index)
    }

    /// Signs in for a while, or with what is no good.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn change_token(&mut self, index: usize) -> Checked {
        let lifetime = match self.dice.below(4) {
            0 => -1_000,
            1 => self.dice.between(1_000, 10 * 60_000),
            _ => 8 * HOUR_MS,
        };
        if !self.dice.permille(200) {
            return self.sign_in(index, lifetime);
        }
        let phone = &mut self.phones[index];
        let clock = phone.clock(self.now);
        let token = phone.foreign_token(self.now + HOUR_MS);
        let Some(device) = phone.device.as_mut() else {
            return Ok(());
        };
        match device.set_token(Some(&token), clock) {
            Some(Blocked::WrongIdentity(_)) => {
                self.trace.count("wrong identity");
                self.ask(index)
            }
            other => Err(format!("someone else's token: {other:?}")),
        }
    }

    /// The signal comes or goes.
    pub fn change_signal(&mut self, index: usize) {
        let states = [Partition::None, Partition::None, Partition::Both, Partition::RepliesLost];
        let partition = states[self.dice.index(states.len()).unwrap_or(0)];
        self.phones[index].partition = partition;
        if partition == Partition::RepliesLost {
            self.trace.count("one-way partition");
        }
    }

    /// Another SQL client writes: a vehicle's row, or an event.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn write_by_sql(&mut self) -> Checked {
        let head = self.server.tenant.log.head();
        let Some(vehicle_id) = self.dice.pick(&self.vehicles).copied() else {
            return Ok(());
        };
        match self.dice.below(10) {
            0..=4 => self.write_record_by_sql(),
            5 => {
                let novelty =
                    serde_json::json!({"kind": "novelty", "data": {"of": "a newer server"}});
                let novelty = novelty.as_object().cloned().unwrap_or_default();
                let dice = &mut self.server.dice;
                let _ = self.server.tenant.log.append(ChangeKind::Other(novelty), dice);
            }
            _ => self.write_event(vehicle_id),
        }
        self.note(|| "another client writes".into());
        self.account_for(head)
    }

    /// Another client logs an event of its own, or corrects one.
    fn write_event(&mut self, vehicle_id: VehicleId) {
        let id = uuid_v7(self.now, self.dice.bytes());
        let day = chrono::DateTime::from_timestamp_millis(self.now).unwrap_or_default();
        let day = day.date_naive();
        let mut event = Event::new(id.into(), vehicle_id, "car_wash", self.now, day, "UTC");
        event.notes = Some("written by the web backend".into());
        let known: Vec<_> = self.server.tenant.events.values().map(|(_, r)| r).collect();
        if let Some(corrected) =
            self.dice.pick(&known).filter(|_| id.as_bytes()[15].is_multiple_of(4))
        {
            event.vehicle_id = corrected.event.vehicle_id;
            event.corrects = Some(corrected.event.id);
            let first = self.ledger.first(corrected.event.id.into());
            self.ledger.contested.insert(first);
        }
        self.server.tenant.write_event(event, self.now, &mut self.server.dice);
    }

    /// The server's backup runs.
    pub fn back_up_server(&mut self) {
        self.backups.push((self.now, self.server.tenant.clone()));
    }

    /// The server's database is replaced by an older backup of itself, half of the time by the
    /// oldest there is, so that more is lost.
    pub fn restore_server(&mut self) {
        let oldest = self.now - 25 * 24 * HOUR_MS;
        self.backups.retain(|(at, _)| *at > oldest);
        let oldest = self.dice.permille(500).then(|| self.backups.first()).flatten();
        if let Some((_, tenant)) = oldest.or_else(|| self.dice.pick(&self.backups)) {
            let before = std::mem::replace(&mut self.server.tenant, tenant.clone());
            let after = &self.server.tenant.events;
            let lost = before.events.into_keys().filter(|id| !after.contains_key(id));
            self.lost_by_server.extend(lost);
            self.server.note_lost(&before.photos);
            self.restores += 1;
            self.trace.count("server restored");
            self.note(|| "the server is restored".into());
        }
    }
}
