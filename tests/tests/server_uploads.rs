//! Photos up and down: every verb of tus, every way to say it wrongly, and who may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use motomind_protocol::wire::Problem;
use motomind_protocol::{Hash, Role, limits};
use motomind_server::photos::{SweepReport, sweep};
use motomind_server::serve::{Running, start};
use motomind_server::settings::Settings;
use motomind_tests::postgres::{Database, Postgres, count};
use motomind_tests::server::{claims, problem, settings};
use motomind_tests::tus::{
    BYTES, Begun, Phone, begun, metadata, offset_of, original, photo, preview,
};
use reqwest::{Method, Response, StatusCode};
use tempfile::TempDir;
use uuid::Uuid;

/// A server with a photo store of its own.
struct Stage {
    database: Database,
    settings: Settings,
    server: Running,
    store: TempDir,
    phone: Phone,
}

impl Stage {
    async fn set() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let database = Postgres::shared().database().await;
        let (tenant, _) = database.tenant_with_vehicle().await;
        let store = TempDir::new().unwrap();
        let mut settings = settings(&database);
        settings.photo_store = Some(store.path().to_str().unwrap().into());
        (settings.rate_per_minute, settings.rate_burst) = (6_000_000, 1_000_000);
        change(&mut settings);
        let server = start(settings.clone()).await.unwrap();
        let phone = Phone::new(&server.url(), tenant, Role::Technician);
        Self { database, settings, server, store, phone }
    }

    async fn execute(&self, sql: &str) {
        self.database.admin().await.batch_execute(sql).await.unwrap();
    }

    async fn count(&self, query: &str) -> i64 {
        count(&self.database.admin().await, query).await
    }

    async fn sweep(&self, days: i64) -> SweepReport {
        let now = chrono::Utc::now() + chrono::TimeDelta::days(days);
        sweep(self.settings.clone(), now).await.unwrap()
    }

    /// Files below a folder of the store.
    fn files(&self, folder: &str) -> usize {
        files(&self.store.path().join(folder))
    }
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

async fn refused(reply: Response, code: &str, status: u16) -> Problem {
    let problem = problem(reply).await;
    assert_eq!((problem.code.as_str(), problem.status), (code, status), "{problem:?}");
    problem
}

#[tokio::test]
async fn a_photo_goes_up_in_chunks_and_comes_down_whole_and_in_ranges() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 3_000_000);
    let sha256 = Hash::of(&picture);
    refused(phone.photo(sha256, "").await, "not_found", 404).await;
    let begun = phone.upload(&picture, &original(&picture)).await;
    let state = phone.state(&begun).await;
    assert_eq!(state.status(), StatusCode::OK);
    assert_eq!(offset_of(&state), 3_000_000);
    for (name, value) in [
        ("upload-length", "3000000"),
        ("cache-control", "no-store"),
        ("tus-resumable", "1.0.0"),
        ("upload-metadata", original(&picture).as_str()),
    ] {
        assert_eq!(state.headers()[name], value, "{name}");
    }
    assert!(state.headers()["upload-expires"].to_str().unwrap().ends_with(" GMT"));

    let reply = phone.photo(sha256, "").await;
    let name = format!("attachment; filename=\"{sha256}.jpg\"");
    for (header, value) in [
        ("content-type", "image/jpeg"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", name.as_str()),
        ("cache-control", "private, max-age=31536000, immutable, no-transform"),
        ("content-length", "3000000"),
        ("accept-ranges", "bytes"),
        ("etag", format!("\"{sha256}\"").as_str()),
    ] {
        assert_eq!(reply.headers()[header], value, "{header}");
    }
    assert_eq!(reply.bytes().await.unwrap(), picture);

    let path = format!("/v1/photos/{sha256}");
    let get =
        |name: &'static str, value: String| phone.request(Method::GET, &path).header(name, value);
    for (range, first, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-2500000", 1_000_000, 2_500_001),
        ("bytes=-7", 2_999_993, 3_000_000),
    ] {
        let reply = get("range", range.into()).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::PARTIAL_CONTENT);
        let said = format!("bytes {first}-{}/3000000", end - 1);
        assert_eq!(reply.headers()["content-range"], said.as_str());
        assert_eq!(reply.bytes().await.unwrap(), picture[first..end], "{range}");
    }
    let beyond = get("range", "bytes=3000000-".into()).send().await.unwrap();
    assert_eq!(beyond.headers()["content-range"], "bytes */3000000");
    refused(beyond, "bad_range", 416).await;
    let several = get("range", "bytes=0-1,4-5".into()).send().await.unwrap();
    assert_eq!(several.status(), StatusCode::OK);
    let other = get("range", "bytes=0-1".into()).header("if-range", "\"other\"");
    assert_eq!(other.send().await.unwrap().status(), StatusCode::OK);
    let same = get("if-none-match", format!("\"{sha256}\"")).send().await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    let head = phone.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(
        (head.status(), &head.headers()["content-length"]),
        (StatusCode::OK, &"3000000".parse().unwrap())
    );

    // Only the whole photo is left, in one object under its tenant and hash.
    assert_eq!((stage.files("uploads"), stage.files("photos")), (0, 1));
    let object = format!("photos/{}/{sha256}", phone.tenant);
    assert_eq!(std::fs::read(stage.store.path().join(object)).unwrap(), picture);
    stage.server.stop().await;
}

