//! Tokens: who gets in, and the typed refusal of everyone else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use motomind_protocol::Role;
use motomind_protocol::wire::problem::{TOKEN_EXPIRED, UNAUTHENTICATED};
use motomind_server::serve::{Running, start};
use motomind_tests::postgres::Postgres;
use motomind_tests::server::{SECRET, Sender, claims, problem, read, serve, settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// Keys of no use anywhere else.
const EC: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgyt0XmQCiNBT5umC+
veP7jHxmgPhgBVWeYic9gFe+HTGhRANCAATk24fU4gTwOQBaSa34LK9V1rT4Vkt5
lxo40ARpgm7apG9vh05DLXWoIGYdvHM/AIsW1a+gp/ojnDX1o6XKMm8m
-----END PRIVATE KEY-----";
const ED: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIDSeTS8fbVT5SeUrKTJSOASrF+ex0VFZc/luyFZhHJfe
-----END PRIVATE KEY-----";
const RSA: &str = "-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCyf8TtbcLlBjMk
jUWpDJM4uSgcffYPoPxRqjFC3An82IXZWPN3QDoKLNIRsWX8JvgAQ8tBXSuoeC8m
SCRaqGtrF67v8v58MoE0igf4qK2ApFi32DKOX+yZxu0Ezta1ZuJh6FPXUwghbOcj
8hQz7eAKucS124QAO0t/B/a66Y+zSWzcRXDpwVGyntSMtF1oy02Utxvfhc9RSJRV
j8TP6Qsc7D1Y7mskh3nbvvPGx9jv3w/27aHe0AlpdVB8qWTHAIXC4frwUuGRa9eL
IQz6ZvHuzjiO2XXNyHulySqtm7mgNn8kAxOO6DRH8QwKz/ThAZnSspV7KfwPl8Qj
vfVAmw6jAgMBAAECggEALGSAangwz1qyX3XPDFL3TlUmN6fQCWUFO54zMCifR0Xm
S/7GVjMf/CXXfNT8wzBB33b81t3AHN7/AutQN0fJp1G1jTGGvwakgZeOkfYJaIP3
GInpUOVkZ35Etjxmw6i5xpXMPDIHRKDb/2GWSq/vV1uKI5xbgN8+UHJ/l069EV5X
9z8d2M662aQH6nnBSMi3E2if06nlKmgi8Dl4GcseQ33tGzAX6VJ5dYsSONafeXK3
ymMkatPvoVJi6h9LRPHQqx7bMa0FCETwF6i719QXzmA0hxvzD1O8E5dag2p4OB7/
OM4QKCIfmcMy3N0vOPO15WN3Fjfv0a+NqnPXfRR4AQKBgQDiT6pN9VhFO9E6upjP
SQOcMqUgHk7Wu9FWRvcscf7dOdE4kdCRO5T+lGHhDtpzSeZKTkZKrKSUlf+Ke87R
4nESXpsQpqB/pZsuItuAu7na/qJ4grdZv7rQI3+hJfUUzVw1MzDgjRwt6EBwoVcI
J1M/QT9iRG2zOA5h9NdIY8P0AQKBgQDJ6mdh2D1TxASgrS/WBRxGR1OqC4rMmdfY
+ujRnOTythJzAQ4AdnzsBQbZI9FPF7sWx/k0tHscyYB7R5OrJ9R0lh8ECcSfUDIZ
XpVgQgHE3UqhcjvNgJ6mckKHzkiFRpcjYmfqAAyVLc8pfevlEvk2mUgoJU0I8Cyd
kb/toy6yowKBgAjQAVm3zBAmHCelTH4F4dYbQsLVa0yBU82ARe+9IKeMsND7HJwL
Leob7RPOeEM1BXqvQZ12y5HdpW3HFG6n2q9Ub8VeN7HAySIqyVFh/gLBF6KJtIoS
JTwlpbqot7pvpL+NlsGnvQksmhXIspLmtR8pc0ZoU70+2ZCG8DspZ2ABAoGAb56S
GgfVFypkOIKk0BYxJDSn7nfE+ggNx5gk/kNSWU4HcuXhXKYjtsGsoHrpaWS/+v7/
J4CiEi7eRMgzvMke7HhUmwHfXQaTO20K/JRgr/h5GjixEJCKo47Ecpi5hFuaj2gF
89ilHA6f19sRfaf4dpNTzUWZiVhkAZMh23d7CCsCgYEAuw59UUIIWTHgxi+fN56/
+Hm+kdmC7axfgSuBfn9glB93iUdQhhwvBTVSiIxFW9Nhe7nsEWNynBSqr9QuZ4QU
svn48GbqBYFflCXOPvCFSTpCyHFk88GzkZxtpnoGgzd3+dFH8s6c8JHgidCMt9Mr
b+ZYapExzxQpubqFTVhDy+M=
-----END PRIVATE KEY-----";

async fn stage() -> (Running, Uuid, Uuid) {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    (serve(&database).await, tenant, vehicle)
}

fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn plain_claims(tenant: Uuid) -> Value {
    serde_json::to_value(claims(tenant, Uuid::new_v4(), Role::Technician)).unwrap()
}

/// Asks with a token: the problem's code and detail.
async fn refusal(server: &Running, token: &str) -> (String, String) {
    let mut device = Sender::new(server, Uuid::nil(), Role::Viewer);
    device.token = token.into();
    let reply = device.pull_reply("").await;
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert!(reply.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    let problem = problem(reply).await;
    (problem.code, problem.detail)
}

#[tokio::test]
async fn a_token_that_does_not_verify_is_refused_with_its_reason() {
    let (server, tenant, vehicle) = stage().await;
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let good = plain_claims(tenant);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signed(Algorithm::HS256, &key, &claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        signed(Algorithm::HS256, &key, &claims)
    };
    let valid = signed(Algorithm::HS256, &key, &good);
    let (signed_part, _) = valid.rsplit_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    let claims_part = valid.split('.').nth(1).unwrap();
    let other_key = EncodingKey::from_secret(b"another secret that is long enough too");
    let now = chrono::Utc::now().timestamp();
    let tenantless = json!({"role": "technician"});
    let odd_role = json!({"tenant_id": tenant, "role": "emperor"});
    let cases = [
        ("garbage".to_string(), "not a signed token"),
        (format!("{none}.{claims_part}."), "not a signed token"),
        (format!("{none}.{claims_part}.{}", "AAAA"), "not a signed token"),
        (format!("{signed_part}."), "signature is wrong"),
        (format!("{}x", &valid[..valid.len() - 1]), ""),
        (signed(Algorithm::HS256, &other_key, &good), "signature is wrong"),
        (signed(Algorithm::HS384, &key, &good), "algorithm"),
        (with("aud", json!("someone else")), "audience"),
        (without("aud"), "no claim aud"),
        (with("nbf", json!(now + 900)), "not valid yet"),
        (without("exp"), "claims"),
        (with("sub", json!("not a uuid")), "claims"),
        (without("app_metadata"), "claims"),
        (with("app_metadata", tenantless), "claims"),
        ("A".repeat(9_000), "too long"),
    ];
    for (token, detail) in cases {
        let (code, said) = refusal(&server, &token).await;
        assert_eq!(code, UNAUTHENTICATED, "{token}");
        assert!(said.contains(detail), "{said} does not say {detail}");
    }
    let (code, _) = refusal(&server, &with("exp", json!(now - 900))).await;
    assert_eq!(code, TOKEN_EXPIRED);

    // A role of a newer peer is none that may write.
    let mut device = Sender::new(&server, tenant, Role::Viewer);
    let mut claims = plain_claims(tenant);
    claims["app_metadata"] = odd_role;
    claims["sub"] = json!(device.user);
    claims["aud"] = json!(["another", "authenticated"]);
    device.token = signed(Algorithm::HS256, &key, &claims);
    let outcome = device.send(motomind_tests::server::damage(vehicle, 1)).await;
    assert_eq!(motomind_tests::server::rejection(&outcome), ("forbidden", None));
    server.stop().await;
}

#[tokio::test]
async fn without_a_token_there_is_only_health() {
    let (server, tenant, _) = stage().await;
    let device = Sender::new(&server, tenant, Role::Manager);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let paths = ["/v1/sync/pull", "/v1/sync/snapshot", "/v1/sync/events"];
    for path in paths {
        for authorization in [None, Some("Basic dXNlcjpwYXNz"), Some("Bearer"), Some("Bearer ")] {
            let mut request = http.get(format!("{}{path}", device.url));
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let problem = problem(request.send().await.unwrap()).await;
            assert_eq!((problem.code.as_str(), problem.status), (UNAUTHENTICATED, 401), "{path}");
        }
    }
    let push = http.post(format!("{}/v1/sync/push", device.url)).body("{}");
    assert_eq!(problem(push.send().await.unwrap()).await.code, UNAUTHENTICATED);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let reply = http.get(format!("{}{path}", device.url)).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_issuer_is_asked_for_where_one_is_set() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let mut strict = settings(&database);
    strict.jwt_issuer = Some("https://id.example".into());
    let server = start(strict).await.unwrap();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let mut claims = plain_claims(tenant);
    let (code, detail) = refusal(&server, &signed(Algorithm::HS256, &key, &claims)).await;
    assert_eq!((code.as_str(), detail.as_str()), (UNAUTHENTICATED, "the token has no claim iss"));
    claims["iss"] = json!("https://elsewhere.example");
    let (code, detail) = refusal(&server, &signed(Algorithm::HS256, &key, &claims)).await;
    assert_eq!(code, UNAUTHENTICATED);
    assert_eq!(detail, "the token is from another issuer");
    claims["iss"] = json!("https://id.example");
    let mut device = Sender::new(&server, tenant, Role::Viewer);
    device.token = signed(Algorithm::HS256, &key, &claims);
    assert_eq!(device.pull(None).await.head, 1);
    server.stop().await;
}

#[tokio::test]
async fn published_keys_verify_their_own_algorithm_only() {
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let keys = [
        (Algorithm::ES256, EncodingKey::from_ec_pem(EC.as_bytes()).unwrap()),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(ED.as_bytes()).unwrap()),
        (Algorithm::RS256, EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap()),
    ];
    let published: Vec<Value> = keys
        .iter()
        .map(|(algorithm, key)| {
            let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
            jwk.common.key_id = Some(format!("{algorithm:?}"));
            serde_json::to_value(jwk).unwrap()
        })
        .chain([json!({"kty": "from the future"})])
        .collect();
    let document = json!({"keys": published}).to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &document).unwrap();
    let address = publish(document).await;

    for place in [file.path().display().to_string(), address] {
        let mut own = settings(&database);
        own.jwt_secret = None;
        own.jwks = Some(place);
        let server = start(own).await.unwrap();
        let claims = plain_claims(tenant);
        for (algorithm, key) in &keys {
            let mut header = Header::new(*algorithm);
            let mut device = Sender::new(&server, tenant, Role::Viewer);
            device.token = jsonwebtoken::encode(&header, &claims, key).unwrap();
            assert_eq!(device.pull(None).await.head, 1, "{algorithm:?} without a key id");
            header.kid = Some(format!("{algorithm:?}"));
            device.token = jsonwebtoken::encode(&header, &claims, key).unwrap();
            assert_eq!(device.pull(None).await.head, 1, "{algorithm:?}");
            header.kid = Some("unheard of".into());
            let token = jsonwebtoken::encode(&header, &claims, key).unwrap();
            let (code, detail) = refusal(&server, &token).await;
            assert_eq!(code, UNAUTHENTICATED);
            assert!(detail.contains("key is not one that this server knows"), "{detail}");
        }
        // A public key is no secret: what it "signs" is refused whatever it says.
        let x = published[0]["x"].as_str().unwrap();
        let confused = EncodingKey::from_secret(x.as_bytes());
        let (code, _) = refusal(&server, &signed(Algorithm::HS256, &confused, &claims)).await;
        assert_eq!(code, UNAUTHENTICATED);
        server.stop().await;
    }
}

