//! What the server holds of a device, what it can prove of it, and whether it finds a flipped byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::place::CorrectionMethod;
use motomind_protocol::wire::Custody;
use motomind_protocol::{Hash, LocationCorrection, OpId, Role, SealedOperation, limits};
use motomind_server::evidence::{Evidence, Gap, PhotoEvidence, verify};
use motomind_server::serve::{Running, start};
use motomind_tests::captures::{abandoned, attachment};
use motomind_tests::postgres::{Database, Postgres};
use motomind_tests::server::{
    Sender, accepted, damage, problem, read, reading, rejection, retraction, settings,
};
use motomind_tests::tus::{Phone, original, photo, preview};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::Client;
use uuid::Uuid;

struct Stage {
    database: Database,
    server: Running,
    tenant: Uuid,
    vehicle: Uuid,
    store: TempDir,
    device: Sender,
}

impl Stage {
    async fn set() -> Self {
        let database = Postgres::shared().database().await;
        let (tenant, vehicle) = database.tenant_with_vehicle().await;
        let store = TempDir::new().unwrap();
        let mut settings = settings(&database);
        settings.photo_store = Some(store.path().to_str().unwrap().into());
        let server = start(settings).await.unwrap();
        let device = Sender::new(&server, tenant, Role::Technician);
        Self { database, server, tenant, vehicle, store, device }
    }

    async fn custody(&self) -> Custody {
        read(self.ask(&self.device, self.device.device).await).await
    }

    async fn ask(&self, person: &Sender, device: Uuid) -> reqwest::Response {
        let request = person.request(Method::GET, "/v1/devices/me/custody");
        request.header("motomind-device", device.to_string()).send().await.unwrap()
    }

    /// What an operator's connection finds.
    async fn verified(&self, with_photos: bool) -> Evidence {
        let admin = self.operator().await;
        let store = self.store.path().to_str().filter(|_| with_photos);
        verify(&admin, self.tenant, self.device.device, store).await.unwrap()
    }

    async fn operator(&self) -> Client {
        let admin = self.database.admin().await;
        let setting = format!("SET app.current_tenant_id = '{}'", self.tenant);
        admin.batch_execute(&setting).await.unwrap();
        admin
    }

    /// Changes stored bytes as nobody may: with triggers off, as the superuser.
    async fn tamper(&self, sql: &str) {
        let admin = self.operator().await;
        let sql = format!("SET session_replication_role = replica; {sql}");
        admin.batch_execute(&sql).await.unwrap();
    }

    /// Everything of one device: an event with a photo, a place, a session, a refused reading, and
    /// what took its place.
    async fn fill(&mut self) -> Vec<SealedOperation> {
        let (vehicle, picture, small) = (self.vehicle, photo(1, 5_000), photo(2, 500));
        let device = &mut self.device;
        let mut event = damage(vehicle, 1);
        event.notes = Some("two \u{0} marks, ü".into());
        event.payload.insert("photos".into(), json!([Hash::of(&picture)]));
        let refused = reading(vehicle, 20, 10);
        let place = LocationCorrection::new(&event, (39.7, -104.9), CorrectionMethod::MapPin);
        let batch = vec![
            device.seal(event.clone()),
            device.state(attachment(&event, &picture, 1)),
            device.state(place),
            device.state(abandoned(vehicle, Hash::of(&picture))),
            device.seal(reading(vehicle, 10, 1_000)),
            device.seal(refused.clone()),
            device.superseding(reading(vehicle, 20, 1_010), &[OpId::from(refused.id)]),
        ];
        let outcomes = device.outcomes(batch.clone()).await;
        assert_eq!(rejection(&outcomes[5]).0, "odometer_out_of_order");
        for at in [0, 1, 2, 3, 4, 6] {
            accepted(&outcomes[at]);
        }
        let phone = Phone::new(&self.server.url(), self.tenant, Role::Technician)
            .of_person(&self.device.token);
        phone.upload(&small, &preview(&small, &picture)).await;
        phone.upload(&picture, &original(&picture)).await;
        batch
    }
}

fn bytes(sealed: &[SealedOperation]) -> u64 {
    sealed.iter().map(|one| one.text.len() as u64).sum()
}

