//! The Rust values behind the golden files.

mod events;
mod photos;
mod records;

use chrono::NaiveDate;
use motomind_protocol::wire::{
    Change, ChangeKind, OpOutcome, Outcome, Poke, Problem, PullResponse, PushRequest, PushResponse,
    Rejection, page_digest, problem,
};
use motomind_protocol::{
    AppMetadata, Body, Claims, ClockEvidence, DeviceId, EventId, EventRecord, Flag, Garage,
    GarageId, Hash, Incarnation, Neighbour, OpId, Operation, Role, SealedOperation, TenantId,
    UserId, Vehicle, VehicleId, Violation, code, limits,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json, value::RawValue};
use uuid::{Uuid, uuid};

/// Whether a text reads as the example's value and writes as itself again.
type Check = dyn Fn(&str) -> Result<(), String>;

/// One golden file: its name, what the Rust value writes, and whether a text reads as that value.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) check: Box<Check>,
}

pub(crate) const TENANT: TenantId = TenantId(uuid!("0190f1a2-0000-7000-8000-00000000000a"));
pub(crate) const USER: UserId = UserId(uuid!("0190f1a2-0000-7000-8000-00000000000b"));
pub(crate) const DEVICE: DeviceId = DeviceId(uuid!("0190f1a2-0000-7000-8000-00000000000c"));
pub(crate) const INCARNATION: Incarnation =
    Incarnation(uuid!("0190f1a2-0000-7000-8000-00000000000d"));
pub(crate) const VEHICLE: VehicleId = VehicleId(uuid!("0190f1a2-0000-7000-8000-00000000000e"));
pub(crate) const GARAGE: GarageId = GarageId(uuid!("0190f1a2-0000-7000-8000-00000000000f"));
/// 2024-05-02T17:13:20Z.
pub(crate) const AT: i64 = 1_714_670_000_000;

/// The n-th event, and the operation that captured it.
pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_f1a2_0000_7000_8000_0000_0001_0000 + n)
}

pub(crate) fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 5, 2).unwrap()
}

