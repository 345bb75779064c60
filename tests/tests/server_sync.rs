//! The log as devices read it: pages, cursors, pokes, snapshots, tenants apart, and many writers
//! at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use futures::StreamExt;
use motomind_protocol::wire::{Outcome, page_digest};
use motomind_protocol::{EventId, Hash, Role, limits};
use motomind_server::serve::{Running, start};
use motomind_tests::postgres::{Database, Postgres, count, count_as_tenant};
use motomind_tests::server::{
    Sender, accepted, damage, problem, reading, rejection, retraction, serve, settings, told,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

async fn stage() -> (Database, Running, Uuid, Uuid) {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    told(&server, tenant).await;
    (database, server, tenant, vehicle)
}

#[tokio::test]
async fn pages_follow_each_other_and_stay_within_their_limits() {
    let (database, server, tenant, vehicle) = stage().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let sealed: Vec<_> = (0..20)
        .map(|minutes| {
            let mut event = damage(vehicle, minutes);
            event.payload.insert("description".into(), json!("é".repeat(10_000)));
            event.payload.insert("estimate".into(), json!("x".repeat(30_000)));
            device.seal(event)
        })
        .collect();
    for half in sealed.chunks(10) {
        device.outcomes(half.to_vec()).await.iter().for_each(|outcome| {
            accepted(outcome);
        });
    }
    let mut cursor = None;
    let mut seqs = Vec::new();
    let mut pages = 0;
    loop {
        let page = device.pull(cursor.as_deref()).await;
        assert_eq!(page.digest, page_digest(&page.changes));
        assert_eq!(page.head, 21);
        let bytes: usize = page.changes.iter().map(|change| change.get().len()).sum();
        assert!(bytes <= limits::PULL_BYTES_MAX, "{bytes}");
        pages += 1;
        for change in &page.changes {
            let change: Value = serde_json::from_str(change.get()).unwrap();
            seqs.push(change["seq"].as_u64().unwrap());
        }
        assert_eq!(seqs.last(), Some(&page.seq));
        cursor = Some(page.next_cursor);
        if page.seq == page.head {
            break;
        }
    }
    assert_eq!(seqs, (1..=21).collect::<Vec<_>>());
    assert!(pages >= 2, "50 KiB each do not fit on one page");
    let few: Value = motomind_tests::server::read(device.pull_reply("?limit=3").await).await;
    assert_eq!(few["changes"].as_array().unwrap().len(), 3);
    drop(database);
    server.stop().await;
}

#[tokio::test]
async fn a_cursor_from_elsewhere_is_refused_and_changes_nothing() {
    let (database, server, tenant, vehicle) = stage().await;
    let (other_tenant, _) = database.tenant_with_vehicle().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    accepted(&device.send(damage(vehicle, 1)).await);
    let cursor = device.pull(None).await.next_cursor;
    let stranger = Sender::new(&server, other_tenant, Role::Manager);
    let admin = database.admin().await;
    let epochs = "SELECT count(DISTINCT epoch) FROM tenant_counters";
    assert_eq!(count(&admin, epochs).await, 2);
    let before: Uuid = admin
        .query_one("SELECT epoch FROM tenant_counters WHERE tenant_id = $1", &[&other_tenant])
        .await
        .unwrap()
        .get(0);

    let swapped = if cursor.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{swapped}", &cursor[..cursor.len() - 1]);
    for bad in [cursor.as_str(), "", "x", "AAAA", &"A".repeat(1_000), "%00", "1;DROP"] {
        let refused = problem(stranger.pull_reply(&format!("?cursor={bad}")).await).await;
        assert_eq!((refused.code.as_str(), refused.status), ("bad_cursor", 400), "{bad}");
    }
    let refused = problem(device.pull_reply(&format!("?cursor={forged}")).await).await;
    assert_eq!(refused.code, "bad_cursor");
    let after: Uuid = admin
        .query_one("SELECT epoch FROM tenant_counters WHERE tenant_id = $1", &[&other_tenant])
        .await
        .unwrap()
        .get(0);
    assert_eq!(before, after, "no forged cursor starts an epoch");
    server.stop().await;
}

/// Brings the tenant's log back to an earlier state, as a database restored from backup would be.
async fn restore(database: &Database, tenant: Uuid, seq: i64) {
    let admin = database.admin().await;
    let sql = format!(
        "BEGIN; SET LOCAL session_replication_role = replica;
         DELETE FROM change_log WHERE tenant_id = '{tenant}' AND seq > {seq};
         DELETE FROM operations WHERE tenant_id = '{tenant}' AND seq > {seq};
         DELETE FROM vehicle_events e USING event_registry r
          WHERE e.tenant_id = '{tenant}' AND r.tenant_id = e.tenant_id AND r.event_id = e.id AND r.seq > {seq};
         DELETE FROM event_registry WHERE tenant_id = '{tenant}' AND seq > {seq};
         UPDATE tenant_counters SET head = {seq} WHERE tenant_id = '{tenant}'; COMMIT"
    );
    admin.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_restored_database_is_noticed_even_after_it_has_grown() {
    let (database, server, tenant, vehicle) = stage().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let sealed: Vec<_> = (1..5).map(|n| device.seal(reading(vehicle, n, n * 100))).collect();
    for outcome in device.outcomes(sealed.clone()).await {
        accepted(&outcome);
    }
    let early = device.pull_reply("?limit=2").await;
    let early: Value = motomind_tests::server::read(early).await;
    let early = early["next_cursor"].as_str().unwrap().to_string();
    let late = device.pull(None).await.next_cursor;

    // Beyond the head.
    restore(&database, tenant, 2).await;
    let again = |cursor: String| {
        let device = device.clone();
        async move { problem(device.pull_reply(&format!("?cursor={cursor}")).await).await }
    };
    let refused = again(late.clone()).await;
    assert_eq!((refused.code.as_str(), refused.status), ("resnapshot", 409));
    assert_eq!(again(late).await.code, "resnapshot");
    assert_eq!(again(early).await.code, "resnapshot", "the epoch is new for everyone");
    let fresh = device.pull(None).await;
    assert_eq!((fresh.head, fresh.changes.len()), (2, 2));
    assert!(device.pull(Some(&fresh.next_cursor)).await.changes.is_empty());

    // What the backup did not hold is offered again and arrives once.
    let outcomes = device.outcomes(sealed.clone()).await;
    assert_eq!(outcomes[0], Outcome::Duplicate { seq: 2 });
    assert_eq!(outcomes[1..].iter().map(accepted).collect::<Vec<_>>(), [3, 4, 5]);

    // Grown past the cursor: the tag of its transaction tells.
    let cursor = device.pull(None).await.next_cursor;
    restore(&database, tenant, 3).await;
    for outcome in device.outcomes(sealed[2..].to_vec()).await {
        accepted(&outcome);
    }
    assert_eq!(device.pull(None).await.head, 5);
    assert_eq!(again(cursor).await.code, "resnapshot");
    server.stop().await;
}

#[tokio::test]
async fn tenants_never_meet() {
    let (database, server, tenant, vehicle) = stage().await;
    let (other, other_vehicle) = database.tenant_with_vehicle().await;
    told(&server, other).await;
    let mut ours = Sender::new(&server, tenant, Role::Manager);
    let mut theirs = Sender::new(&server, other, Role::Manager);
    let captured = ours.seal(reading(vehicle, 1, 100));
    accepted(&ours.outcome(captured.clone()).await);

    // The same operation under another tenant's token.
    let outcome = theirs.outcome(captured.clone()).await;
    assert_eq!(rejection(&outcome), ("wrong_identity", Some("tenant_id")));
    // Their operation about our vehicle, our event, our operation, with our id.
    let outcome = theirs.send(reading(vehicle, 2, 200)).await;
    assert_eq!(rejection(&outcome), ("unknown_vehicle", Some("vehicle_id")));
    let mut event = reading(other_vehicle, 2, 200);
    event.corrects = Some(EventId(captured.op_id.0));
    let parent = EventId(captured.op_id.0);
    assert_eq!(theirs.send(event).await, Outcome::Waiting { parent });
    let discard = theirs.superseding(retraction(vehicle, captured.op_id.0), &[captured.op_id]);
    let seq = accepted(&theirs.outcome(discard).await);
    assert_eq!(seq, 2, "it closes an id of their own tenant, where nothing has it");
    let mut event = reading(other_vehicle, 3, 5);
    event.id = EventId(motomind_tests::server::new_id());
    let shared = event.id;
    accepted(&theirs.send(event).await);
    let mut event = reading(vehicle, 3, 300);
    event.id = shared;
    accepted(&ours.send(event).await);

    for (sender, own) in [(&ours, vehicle), (&theirs, other_vehicle)] {
        let (changes, _) = sender.pull_all().await;
        for change in &changes {
            let data = &change["data"];
            let seen = data["event"]["vehicle_id"].as_str().or(data["id"].as_str());
            assert!(seen.is_none_or(|id| id == own.to_string()), "{change}");
        }
    }
    let admin = database.admin().await;
    let standing = "SELECT count(*) FROM active_events";
    assert_eq!(
        count_as_tenant(&admin, tenant, &format!("{standing} WHERE tenant_id = '{tenant}'")).await,
        2
    );

    let snapshot = ours.request(Method::GET, "/v1/sync/snapshot").send().await.unwrap();
    let tag = snapshot.headers()["etag"].clone();
    let foreign = theirs.request(Method::GET, "/v1/sync/snapshot").header("if-match", tag);
    assert_eq!(problem(foreign.send().await.unwrap()).await.status, 412);
    server.stop().await;
}

/// The next poke of an event stream; comments are passed over.
async fn poke(
    stream: &mut (impl futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin),
) -> u64 {
    let mut text = String::new();
    loop {
        let piece = stream.next().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
        for block in text.split_inclusive("\n\n").filter(|block| block.ends_with("\n\n")) {
            if let Some(data) = block.lines().find_map(|line| line.strip_prefix("data:")) {
                assert!(block.contains("event: poke"), "{block}");
                let poke: Value = serde_json::from_str(data.trim()).unwrap();
                return poke["head"].as_u64().unwrap();
            }
        }
    }
}

async fn events(device: &Sender) -> Response {
    let reply = device.request(Method::GET, "/v1/sync/events").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    reply
}

#[tokio::test]
async fn a_commit_pokes_the_devices_of_every_instance() {
    let (database, one, tenant, vehicle) = stage().await;
    let (other_tenant, other_vehicle) = database.tenant_with_vehicle().await;
    let two = serve(&database).await;
    let mut device = Sender::new(&one, tenant, Role::Technician);
    let mut stranger = Sender::new(&one, other_tenant, Role::Technician);
    let mut near = events(&device).await.bytes_stream();
    let mut far = events(&device.at(&two)).await.bytes_stream();
    assert_eq!((poke(&mut near).await, poke(&mut far).await), (1, 1), "one at the start");
    // Another tenant's commit is none of ours: the next poke is our own commit's.
    accepted(&stranger.send(damage(other_vehicle, 1)).await);
    assert_eq!(accepted(&device.send(damage(vehicle, 1)).await), 2);
    assert_eq!((poke(&mut near).await, poke(&mut far).await), (2, 2));
    // So does another SQL client's.
    let admin = database.admin().await;
    let rename = "UPDATE vehicles SET nickname = 'Bus' WHERE tenant_id = $1";
    admin.execute(rename, &[&tenant]).await.unwrap();
    assert_eq!((poke(&mut near).await, poke(&mut far).await), (3, 3));

    one.stop().await;
    assert!(near.next().await.is_none(), "a server that stops ends its streams");
    assert_eq!(accepted(&device.at(&two).send(damage(vehicle, 2)).await), 4);
    assert_eq!(poke(&mut far).await, 4);
    two.stop().await;
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_is_still_there() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let mut lively = settings(&database);
    lively.heartbeat_ms = 20;
    let server = start(lively).await.unwrap();
    let device = Sender::new(&server, tenant, Role::Viewer);
    let mut stream = events(&device).await.bytes_stream();
    assert_eq!(poke(&mut stream).await, 1);
    let comment = stream.next().await.unwrap().unwrap();
    assert!(comment.starts_with(b":"), "{comment:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_lost_listening_connection_is_made_up_for() {
    let (database, server, tenant, vehicle) = stage().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let mut stream = events(&device).await.bytes_stream();
    assert_eq!(poke(&mut stream).await, 1);
    // Whoever passes on a commit listens.
    assert_eq!(accepted(&device.send(damage(vehicle, 1)).await), 2);
    assert_eq!(poke(&mut stream).await, 2);
    let admin = database.admin().await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(count(&admin, cut).await, 1);
    assert_eq!(accepted(&device.send(damage(vehicle, 2)).await), 3);
    assert_eq!(poke(&mut stream).await, 3, "sent by whoever listens, or made up for afterwards");
    server.stop().await;
}

#[tokio::test]
async fn a_snapshot_is_the_mirror_that_the_log_makes() {
    let (database, server, tenant, vehicle) = stage().await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let first = device.seal(reading(vehicle, 1, 100));
    let mut correction = reading(vehicle, 1, 90);
    correction.corrects = Some(EventId(first.op_id.0));
    let correction = device.seal(correction);
    let mut batch = vec![first.clone(), correction.clone()];
    batch.extend((2..100).map(|n| {
        let mut event = reading(vehicle, n, 100 + n);
        event.notes = Some("a long story ".repeat(100));
        device.seal(event)
    }));
    for outcome in device.outcomes(batch).await {
        accepted(&outcome);
    }
    let admin = database.admin().await;
    let rename = "UPDATE vehicles SET nickname = 'Bus' WHERE tenant_id = $1";
    admin.execute(rename, &[&tenant]).await.unwrap();

    let ask = |range: &str, tag: Option<&str>| {
        let request = device.request(Method::GET, "/v1/sync/snapshot").header("range", range);
        match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        }
        .send()
    };
    let start = ask("bytes=0-99999", None).await.unwrap();
    assert_eq!(start.status(), StatusCode::PARTIAL_CONTENT);
    let headers = start.headers().clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_string();
    let length: usize = header("motomind-length").parse().unwrap();
    assert_eq!(header("etag"), format!("\"{}\"", header("motomind-digest")));
    assert_eq!(header("content-range"), format!("bytes 0-99999/{length}"));
    let mut file = start.bytes().await.unwrap().to_vec();
    while file.len() < length {
        let range = format!("bytes={}-", file.len());
        file.extend(ask(&range, Some(&header("etag"))).await.unwrap().bytes().await.unwrap());
    }
    assert_eq!(Hash::of(&file).to_string(), header("motomind-digest"));
    let whole = device.request(Method::GET, "/v1/sync/snapshot").send().await.unwrap();
    assert_eq!(whole.bytes().await.unwrap(), file, "unchanged, it is the same file");

    // A mirror made from the log itself holds the same rows.
    let place = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(place.path(), &file).unwrap();
    let snapshot = rusqlite::Connection::open(place.path()).unwrap();
    let made = rusqlite::Connection::open_in_memory().unwrap();
    motomind_core::mirror::create(&made).unwrap();
    let page = device.pull(None).await;
    motomind_core::mirror::apply(&made, &page.changes, 0, 1).unwrap();
    for query in [
        "SELECT group_concat(hex(event_id) || seq || hidden || data || miles || at, '|')
         FROM (SELECT * FROM events ORDER BY seq)",
        "SELECT group_concat(quote(id) || nickname) FROM vehicles",
    ] {
        let rows = |mirror: &rusqlite::Connection| -> String {
            mirror.query_row(query, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(rows(&snapshot), rows(&made));
    }
    let position = motomind_core::mirror::position(&snapshot).unwrap();
    assert_eq!(position.seq, page.head);
    assert_eq!(position.cursor.as_deref(), Some(header("motomind-cursor").as_str()));
    let rest = device.pull(position.cursor.as_deref()).await;
    assert!(rest.changes.is_empty());

    for range in [format!("bytes={length}-"), "bytes=9-3".into(), "lines=1-2".into()] {
        let refused = ask(&range, None).await.unwrap();
        assert_eq!(refused.headers()["content-range"], format!("bytes */{length}"));
        assert_eq!(problem(refused).await.code, "bad_range", "{range}");
    }
    let gone = ask("bytes=0-", Some("\"00\"")).await.unwrap();
    assert_eq!(problem(gone).await.status, 412);
    server.stop().await;
}

#[tokio::test]
async fn many_devices_at_one_vehicle_keep_its_order() {
    let (database, one, tenant, vehicle) = stage().await;
    let second = database.vehicle(tenant).await;
    told(&one, tenant).await;
    let two = serve(&database).await;
    let mut work = Vec::new();
    for number in 0..8 {
        let server = if number % 2 == 0 { &one } else { &two };
        let mut device = Sender::new(server, tenant, Role::Technician);
        work.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            for round in 0..6 {
                let mut batch = Vec::new();
                for step in 0..5 {
                    let at = round * 50 + step * 10 + number;
                    // Alternating, so that devices lock both vehicles in both orders.
                    let about = if (step + number) % 2 == 0 { vehicle } else { second };
                    batch.push(device.seal(reading(about, at, 1_000 + at)));
                }
                for outcome in device.outcomes(batch).await {
                    taken.push(accepted(&outcome));
                }
            }
            taken
        }));
    }
    let mut seqs = BTreeSet::new();
    for device in work {
        let taken = device.await.unwrap();
        assert!(taken.is_sorted(), "a device's own order");
        seqs.extend(taken);
    }
    assert_eq!(seqs, (3..243).collect(), "every sequence once, without gaps");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn an_operation_that_the_database_cannot_take_is_refused_alone() {
    let (database, server, tenant, vehicle) = stage().await;
    let admin = database.admin().await;
    let fault = "CREATE FUNCTION poisoned() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN IF NEW.vendor = 'poison' THEN RAISE EXCEPTION 'poisoned'; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER poisoned BEFORE INSERT ON vehicle_events
                   FOR EACH ROW EXECUTE FUNCTION poisoned()";
    admin.batch_execute(fault).await.unwrap();
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let first = device.seal(reading(vehicle, 1, 100));
    let mut event = reading(vehicle, 2, 110);
    event.vendor = Some("poison".into());
    let poisoned = device.seal(event);
    let mut event = reading(vehicle, 1, 101);
    event.corrects = Some(EventId(first.op_id.0));
    let correction = device.seal(event);
    let last = device.seal(reading(vehicle, 3, 105));
    let batch = vec![first, poisoned.clone(), correction, last, poisoned.clone()];
    let outcomes = device.outcomes(batch).await;
    let said: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted { .. } => "accepted",
            other => rejection(other).0,
        })
        .collect();
    // Offered again in the same batch it is judged again, and a later reading now stands in its way.
    let refused = "odometer_out_of_order";
    assert_eq!(said, ["accepted", "server_fault", "accepted", "accepted", refused]);
    admin.batch_execute("DROP TRIGGER poisoned ON vehicle_events").await.unwrap();
    // The server mended, it is judged by the rules again.
    assert_eq!(rejection(&device.outcome(poisoned).await).0, "odometer_out_of_order");
    server.stop().await;
}
