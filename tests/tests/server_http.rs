//! Requests as a whole: what cannot be read, what is too much, and what every reply carries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use motomind_protocol::Role;
use motomind_protocol::wire::PushResponse;
use motomind_server::serve::start;
use motomind_tests::postgres::{Postgres, role};
use motomind_tests::server::{Sender, accepted, damage, problem, read, serve, settings, told};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Pushes bytes as they are, said to be encoded: the problem's code and status.
async fn refusal(device: &Sender, encoding: Option<&str>, body: Vec<u8>) -> (String, u16) {
    let mut request = device.request(Method::POST, "/v1/sync/push").body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    let problem = problem(request.send().await.unwrap()).await;
    (problem.code, problem.status)
}

#[tokio::test]
async fn a_push_that_cannot_be_read_is_refused_whole() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    told(&server, tenant).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let life = Uuid::new_v4();
    let malformed = ("malformed".to_string(), 400);
    for body in [
        "".as_bytes().to_vec(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"{\"protocol\":1}".to_vec(),
        b"{\"protocol\":1,\"incarnation\":\"x\",\"operations\":[]}".to_vec(),
        json!({"protocol": 1, "incarnation": life, "operations": {}}).to_string().into(),
        json!({"protocol": "one", "incarnation": life, "operations": []}).to_string().into(),
        "[".repeat(100_000).into(),
    ] {
        assert_eq!(refusal(&device, None, body.clone()).await, malformed, "{body:?}");
    }
    let newer = json!({"protocol": 2, "something": "else"}).to_string();
    let mismatch = ("protocol_mismatch".to_string(), 426);
    assert_eq!(refusal(&device, None, newer.into()).await, mismatch);

    let too_large = ("too_large".to_string(), 413);
    let many = json!({"protocol": 1, "incarnation": life, "operations": vec![0; 201]}).to_string();
    assert_eq!(refusal(&device, None, many.into()).await, too_large);
    let long = format!("{{\"protocol\":1,{}", " ".repeat(1_100_000));
    assert_eq!(refusal(&device, None, long.clone().into()).await, too_large);
    // A bomb: a few kilobytes that become sixty-four megabytes.
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(refusal(&device, Some("gzip"), bomb).await, too_large);
    let mut torn = gzip(long.as_bytes());
    torn.truncate(200);
    assert_eq!(refusal(&device, Some("gzip"), torn).await, malformed);
    assert_eq!(refusal(&device, Some("gzip"), b"no gzip".to_vec()).await, malformed);
    assert_eq!(refusal(&device, Some("br"), b"{}".to_vec()).await, ("malformed".into(), 415));

    // Unknown keys are a newer peer's; encoded or not, it is the same request.
    let sealed = device.seal(damage(vehicle, 1));
    let mut request = serde_json::to_value(device.batch(vec![sealed])).unwrap();
    request["later"] = json!({"anything": [1]});
    let body = gzip(request.to_string().as_bytes());
    let request = device.request(Method::POST, "/v1/sync/push");
    let reply = request.header("content-encoding", "gzip").body(body).send().await.unwrap();
    let reply: PushResponse = read(reply).await;
    accepted(&reply.outcomes[0].outcome);
    assert_eq!((reply.head, reply.retention_days), (2, 30));
    server.stop().await;
}

