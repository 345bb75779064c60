//! Bytes that no server of ours writes: mutated changes and documents, their checksums mended so
//! that they reach the parser. Nothing panics, hangs or grows without bound, and what is refused
//! leaves the document as it was.
//!
//! Automerge itself (or `hexane`, its columns) panics on some of them. Changes are looked at before
//! it sees them, and none gets so far; of whole documents `protocol` catches it and refuses the
//! bytes. It is counted here, so that a panic of our own does not hide among them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use motomind_core::protocol::records::{Document, schema};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::NOW;
use super::server::Server;
use motomind_core::RecordRef;

const ID: Uuid = Uuid::from_u128(7);

/// Inputs in each run; `FUZZ_INPUTS` for a soak.
fn inputs() -> u64 {
    std::env::var("FUZZ_INPUTS").ok().and_then(|inputs| inputs.parse().ok()).unwrap_or(20_000)
}

fn seeds() -> (Document, Vec<Vec<u8>>) {
    let record = RecordRef::new("reminders", ID);
    let mut server = Server::new();
    let long = "öl ".repeat(200);
    for fields in [
        json!({ "title": "Oil", "status": "active", "due_miles": 5_000 }),
        json!({ "description": "drain, fill", "priority": "low" }),
        json!({ "description": "drain, refill 🚗", "title": "Oil and filter" }),
        json!({ "description": long, "due_date": "2026-01-02", "priority": null }),
    ] {
        server.write(&record, fields, None);
    }
    server.write(&record, json!({}), Some(NOW));
    let document = server.documents[&record].clone();
    let changes = document.changes_since(&[]);
    (document, changes)
}

struct Dice(ChaCha20Rng);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound.max(1) as u64).unwrap()
    }

    fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            // Mostly behind the header, where the parser is.
            let at = match self.below(10) {
                0 => self.below(bytes.len()),
                _ => 9 + self.below(bytes.len().saturating_sub(9)),
            };
            let Some(byte) = bytes.get_mut(at) else { continue };
            match self.below(7) {
                0 => *byte ^= 1 << self.0.next_u64().rem_euclid(8),
                1 => *byte = u8::try_from(self.0.next_u64() & 0xff).unwrap(),
                2 => {
                    *byte =
                        [0, 1, 0x7f, 0x80, 0xff][usize::try_from(self.0.next_u64() % 5).unwrap()]
                }
                3 => drop(bytes.remove(at)),
                4 => bytes.insert(at, u8::try_from(self.0.next_u64() & 0xff).unwrap()),
                5 => bytes.truncate(at),
                _ => {
                    // A number of many digits, as a length or a run.
                    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
                    let digits = 1 + self.below(many.len());
                    bytes.splice(at..at, many[many.len() - digits..].iter().copied());
                }
            }
        }
        bytes
    }
}

/// Gives the chunk the length and the checksum of what it holds now.
fn mended(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < 11 {
        return bytes;
    }
    let mut at = 9;
    while at < bytes.len() && bytes[at] & 0x80 != 0 {
        at += 1;
    }
    let body = bytes.split_off((at + 1).min(bytes.len()));
    bytes.truncate(9);
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        bytes.push(if length == 0 { digit } else { digit | 0x80 });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    let sum = Sha256::digest(&bytes[8..]);
    bytes[4..8].copy_from_slice(&sum[..4]);
    bytes
}

/// Looks at everything that a device would show of it.
fn look_at(document: &Document) {
    let bytes = document.save();
    let _ = document.fields();
    let _ = document.conflicts();
    let _ = document.history();
    let _ = document.first_and_last();
    let _ = document.deleted_at();
    let _ = Document::load(document.collection(), ID, &bytes);
}