#[tokio::test]
async fn what_is_there_already_is_complete_at_once() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let (picture, small) = (photo(1, 400_000), photo(2, 9_000));
    phone.upload(&picture, &original(&picture)).await;
    let other = Phone::new(&stage.server.url(), phone.tenant, Role::Technician);
    let again = other.create(picture.len(), &original(&picture)).await;
    assert_eq!(again.offset, 400_000);
    assert_eq!(other.offset(&again).await, 400_000);
    refused(other.append_reply(&again, 0, &picture).await, "offset_conflict", 409).await;
    refused(other.create_reply(17, &original(&picture)).await, "hash_mismatch", 422).await;

    // A preview: it may come before its photo, and the first one stays.
    let late = photo(3, 500_000);
    refused(phone.photo(Hash::of(&late), "?variant=preview").await, "not_found", 404).await;
    phone.upload(&small, &preview(&small, &late)).await;
    let reply = phone.photo(Hash::of(&late), "?variant=preview").await;
    assert_eq!(reply.headers()["etag"], format!("\"{}\"", Hash::of(&small)).as_str());
    assert_eq!(reply.bytes().await.unwrap(), small);
    refused(phone.photo(Hash::of(&late), "").await, "not_found", 404).await;
    refused(phone.photo(Hash::of(&late), "?variant=huge").await, "malformed", 400).await;
    let second = photo(4, 8_000);
    assert_eq!(other.create(8_000, &preview(&second, &late)).await.offset, 8_000);
    refused(phone.photo(Hash::of(&second), "").await, "not_found", 404).await;
    // The same bytes as the preview of another photo need not travel either.
    assert_eq!(other.create(9_000, &preview(&small, &picture)).await.offset, 9_000);
    let reply = phone.photo(Hash::of(&picture), "?variant=preview").await;
    assert_eq!(reply.bytes().await.unwrap(), small);

    // Another tenant has none of it, and its own copy is another object.
    let (tenant, _) = stage.database.tenant_with_vehicle().await;
    let stranger = Phone::new(&stage.server.url(), tenant, Role::Manager);
    refused(stranger.photo(Hash::of(&picture), "").await, "not_found", 404).await;
    assert_eq!(stranger.create(picture.len(), &original(&picture)).await.offset, 0);
    stranger.upload(&picture, &original(&picture)).await;
    assert_eq!(stranger.download(Hash::of(&picture)).await, picture);
    assert_eq!(stage.files("photos"), 3);
    stage.server.stop().await;
}

