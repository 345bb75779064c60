//! Photos on a device: stored whole or not at all, shown with their events, never lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod field;
mod saying;
mod taking;
mod told;

use field::*;
use motomind_core::protocol::{EventId, Hash};
use motomind_core::*;

fn hash(name: &str) -> Hash {
    Hash::of(&file(name))
}

fn shown(field: &Field, event: EventId) -> Vec<Hash> {
    field.device.photos(event).unwrap().iter().map(|photo| photo.photo).collect()
}

/// Blobs, pieces, photos and uploads in the journal.
fn counts(field: &mut Field) -> [i64; 4] {
    field.reopen();
    let path = field.journal();
    let copy = tempfile::tempdir().unwrap();
    for end in ["", "-wal"] {
        let from = format!("{}{end}", path.display());
        if std::path::Path::new(&from).exists() {
            std::fs::copy(&from, copy.path().join(format!("journal.db{end}"))).unwrap();
        }
    }
    let conn = rusqlite::Connection::open(copy.path().join("journal.db")).unwrap();
    ["blobs", "blob_chunks", "photos", "uploads"].map(|table| {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    })
}

fn read_whole(field: &Field, photo: Hash, variant: Variant) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(piece) =
        field.device.read_photo(photo, variant, whole.len() as u64, 100_000).unwrap()
    {
        whole.extend_from_slice(&piece.bytes);
        if whole.len() as u64 == piece.total {
            return whole;
        }
    }
    panic!("{photo} is not here");
}
