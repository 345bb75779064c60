//! The power goes at every sync point of a workload of 200 operations, as the sync begins and as
//! it ends, and each time the device is opened again, looked at, and synced to the end.
#![allow(clippy::unwrap_used)]

use motomind_core::{Capture, Device, Step};
use motomind_protocol::{
    Hash, Identity, Millis, OpId, OpState, Role, TenantId, UserId, VehicleId, uuid_v7, verify_chain,
};
use motomind_tests::dice::Dice;
use motomind_tests::disk::Disk;
use motomind_tests::sim::mirrored::mirrored;
use motomind_tests::sim::phone::Phone;
use motomind_tests::sim::records::Row;
use motomind_tests::sim::server::Server;
use motomind_tests::sim::tenant::Fate;
use serde_json::json;
use uuid::Uuid;

const NOW: Millis = 1_795_132_800_000;
const OPERATIONS: usize = 200;

/// A phone at work, and what must survive.
struct Work {
    phone: Phone,
    server: Server,
    dice: Dice,
    now: Millis,
    /// Acknowledged captures, and those that an amendment or discard replaced.
    acknowledged: Vec<OpId>,
    replaced: Vec<OpId>,
    /// The call that is going on may have got so far.
    begun: Vec<OpId>,
    points: usize,
}

fn vehicle() -> VehicleId {
    VehicleId(Uuid::from_u128(7))
}