fn example<T>(name: &'static str, value: T) -> Example
where
    T: Serialize + DeserializeOwned + PartialEq + 'static,
{
    let text = serde_json::to_string_pretty(&value).unwrap();
    let check = move |text: &str| -> Result<(), String> {
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let read: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if read != value {
            return Err("reads as another value".into());
        }
        if serde_json::to_value(&read).map_err(|error| error.to_string())? != json {
            return Err("writes other JSON than it was read from".into());
        }
        Ok(())
    };
    Example { name, text, check: Box::new(check) }
}

pub(crate) fn examples() -> Vec<Example> {
    let mut out = events::examples();
    out.extend(operations());
    out.extend(outcomes());
    out.extend(changes());
    out.extend(pages());
    out.extend(around());
    out.extend(photos::examples());
    out.extend(records::examples());
    out
}

fn operation(n: u128, seq: u64, prev: Hash, body: Body) -> Operation {
    Operation {
        op_id: OpId(id(n)),
        tenant_id: TENANT,
        user_id: USER,
        device_id: DEVICE,
        incarnation: INCARNATION,
        device_seq: seq,
        lane: VEHICLE.0,
        schema: limits::SCHEMA_VERSION,
        supersedes: vec![],
        needs: Vec::new(),
        clock: ClockEvidence {
            wall_ms: AT + 2_500,
            monotonic_ms: Some(86_400_123),
            boot_id: Some(uuid!("7d5b1f60-58aa-4a41-9c1e-0a6f0e3f2b11")),
            server_offset_ms: Some(-1_250),
            offset_age_ms: Some(3_600_000),
        },
        prev_hash: prev,
        body,
    }
}

/// A reading, its amendment and the amendment's retraction: a chain of three.
fn chain() -> (Operation, Vec<SealedOperation>) {
    let first = operation(1, 1, Hash::ZERO, Body::Event(Box::new(events::odometer(1))));
    let first_sealed = first.seal().unwrap();
    let mut amended = events::odometer(2);
    amended.miles = Some(54_210);
    let mut second = operation(2, 2, first_sealed.hash, Body::Event(Box::new(amended)));
    second.supersedes = vec![first.op_id];
    let second_sealed = second.seal().unwrap();
    let third = events::retraction(3, EventId(id(2)));
    let third = operation(3, 3, second_sealed.hash, Body::Event(Box::new(third)));
    let sealed = vec![first_sealed, second_sealed, third.seal().unwrap()];
    (first, sealed)
}

fn operations() -> Vec<Example> {
    let (first, sealed) = chain();
    let newer =
        json!({"record_patch": {"record": "vehicle", "heads": ["9f1c"], "set": {"color": "red"}}});
    let request = PushRequest {
        protocol: limits::PROTOCOL_VERSION,
        incarnation: INCARNATION,
        operations: sealed.clone(),
    };
    vec![
        example("operation", first),
        example("operation_unknown_body", operation(4, 4, sealed[2].hash, Body::Other(newer))),
        example("sealed_operation", sealed[0].clone()),
        example("sealed_amendment", sealed[1].clone()),
        example("sealed_retraction", sealed[2].clone()),
        example("push_request", request),
    ]
}

fn outcomes() -> Vec<Example> {
    let outcome = |n: u128, outcome: Outcome| OpOutcome { op_id: Some(OpId(id(n))), outcome };
    let mut out_of_order = Rejection::new(
        code::ODOMETER_OUT_OF_ORDER,
        "53900 is below the earlier reading of 54120; amend one of them",
    )
    .field("miles");
    out_of_order.neighbour = Some(Neighbour { event_id: EventId(id(1)), miles: 54_120, at: AT });
    let several = Rejection::from(vec![
        Violation::new("miles", code::OUT_OF_RANGE, "miles must be between 0 and 9999999"),
        Violation::new("fix.latitude", code::NOT_FINITE, "latitude must be a finite number"),
    ]);
    let unreadable =
        Rejection::new(code::MALFORMED, "expected value at line 1 column 1").field("text");
    let all = [
        ("outcome_accepted", outcome(1, Outcome::Accepted { seq: 42, flags: vec![] })),
        (
            "outcome_accepted_flagged",
            outcome(2, Outcome::Accepted { seq: 43, flags: vec![Flag::ClockAhead] }),
        ),
        ("outcome_duplicate", outcome(3, Outcome::Duplicate { seq: 17 })),
        ("outcome_waiting", outcome(4, Outcome::Waiting { parent: EventId(id(9)) })),
        ("outcome_rejected", outcome(5, Outcome::Rejected(out_of_order))),
        ("outcome_rejected_several", outcome(6, Outcome::Rejected(several))),
        (
            "outcome_rejected_unreadable",
            OpOutcome { op_id: None, outcome: Outcome::Rejected(unreadable) },
        ),
        (
            "outcome_op_id_reused",
            outcome(7, Outcome::OpIdReused { known_hash: Hash::of(b"another text") }),
        ),
        ("outcome_forked", outcome(8, Outcome::Forked { at: 118 })),
    ];
    let reply = PushResponse {
        protocol: limits::PROTOCOL_VERSION,
        outcomes: all.iter().map(|(_, outcome)| outcome.clone()).collect(),
        head: 43,
        server_time_ms: AT + 4_000,
        retention_days: limits::RETENTION_DAYS_DEFAULT,
    };
    let mut out: Vec<Example> =
        all.into_iter().map(|(name, outcome)| example(name, outcome)).collect();
    out.push(example("push_response", reply));
    out
}

fn vehicle() -> Vehicle {
    Vehicle {
        id: VEHICLE,
        garage_id: Some(GARAGE),
        year: Some(2018),
        make: Some("Ford".into()),
        model: Some("F-150".into()),
        trim: Some("XLT".into()),
        color: Some("blue".into()),
        vin: Some("1FTEW1EP5JFA12345".into()),
        license_plate: Some("ABC-D12".into()),
        nickname: Some("Shop truck".into()),
        manufacturer_mpg: Some(20),
        manufacturer_service_interval_miles: Some(10_000),
        current_mileage_override: None,
        timezone: Some("America/Denver".into()),
        deleted_at: None,
        extra: Map::new(),
    }
}

fn garage() -> Garage {
    Garage {
        id: GARAGE,
        name: "Denver yard".into(),
        address: Some("4800 Brighton Blvd, Denver".into()),
        lat: Some(39.7833),
        lng: Some(-104.9694),
        timezone: Some("America/Denver".into()),
        is_default: true,
        deleted_at: Some(AT),
        extra: Map::new(),
    }
}

fn record() -> EventRecord {
    EventRecord {
        event: events::odometer(1),
        received_at: AT + 4_000,
        op_id: Some(OpId(id(1))),
        device_id: Some(DEVICE),
        user_id: Some(USER),
        corrects: None,
        flags: vec![Flag::ClockAhead],
        extra: Map::new(),
    }
}

fn change(n: usize) -> Change {
    let newer = json!({"kind": "reminder", "data": {"title": "Rotate tires"}});
    let what = match n {
        1 => ChangeKind::Record(Box::new(records::creation())),
        2 => ChangeKind::Event(Box::new(record())),
        3 => ChangeKind::Closed { op_id: OpId(id(5)), by: OpId(id(6)) },
        _ => ChangeKind::Other(newer.as_object().unwrap().clone()),
    };
    Change { seq: 41 + n as u64, what }
}

fn changes() -> Vec<Example> {
    let by_another_client = EventRecord {
        op_id: None,
        device_id: None,
        user_id: None,
        flags: vec![],
        corrects: Some(EventId(id(1))),
        ..record()
    };
    vec![
        example("vehicle", vehicle()),
        example("garage", garage()),
        example("event_record", record()),
        example("event_record_by_sql", by_another_client),
        example("change_event", change(2)),
        example("change_closed", change(3)),
        example("change_unknown_kind", change(4)),
    ]
}

/// A page holds its changes as the server wrote them, so the file is written without line breaks.
fn page(name: &'static str, changes: Vec<Box<RawValue>>, seq: u64) -> Example {
    let response = PullResponse {
        protocol: limits::PROTOCOL_VERSION,
        digest: page_digest(&changes),
        changes,
        next_cursor: "v1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".into(),
        seq,
        head: 1_207,
        server_time_ms: AT + 4_000,
    };
    let text = serde_json::to_string(&response).unwrap();
    let expected = text.clone();
    let check = move |text: &str| -> Result<(), String> {
        let read: PullResponse = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if serde_json::to_string(&read).map_err(|error| error.to_string())? != expected {
            return Err("reads as another value".into());
        }
        if text.trim_end() != expected {
            return Err("writes other JSON than it was read from".into());
        }
        Ok(())
    };
    Example { name, text, check: Box::new(check) }
}

fn pages() -> Vec<Example> {
    let raw = |n: usize| serde_json::value::to_raw_value(&change(n)).unwrap();
    vec![
        page("pull_response", (1..5).map(raw).collect(), 45),
        page("pull_response_empty", vec![], 1_207),
    ]
}

/// Every problem with the status that docs/protocol.md gives it.
const PROBLEMS: [(&str, u16, &str); 21] = [
    (problem::UNAUTHENTICATED, 401, "Unauthorized"),
    (problem::TOKEN_EXPIRED, 401, "Unauthorized"),
    (problem::FORBIDDEN, 403, "Forbidden"),
    (problem::DEVICE_REVOKED, 403, "Forbidden"),
    (problem::MALFORMED, 400, "Bad Request"),
    (problem::BAD_CURSOR, 400, "Bad Request"),
    (problem::NOT_FOUND, 404, "Not Found"),
    (problem::RESNAPSHOT, 409, "Conflict"),
    (problem::TOO_LARGE, 413, "Payload Too Large"),
    (problem::BAD_RANGE, 416, "Range Not Satisfiable"),
    (problem::PROTOCOL, 426, "Upgrade Required"),
    (problem::RATE_LIMITED, 429, "Too Many Requests"),
    (problem::INTERNAL, 500, "Internal Server Error"),
    (problem::UNAVAILABLE, 503, "Service Unavailable"),
    (problem::TIMEOUT, 503, "Service Unavailable"),
    (problem::OFFSET_CONFLICT, 409, "Conflict"),
    (problem::UPLOAD_EXPIRED, 410, "Gone"),
    (problem::QUOTA_EXCEEDED, 413, "Payload Too Large"),
    (problem::WRONG_MIME, 422, "Unprocessable Entity"),
    (problem::HASH_MISMATCH, 422, "Unprocessable Entity"),
    (problem::CHECKSUM_MISMATCH, 460, "Checksum Mismatch"),
];

fn around() -> Vec<Example> {
    let problem = |(code, status, title): (&str, u16, &str)| Problem {
        kind: format!("https://motomind.dev/problems/{code}"),
        title: title.into(),
        status,
        code: code.into(),
        detail: "a sentence that says what to do".into(),
        request_id: (status == 500).then(|| "01J8ZQ3V6K".into()),
    };
    let claims = Claims {
        sub: USER,
        exp: AT / 1_000 + 3_600,
        iss: Some("https://auth.motomind.dev/auth/v1".into()),
        aud: Some("authenticated".into()),
        role: Some("authenticated".into()),
        app_metadata: AppMetadata { tenant_id: TENANT, role: Role::Technician },
    };
    vec![
        example("problem", problem(PROBLEMS[12])),
        example("problems", PROBLEMS.map(problem).to_vec()),
        example("poke", Poke { head: 1_207 }),
        example("claims", claims),
    ]
}
