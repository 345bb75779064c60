//! Records on the device: what a person edits is shown at once, safe, sent, and merged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "records/editing.rs"]
mod editing;
#[path = "records/hostile.rs"]
mod hostile;
#[path = "records/interleavings.rs"]
mod interleavings;
#[path = "records/lost.rs"]
mod lost;
#[path = "records/refused.rs"]
mod refused;
#[path = "records/same_as.rs"]
mod same_as;
#[path = "records/server.rs"]
mod server;

use chrono::NaiveDate;
use motomind_core::protocol::records::{Document, schema};
use motomind_core::protocol::{Hash, Identity, TenantId, UserId, VehicleId};
use motomind_core::*;
use serde_json::{Map, Value};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_800_000_000_000;

struct Phone {
    device: Device,
    dir: TempDir,
    user: u128,
}

impl Phone {
    fn new(user: u128) -> Self {
        let dir = TempDir::new().unwrap();
        let device = open(&dir, user, user as u8);
        Self { device, dir, user }
    }

    fn reopened(self, seed: u8) -> Self {
        let Self { device, dir, user } = self;
        drop(device);
        let device = open(&dir, user, seed);
        Self { device, dir, user }
    }

    fn fields(&self, record: &RecordRef) -> Map<String, Value> {
        self.device.record(record).unwrap().map(|view| view.fields).unwrap_or_default()
    }

    fn row(&self, record: &RecordRef) -> Option<RecordEntry> {
        let rows = self.device.records(&record.collection, true).unwrap();
        rows.into_iter().find(|row| row.id == record.id)
    }
}

fn open(dir: &TempDir, user: u128, seed: u8) -> Device {
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let identity = Identity {
        tenant_id: TenantId(Uuid::from_u128(1)),
        user_id: UserId(Uuid::from_u128(user)),
    };
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(identity),
        key: None,
        seed: [seed; 32],
        now: NOW,
    })
    .unwrap();
    device.set_token(Some(&server::token(user)), NOW);
    device
}

fn map(fields: Value) -> Map<String, Value> {
    fields.as_object().unwrap().clone()
}

const VIN: &str = "1HGCM82633A004352";

fn reading(vehicle: Uuid, miles: i64) -> Capture {
    let day = NaiveDate::from_ymd_opt(2025, 10, 9).unwrap();
    let mut capture = Capture::new(VehicleId(vehicle), "odometer", NOW, day, "America/Denver");
    capture.miles = Some(miles);
    capture
}

/// The documents' heads, once the device is closed.
fn documents_of(phone: Phone) -> Vec<(String, Uuid, Vec<Hash>)> {
    let Phone { device, dir, .. } = phone;
    drop(device);
    let mirror = rusqlite::Connection::open(dir.path().join("mirror.db")).unwrap();
    let mut statement =
        mirror.prepare("SELECT collection, id, doc FROM record_docs ORDER BY 1, 2").unwrap();
    let rows = statement.query_map([], |row| {
        let (name, id, bytes): (String, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let id = Uuid::from_slice(&id).unwrap();
        let document = Document::load(schema::find(&name).unwrap(), id, &bytes).unwrap();
        Ok((name, id, document.heads()))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
