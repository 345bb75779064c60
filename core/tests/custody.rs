//! What the server holds of a journal is compared with it, and what it lacks goes again: pictures
//! that a restore of the server took.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "photos/field.rs"]
mod field;
#[path = "photos/server.rs"]
mod server;

use field::*;
use motomind_core::protocol::Hash;
use motomind_core::*;
use serde_json::json;
use server::*;

/// A photo on an event, its preview on the server, and its original where the server takes it.
fn begun(takes_originals: bool) -> (Field, Server, Hash) {
    let (mut field, mut server) = (Field::new(), Server::default());
    server.takes_originals = takes_originals;
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    let photo = field.device.photos(event).unwrap().remove(0).photo;
    sync(&mut field, &mut server);
    let mut there = vec![(photo, true)];
    there.extend(takes_originals.then_some((photo, false)));
    assert_eq!(server.came, there);
    server.came.clear();
    (field, server, photo)
}

#[test]
fn a_lost_original_goes_again_and_its_preview_with_it() {
    let (mut field, mut server, photo) = begun(true);
    server.loses(&[(photo, true), (photo, false)]);
    field.reopen_without_mirror();
    field.device.compare_custody();
    sync(&mut field, &mut server);
    assert_eq!(field.device.custody().unwrap().photos_again, [photo]);
    assert_eq!(server.came, [(photo, true), (photo, false)]);
}

/// The server asks for originals that it knows of. A preview it does not know of, and this
/// original it has got from where it was, on its way.
#[test]
fn a_preview_that_was_lost_while_its_original_was_on_the_way_goes_again() {
    let (mut field, mut server, photo) = begun(false);
    server.loses(&[(photo, true)]);
    field.reopen_without_mirror();
    server.takes_originals = true;
    sync(&mut field, &mut server);
    assert_eq!(server.came, [(photo, false)]);
    field.device.compare_custody();
    sync(&mut field, &mut server);
    assert_eq!(field.device.custody().unwrap().photos_again, [photo]);
    assert_eq!(server.came, [(photo, false), (photo, true)]);
    field.device.compare_custody();
    sync(&mut field, &mut server);
    assert_eq!(field.device.custody().unwrap().photos_again, []);
}

/// An answer knows nothing of what arrived after it was given, however late it is heard.
#[test]
fn what_arrives_while_the_server_is_asked_is_no_loss() {
    for answered_before_the_push in [true, false] {
        let (mut field, mut server, _) = begun(true);
        server.came.clear();
        let event = field.with_photos(capture("fuel"), &["south_west.jpg"]);
        let photo = field.device.photos(event).unwrap().remove(0).photo;
        field.device.compare_custody();
        field.now += 1_000;
        field.device.on_poke(field.now);
        let Step::Send(requests) = field.device.next_step(field.now).unwrap() else { panic!() };
        let is_custody = |request: &&Request| request.path.ends_with("custody");
        let asked = requests.iter().find(is_custody).unwrap().id;
        let mut told = server.custody();
        for request in requests.iter().filter(|request| !is_custody(request)) {
            let reply = answer(&mut server, request, field.now);
            field.device.on_reply(request.id, &reply, field.now).unwrap();
        }
        if !answered_before_the_push {
            told = server.custody();
            assert_eq!(told["missing_photos"]["photos"], json!([photo]));
        }
        sync(&mut field, &mut server);
        assert_eq!(server.came, [(photo, true), (photo, false)]);
        field.device.on_reply(asked, &reply(200, Vec::new(), &told), field.now).unwrap();
        let report = field.device.custody().unwrap();
        assert_eq!((&report.offered_again[..], &report.photos_lost[..]), (&[][..], &[][..]));
        assert_eq!(report.photos_again, []);
        sync(&mut field, &mut server);
        assert_eq!(server.came, [(photo, true), (photo, false)], "nothing goes twice");
    }
}

/// An app that is opened every morning and closed every evening is never open for a week.
#[test]
fn an_app_that_is_closed_every_day_asks_every_week() {
    let (mut field, mut server, _) = begun(true);
    let mut compared = Vec::new();
    for day in 1..=15 {
        field.now += 24 * 60 * 60 * 1000;
        field.reopen();
        sync(&mut field, &mut server);
        compared.extend(field.device.custody().map(|_| day));
    }
    assert_eq!(compared, [7, 14]);
}
