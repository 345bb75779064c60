//! The network between devices and the server: it drops, duplicates, delays, reorders, fails one
//! way, and is at times a hotel's.

use std::collections::BTreeMap;

use motomind_core::{FailureKind, RequestId};
use motomind_protocol::Millis;

use super::server::{Answer, Call};
use crate::dice::Dice;

/// Which phone, in which life of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Index of the phone.
    pub phone: usize,
    /// Count of its openings.
    pub boot: u32,
}

/// Something on its way.
#[derive(Clone, Debug)]
pub enum Packet {
    /// To the server.
    Request(Process, RequestId, Call),
    /// To a device.
    Reply(Process, RequestId, Answer),
    /// The host gives up on a request.
    Failure(Process, RequestId, FailureKind),
    /// The server says that something is new.
    Poke(Process),
}

/// How bad it is, in thousandths of the packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Requests that never arrive.
    pub lose_requests: u64,
    /// Replies that never arrive.
    pub lose_replies: u64,
    /// Requests that arrive twice.
    pub duplicate: u64,
    /// Packets that take minutes.
    pub delay: u64,
    /// Requests that a captive portal answers.
    pub portal: u64,
    /// Replies that are cut short or altered.
    pub garble: u64,
    /// Requests that the server is too busy for.
    pub busy: u64,
}

/// Which way a phone's network is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// It is not.
    #[default]
    None,
    /// No signal.
    Both,
    /// Requests arrive, replies do not.
    RepliesLost,
}

/// Everything on its way, by time.
#[derive(Debug, Default)]
pub struct Network {
    packets: BTreeMap<(Millis, u64), Packet>,
    sent: u64,
    /// Requests that will arrive twice, so far.
    pub duplicated: u64,
    /// How bad it is.
    pub weather: Weather,
}

impl Network {
    /// When the next packet arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Millis> {
        self.packets.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next packet that has arrived.
    pub fn take(&mut self, now: Millis) -> Option<Packet> {
        let entry = self.packets.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    fn put(&mut self, at: Millis, packet: Packet) {
        self.sent += 1;
        self.packets.insert((at, self.sent), packet);
    }

    fn latency(&self, dice: &mut Dice) -> Millis {
        if dice.permille(self.weather.delay) {
            dice.between(2_000, 10 * 60_000)
        } else {
            dice.between(5, 400)
        }
    }

    /// A device sends a request.
    pub fn send(
        &mut self,
        who: Process,
        id: RequestId,
        call: Call,
        partition: Partition,
        now: Millis,
        dice: &mut Dice,
    ) {
        let timeout = now + dice.between(1_000, 30_000);
        if partition == Partition::Both || dice.permille(self.weather.lose_requests) {
            let kind = [FailureKind::Network, FailureKind::Timeout][dice.index(2).unwrap_or(0)];
            self.put(timeout, Packet::Failure(who, id, kind));
        } else if dice.permille(self.weather.portal) {
            let at = now + self.latency(dice);
            self.put(at, Packet::Reply(who, id, portal(dice)));
        } else {
            let at = now + self.latency(dice);
            if dice.permille(self.weather.duplicate) {
                self.duplicated += 1;
                let again = now + self.latency(dice);
                self.put(again, Packet::Request(who, id, call.clone()));
            }
            self.put(at, Packet::Request(who, id, call));
        }
    }

    /// The server sends its reply.
    pub fn reply(
        &mut self,
        who: Process,
        id: RequestId,
        mut answer: Answer,
        partition: Partition,
        now: Millis,
        dice: &mut Dice,
    ) {
        if partition != Partition::None || dice.permille(self.weather.lose_replies) {
            let at = now + dice.between(1_000, 30_000);
            self.put(at, Packet::Failure(who, id, FailureKind::Timeout));
            if dice.permille(300) {
                // The reply comes after all, when nobody waits for it any more.
                self.put(at + 1 + dice.between(0, 60_000), Packet::Reply(who, id, answer));
            }
            return;
        }
        if dice.permille(self.weather.garble) {
            garble(&mut answer, dice);
        }
        let at = now + self.latency(dice);
        self.put(at, Packet::Reply(who, id, answer));
    }

    /// The server says that something is new. Nobody promises that it arrives.
    pub fn poke(&mut self, who: Process, now: Millis, dice: &mut Dice) {
        if !dice.permille(self.weather.lose_replies) {
            let at = now + self.latency(dice);
            self.put(at, Packet::Poke(who));
        }
    }
}

/// A page that is not ours, under a status that says nothing.
fn portal(dice: &mut Dice) -> Answer {
    let status = [200, 200, 200, 302, 403, 511, 502][dice.index(7).unwrap_or(0)];
    let page = ["<html>Welcome to Hotel WiFi</html>", "{}", "", "null", "[]"];
    Answer {
        status,
        headers: vec![("content-type".into(), "text/html".into())],
        body: page[dice.index(page.len()).unwrap_or(0)].into(),
    }
}

/// Cuts the body short, or alters the digest's first digit so that the page no longer fits it.
fn garble(answer: &mut Answer, dice: &mut Dice) {
    let mark = b"\"digest\":\"";
    let place = answer.body.windows(mark.len()).position(|bytes| bytes == mark);
    match place {
        Some(at) if dice.permille(500) => {
            let digit = &mut answer.body[at + mark.len()];
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }
        _ => {
            let cut = dice.index(answer.body.len()).unwrap_or(0);
            answer.body.truncate(cut);
        }
    }
}
