//! The real server over a test database, in this process, on a free port; and what a device says
//! to it, said by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::NaiveDate;
use motomind_protocol::wire::{Outcome, Problem, PullResponse, PushRequest, PushResponse};
use motomind_protocol::{
    AppMetadata, Body, Claims, ClockEvidence, DeviceId, Event, EventId, Hash, Incarnation, OpId,
    Operation, Role, SealedOperation, TenantId, UserId, VehicleId, limits, uuid_v7,
};
use motomind_server::serve::{Running, start};
use motomind_server::settings::Settings;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use crate::postgres::{Database, role};

/// What tokens are signed with.
pub const SECRET: &str = "a secret for tests that is long enough";

/// An hour of 2026, from which tests count, UTC ms.
pub const NOON: i64 = 1_772_366_400_000;

/// Settings for a server over a database, on a free port.
#[must_use]
pub fn settings(database: &Database) -> Settings {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut settings = Settings::new(listen, database.url(role::SERVER), SECRET.into());
    settings.pool_size = 8;
    settings
}

/// A server over a database.
pub async fn serve(database: &Database) -> Running {
    start(settings(database)).await.expect("the server starts")
}

/// A token's claims, good for an hour of the real clock.
#[must_use]
pub fn claims(tenant: Uuid, user: Uuid, role: Role) -> Claims {
    Claims {
        sub: UserId(user),
        exp: chrono::Utc::now().timestamp() + 3_600,
        iss: None,
        aud: Some("authenticated".into()),
        role: Some("authenticated".into()),
        app_metadata: AppMetadata { tenant_id: TenantId(tenant), role },
    }
}

/// A signed token.
#[must_use]
pub fn token(tenant: Uuid, user: Uuid, role: Role) -> String {
    motomind_server::auth::mint(SECRET, &claims(tenant, user, role)).unwrap()
}

/// A device by hand: it seals operations and sends what it is told to.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Where the server is.
    pub url: String,
    /// What it shows.
    pub token: String,
    /// Its tenant.
    pub tenant: Uuid,
    /// Its person.
    pub user: Uuid,
    /// Itself.
    pub device: Uuid,
    /// Its journal's life.
    pub incarnation: Uuid,
    next_seq: u64,
    head: Hash,
    http: reqwest::Client,
}

impl Sender {
    /// A new device of a new person.
    #[must_use]
    pub fn new(server: &Running, tenant: Uuid, role: Role) -> Self {
        Self::of(&server.url(), tenant, role)
    }

