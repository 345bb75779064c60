//! What requests leave behind that never ended, and the sweep.

use motomind_protocol::Hash;
use motomind_server::photos::SweepReport;
use motomind_tests::tus::{original, photo};
use reqwest::StatusCode;
use uuid::Uuid;

use crate::stage::{Stage, refused};

#[tokio::test]
async fn the_sweep_removes_what_is_dead_and_finishes_what_is_whole() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let (one, two, three) = (photo(1, 1_500_000), photo(2, 4_000), photo(3, 70_000));
    let dead = phone.create(one.len(), &original(&one)).await;
    assert_eq!(phone.append(&dead, 0, &one[..1_200_000]).await, 1_200_000);
    assert_eq!(stage.files("uploads"), 1);
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