/// Serves a document for the rest of the test.
async fn publish(document: String) -> String {
    let router = axum::Router::new().fallback(move || std::future::ready(document.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/keys")
}

/// The tag of the present snapshot.
async fn read_tag(device: &Sender) -> String {
    let reply = device.request(Method::GET, "/v1/sync/snapshot").send();
    let reply = reply.await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK, "no device named");
    reply.headers()["etag"].to_str().unwrap().to_string()
}

#[tokio::test]
async fn a_tenant_that_is_not_active_and_a_revoked_device_are_refused() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let sealed = device.seal(motomind_tests::server::damage(vehicle, 1));
    motomind_tests::server::accepted(&device.outcome(sealed.clone()).await);

    let admin = database.admin().await;
    let revoke = "UPDATE devices SET revoked_at = now() WHERE tenant_id = $1 AND id = $2";
    assert_eq!(admin.execute(revoke, &[&tenant, &device.device]).await.unwrap(), 1);
    let body = serde_json::to_string(&device.batch(vec![sealed])).unwrap();
    let refused = problem(device.push_body(body).await).await;
    assert_eq!((refused.code.as_str(), refused.status), ("device_revoked", 403));

    // Whatever it asks for, where it says who it is.
    let tag = read_tag(&device).await;
    for (path, if_match) in [
        ("/v1/sync/pull", None),
        ("/v1/sync/snapshot", None),
        ("/v1/sync/snapshot", Some(tag.as_str())),
        ("/v1/sync/events", None),
    ] {
        for (named, refused) in [
            (device.device.to_string(), Some(("device_revoked", 403))),
            ("phone".into(), Some(("malformed", 400))),
            (Uuid::new_v4().to_string(), None),
        ] {
            let mut request = device.request(Method::GET, path);
            request = request.header("motomind-device", &named);
            if let Some(tag) = if_match {
                request = request.header("if-match", tag);
            }
            let reply = request.send().await.unwrap();
            match refused {
                Some(wanted) => {
                    let problem = problem(reply).await;
                    assert_eq!((problem.code.as_str(), problem.status), wanted, "{path}");
                }
                None => assert_eq!(reply.status(), StatusCode::OK, "{path} {named}"),
            }
        }
    }
    let empty = serde_json::to_string(&device.batch(vec![])).unwrap();
    let push = device.request(Method::POST, "/v1/sync/push").body(empty);
    let push = push.header("motomind-device", device.device.to_string());
    let refused = problem(push.send().await.unwrap()).await;
    assert_eq!(refused.code, "device_revoked");

    let stranger = Sender::new(&server, Uuid::new_v4(), Role::Manager);
    let close = "UPDATE tenants SET is_active = false WHERE id = $1";
    admin.execute(close, &[&tenant]).await.unwrap();
    for sender in [&stranger, &device] {
        for path in ["/v1/sync/pull", "/v1/sync/snapshot", "/v1/sync/events"] {
            let reply = sender.request(Method::GET, path).send().await.unwrap();
            let refused = problem(reply).await;
            assert_eq!((refused.code.as_str(), refused.status), ("forbidden", 403), "{path}");
        }
        let empty = serde_json::to_string(&sender.batch(vec![])).unwrap();
        assert_eq!(problem(sender.push_body(empty).await).await.code, "forbidden");
    }
    let open = "UPDATE tenants SET is_active = true WHERE id = $1";
    admin.execute(open, &[&tenant]).await.unwrap();
    let page: Value = read(device.pull_reply("").await).await;
    assert_eq!(page["head"], 2);
    server.stop().await;
}