#[tokio::test]
async fn custody_tells_every_life_with_its_gaps_and_the_photos_that_are_missing() {
    let mut stage = Stage::set().await;
    // Never heard of: nothing is held, and whoever asks learns so.
    let empty = stage.custody().await;
    assert_eq!((empty.protocol, empty.lives.len()), (limits::PROTOCOL_VERSION, 0));

    let (vehicle, device) = (stage.vehicle, &mut stage.device);
    let (one, two) = (photo(1, 700), photo(2, 900));
    let mut event = damage(vehicle, 1);
    let claimed = Hash::of(b"captured, and its statement lost");
    event.payload.insert("photos".into(), json!([claimed, Hash::of(&one)]));
    let first = vec![
        device.seal(event.clone()),
        device.state(attachment(&event, &one, 1)),
        device.state(attachment(&event, &two, 2)),
    ];
    let _never_sent = device.seal(damage(vehicle, 2));
    let later = vec![device.seal(damage(vehicle, 3)), device.seal(reading(vehicle, 4, -1))];
    device.outcomes(first.clone()).await;
    let outcomes = device.outcomes(later.clone()).await;
    assert_eq!(rejection(&outcomes[1]).0, "out_of_range", "refused ones are here, too");
    let old = device.incarnation;
    // A copy of the journal goes on at the same place: the server notices, a new life begins.
    let mut copy = device.clone();
    copy.incarnation = Uuid::new_v4();
    let next = vec![copy.seal(damage(vehicle, 6))];
    accepted(&copy.outcomes(next.clone()).await[0]);
    let mut fork = device.operation(damage(vehicle, 5));
    fork.device_seq = 5;
    let fork = device.sealed(&fork);
    // From its new life it offers what the old one had left over.
    let mut leftover = copy.batch(vec![fork.clone()]);
    leftover.incarnation = motomind_protocol::Incarnation(copy.incarnation);
    let body = serde_json::to_string(&leftover).unwrap();
    assert_eq!(copy.push_body(body).await.status(), StatusCode::OK);

    let custody = stage.custody().await;
    assert_eq!(custody.lives.len(), 2);
    let life = &custody.lives[0];
    assert_eq!(life.incarnation.0, old);
    assert_eq!((life.high_water, life.head), (3, Some(first[2].hash)));
    assert_eq!(life.held, [(1, 3), (5, 6)]);
    assert_eq!(life.count, 6, "two of them have one sequence");
    assert_eq!(life.bytes, bytes(&first) + bytes(&later) + bytes(&[fork]));
    let life = &custody.lives[1];
    assert_eq!((life.incarnation.0, life.high_water), (copy.incarnation, 0));
    assert_eq!((life.head, life.held.as_slice()), (None, &[(7, 7)][..]));
    let missing = &custody.missing_photos;
    assert_eq!((missing.count, missing.bytes), (3, 1_600));
    let mut named = vec![claimed, Hash::of(&one), Hash::of(&two)];
    named.sort();
    assert_eq!(missing.photos, named);

    // Closed before it came, it comes all the same: it stays closed, and it is here.
    let late = copy.seal(damage(vehicle, 8));
    let discard = copy.superseding(retraction(vehicle, late.op_id.0), &[late.op_id]);
    accepted(&copy.outcome(discard).await);
    assert_eq!(stage.custody().await.lives[1].held, [(7, 7), (9, 9)]);
    assert_eq!(rejection(&copy.outcome(late.clone()).await).0, "superseded");
    assert_eq!(stage.custody().await.lives[1].held, [(7, 9)]);
    assert_eq!(rejection(&copy.outcome(late).await).0, "superseded");

    // One comes, one is taken off.
    let phone = Phone::new(&stage.server.url(), stage.tenant, Role::Technician);
    phone.upload(&one, &original(&one)).await;
    let mut off = attachment(&event, &two, 2);
    off.removed = true;
    let sealed = copy.state(off);
    accepted(&copy.outcome(sealed).await);
    assert_eq!(stage.custody().await.missing_photos.photos, [claimed]);
    let found = stage.verified(false).await;
    assert_eq!(found.findings, []);
    let gap = |incarnation, first, last| Gap { incarnation, first, last };
    assert!(
        found.gaps.contains(&gap(old, 4, 4)) && found.gaps.contains(&gap(copy.incarnation, 1, 6))
    );
    stage.server.stop().await;
}