#[tokio::test]
async fn what_tus_is_spoken_is_told_to_everybody() {
    let stage =
        Stage::with(|settings| settings.cors_origins = vec!["https://app.example".into()]).await;
    let phone = &stage.phone;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/uploads", stage.server.url());
    let options = http.request(Method::OPTIONS, &url).header("origin", "https://app.example");
    let options = options.send().await.unwrap();
    for (name, value) in [
        ("tus-resumable", "1.0.0"),
        ("tus-version", "1.0.0"),
        ("tus-extension", "creation,creation-with-upload,checksum,expiration,termination"),
        ("tus-max-size", "67108864"),
        ("tus-checksum-algorithm", "sha256,sha1"),
        ("access-control-allow-origin", "https://app.example"),
    ] {
        assert_eq!(options.headers()[name], value, "{name}");
    }
    let create = |change: &dyn Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder| {
        let request = http.post(&url).bearer_auth(&phone.token);
        change(request.header("motomind-device", phone.device.to_string())).send()
    };
    let old = create(&|request| request.header("tus-resumable", "0.2.2")).await.unwrap();
    assert_eq!(old.headers()["tus-version"], "1.0.0");
    refused(old, "protocol_mismatch", 412).await;
    refused(create(&|request| request).await.unwrap(), "protocol_mismatch", 412).await;
    let made = create(&|request| {
        let picture = photo(1, 10);
        request
            .header("origin", "https://app.example")
            .header("tus-resumable", "1.0.0")
            .header("upload-length", 10)
            .header("upload-metadata", original(&picture))
    });
    let made = made.await.unwrap();
    let exposed = made.headers()["access-control-expose-headers"].to_str().unwrap().to_string();
    for name in [
        "location",
        "upload-offset",
        "upload-expires",
        "tus-resumable",
        "motomind-upload-capability",
    ] {
        assert!(exposed.contains(name), "{name} is not in {exposed}");
    }
    let document: serde_json::Value = http
        .get(format!("{}/openapi.json", stage.server.url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for (path, method) in [
        ("/v1/uploads", "post"),
        ("/v1/uploads/{id}", "head"),
        ("/v1/uploads/{id}", "patch"),
        ("/v1/uploads/{id}", "delete"),
        ("/v1/photos/{sha256}", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path} is not described");
    }
    stage.server.stop().await;
}

#[tokio::test]
async fn a_creation_that_says_something_wrong_is_refused() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 100);
    let hash = Hash::of(&picture).to_string();
    let good = original(&picture);
    for (length, metadata, code, status) in [
        ("0", good.clone(), "malformed", 400),
        ("-1", good.clone(), "malformed", 400),
        ("+5", good.clone(), "malformed", 400),
        ("", good.clone(), "malformed", 400),
        ("99999999999999999999", good.clone(), "malformed", 400),
        ("67108865", good.clone(), "too_large", 413),
        ("100", String::new(), "malformed", 400),
        ("100", "sha256".into(), "malformed", 400),
        ("100", metadata(&[("sha256", &hash)]), "malformed", 400),
        ("100", metadata(&[("sha256", "beef"), ("mime", "image/jpeg")]), "malformed", 400),
        ("100", metadata(&[("sha256", &hash), ("mime", "image/svg+xml")]), "wrong_mime", 422),
        ("100", format!("{good},x {}", "A".repeat(5_000)), "malformed", 400),
        ("100", format!("{good},variant {}", STANDARD.encode("preview")), "malformed", 400),
    ] {
        let request = phone.request(Method::POST, "/v1/uploads").header("upload-length", length);
        let reply = request.header("upload-metadata", &metadata).send().await.unwrap();
        refused(reply, code, status).await;
    }
    let create = || {
        let request = phone.request(Method::POST, "/v1/uploads").header("upload-metadata", &good);
        request.header("upload-length", 100)
    };
    let deferred = create().header("upload-defer-length", 1).send().await.unwrap();
    refused(deferred, "malformed", 400).await;
    let wrong_type = create().header("content-type", "image/jpeg").body(picture.clone());
    refused(wrong_type.send().await.unwrap(), "malformed", 415).await;
    let nameless = phone.as_holder(Method::POST, "/v1/uploads", &phone.token);
    let nameless = nameless.header("upload-length", 100).header("upload-metadata", &good);
    refused(nameless.send().await.unwrap(), "malformed", 400).await;
    let viewer = Phone::new(&stage.server.url(), phone.tenant, Role::Viewer);
    refused(viewer.create_reply(100, &good).await, "forbidden", 403).await;
    let outsider = Phone::new(&stage.server.url(), Uuid::new_v4(), Role::Manager);
    refused(outsider.create_reply(100, &good).await, "forbidden", 403).await;
    assert_eq!(stage.count("SELECT count(*) FROM uploads").await, 0);
    stage.server.stop().await;

    let without = start(settings(&stage.database)).await.unwrap();
    let phone = Phone::new(&without.url(), phone.tenant, Role::Technician);
    refused(phone.create_reply(100, &good).await, "unavailable", 503).await;
    without.stop().await;
}