/// Where this thread panics from now on, and how often. Other threads panic as they did.
fn panics_counted() -> Arc<Mutex<BTreeMap<String, u64>>> {
    let counts = Arc::new(Mutex::new(BTreeMap::<String, u64>::new()));
    let (into, this) = (Arc::clone(&counts), thread::current().id());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let place = place.rsplit_once("/registry/src/").map_or(&*place, |(_, within)| within);
        if thread::current().id() == this && !place.starts_with(file!()) {
            *into.lock().unwrap().entry(place.to_string()).or_default() += 1;
        } else {
            before(panic);
        }
    }));
    counts
}

/// Changes come from the network, into a browser too, where nobody can catch a panic: there is
/// none, not even a caught one.
#[test]
fn hostile_bytes_in_changes_end_no_program() {
    let panics = panics_counted();
    let (_, changes) = seeds();
    let collection = schema::find("reminders").unwrap();
    let mut dice = Dice(ChaCha20Rng::from_seed([5; 32]));
    let (mut taken, mut longest) = (0_u64, Duration::ZERO);
    for _ in 0..inputs() {
        let begun = Instant::now();
        let which = dice.below(changes.len());
        let bytes = mended(dice.mutated(&changes[which]));
        let mut before = Document::of_changes(collection, ID, &changes[..which.max(3)]).unwrap();
        let heads = before.heads();
        match before.apply(&[bytes]) {
            Ok(()) => {
                look_at(&before);
                taken += 1;
                let again = Document::load(collection, ID, &before.save());
                assert_eq!(again.unwrap().heads(), before.heads(), "what was taken is kept");
            }
            Err(_) => assert_eq!(before.heads(), heads),
        }
        longest = longest.max(begun.elapsed());
    }
    assert!(taken > 0, "no mutation reached the parser's far side");
    assert!(longest < Duration::from_secs(20), "{longest:?}");
    let panics = panics.lock().unwrap();
    println!("changes: {taken} of {} taken, {longest:?} at most, caught: {panics:#?}", inputs());
    assert!(panics.is_empty(), "{panics:#?}");
}

/// Whole documents are read from the device's own file and the server's own database, as they
/// wrote them: what a damaged one makes Automerge trip over is caught.
#[test]
fn hostile_bytes_in_documents_are_refused() {
    let panics = panics_counted();
    let (document, _) = seeds();
    let collection = schema::find("reminders").unwrap();
    let saved = document.save();
    let mut dice = Dice(ChaCha20Rng::from_seed([6; 32]));
    let (mut taken, mut longest) = (0_u64, Duration::ZERO);
    for _ in 0..inputs() / 2 {
        let begun = Instant::now();
        let bytes = mended(dice.mutated(&saved));
        if let Ok(document) = Document::load(collection, ID, &bytes) {
            look_at(&document);
            taken += 1;
        }
        longest = longest.max(begun.elapsed());
    }
    assert!(longest < Duration::from_secs(20), "{longest:?}");
    let panics = panics.lock().unwrap();
    let half = inputs() / 2;
    println!("documents: {taken} of {half} taken, {longest:?} at most, caught: {panics:#?}");
    let theirs = |place: &str| place.contains("/automerge-") || place.contains("/hexane-");
    let ours = panics.keys().find(|place| !theirs(place));
    assert_eq!(ours, None, "a panic that is not Automerge's");
}

/// What is refused before Automerge reads it: runs and deflated columns without end.
#[test]
fn a_bomb_of_a_few_bytes_is_not_followed() {
    let (document, changes) = seeds();
    let collection = document.collection();
    let change = changes.last().unwrap();
    // The run of any column becomes 2⁶⁰ rows.
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    let begun = Instant::now();
    for at in 9..change.len() {
        let mut bytes = change.clone();
        bytes.splice(at..=at, huge);
        let mut copy = document.clone();
        let _ = copy.apply(&[mended(bytes)]);
        let mut bytes = document.save();
        bytes.splice(at..=at, huge);
        let _ = Document::load(collection, ID, &mended(bytes));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    let long = vec![0x85; 2 * 1024 * 1024];
    assert!(Document::load(collection, ID, &long).is_err());
    assert!(document.clone().apply(&[long]).is_err());
}
