//! What is spoken, and every way to say it wrongly.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use motomind_protocol::{Hash, Role};
use motomind_server::serve::start;
use motomind_tests::server::settings;
use motomind_tests::tus::{BYTES, Phone, metadata, offset_of, original, photo};
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use crate::stage::{Stage, refused};

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