#[tokio::test]
async fn a_creation_may_bring_its_bytes() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 2_500_000);
    let create = |bytes: &[u8]| {
        let request = phone.request(Method::POST, "/v1/uploads").header("content-type", BYTES);
        let request = request.header("upload-length", picture.len());
        request.header("upload-metadata", original(&picture)).body(bytes.to_vec())
    };
    let part = begun(create(&picture[..1_000_000]).send().await.unwrap()).await;
    assert_eq!(part.offset, 1_000_000);
    // The reply was lost; the device asks again and is told of the same upload.
    let again = phone.create(picture.len(), &original(&picture)).await;
    assert_eq!((&again.path, again.offset), (&part.path, 1_000_000));
    assert_ne!(again.capability, part.capability);
    refused(phone.append_reply(&part, 1_000_000, b"x").await, "unauthenticated", 401).await;
    assert_eq!(phone.append(&again, 1_000_000, &picture[1_000_000..]).await, 2_500_000);
    assert_eq!(phone.download(Hash::of(&picture)).await, picture);

    let second = photo(2, 700);
    let request = phone.request(Method::POST, "/v1/uploads").header("content-type", BYTES);
    let request = request.header("upload-length", 700).header("upload-metadata", original(&second));
    let sum = format!("sha256 {}", STANDARD.encode(Hash::of(&second).0));
    let whole = request.header("upload-checksum", sum).body(second.clone()).send().await.unwrap();
    assert_eq!(begun(whole).await.offset, 700);
    assert_eq!(phone.download(Hash::of(&second)).await, second);
    stage.server.stop().await;
}

#[tokio::test]
async fn a_chunk_that_does_not_fit_is_refused_and_changes_nothing() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 300_000);
    let upload = phone.create(picture.len(), &original(&picture)).await;
    let at = |offset: &str| {
        let request = phone.as_holder(Method::PATCH, &upload.path, &upload.capability);
        request.header("content-type", BYTES).header("upload-offset", offset).body(vec![1; 10])
    };
    for offset in ["1", "299999", "300000"] {
        let reply = at(offset).send().await.unwrap();
        assert!([409, 413].contains(&reply.status().as_u16()), "{offset}");
    }
    let ahead = at("1").send().await.unwrap();
    assert_eq!(offset_of(&ahead), 0);
    refused(ahead, "offset_conflict", 409).await;
    for offset in ["", "-1", "x"] {
        refused(at(offset).send().await.unwrap(), "malformed", 400).await;
    }
    let typed = phone.as_holder(Method::PATCH, &upload.path, &upload.capability);
    let typed = typed.header("upload-offset", 0).header("content-type", "image/jpeg");
    refused(typed.body("x").send().await.unwrap(), "malformed", 415).await;
    let much = phone.append_reply(&upload, 0, &[1; 300_001]).await;
    refused(much, "too_large", 413).await;
    // Without a length in front, it is noticed when it comes.
    let stream = futures::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![1; 100_000])));
    let endless = phone.as_holder(Method::PATCH, &upload.path, &upload.capability);
    let endless = endless.header("content-type", BYTES).header("upload-offset", 0);
    let endless = endless.body(reqwest::Body::wrap_stream(stream)).send().await.unwrap();
    refused(endless, "too_large", 413).await;
    assert_eq!(phone.offset(&upload).await, 0);

    let checked = |sum: String, bytes: &[u8]| {
        phone.appending(&upload, 0, bytes).header("upload-checksum", sum).send()
    };
    let right = STANDARD.encode(Hash::of(&picture[..1_000]).0);
    for bad in ["md5 AAAA", "sha256", "sha256 AAAA", "sha1 %%"] {
        refused(checked(bad.into(), &picture[..1_000]).await.unwrap(), "malformed", 400).await;
    }
    let wrong = checked(format!("sha256 {right}"), &picture[..1_001]).await.unwrap();
    assert_eq!(refused(wrong, "checksum_mismatch", 460).await.title, "Checksum Mismatch");
    assert_eq!(phone.offset(&upload).await, 0);
    let fits = checked(format!("sha256 {right}"), &picture[..1_000]).await.unwrap();
    assert_eq!((fits.status(), offset_of(&fits)), (StatusCode::NO_CONTENT, 1_000));

    // POST in the place of a method that a network does not let through.
    let post = |method: &str| {
        let request = phone.as_holder(Method::POST, &upload.path, &upload.capability);
        request.header("x-http-method-override", method)
    };
    let patch = post("PATCH").header("content-type", BYTES).header("upload-offset", 1_000);
    let reply = patch.body(picture[1_000..2_000].to_vec()).send().await.unwrap();
    assert_eq!((reply.status(), offset_of(&reply)), (StatusCode::NO_CONTENT, 2_000));
    refused(post("PURGE").send().await.unwrap(), "not_found", 405).await;
    assert_eq!(phone.append(&upload, 2_000, &picture[2_000..]).await, 300_000);
    assert_eq!(phone.download(Hash::of(&picture)).await, picture);
    stage.server.stop().await;
}

