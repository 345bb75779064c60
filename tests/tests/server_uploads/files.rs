//! One upload, several requests and several servers: which file its bytes are in.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use motomind_protocol::{Hash, limits};
use motomind_server::serve::start;
use motomind_tests::dice::Dice;
use motomind_tests::tus::{BYTES, Begun, original, photo};
use reqwest::Method;

use crate::stage::{Stage, refused};

/// The files of one upload.
fn staged(stage: &Stage, upload: &Begun) -> Vec<PathBuf> {
    let id = upload.path.rsplit('/').next().unwrap();
    let folder = stage.store.path().join(format!("uploads/{}/{id}", stage.phone.tenant));
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn an_upload_in_chunks_is_one_file_which_becomes_the_photo_as_it_is() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 2_000_000);
    let upload = phone.create(picture.len(), &original(&picture)).await;
    for (first, end) in [(0, 1), (1, 700_000), (700_000, 1_999_999)] {
        assert_eq!(phone.append(&upload, first as u64, &picture[first..end]).await, end as u64);
    }
    let files = staged(&stage, &upload);
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::read(&files[0]).unwrap(), picture[..1_999_999]);
    assert_eq!(stage.count("SELECT count(*) FROM upload_pieces WHERE bytes = 1999999").await, 1);
    let file = std::fs::metadata(&files[0]).unwrap().ino();
    phone.append(&upload, 1_999_999, &picture[1_999_999..]).await;
    let object = format!("photos/{}/{}", phone.tenant, Hash::of(&picture));
    let object = std::fs::metadata(stage.store.path().join(object)).unwrap();
    assert_eq!((object.ino(), object.nlink()), (file, 1));
    assert_eq!(phone.download(Hash::of(&picture)).await, picture);
    assert_eq!(stage.files("uploads"), 0);
    stage.server.stop().await;
}

#[tokio::test]
async fn two_servers_on_one_directory_go_on_where_the_other_one_stopped() {
    let stage = Stage::set().await;
    let other = start(stage.settings.clone()).await.unwrap();
    let phones = [stage.phone.clone(), stage.phone.by_way_of(&other.url())];
    let mut dice = Dice::new(3);
    for _ in 0..6 {
        let picture =
            photo(dice.number(), 3_000_000 + usize::try_from(dice.below(3_000_000)).unwrap());
        let upload = phones[0].create(picture.len(), &original(&picture)).await;
        let mut offset = 0;
        while offset < picture.len() {
            let length = usize::try_from(1 + dice.below(2_500_000)).unwrap();
            let end = picture.len().min(offset + length);
            let phone = &phones[usize::try_from(dice.below(2)).unwrap()];
            assert_eq!(
                phone.append(&upload, offset as u64, &picture[offset..end]).await,
                end as u64
            );
            offset = end;
        }
        assert!(phones[1].download(Hash::of(&picture)).await == picture);
    }
    assert_eq!((stage.files("uploads"), stage.files("photos")), (0, 6));
    other.stop().await;
    stage.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_overtaken_writes_into_nobodys_photo() {
    let stage = Stage::set().await;
    let other = start(stage.settings.clone()).await.unwrap();
    let phone = stage.phone.with_fresh_connections();
    let picture = photo(1, 2_500_000);
    let upload = phone.create(picture.len(), &original(&picture)).await;
    // It brings other bytes, and hangs before its first piece is full.
    let (go_on, hangs) = tokio::sync::oneshot::channel::<()>();
    let hangs = futures::FutureExt::map(hangs, |_| Ok(vec![8; 1_500_000]));
    let parts = futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>(vec![7; 1_000_000])]),
        futures::stream::once(hangs),
    );
    let slow = phone.as_holder(Method::PATCH, &upload.path, &upload.capability);
    let slow = slow.header("content-type", BYTES).header("upload-offset", 0);
    let slow = tokio::spawn(slow.body(reqwest::Body::wrap_stream(parts)).send());
    while stage.count("SELECT count(holder) FROM uploads").await == 0 {
        tokio::task::yield_now().await;
    }
    let quick = phone.by_way_of(&other.url());
    assert_eq!(quick.append(&upload, 0, &picture).await, 2_500_000);
    go_on.send(()).unwrap();
    let late = slow.await.unwrap().unwrap();
    assert!([404, 409].contains(&late.status().as_u16()), "{late:?}");
    assert!(phone.download(Hash::of(&picture)).await == picture);
    other.stop().await;
    stage.server.stop().await;
}

#[tokio::test]
async fn who_goes_on_in_a_file_is_judged_as_if_they_had_begun() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let picture = photo(1, 500_000);
    let upload = phone.create(picture.len(), &original(&picture)).await;
    assert_eq!(phone.append(&upload, 0, &picture[..1_000]).await, 1_000);
    let mut forged = upload.clone();
    let last = if forged.capability.pop() == Some('A') { 'E' } else { 'A' };
    forged.capability.push(last);
    refused(phone.append_reply(&forged, 1_000, b"x").await, "unauthenticated", 401).await;
    let mut at = 1_000;
    for (spoilt, mended, code, status) in [
        ("received = 400", "received = 1000", "offset_conflict", 409),
        ("holder = gen_random_uuid()", "holder = NULL", "offset_conflict", 409),
        ("expires_at = now()", "expires_at = now() + interval '1 day'", "upload_expired", 410),
        ("outcome = 'wrong_mime'", "outcome = NULL", "wrong_mime", 422),
        ("capability = sha256('x')", "sha256 = sha256", "unauthenticated", 401),
    ] {
        stage.execute(&format!("UPDATE uploads SET {spoilt}")).await;
        let counted = stage.count("SELECT received FROM uploads").await;
        let rest = &picture[usize::try_from(at).unwrap()..];
        refused(phone.append_reply(&upload, at, rest).await, code, status).await;
        assert_eq!(stage.count("SELECT received FROM uploads").await, counted, "{spoilt}");
        stage.execute(&format!("UPDATE uploads SET {mended}")).await;
        if code != "unauthenticated" {
            // Asked anew it is taken, and again there is a file to go on in.
            assert_eq!(phone.append(&upload, at, &rest[..1]).await, at + 1);
            at += 1;
        }
    }
    stage.server.stop().await;
}

#[tokio::test]
async fn more_uploads_pause_than_files_are_kept_open() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let mut begun = Vec::new();
    for seed in 0..300 {
        let picture = photo(seed, 600);
        let upload = phone.create(600, &original(&picture)).await;
        assert_eq!(phone.append(&upload, 0, &picture[..200]).await, 200);
        begun.push((upload, picture));
    }
    for (upload, picture) in &begun {
        assert_eq!(phone.append(upload, 200, &picture[200..]).await, 600);
        assert_eq!(phone.download(Hash::of(picture)).await, *picture);
    }
    assert_eq!((stage.files("uploads"), stage.files("photos")), (0, 300));
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
