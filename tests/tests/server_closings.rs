//! Whose operation another one may take the place of, and to whom a closed id is closed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::records::{Action, Patch};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{Attachment, Event, EventId, OpId, Role, SealedOperation};
use motomind_server::serve::Running;
use motomind_tests::captures::attachment;
use motomind_tests::postgres::{Database, Postgres, count_as_tenant};
use motomind_tests::records::{intent, set, step};
use motomind_tests::server::{
    NOON, Sender, accepted, damage, new_id, reading, rejection, retraction, serve, told,
};
use motomind_tests::tus::photo;
use serde_json::json;
use uuid::Uuid;

/// A server, a vehicle, and two technicians of one tenant.
struct Stage {
    database: Database,
    server: Running,
    tenant: Uuid,
    vehicle: Uuid,
    ann: Sender,
    bob: Sender,
}

impl Stage {
    async fn set() -> Self {
        let database = Postgres::shared().database().await;
        let (tenant, vehicle) = database.tenant_with_vehicle().await;
        let server = serve(&database).await;
        told(&server, tenant).await;
        let ann = Sender::new(&server, tenant, Role::Technician);
        let bob = Sender::new(&server, tenant, Role::Technician);
        Self { database, server, tenant, vehicle, ann, bob }
    }

    async fn count(&self, query: &str) -> i64 {
        count_as_tenant(&self.database.admin().await, self.tenant, query).await
    }
}

/// An operation of each kind that takes the place of these ones.
fn of_each_kind(by: &mut Sender, event: &Event, replaced: &[OpId]) -> Vec<SealedOperation> {
    let vehicle = event.vehicle_id.0;
    let fact = by.superseding(damage(vehicle, 9), replaced);
    let discard = by.superseding(retraction(vehicle, replaced[0].0), replaced);
    let mut change =
        by.intended(intent("vehicles", vehicle, step(Action::Nothing, Patch::new()), &[]));
    change.supersedes = replaced.to_vec();
    let change = by.sealed(&change);
    let statement = by.restate(attachment(event, &photo(9, 200), 1), replaced);
    let off = Attachment { removed: true, facts: None, ..attachment(event, &photo(9, 200), 1) };
    let off = by.restate(off, replaced);
    vec![fact, discard, change, statement, off]
}

