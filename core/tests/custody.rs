//! What the server holds of a journal is compared with it, and what it lacks goes again: pictures
//! that a restore of the server took.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "photos/field.rs"]
mod field;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use field::*;
use motomind_core::protocol::{Hash, Operation};
use motomind_core::*;
use serde_json::{Value, json};

/// An office with a store of pictures; whoever restores it loses some.
#[derive(Default)]
struct Server {
    office: Office,
    /// Of each photo, whether its preview, its original is there.
    pictures: BTreeSet<(Hash, bool)>,
    /// Pictures that came, in their order.
    came: Vec<(Hash, bool)>,
    takes_originals: bool,
    operations: Vec<Operation>,
}

impl Server {
    fn upload(&mut self, request: &Request) -> Reply {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        let metadata = header("upload-metadata");
        let said: BTreeMap<&str, String> = metadata
            .split(',')
            .map(|pair| pair.split_once(' ').unwrap())
            .map(|(key, value)| (key, String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()))
            .collect();
        let is_preview = said.contains_key("of");
        if !is_preview && !self.takes_originals {
            return reply(503, Vec::new(), &json!({"code": "unavailable"}));
        }
        let sha256: Hash = said["sha256"].parse().unwrap();
        let photo = said.get("of").map_or(sha256, |of| of.parse().unwrap());
        if self.pictures.insert((photo, is_preview)) {
            self.came.push((photo, is_preview));
            self.log_stored(photo, is_preview.then_some(sha256));
        }
        let length = header("upload-length");
        let headers = vec![
            ("tus-resumable".to_string(), "1.0.0".to_string()),
            ("location".into(), "/v1/uploads/1".into()),
            ("upload-offset".into(), length.clone()),
            ("upload-length".into(), length),
            ("motomind-upload-capability".into(), "capability".into()),
        ];
        reply(201, headers, &json!({}))
    }

    fn log_stored(&mut self, photo: Hash, preview: Option<Hash>) {
        let seq = self.office.log.len() + 1;
        let mut data = json!({"photo": photo, "bytes": 5, "mime": "image/jpeg"});
        if let Some(preview) = preview {
            data["preview"] = json!(preview);
        }
        self.office.log.push(json!({"seq": seq, "kind": "photo_stored", "data": data}));
    }

    /// It is restored to before these pictures came; everything else is there.
    fn loses(&mut self, lost: &[(Hash, bool)]) {
        self.pictures.retain(|picture| !lost.contains(picture));
        let is_lost = |entry: &Value| {
            let data = &entry["data"];
            let is_preview = data.get("preview").is_some();
            entry["kind"] == "photo_stored"
                && lost.iter().any(|(photo, of)| data["photo"] == json!(photo) && *of == is_preview)
        };
        self.office.log.retain(|entry| !is_lost(entry));
        for (place, entry) in self.office.log.iter_mut().enumerate() {
            entry["seq"] = json!(place + 1);
        }
    }

    fn custody(&self) -> Value {
        let one = &self.operations[0];
        let high = self.operations.iter().map(|operation| operation.device_seq).max().unwrap();
        let named = self.operations.iter().filter_map(|operation| match &operation.body {
            protocol::Body::Photo(said) => Some(said.photo),
            _ => None,
        });
        let missing: BTreeSet<Hash> =
            named.filter(|photo| !self.pictures.contains(&(*photo, false))).collect();
        json!({"protocol": 1, "server_time_ms": NOW, "lives": [
                {"incarnation": one.incarnation, "high_water": high, "count": high, "bytes": 1,
                 "held": [[1, high]]}],
            "missing_photos": {"count": missing.len(), "bytes": 1, "photos": missing}})
    }
}

fn reply(status: u16, headers: Vec<(String, String)>, body: &Value) -> Reply {
    Reply { status, retry_after_s: None, headers, body: body.to_string().into_bytes() }
}

/// Everything that the device wants to do, it does.
fn sync(field: &mut Field, server: &mut Server) {
    for _ in 0..12 {
        field.now += 10 * 60 * 1_000;
        field.device.on_poke(field.now);
        let Step::Send(requests) = field.device.next_step(field.now).unwrap() else { continue };
        for request in requests {
            let reply = answer(server, &request, field.now);
            field.device.on_reply(request.id, &reply, field.now).unwrap();
        }
    }
}

fn answer(server: &mut Server, request: &Request, now: i64) -> Reply {
    match request.path.as_str() {
        "/v1/uploads" => server.upload(request),
        "/v1/devices/me/custody" => reply(200, Vec::new(), &server.custody()),
        "/v1/sync/push" => {
            let sent = &mut server.operations;
            let no_verdict = &|_: &Operation| None;
            let body = push_reply(&mut server.office, request, no_verdict, now, sent);
            Reply { body, ..reply(200, Vec::new(), &json!({})) }
        }
        path if path.contains("/pull") => {
            let body = pull_reply(&server.office, request, now);
            Reply { body, ..reply(200, Vec::new(), &json!({})) }
        }
        other => panic!("{other}"),
    }
}

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
