//! Photos in a damaged journal.

use motomind_core::*;

use super::field::*;
use super::{hash, read_whole, shown};

#[test]
fn a_flipped_byte_is_found_and_left_behind_by_salvage() {
    let mut field = Field::new();
    field.with_photos(capture("fuel"), &["north_west.jpg", "bare.jpg"]);
    assert_eq!(field.device.verify_photos().unwrap(), []);
    field.leave_files();
    let journal = field.journal();
    let conn = rusqlite::Connection::open(&journal).unwrap();
    conn.execute_batch("DROP TRIGGER chunks_are_facts").unwrap();
    let of = "WHERE blob = (SELECT n FROM blobs WHERE sha256 = ?1)";
    let photo = hash("north_west.jpg").0;
    let mut bytes: Vec<u8> = conn
        .query_row(&format!("SELECT bytes FROM blob_chunks {of}"), [photo], |row| row.get(0))
        .unwrap();
    bytes[700] ^= 1;
    let update = format!("UPDATE blob_chunks SET bytes = ?2 {of}");
    assert_eq!(conn.execute(&update, rusqlite::params![photo, bytes]).unwrap(), 1);
    drop(conn);
    field.reopen();
    assert_eq!(field.device.verify_photos().unwrap(), [hash("north_west.jpg")]);
    assert_eq!(field.device.verify().unwrap(), Ok(()));
    field.leave_files();
    let into = journal.with_file_name("salvaged.db");
    let salvaged = salvage(journal.to_str().unwrap(), into.to_str().unwrap(), None, None).unwrap();
    assert_eq!(salvaged.pictures_damaged, [hash("north_west.jpg")]);
    // The other original, and the preview: both photos are of one picture.
    assert_eq!(salvaged.pictures, 2);
}

#[test]
fn salvage_brings_the_photos_along() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg", "long_profile.jpg"]);
    field.reopen();
    let journal = field.journal();
    let into = journal.with_file_name("salvaged.db");
    field.leave_files();
    salvage(journal.to_str().unwrap(), into.to_str().unwrap(), None, None).unwrap();
    std::fs::rename(&into, &journal).unwrap();
    field.reopen_without_mirror();
    assert_eq!(shown(&field, event).len(), 2);
    let whole = read_whole(&field, hash("long_profile.jpg"), Variant::Original);
    assert_eq!(whole, file("long_profile.jpg"));
    assert_eq!(field.device.photos(event).unwrap()[0].original.upload, Some(UploadState::Queued));
}
