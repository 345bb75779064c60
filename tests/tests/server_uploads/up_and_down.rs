//! A photo goes up, whole or in parts, and comes down.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use motomind_protocol::{Hash, Role};
use motomind_tests::tus::{BYTES, Phone, begun, offset_of, original, photo, preview};
use reqwest::{Method, StatusCode};

use crate::stage::{Stage, refused};

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