#[tokio::test]
async fn nobody_takes_the_place_of_someone_elses_operation() {
    let mut stage = Stage::set().await;
    let (vehicle, ann, bob) = (stage.vehicle, &mut stage.ann, &mut stage.bob);
    let event = damage(vehicle, 1);
    accepted(&ann.send(event.clone()).await);
    let stands = ann.seal(reading(vehicle, 1, 100));
    accepted(&ann.outcome(stands.clone()).await);
    let refused = ann.seal(reading(vehicle, 2, 50));
    assert_eq!(rejection(&ann.outcome(refused.clone()).await).0, "odometer_out_of_order");
    let closed = ann.seal(reading(vehicle, 3, -1));
    assert_eq!(rejection(&ann.outcome(closed.clone()).await).0, "out_of_range");
    let mended = ann.superseding(reading(vehicle, 3, 300), &[closed.op_id]);
    accepted(&ann.outcome(mended).await);

    let unsent = bob.seal(damage(vehicle, 4));
    for theirs in [&stands, &refused, &closed] {
        for operation in of_each_kind(bob, &event, &[unsent.op_id, theirs.op_id]) {
            let outcome = bob.outcome(operation).await;
            assert_eq!(rejection(&outcome), ("forbidden", Some("supersedes")));
            let Outcome::Rejected(refusal) = outcome else { panic!("{outcome:?}") };
            assert_eq!(refusal.taken_by, Some(theirs.op_id.0));
        }
    }
    // A manager neither: they correct and retract what is there, by its name.
    let mut boss = Sender::new(&stage.server, stage.tenant, Role::Manager);
    for operation in of_each_kind(&mut boss, &event, &[refused.op_id]) {
        let outcome = boss.outcome(operation).await;
        assert_eq!(rejection(&outcome), ("forbidden", Some("supersedes")));
    }

    // Nothing was closed: neither what Ann's device offers again nor what Bob's had not sent.
    let mut lower = reading(vehicle, 1, 40);
    lower.corrects = Some(EventId(stands.op_id.0));
    accepted(&stage.ann.send(lower).await);
    accepted(&stage.ann.outcome(refused).await);
    accepted(&stage.bob.outcome(unsent).await);
    let told = "SELECT count(*) FROM change_log WHERE kind = 'closed'";
    assert_eq!(stage.count(told).await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM event_photos").await, 0);
    stage.server.stop().await;
}

#[tokio::test]
async fn an_id_closed_before_it_came_is_closed_to_its_user_alone() {
    let mut stage = Stage::set().await;
    let (vehicle, ann, bob) = (stage.vehicle, &mut stage.ann, &mut stage.bob);
    let under = |id: OpId, mut event: Event| {
        event.id = EventId(id.0);
        event
    };
    let ids: Vec<OpId> = (0..4).map(|_| OpId(new_id())).collect();
    let discard = bob.superseding(retraction(vehicle, ids[0].0), &ids);
    accepted(&bob.outcome(discard.clone()).await);

    // To Ann they are unknown: what names one waits, what has one is judged like anything else.
    let mut correction = reading(vehicle, 1, 110);
    correction.corrects = Some(EventId(ids[0].0));
    let correction = ann.seal(correction);
    let waiting = Outcome::Waiting { parent: EventId(ids[0].0) };
    assert_eq!(ann.outcome(correction.clone()).await, waiting);
    let event = ann.seal(under(ids[0], reading(vehicle, 1, 100)));
    let refused = ann.seal(under(ids[1], reading(vehicle, 1, -1)));
    let fields =
        json!({"vin": "1FTFW1ET5DFC10312", "make": "Ford", "model": "F-150", "year": 2013});
    let creation = intent("vehicles", new_id(), step(Action::Create, set(fields)), &[]);
    let mut creation = ann.intended(creation);
    creation.op_id = ids[2];
    let creation = ann.sealed(&creation);
    let late = ann.seal(under(ids[3], damage(vehicle, 4)));
    let batch = vec![event.clone(), refused.clone(), creation.clone(), correction];
    let outcomes = ann.outcomes(batch).await;
    let seq = accepted(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]), ("out_of_range", Some("miles")));
    accepted(&outcomes[2]);
    accepted(&outcomes[3]);
    assert_eq!(ann.outcome(event.clone()).await, Outcome::Duplicate { seq });
    assert_eq!(rejection(&ann.outcome(refused.clone()).await).0, "out_of_range");
    let mended = ann.superseding(reading(vehicle, 2, 120), &[refused.op_id]);
    accepted(&ann.outcome(mended).await);
    assert_eq!(rejection(&ann.outcome(refused).await).0, "superseded");

    // To Bob they stay closed; what has become Ann's is another operation's.
    assert!(matches!(bob.outcome(discard).await, Outcome::Duplicate { .. }));
    let known_hash = event.hash;
    let twin = bob.seal(under(ids[0], reading(vehicle, 1, 100)));
    assert_eq!(bob.outcome(twin).await, Outcome::OpIdReused { known_hash });
    let twin = bob.seal(under(ids[3], damage(vehicle, 4)));
    assert_eq!(rejection(&bob.outcome(twin.clone()).await).0, "superseded");
    assert!(matches!(ann.outcome(late).await, Outcome::OpIdReused { .. }), "Bob's came first");

    let kept = "SELECT count(*) FROM operations o JOIN vehicle_events e
                    ON e.tenant_id = o.tenant_id AND e.op_id = o.op_id
                WHERE o.outcome = 'accepted' AND o.user_id = e.user_id AND o.text IS NOT NULL";
    assert_eq!(stage.count(kept).await, 3);
    stage.server.stop().await;
}

#[tokio::test]
async fn two_users_close_one_id_and_it_is_closed_to_the_later_one() {
    let mut stage = Stage::set().await;
    let (vehicle, ann, bob) = (stage.vehicle, &mut stage.ann, &mut stage.bob);
    let mut lost = damage(vehicle, 1);
    lost.occurred_at = NOON;
    let lost = ann.seal(lost);
    let grab = bob.superseding(retraction(vehicle, lost.op_id.0), &[lost.op_id]);
    accepted(&bob.outcome(grab).await);
    let amended = ann.superseding(damage(vehicle, 2), &[lost.op_id]);
    accepted(&ann.outcome(amended).await);
    assert_eq!(rejection(&ann.outcome(lost).await).0, "superseded");
    assert_eq!(stage.count("SELECT count(*) FROM active_events").await, 1);
    stage.server.stop().await;
}
