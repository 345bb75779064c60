//! What the server tells of photos.

use motomind_core::protocol::Hash;

use super::field::*;
use super::{hash, shown};

#[test]
fn the_server_tells_which_bytes_it_has() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    field.sync(&mut office);
    let mut other = Field::of(3);
    other.sync(&mut office);
    let bytes = |field: &Field| {
        let photo = field.device.photos(event).unwrap().remove(0);
        (photo.original.on_server, photo.preview.on_server)
    };
    assert_eq!(bytes(&other), (false, false));
    let stored = |office: &mut Office, preview: Option<Hash>| {
        let seq = office.log.len() as u64 + 1;
        let mut data = serde_json::json!({"photo": hash("north_west.jpg"), "bytes": 5,
            "mime": "image/jpeg"});
        if let Some(preview) = preview {
            data["preview"] = serde_json::json!(preview);
        }
        office.log.push(serde_json::json!({"seq": seq, "kind": "photo_stored", "data": data}));
    };
    stored(&mut office, Some(Hash([7; 32])));
    other.pull(&mut office);
    assert_eq!(bytes(&other), (false, true));
    stored(&mut office, None);
    other.pull(&mut office);
    assert_eq!(bytes(&other), (true, true));
}

#[test]
fn an_odd_statement_refuses_the_page_and_a_kind_of_a_newer_server_does_not() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    field.sync(&mut office);
    let seq = office.log.len() as u64 + 1;
    office.log.push(serde_json::json!({"seq": seq, "kind": "hologram", "data": [1]}));
    field.pull(&mut office);
    assert_eq!(field.device.status(field.now).unwrap().seq, seq);
    office.log.push(serde_json::json!({"seq": seq + 1, "kind": "photo", "data": {"id": 5}}));
    field.pull(&mut office);
    assert_eq!(field.device.status(field.now).unwrap().seq, seq);
    assert_eq!(shown(&field, event).len(), 1);
}
