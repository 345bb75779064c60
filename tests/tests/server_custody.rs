//! What the server holds of a device, as it tells that device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::wire::Custody;
use motomind_protocol::{Hash, Role, SealedOperation, limits};
use motomind_server::evidence::{Gap, verify};
use motomind_tests::captures::attachment;
use motomind_tests::server::{
    Sender, accepted, damage, problem, read, reading, rejection, retraction,
};
use motomind_tests::stage::Stage;
use motomind_tests::tus::{Phone, original, photo};
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

/// What a test of custody asks of the stage.
trait Custodian {
    async fn custody(&self) -> Custody;
    async fn ask(&self, person: &Sender, device: Uuid) -> reqwest::Response;
}

impl Custodian for Stage {
    async fn custody(&self) -> Custody {
        read(self.ask(&self.device, self.device.device).await).await
    }

    async fn ask(&self, person: &Sender, device: Uuid) -> reqwest::Response {
        let request = person.request(Method::GET, "/v1/devices/me/custody");
        request.header("motomind-device", device.to_string()).send().await.unwrap()
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
    let operator = stage.operator().await;
    let found = verify(&operator, stage.tenant, stage.device.device, None).await.unwrap();
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
    accepted(&stage.device.send(damage(stage.vehicle, 1)).await);
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
async fn what_a_colleague_put_on_an_event_is_on_the_colleagues_way() {
    let mut stage = Stage::set().await;
    let (picture, captured) = (photo(1, 700), photo(2, 900));
    let mut event = damage(stage.vehicle, 1);
    event.payload.insert("photos".into(), json!([Hash::of(&captured)]));
    let batch =
        vec![stage.device.seal(event.clone()), stage.device.state(attachment(&event, &picture, 1))];
    for outcome in stage.device.outcomes(batch).await {
        accepted(&outcome);
    }
    // Somebody else describes the photo, puts it on another event, corrects the event.
    let mut colleague = Sender::new(&stage.server, stage.tenant, Role::Technician);
    let mut described = attachment(&event, &picture, 2);
    (described.facts, described.caption) = (None, Some("the scratch".into()));
    let other = damage(stage.vehicle, 2);
    let mut corrected = damage(stage.vehicle, 3);
    corrected.corrects = Some(event.id);
    let own = Hash::of(b"the colleague's own");
    corrected.payload.insert("photos".into(), json!([Hash::of(&captured), own]));
    let batch = vec![
        colleague.state(described),
        colleague.seal(other.clone()),
        colleague.state(attachment(&other, &picture, 1)),
        colleague.seal(corrected),
    ];
    for outcome in colleague.outcomes(batch).await {
        accepted(&outcome);
    }
    let told: Custody = read(stage.ask(&colleague, colleague.device).await).await;
    assert_eq!(told.missing_photos.photos, [own]);
    let mut mine = vec![Hash::of(&picture), Hash::of(&captured)];
    mine.sort();
    assert_eq!(stage.custody().await.missing_photos.photos, mine);
    stage.server.stop().await;
}
