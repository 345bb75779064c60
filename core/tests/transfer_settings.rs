//! What a host has set holds until it is set again, also after the process was killed; sums that are
//! asked for at every step are what they sum up.
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

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

#[test]
fn originals_on_unmetered_networks_only_also_after_a_crash() {
    let (mut field, mut server) = (Field::new(), Server::default());
    server.takes_originals = true;
    assert_eq!(field.device.transfer_policy(), TransferPolicy::default());
    let policy = TransferPolicy {
        originals: When::Unmetered,
        fetched_previews: When::Paused,
        originals_by_host: false,
        ..TransferPolicy::default()
    };
    field.device.set_transfer_policy(policy).unwrap();
    field.device.set_photo_room(123_456).unwrap();
    field.device.set_network_metered(true);
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    let photo = field.device.photos(event).unwrap().remove(0).photo;

    field.reopen();
    assert_eq!(field.device.transfer_policy(), policy);
    assert_eq!(field.device.photo_room(), 123_456);
    // Which network is at hand is a fact of the moment: the host says it again.
    field.device.set_network_metered(true);
    sync(&mut field, &mut server);
    assert_eq!(server.came, [(photo, true)]);
    field.reopen_without_mirror();
    sync(&mut field, &mut server);
    assert_eq!(server.came, [(photo, true), (photo, false)]);

    // Set again, it holds again; so it does in a journal that was salvaged.
    let again = TransferPolicy { originals: When::Paused, ..policy };
    field.device.set_transfer_policy(again).unwrap();
    field.leave_files();
    let into = field.journal().with_file_name("salvaged.db");
    let (journal, into) = (field.journal(), into.to_str().unwrap().to_owned());
    salvage(journal.to_str().unwrap(), &into, None, None).unwrap();
    std::fs::rename(&into, &journal).unwrap();
    for rest in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{rest}", journal.display()));
    }
    field.reopen();
    assert_eq!(field.device.transfer_policy(), again);
}

#[test]
fn what_is_left_of_a_byte_budget_is_known_after_a_crash() {
    const BUDGET: u64 = 1_000;
    let mut field = Field::new();
    let policy = TransferPolicy { metered_budget: Some(BUDGET), ..TransferPolicy::default() };
    field.device.set_transfer_policy(policy).unwrap();
    field.with_photos(capture("fuel"), &["north_west.jpg"]);
    let mut server = Server::default();
    let (mut sent, mut offset) = (Vec::new(), 0);
    for turn in 0..40 {
        if turn % 5 == 0 {
            field.reopen();
            field.device.set_network_metered(true);
        }
        field.now += 10 * 60 * 1_000;
        field.device.on_poke(field.now);
        let Step::Send(requests) = field.device.next_step(field.now).unwrap() else { continue };
        for request in requests {
            let tus = |status: u16, offset: u64| {
                let header = |name: &str, value: String| (name.to_string(), value);
                let headers = vec![
                    header("tus-resumable", "1.0.0".into()),
                    header("location", "/v1/uploads/1".into()),
                    header("upload-offset", offset.to_string()),
                    header("upload-length", "9000000".into()),
                    header("motomind-upload-capability", "capability".into()),
                ];
                reply(status, headers, &json!({}))
            };
            let reply = match (request.method, request.path.as_str()) {
                ("POST", "/v1/uploads") => tus(201, offset),
                ("HEAD", "/v1/uploads/1") => tus(200, offset),
                ("PATCH", "/v1/uploads/1") => {
                    sent.push(request.body.len());
                    offset += request.body.len() as u64;
                    tus(204, offset)
                }
                _ => answer(&mut server, &request, field.now),
            };
            field.device.on_reply(request.id, &reply, field.now).unwrap();
        }
    }
    assert_eq!(sent, [1_000], "what was spent stays spent");
    // Said again, it counts from there.
    field.device.set_transfer_policy(policy).unwrap();
    field.reopen();
    field.device.set_network_metered(true);
    assert_eq!(field.device.transfer_policy().metered_budget, Some(BUDGET));
}

/// The two sums, and what they sum up.
fn totals(field: &mut Field) -> [(i64, i64); 2] {
    field.leave_files();
    let journal = field.journal();
    let conn = rusqlite::Connection::open(&journal).unwrap();
    let mirror = journal.with_file_name("mirror.db");
    conn.execute("ATTACH DATABASE ?1 AS mirror", [mirror.to_str().unwrap()]).unwrap();
    let both = [
        "SELECT (SELECT stored_bytes FROM photo_totals),
                (SELECT coalesce(sum(u.bytes), 0) FROM uploads u JOIN photos p ON p.sha256 = u.sha256
                 WHERE u.state = 'stored' AND u.variant = 'original' AND p.freed_at IS NULL)",
        "SELECT (SELECT bytes FROM mirror.photo_cache_total),
                (SELECT coalesce(sum(octet_length(bytes)), 0) FROM mirror.photo_cache_pieces)",
    ]
    .map(|sql| conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap());
    drop(conn);
    field.reopen();
    both
}

#[test]
fn sums_are_what_they_sum_up() {
    let (mut field, mut server) = (Field::new(), Server::default());
    server.takes_originals = true;
    let mut seen = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
    let mut check = |field: &mut Field, when: &str| {
        for (at, (kept, sum)) in totals(field).into_iter().enumerate() {
            assert_eq!(kept, sum, "sum {at} {when}");
            seen[at].insert(sum);
        }
    };
    // A colleague's photos, of which previews come by themselves and an original is asked for.
    let mut theirs = Vec::new();
    for n in 0..4_u8 {
        let (original, preview) = (vec![n; 5_000], vec![n; 700 + usize::from(n)]);
        let photo = Hash::of(&original);
        server.log_stored(photo, None);
        server.log_stored(photo, Some(Hash::of(&preview)));
        server.theirs.insert((photo, false), original);
        server.theirs.insert((photo, true), preview);
        theirs.push(photo);
    }
    check(&mut field, "at the beginning");
    let event = field.with_photos(capture("fuel"), &["north_west.jpg", "south_west.jpg"]);
    let mine: Vec<Hash> =
        field.device.photos(event).unwrap().into_iter().map(|one| one.photo).collect();
    sync(&mut field, &mut server);
    check(&mut field, "once pictures went both ways");
    field.device.fetch_photo(theirs[0], Variant::Original, field.now).unwrap();
    field.device.fetch_photo(theirs[1], Variant::Original, field.now).unwrap();
    sync(&mut field, &mut server);
    check(&mut field, "with originals fetched");
    field.device.set_photo_room(1_500).unwrap();
    check(&mut field, "with less room");
    server.loses(&[(mine[0], false), (mine[0], true)]);
    field.reopen_without_mirror();
    field.device.compare_custody();
    sync(&mut field, &mut server);
    check(&mut field, "after a restore");
    field.now += 40 * DAY_MS;
    for _ in 0..4 {
        sync(&mut field, &mut server);
    }
    check(&mut field, "with own originals freed");
    assert!(!field.device.photos(event).unwrap()[0].original.here, "freed");
    field.add(PhotoTarget::Event(event), "north_west.jpg").unwrap();
    check(&mut field, "taken again");
    field.device.free_space(1_000_000).unwrap();
    sync(&mut field, &mut server);
    check(&mut field, "with everything freed");
    field.reopen_without_mirror();
    sync(&mut field, &mut server);
    check(&mut field, "with a new mirror");
    assert!(seen.iter().all(|sums| sums.len() >= 3), "{seen:?}");
}