#[tokio::test]
async fn what_is_not_the_photo_that_was_said_is_never_published() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 20_000);
    let upload = phone.create(20_000, &original(&picture)).await;
    let mut other = picture.clone();
    other[15_000] ^= 1;
    refused(phone.append_reply(&upload, 0, &other).await, "hash_mismatch", 422).await;
    assert_eq!(phone.state(&upload).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    refused(phone.append_reply(&upload, 0, &picture).await, "hash_mismatch", 422).await;
    for (bytes, mime) in [
        (b"<html><script>alert(1)</script></html>".to_vec(), "image/jpeg"),
        (picture.clone(), "image/png"),
        (picture.clone(), "image/heic"),
        (vec![0; 20], "image/webp"),
    ] {
        let claims = metadata(&[("sha256", &Hash::of(&bytes).to_string()), ("mime", mime)]);
        let upload = phone.create(bytes.len(), &claims).await;
        refused(phone.append_reply(&upload, 0, &bytes).await, "wrong_mime", 422).await;
        assert_eq!(phone.state(&upload).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!((stage.files("photos"), stage.files("uploads")), (0, 0));
    assert_eq!(stage.count("SELECT count(*) FROM photos").await, 0);
    assert_eq!(stage.count("SELECT running_bytes + stored_bytes FROM photo_usage").await, 0);
    // The device sends the right bytes in a new upload.
    phone.upload(&picture, &original(&picture)).await;
    assert_eq!(phone.download(Hash::of(&picture)).await, picture);
    stage.server.stop().await;
}

#[tokio::test]
async fn a_capability_moves_one_upload_and_nothing_else() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let (one, two) = (photo(1, 5_000), photo(2, 5_000));
    let first = phone.create(5_000, &original(&one)).await;
    let second = phone.create(5_000, &original(&two)).await;
    let crossed = Begun { capability: second.capability.clone(), ..first.clone() };
    refused(phone.append_reply(&crossed, 0, &one).await, "unauthenticated", 401).await;
    let ask = |method, path: &str| phone.as_holder(method, path, &first.capability).send();
    for (method, path) in [
        (Method::POST, "/v1/uploads"),
        (Method::GET, "/v1/sync/pull"),
        (Method::POST, "/v1/sync/push"),
        (Method::GET, "/v1/sync/snapshot"),
        (Method::GET, &format!("/v1/photos/{}", Hash::of(&one))),
    ] {
        refused(ask(method, path).await.unwrap(), "unauthenticated", 401).await;
    }
    for forged in ["mmu_", "mmu_AAAA", &format!("{}A", first.capability)] {
        let forged = Begun { capability: forged.into(), ..first.clone() };
        refused(phone.append_reply(&forged, 0, &one).await, "unauthenticated", 401).await;
    }

    // The token ends in the middle; the capability goes on.
    let mut ending = claims(phone.tenant, Uuid::new_v4(), Role::Technician);
    ending.exp = chrono::Utc::now().timestamp() - 3_600;
    let ended = motomind_server::auth::mint(motomind_tests::server::SECRET, &ending).unwrap();
    let late = Begun { capability: ended, ..first.clone() };
    refused(phone.append_reply(&late, 0, &one[..100]).await, "token_expired", 401).await;
    assert_eq!(phone.append(&first, 0, &one[..2_000]).await, 2_000);

    // The person's own token does as well, another's does not, a manager's does.
    let owned = Begun { capability: phone.token.clone(), ..first.clone() };
    assert_eq!(phone.offset(&owned).await, 2_000);
    let (tenant, _) = stage.database.tenant_with_vehicle().await;
    for (tenant, role, found) in [
        (phone.tenant, Role::Technician, false),
        (phone.tenant, Role::Viewer, false),
        (phone.tenant, Role::Manager, true),
        (tenant, Role::Manager, false),
    ] {
        let other = Phone::new(&stage.server.url(), tenant, role);
        let theirs = Begun { capability: other.token.clone(), ..first.clone() };
        assert_eq!(other.state(&theirs).await.status().is_success(), found, "{role:?}");
    }
    for path in ["/v1/uploads/nothing", &format!("/v1/uploads/{}", Uuid::new_v4())] {
        refused(phone.request(Method::DELETE, path).send().await.unwrap(), "not_found", 404).await;
    }

    // A manager revokes the device: its capabilities end with it.
    stage
        .execute(&format!(
            "INSERT INTO devices (tenant_id, id, user_id, revoked_at)
             VALUES ('{}', '{}', gen_random_uuid(), now())",
            phone.tenant, phone.device
        ))
        .await;
    refused(phone.append_reply(&first, 2_000, &one[2_000..]).await, "device_revoked", 403).await;
    refused(phone.create_reply(5_000, &original(&one)).await, "device_revoked", 403).await;
    refused(phone.photo(Hash::of(&one), "").await, "device_revoked", 403).await;
    stage.execute("UPDATE devices SET revoked_at = NULL").await;
    stage
        .execute(&format!("UPDATE tenants SET is_active = false WHERE id = '{}'", phone.tenant))
        .await;
    refused(phone.append_reply(&first, 2_000, &one[2_000..]).await, "forbidden", 403).await;
    stage.server.stop().await;
}

#[tokio::test]
async fn room_is_promised_once_and_given_back() {
    let stage = Stage::with(|settings| settings.photo_bytes_max = 10_000).await;
    let phone = &stage.phone;
    let (one, two, three) = (photo(1, 6_000), photo(2, 4_000), photo(3, 1_000));
    phone.upload(&one, &original(&one)).await;
    let running = phone.create(4_000, &original(&two)).await;
    let full = phone.create_reply(1_000, &original(&three)).await;
    let full = refused(full, "quota_exceeded", 413).await;
    for word in ["10000", "1000 more", "ask the operator"] {
        assert!(full.detail.contains(word), "{full:?}");
    }
    // Nothing is asked for what is there, or promised already.
    assert_eq!(phone.create(6_000, &original(&one)).await.offset, 6_000);
    assert_eq!(phone.create(4_000, &original(&two)).await.path, running.path);
    let gone = phone.request(Method::DELETE, &running.path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let gone = phone.request(Method::DELETE, &running.path).send().await.unwrap();
    refused(gone, "not_found", 404).await;
    phone.upload(&three, &original(&three)).await;
    // A tenant may have a limit of its own.
    refused(phone.create_reply(4_000, &original(&two)).await, "quota_exceeded", 413).await;
    stage.execute("UPDATE tenants SET photo_bytes_max = 11000").await;
    phone.upload(&two, &original(&two)).await;
    assert_eq!(stage.count("SELECT stored_bytes FROM photo_usage").await, 11_000);
    assert_eq!(stage.count("SELECT running_bytes FROM photo_usage").await, 0);

    // Twenty at once ask for the last room: one gets it.
    stage.execute("UPDATE tenants SET photo_bytes_max = 12000").await;
    let pictures: Vec<Vec<u8>> = (100..120).map(|seed| photo(seed, 1_000)).collect();
    let asked = pictures.iter().map(async |picture| {
        let reply = phone.create_reply(1_000, &original(picture)).await;
        reply.status() == StatusCode::CREATED
    });
    let given = futures::future::join_all(asked).await.into_iter().filter(|given| *given).count();
    assert_eq!(given, 1);
    stage.server.stop().await;
}

#[tokio::test]
async fn the_sweep_removes_what_is_dead_and_finishes_what_is_whole() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let (one, two, three) = (photo(1, 1_500_000), photo(2, 4_000), photo(3, 70_000));
    let dead = phone.create(one.len(), &original(&one)).await;
    assert_eq!(phone.append(&dead, 0, &one[..1_200_000]).await, 1_200_000);
    assert_eq!(stage.files("uploads"), 2);
    // What crashes leave: a torn file beside a piece, and pieces of an upload that is no more.
    let upload = dead.path.rsplit('/').next().unwrap();
    let folder = stage.store.path().join(format!("uploads/{}/{upload}", phone.tenant));
    std::fs::write(folder.join("0001200000-x#1"), b"torn").unwrap();
    let orphan = stage.store.path().join(format!("uploads/{}/{}", phone.tenant, Uuid::new_v4()));
    std::fs::create_dir(&orphan).unwrap();
    std::fs::write(orphan.join("0000000000-x#1"), b"torn").unwrap();
    let report = stage.sweep(0).await;
    assert_eq!(report, SweepReport { orphaned: 1, ..SweepReport::default() });
    assert!(!orphan.exists());
    assert_eq!(phone.offset(&dead).await, 1_200_000);

    // All bytes came and the server died before it put them together: nobody asks again.
    let whole = phone.create(three.len(), &original(&three)).await;
    phone.append(&whole, 0, &three[..69_999]).await;
    let stored = format!("{}/whole", folder.parent().unwrap().display());
    std::fs::write(&stored, &three[69_999..]).unwrap();
    stage
        .execute(&format!(
            "INSERT INTO upload_pieces SELECT tenant_id, id, 69999, 1, 'uploads/{}/whole'
               FROM uploads WHERE sha256 = '{}';
             UPDATE uploads SET received = bytes WHERE sha256 = '{1}'",
            phone.tenant,
            Hash::of(&three)
        ))
        .await;
    assert_eq!(stage.sweep(0).await.completed, 0, "it was touched just now");
    stage.execute("UPDATE uploads SET touched_at = now() - interval '1 hour'").await;
    assert_eq!(stage.sweep(0).await.completed, 1);
    assert_eq!(phone.download(Hash::of(&three)).await, three);
    std::fs::remove_file(stored).unwrap();

    phone.upload(&two, &original(&two)).await;
    assert_eq!(stage.sweep(6).await.expired, 0);
    let report = stage.sweep(8).await;
    assert_eq!((report.expired, report.failed), (3, 0), "the photos' own uploads are over, too");
    assert_eq!((stage.files("uploads"), stage.files("photos")), (0, 2));
    assert_eq!(stage.count("SELECT count(*) FROM uploads").await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM upload_pieces").await, 0);
    assert_eq!(stage.count("SELECT running_bytes FROM photo_usage").await, 0);
    let runs = "SELECT count(*) FROM maintenance_runs WHERE job = 'uploads'";
    assert_eq!(stage.count(runs).await, 5);
    refused(phone.append_reply(&dead, 1_200_000, b"x").await, "unauthenticated", 401).await;

    // Expired and not swept yet.
    let late = phone.create(one.len(), &original(&one)).await;
    stage.execute("UPDATE uploads SET expires_at = now()").await;
    refused(phone.append_reply(&late, 0, &one).await, "upload_expired", 410).await;
    assert_eq!(phone.state(&late).await.status(), StatusCode::GONE);
    stage.server.stop().await;
}

#[tokio::test]
async fn a_piece_that_the_store_lost_makes_the_upload_begin_again() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 50_000);
    let upload = phone.create(50_000, &original(&picture)).await;
    phone.append(&upload, 0, &picture[..30_000]).await;
    std::fs::remove_dir_all(stage.store.path().join("uploads")).unwrap();
    refused(phone.append_reply(&upload, 30_000, &picture[30_000..]).await, "not_found", 404).await;
    phone.upload(&picture, &original(&picture)).await;
    assert_eq!(phone.download(Hash::of(&picture)).await, picture);
    stage.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_requests_at_the_same_offset_one_wins() {
    let stage = Stage::set().await;
    let phone = &stage.phone.with_fresh_connections();
    for round in 0..10 {
        let picture = photo(round, 600_000);
        let upload = phone.create(picture.len(), &original(&picture)).await;
        let half = limits::UPLOAD_CHUNK_BYTES;
        let sent = (0..6).map(|_| phone.append_reply(&upload, 0, &picture[..half]));
        let mut won = 0;
        for reply in futures::future::join_all(sent).await {
            match reply.status().as_u16() {
                204 => won += 1,
                _ => drop(refused(reply, "offset_conflict", 409).await),
            }
        }
        assert_eq!(won, 1);
        assert_eq!(phone.append(&upload, half as u64, &picture[half..]).await, 600_000);
        assert_eq!(phone.download(Hash::of(&picture)).await, picture);
    }
    assert_eq!(stage.files("uploads"), 0);
    stage.server.stop().await;
}