impl Work {
    fn new() -> Self {
        let identity = Identity {
            tenant_id: TenantId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(2)),
        };
        let mut dice = Dice::new(20_261_120);
        let mut server = Server::new(dice.fork());
        server.page_sizes = vec![1_000];
        let fields = json!({"nickname": "truck"}).as_object().cloned().unwrap();
        let written = Row { fields, deleted_at: None };
        assert!(server.tenant.write_row(("vehicles", vehicle().0), written));
        let mut phone = Phone::new(identity, Role::Technician);
        phone.disk.record_syncs();
        phone.open(NOW, &mut dice).unwrap();
        Self {
            phone,
            server,
            dice,
            now: NOW,
            acknowledged: Vec::new(),
            replaced: Vec::new(),
            begun: Vec::new(),
            points: 0,
        }
    }

    fn device(&mut self) -> &mut Device {
        self.phone.device.as_mut().unwrap()
    }

    fn id(&mut self) -> OpId {
        OpId(uuid_v7(self.now, self.dice.bytes()))
    }

    fn reading(&mut self, step: usize) -> Capture {
        let day = chrono::DateTime::from_timestamp_millis(self.now).unwrap();
        let mut capture = Capture::new(vehicle(), "odometer", self.now, day.date_naive(), "UTC");
        // Every ninth reading is refused by the server.
        let slip = if step.is_multiple_of(9) { 60 } else { 0 };
        capture.miles = Some(1_000 + i64::try_from(step).unwrap() * 5 - slip);
        capture.notes = Some("x".repeat(step * 37 % 900));
        capture
    }

    /// One of the 200 operations.
    fn step(&mut self, step: usize) {
        self.now += 60_000;
        let now = self.now;
        let mut capture = self.reading(step);
        let id = self.id();
        capture.op_id = Some(id);
        let standing = |op: &&OpId| !self.replaced.contains(op);
        let standing: Vec<OpId> = self.acknowledged.iter().filter(standing).copied().collect();
        let target = self.dice.pick(&standing[standing.len().saturating_sub(6)..]).copied();
        self.begun = vec![id];
        match (step % 10, target) {
            (4, Some(old)) => {
                let amended = self.device().amend(old, capture, now);
                if amended.is_ok() {
                    self.replaced.push(old);
                    self.acknowledged.push(id);
                }
            }
            (7, Some(old)) => {
                capture.kind = "retraction".into();
                capture.miles = None;
                capture.corrects = Some(old.into());
                if self.device().amend(old, capture, now).is_ok() {
                    self.replaced.push(old);
                    self.acknowledged.push(id);
                    // A retraction is not a reading; nobody amends it here.
                    self.replaced.push(id);
                }
            }
            (5, _) => {
                let mut second = capture.clone();
                let other = self.id();
                second.op_id = Some(other);
                self.begun.push(other);
                let results = self.device().capture_all(vec![capture, second], now).unwrap();
                assert!(results.iter().all(Result::is_ok));
                self.acknowledged.extend([id, other]);
            }
            (3 | 9, _) => self.sync(),
            _ => {
                self.device().capture(capture, now).unwrap();
                self.acknowledged.push(id);
            }
        }
        self.survive();
        // The call has returned: from now on what it said is kept, without another sync.
        self.begun.clear();
        self.phone.disk.record_now();
        self.survive();
    }

    /// Syncs with the server, a power loss looked at after each call.
    fn sync(&mut self) {
        let now = self.now;
        let token = Phone::token(self.phone.identity, self.phone.role, now + 3_600_000);
        self.device().set_token(Some(&token), now);
        while let Step::Send(requests) = self.device().next_step(now).unwrap() {
            self.survive();
            for request in requests {
                let id = request.id;
                let answer = self.server.answer(&request.into(), now);
                self.device().on_reply(id, &answer.into(), now).unwrap();
                self.survive();
            }
        }
    }

    /// Every point at which the power could have gone since the last time.
    fn survive(&mut self) {
        for disk in self.phone.disk.take_recorded(&mut self.dice) {
            self.points += 1;
            let survivor = self.reopened(disk);
            self.finishes(survivor);
        }
    }

    /// Opens what the power loss left: no capture lost, doubled or made up, the chain whole, every
    /// standing capture on the screen once.
    fn reopened(&mut self, disk: Disk) -> Phone {
        let mut phone = Phone::new(self.phone.identity, self.phone.role);
        phone.disk = disk;
        let rows = phone.journal().unwrap();
        let held: Vec<OpId> = rows.iter().map(|row| row.sealed.op_id).collect();
        let acknowledged = held.iter().filter(|op| !self.begun.contains(op)).copied();
        let settled = self.acknowledged.iter().filter(|op| !self.begun.contains(op));
        assert_eq!(
            acknowledged.collect::<Vec<_>>(),
            settled.copied().collect::<Vec<_>>(),
            "at point {}",
            self.points
        );
        // Whatever the call that was going on has stored, it has stored all of it or nothing.
        let stored = self.begun.iter().filter(|op| held.contains(op)).count();
        assert!(stored == 0 || stored == self.begun.len(), "{stored} of {:?}", self.begun);
        verify_chain(Hash::ZERO, rows.iter().map(|row| &row.sealed)).unwrap();
        phone.open(self.now, &mut self.dice).unwrap();
        assert_eq!(phone.device.as_ref().unwrap().verify().unwrap(), Ok(()));
        let shown: Vec<OpId> =
            phone.timeline().unwrap().iter().map(|entry| entry.event_id.into()).collect();
        for op in held.iter().filter(|op| !self.replaced.contains(op)) {
            let superseded = rows.iter().any(|row| row.replaces(*op));
            let times = shown.iter().filter(|shown| *shown == op).count();
            assert!(times == 1 || (superseded && times == 0), "{op}: {times} times");
        }
        phone
    }

    /// The survivor syncs to the end with the server as it was, throws away what was refused, and
    /// then everything is there, once.
    fn finishes(&mut self, mut phone: Phone) {
        let mut server = self.server.clone();
        let held = phone.journal().unwrap();
        let mut now = self.now;
        let token = Phone::token(phone.identity, phone.role, now + 36_000_000);
        let device = phone.device.as_mut().unwrap();
        device.set_token(Some(&token), now);
        let mut refused = Vec::new();
        for _ in 0..4 {
            now = exchange(device, &mut server, now);
            for item in device.pending(now).unwrap() {
                assert_eq!(item.state, OpState::Rejected, "{item:?}");
                device.discard(item.op_id, "refused", now).unwrap();
                refused.push(item.op_id);
            }
        }
        assert_eq!(device.pending(now).unwrap(), []);
        for op in held.iter().map(|row| row.sealed.op_id) {
            let known = server.tenant.operations.get(&op);
            let fate = known.map(|known| &known.fate);
            let there = matches!(fate, Some(Fate::Accepted(_) | Fate::Closed(_)));
            let replaced = self.replaced.contains(&op) || held.iter().any(|row| row.replaces(op));
            assert!(there || replaced, "at point {}: {op} {fate:?}", self.points);
        }
        assert_eq!(server.tenant.doubled(), None);
        device.on_poke(now);
        exchange(device, &mut server, now);
        mirrored(&phone, &server.tenant).unwrap();
    }
}

/// Lets a device and the server talk until the device has nothing more to say.
fn exchange(device: &mut Device, server: &mut Server, mut now: Millis) -> Millis {
    loop {
        match device.next_step(now).unwrap() {
            Step::Idle => return now,
            Step::WaitUntil(at) => now = at,
            Step::Send(requests) => {
                for request in requests {
                    let id = request.id;
                    let answer = server.answer(&request.into(), now);
                    device.on_reply(id, &answer.into(), now).unwrap();
                }
            }
        }
    }
}

#[test]
fn at_every_sync_point_of_200_operations() {
    let mut work = Work::new();
    work.survive();
    for step in 0..OPERATIONS {
        work.step(step);
    }
    println!("{} power losses, {} captures", work.points, work.acknowledged.len());
    assert!(work.points > 2 * OPERATIONS);
    work.phone.close();
}
