//! What the model server holds of each device's journal, and what devices are told of it.

use std::collections::BTreeMap;

use motomind_protocol::wire::{Custody, LifeInCustody, MissingPhotos};
use motomind_protocol::{
    DeviceId, Hash, Incarnation, Millis, OpId, Operation, SealedOperation, UserId, limits,
};

/// One life of a journal: the operations that came, by their sequence; after a fork several may
/// have one.
#[derive(Clone, Debug)]
struct Life {
    device: DeviceId,
    incarnation: Incarnation,
    came: BTreeMap<u64, Vec<(OpId, Hash, u64)>>,
}

/// Everything that came, oldest life first.
#[derive(Clone, Debug, Default)]
pub struct Held {
    lives: Vec<Life>,
    owners: BTreeMap<DeviceId, UserId>,
}

impl Held {
    /// Keeps an operation that was accepted or refused, or came although it was closed.
    pub fn keep(&mut self, operation: &Operation, sealed: &SealedOperation) {
        let (device, incarnation) = (operation.device_id, operation.incarnation);
        self.owners.entry(device).or_insert(operation.user_id);
        let known = |life: &Life| life.device == device && life.incarnation == incarnation;
        let place = self.lives.iter().position(known).unwrap_or_else(|| {
            self.lives.push(Life { device, incarnation, came: BTreeMap::new() });
            self.lives.len() - 1
        });
        let here = self.lives[place].came.entry(operation.device_seq).or_default();
        if here.iter().all(|(op, ..)| *op != operation.op_id) {
            here.push((operation.op_id, sealed.hash, sealed.text.len() as u64));
        }
    }

    /// Whose device it is. One of which nothing is held is nobody's yet.
    #[must_use]
    pub fn owner(&self, device: DeviceId) -> Option<UserId> {
        self.owners.get(&device).copied()
    }

    /// What a device is told.
    #[must_use]
    pub fn custody(&self, device: DeviceId, missing_photos: MissingPhotos, now: Millis) -> Custody {
        let lives = self.lives.iter().filter(|life| life.device == device);
        Custody {
            protocol: limits::PROTOCOL_VERSION,
            lives: lives.map(Life::told).collect(),
            missing_photos,
            server_time_ms: now,
        }
    }
}

impl Life {
    fn told(&self) -> LifeInCustody {
        let mut held: Vec<(u64, u64)> = Vec::new();
        for seq in self.came.keys() {
            match held.last_mut().filter(|(_, to)| to + 1 == *seq) {
                Some((_, to)) => *to = *seq,
                None => held.push((*seq, *seq)),
            }
        }
        let high_water = held.first().filter(|(from, _)| *from == 1).map_or(0, |(_, to)| *to);
        let head = self.came.get(&high_water).and_then(|first| first.first());
        held.truncate(limits::CUSTODY_RUNS_MAX);
        let all = || self.came.values().flatten();
        LifeInCustody {
            incarnation: self.incarnation,
            high_water,
            head: head.map(|(_, hash, _)| *hash),
            count: all().count() as u64,
            bytes: all().map(|(.., bytes)| bytes).sum(),
            held,
        }
    }
}