    /// A new device of a new person, of a server at an address.
    #[must_use]
    pub fn of(url: &str, tenant: Uuid, role: Role) -> Self {
        let user = Uuid::new_v4();
        Self {
            url: url.into(),
            token: token(tenant, user, role),
            tenant,
            user,
            device: Uuid::new_v4(),
            incarnation: Uuid::new_v4(),
            next_seq: 0,
            head: Hash::ZERO,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// The same device over another server.
    #[must_use]
    pub fn at(&self, server: &Running) -> Self {
        let mut moved = self.clone();
        moved.url = server.url();
        moved
    }

    /// An operation around an event, before it is sealed.
    #[must_use]
    pub fn operation(&mut self, event: Event) -> Operation {
        let (op_id, lane, at) = (event.id.into(), event.vehicle_id.0, event.occurred_at);
        self.operation_of(op_id, lane, at, Body::Event(Box::new(event)))
    }

    /// An operation around a body, before it is sealed.
    #[must_use]
    pub fn operation_of(&mut self, op_id: OpId, lane: Uuid, at: i64, body: Body) -> Operation {
        self.next_seq += 1;
        Operation {
            op_id,
            tenant_id: TenantId(self.tenant),
            user_id: UserId(self.user),
            device_id: DeviceId(self.device),
            incarnation: Incarnation(self.incarnation),
            device_seq: self.next_seq,
            lane,
            schema: limits::SCHEMA_VERSION,
            supersedes: Vec::new(),
            needs: Vec::new(),
            clock: ClockEvidence { wall_ms: at, ..ClockEvidence::default() },
            prev_hash: self.head,
            body,
        }
    }

    /// An event, sealed.
    #[must_use]
    pub fn seal(&mut self, event: Event) -> SealedOperation {
        let operation = self.operation(event);
        self.sealed(&operation)
    }

    /// An operation, sealed; the next one follows it.
    #[must_use]
    pub fn sealed(&mut self, operation: &Operation) -> SealedOperation {
        let sealed = operation.seal().unwrap();
        self.head = sealed.hash;
        sealed
    }

    /// A sealed operation that takes the place of others.
    #[must_use]
    pub fn superseding(&mut self, event: Event, supersedes: &[OpId]) -> SealedOperation {
        let mut operation = self.operation(event);
        operation.supersedes = supersedes.to_vec();
        self.sealed(&operation)
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// Sends a body as a push.
    pub async fn push_body(&self, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::POST, "/v1/sync/push")
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap()
    }

    /// The push request around some operations.
    #[must_use]
    pub fn batch(&self, operations: Vec<SealedOperation>) -> PushRequest {
        PushRequest {
            protocol: limits::PROTOCOL_VERSION,
            incarnation: Incarnation(self.incarnation),
            operations,
        }
    }

    /// Pushes and reads the reply.
    pub async fn push(&self, operations: Vec<SealedOperation>) -> PushResponse {
        let body = serde_json::to_string(&self.batch(operations)).unwrap();
        read(self.push_body(body).await).await
    }

    /// Pushes and returns what became of each operation.
    pub async fn outcomes(&self, operations: Vec<SealedOperation>) -> Vec<Outcome> {
        let reply = self.push(operations).await;
        reply.outcomes.into_iter().map(|one| one.outcome).collect()
    }

    /// Pushes one operation.
    pub async fn outcome(&self, operation: SealedOperation) -> Outcome {
        self.outcomes(vec![operation]).await.remove(0)
    }

    /// Seals an event and pushes it.
    pub async fn send(&mut self, event: Event) -> Outcome {
        let sealed = self.seal(event);
        self.outcome(sealed).await
    }

    /// Asks for a page.
    pub async fn pull_reply(&self, query: &str) -> Response {
        let path = format!("/v1/sync/pull{query}");
        self.request(Method::GET, &path).send().await.unwrap()
    }

    /// Pulls a page.
    pub async fn pull(&self, cursor: Option<&str>) -> PullResponse {
        let query = cursor.map_or_else(String::new, |cursor| format!("?cursor={cursor}"));
        read(self.pull_reply(&query).await).await
    }

    /// Pulls everything: each change as JSON, and the last cursor.
    pub async fn pull_all(&self) -> (Vec<Value>, String) {
        let mut cursor: Option<String> = None;
        let mut changes = Vec::new();
        loop {
            let page = self.pull(cursor.as_deref()).await;
            changes.extend(page.changes.iter().map(|change| {
                let change: Value = serde_json::from_str(change.get()).unwrap();
                change
            }));
            if page.seq == page.head {
                return (changes, page.next_cursor);
            }
            cursor = Some(page.next_cursor);
        }
    }
}

/// Has everything taken into the tenant's log that was written by SQL so far.
pub async fn told(server: &Running, tenant: Uuid) {
    Sender::new(server, tenant, Role::Viewer).pull(None).await;
}

/// Reads a reply that must be a success.
pub async fn read<T: serde::de::DeserializeOwned>(reply: Response) -> T {
    let status = reply.status();
    let text = reply.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Reads a reply that must be a problem.
pub async fn problem(reply: Response) -> Problem {
    let status = reply.status();
    let content_type = reply.headers().get("content-type").cloned();
    let text = reply.text().await.unwrap();
    let problem: Problem =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {error}: {text}"));
    assert_eq!(content_type.unwrap(), "application/problem+json");
    assert_eq!(problem.status, status.as_u16());
    assert!(problem.request_id.is_some(), "{text}");
    problem
}

/// An id that no one has used: in the order of calls, so that failures are readable.
#[must_use]
pub fn new_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut entropy = [0; 10];
    entropy[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    entropy[8..].copy_from_slice(&Uuid::new_v4().as_bytes()[..2]);
    uuid_v7(NOON, entropy)
}

/// An odometer reading, some minutes after [`NOON`].
#[must_use]
pub fn reading(vehicle: Uuid, minutes: i64, miles: i64) -> Event {
    let mut event = plain(vehicle, "odometer", minutes);
    event.miles = Some(miles);
    event
}

/// A damage report without a reading.
#[must_use]
pub fn damage(vehicle: Uuid, minutes: i64) -> Event {
    let mut event = plain(vehicle, "damage", minutes);
    event.payload.insert("description".into(), "a scratch".into());
    event
}

/// A retraction of an event.
#[must_use]
pub fn retraction(vehicle: Uuid, of: Uuid) -> Event {
    let mut event = plain(vehicle, "retraction", 0);
    event.corrects = Some(EventId(of));
    event.reason = Some("a mistake".into());
    event
}

/// A restoration of an event.
#[must_use]
pub fn restoration(vehicle: Uuid, of: Uuid) -> Event {
    let mut event = plain(vehicle, "restoration", 0);
    event.corrects = Some(EventId(of));
    event.reason = Some("it was right".into());
    event
}

fn plain(vehicle: Uuid, kind: &str, minutes: i64) -> Event {
    let day = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
    let at = NOON + minutes * 60_000;
    let id = EventId(new_id());
    Event::new(id, VehicleId(vehicle), kind, at, day, "America/Denver")
}

/// The rejection's code and field.
///
/// # Panics
/// When the outcome is no rejection.
#[must_use]
pub fn rejection(outcome: &Outcome) -> (&str, Option<&str>) {
    match outcome {
        Outcome::Rejected(rejection) => (&rejection.code, rejection.field.as_deref()),
        other => panic!("not rejected: {other:?}"),
    }
}

/// The sequence of an acceptance.
///
/// # Panics
/// When the outcome is none.
pub fn accepted(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Accepted { seq, .. } => *seq,
        other => panic!("not accepted: {other:?}"),
    }
}