#[tokio::test]
async fn every_reply_is_typed_named_and_readable_across_origins() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let mut open = settings(&database);
    open.cors_origins = vec!["https://app.example".into()];
    let server = start(open).await.unwrap();
    let device = Sender::new(&server, tenant, Role::Viewer);
    let ask = |method: Method, path: &str| device.request(method, path);

    let lost = problem(ask(Method::GET, "/v1/nothing").send().await.unwrap()).await;
    assert_eq!((lost.code.as_str(), lost.status), ("not_found", 404));
    assert_eq!(lost.kind, "https://motomind.dev/problems/not_found");
    let wrong = ask(Method::GET, "/v1/sync/push").header("origin", "https://app.example");
    let wrong = wrong.send().await.unwrap();
    assert_eq!(wrong.headers()["allow"], "POST");
    assert!(wrong.headers().contains_key("access-control-allow-origin"));
    assert_eq!(problem(wrong).await.status, 405);
    for query in ["?limit=0", "?limit=many", "?limit=-1"] {
        let refused = problem(device.pull_reply(query).await).await;
        assert_eq!((refused.code.as_str(), refused.status), ("malformed", 400), "{query}");
    }

    let named = ask(Method::GET, "/v1/nothing").header("x-request-id", "abc-1");
    let reply = named.send().await.unwrap();
    assert_eq!(reply.headers()["x-request-id"], "abc-1");
    assert_eq!(problem(reply).await.request_id.as_deref(), Some("abc-1"));
    let hostile = ask(Method::GET, "/healthz").header("x-request-id", "a b<c>");
    let reply = hostile.send().await.unwrap();
    assert_ne!(reply.headers()["x-request-id"], "a b<c>");

    let preflight = ask(Method::OPTIONS, "/v1/sync/push")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-encoding");
    let reply = preflight.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let allowed = &reply.headers()["access-control-allow-headers"];
    for name in ["authorization", "motomind-device"] {
        assert!(allowed.to_str().unwrap().contains(name), "{allowed:?}");
    }
    for (origin, admitted) in [("https://app.example", true), ("https://evil.example", false)] {
        let reply =
            ask(Method::GET, "/v1/sync/pull").header("origin", origin).send().await.unwrap();
        let headers = reply.headers();
        assert_eq!(headers.contains_key("access-control-allow-origin"), admitted, "{origin}");
        if admitted {
            let exposed = headers["access-control-expose-headers"].to_str().unwrap();
            for name in ["etag", "motomind-cursor", "upload-offset", "retry-after"] {
                assert!(exposed.contains(name), "{name} is not in {exposed}");
            }
        }
    }

    let document: Value = read(ask(Method::GET, "/openapi.json").send().await.unwrap()).await;
    for path in
        ["/v1/sync/push", "/v1/sync/pull", "/v1/sync/events", "/v1/sync/snapshot", "/readyz"]
    {
        assert!(document["paths"][path].is_object(), "{path} is not described");
    }
    let invented = Method::from_bytes(b"INVENTED").unwrap();
    let refused = problem(ask(invented, "/healthz").send().await.unwrap()).await;
    assert_eq!(refused.status, 405);
    let text = ask(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("motomind_requests_total"), "{text}");
    assert!(text.contains("method=\"other\"") && !text.contains("INVENTED"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_token_used_too_often_is_told_when_to_come_back() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let mut narrow = settings(&database);
    (narrow.rate_per_minute, narrow.rate_burst) = (1, 2);
    let server = start(narrow).await.unwrap();
    let device = Sender::new(&server, tenant, Role::Viewer);
    for _ in 0..2 {
        assert_eq!(device.pull_reply("").await.status(), StatusCode::OK);
    }
    let reply = device.pull_reply("").await;
    let wait: u64 = reply.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    let refused = problem(reply).await;
    assert_eq!((refused.code.as_str(), refused.status), ("rate_limited", 429));
    let other = Sender::new(&server, tenant, Role::Viewer);
    assert_eq!(other.pull_reply("").await.status(), StatusCode::OK, "tokens count apart");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let mut hasty = settings(&database);
    hasty.request_timeout_ms = 300;
    let server = start(hasty).await.unwrap();
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let sealed = device.seal(damage(vehicle, 1));
    let body = serde_json::to_string(&device.batch(vec![sealed.clone()])).unwrap();

    // Somebody else holds the vehicle.
    let holder = database.admin().await;
    holder.batch_execute("BEGIN; SELECT 1 FROM vehicles FOR UPDATE").await.unwrap();
    let refused = problem(device.push_body(body).await).await;
    assert_eq!((refused.code.as_str(), refused.status), ("timeout", 503));
    holder.batch_execute("ROLLBACK").await.unwrap();
    accepted(&device.outcome(sealed).await);
    server.stop().await;
}

/// The database is there and cannot take anything: nobody's operation is to blame for it, and each
/// is taken when it can again.
#[tokio::test]
async fn a_database_that_cannot_write_now_is_unavailable() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let admin = database.admin().await;
    let mut device = Sender::of("http://nowhere.invalid", tenant, Role::Technician);
    let name = admin.query_one("SELECT current_database()", &[]).await.unwrap();
    let name: String = name.get(0);
    let fail_with = |state: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'the disk says no' USING ERRCODE = '{state}'; END $$;
             CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON vehicle_events_2026
               FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    };
    let heal = "DROP TRIGGER fail ON vehicle_events_2026".to_string();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    let writable = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    // Read-only, disk full, too many connections, I/O error, a file is gone.
    let troubles = [(read_only, writable)]
        .into_iter()
        .chain(["53100", "53300", "58030", "58P01"].map(|state| (fail_with(state), heal.clone())));
    for (trouble, end) in troubles {
        let sealed = device.seal(damage(vehicle, 1));
        let body = serde_json::to_string(&device.batch(vec![sealed.clone()])).unwrap();
        admin.batch_execute(&trouble).await.unwrap();
        let server = serve(&database).await;
        let refused = problem(device.at(&server).push_body(body).await).await;
        let code = (refused.code.as_str(), refused.status);
        assert_eq!(code, ("unavailable", 503), "{trouble}");
        server.stop().await;

        admin.batch_execute("SET default_transaction_read_only = off").await.unwrap();
        admin.batch_execute(&end).await.unwrap();
        let server = serve(&database).await;
        accepted(&device.at(&server).outcome(sealed).await);
        server.stop().await;
    }
}

#[tokio::test]
async fn the_server_does_not_start_where_tenants_would_not_be_kept_apart() {
    let database = Postgres::shared().database().await;
    for (url, why) in
        [(database.admin_url(), "is a superuser"), (database.url(role::BYPASS), "has BYPASSRLS")]
    {
        let mut wrong = settings(&database);
        wrong.database_url = url;
        let refused = start(wrong).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    let admin = database.admin().await;
    let own = "DO $$ BEGIN CREATE ROLE motomind_test_owner LOGIN IN ROLE motomind_owner;
               EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    admin.batch_execute(own).await.unwrap();
    let mut wrong = settings(&database);
    wrong.database_url = database.url("motomind_test_owner");
    let refused = start(wrong).await.unwrap_err();
    assert!(refused.contains("owns the tables"), "{refused}");

    let empty = Postgres::shared().empty_database().await;
    let refused = start(settings(&empty)).await.unwrap_err();
    assert!(refused.contains("migrate"), "{refused}");
}