#[tokio::test]
async fn custody_is_told_to_its_own_person_and_to_managers() {
    let mut stage = Stage::set().await;
    stage.fill().await;
    let device = stage.device.device;
    let colleague = Sender::new(&stage.server, stage.tenant, Role::Technician);
    let reply = problem(stage.ask(&colleague, device).await).await;
    assert_eq!((reply.status, reply.code.as_str()), (403, "forbidden"));
    let manager = Sender::new(&stage.server, stage.tenant, Role::Manager);
    let told: Custody = read(stage.ask(&manager, device).await).await;
    assert_eq!(told.lives, stage.custody().await.lives);
    let (other_tenant, _) = stage.database.tenant_with_vehicle().await;
    let stranger = Sender::new(&stage.server, other_tenant, Role::Manager);
    let told: Custody = read(stage.ask(&stranger, device).await).await;
    assert_eq!((told.lives.len(), told.missing_photos.count), (0, 0));

    let path = "/v1/devices/me/custody";
    let nameless = stage.device.request(Method::GET, path).send().await.unwrap();
    assert_eq!(problem(nameless).await.code, "malformed");
    let anonymous = reqwest::get(format!("{}{path}", stage.device.url)).await.unwrap();
    assert_eq!(problem(anonymous).await.code, "unauthenticated");
    let revoke = format!("UPDATE devices SET revoked_at = now() WHERE id = '{device}'");
    stage.operator().await.batch_execute(&revoke).await.unwrap();
    assert_eq!(problem(stage.ask(&stage.device, device).await).await.code, "device_revoked");
    let document = reqwest::get(format!("{}/openapi.json", stage.device.url)).await.unwrap();
    let document: serde_json::Value = document.json().await.unwrap();
    assert!(document["paths"][path]["get"].is_object());
    stage.server.stop().await;
}

#[tokio::test]
async fn what_was_sealed_can_be_put_together_again_and_proven() {
    let mut stage = Stage::set().await;
    let batch = stage.fill().await;
    let found = stage.verified(true).await;
    assert_eq!(found.findings, []);
    assert_eq!((found.operations, found.lives, found.without_text), (7, 1, 0));
    assert_eq!((found.gaps.as_slice(), found.loose.as_slice()), (&[][..], &[][..]));
    let photos = PhotoEvidence { objects: 2, bytes: 5_500, missing: 0 };
    assert_eq!(found.photos, Some(photos));
    assert!(found.to_string().ends_with("everything is as it was sealed"), "{found}");
    // The event's bytes are kept once.
    let kept = "SELECT o.text, o.body_at, o.bytes, e.body FROM operations o
                  JOIN vehicle_events e ON e.id = o.op_id WHERE o.device_seq = 1";
    let row = stage.operator().await.query_one(kept, &[]).await.unwrap();
    let (text, event): (String, String) = (row.get(0), row.get(3));
    assert_eq!(text.len() + event.len(), batch[0].text.len());
    assert_eq!(row.get::<_, i32>(2) as usize, batch[0].text.len());
    // What is settled stays: not even the server may change it.
    let server = stage.database.connect(motomind_tests::postgres::role::SERVER).await;
    let change = "UPDATE operations SET text = text || ' ' WHERE outcome = 'accepted'";
    let error = motomind_tests::postgres::as_tenant(&server, stage.tenant, change).await;
    assert_eq!(motomind_tests::postgres::constraint(&error.unwrap_err()), "operations_settled");
    // From before texts were kept: said so, and nothing is held against it.
    stage.tamper("UPDATE operations SET text = NULL, body_at = NULL WHERE device_seq = 5").await;
    let found = stage.verified(false).await;
    assert_eq!((found.findings.as_slice(), found.without_text), (&[][..], 1));
    stage.server.stop().await;
}

#[tokio::test]
async fn a_flipped_byte_is_found_wherever_it_is() {
    let mut stage = Stage::set().await;
    let batch = stage.fill().await;
    let id = |at: usize| batch[at].op_id.to_string();
    let flip = |table: &str, column: &str, key: &str| {
        format!("UPDATE {table} SET {column} = overlay({column} PLACING 'X' FROM 40) WHERE {key}")
    };
    let by_id = |at: usize| format!("id = '{}'", id(at));
    let op = |at: usize| format!("op_id = '{}'", id(at));
    for (flipped, what, named) in [
        (flip("operations", "text", &op(0)), id(0), "operations.text"),
        (flip("operations", "text", &op(3)), id(3), "operations.text"),
        (flip("vehicle_events", "body", &by_id(0)), id(0), "vehicle_events.body"),
        (flip("event_photos", "body", &by_id(1)), id(1), "event_photos.body"),
        (flip("location_corrections", "body", &by_id(2)), id(2), "location_corrections.body"),
        (
            format!("UPDATE rejected_operations SET text = set_byte(text, 40, 1) WHERE {}", op(5)),
            id(5),
            "refused operation",
        ),
        (
            format!(
                "UPDATE operations SET hash = set_byte(hash, 3, 7 # get_byte(hash, 3)) WHERE {}",
                op(4)
            ),
            id(4),
            "operations.hash",
        ),
        (format!("UPDATE operations SET device_seq = 77 WHERE {}", op(6)), id(6), "another place"),
        (
            format!("UPDATE operations SET body_at = body_at + 1 WHERE {}", op(0)),
            id(0),
            "operations.text",
        ),
        (flip("change_log", "entry", &format!("entity_id = '{}'", id(2))), id(2), "change_log"),
        (format!("DELETE FROM vehicle_events WHERE {}", by_id(0)), id(0), "is gone"),
    ] {
        let admin = stage.operator().await;
        let setup = "BEGIN; SET LOCAL session_replication_role = replica";
        admin.batch_execute(setup).await.unwrap();
        admin.batch_execute(&flipped).await.unwrap();
        let found = verify(&admin, stage.tenant, stage.device.device, None).await.unwrap();
        let named_so = |found: &Evidence| {
            found.findings.iter().any(|one| one.what == what && one.why.contains(named))
        };
        assert!(named_so(&found), "{flipped}\n{found}");
        assert!(found.to_string().ends_with("not as it was sealed"));
        admin.batch_execute("ROLLBACK").await.unwrap();
    }
    assert_eq!(stage.verified(true).await.findings, []);

    // An operation replaced as a whole, with a hash of its own, does not follow.
    let mut forged = batch[4].open().unwrap();
    forged.clock.wall_ms += 1;
    forged.prev_hash = Hash::of(b"elsewhere");
    let forged = forged.seal().unwrap();
    let forge = format!(
        "UPDATE operations SET text = $f${}$f$, body_at = NULL, hash = '\\x{}' WHERE {}",
        forged.text,
        forged.hash,
        op(4)
    );
    let admin = stage.operator().await;
    admin.batch_execute("BEGIN; SET LOCAL session_replication_role = replica").await.unwrap();
    admin.batch_execute(&forge).await.unwrap();
    let found = verify(&admin, stage.tenant, stage.device.device, None).await.unwrap();
    let broken = found.findings.iter().filter(|finding| finding.why.contains("does not follow"));
    let broken: Vec<&str> = broken.map(|finding| finding.what.as_str()).collect();
    assert_eq!(broken, [id(4), id(5)], "{found}");
    admin.batch_execute("ROLLBACK").await.unwrap();

    // The objects of the photo store: a flipped bit, then none at all.
    for (picture, what) in [(photo(1, 5_000), "photo"), (photo(2, 500), "preview")] {
        let name = Hash::of(&picture).to_string();
        let path = stage.store.path().join(format!("photos/{}/{name}", stage.tenant));
        let mut altered = picture.clone();
        altered[picture.len() / 2] ^= 1;
        std::fs::write(&path, altered).unwrap();
        let found = stage.verified(true).await;
        assert_eq!(found.findings[0].what, format!("{what} {name}"), "{found}");
        assert_eq!(stage.verified(false).await.findings, []);
        std::fs::remove_file(&path).unwrap();
        let found = stage.verified(true).await;
        assert_eq!(found.findings[0].why, "the photo store does not have it");
        std::fs::write(&path, picture).unwrap();
    }
    assert_eq!(stage.verified(true).await.findings, []);
    stage.server.stop().await;
}
