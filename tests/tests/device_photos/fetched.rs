//! What is freed comes back, and what the server lost is sent again.

use std::sync::Mutex;

use motomind_core::Variant;
use motomind_core::http::Http;
use motomind_core::protocol::Hash;
use motomind_tests::postgres::count;
use motomind_tests::tus::photo;

use crate::site::{files, now, open, phone, pictures, scratch, site, sync, whole};

#[tokio::test(flavor = "multi_thread")]
async fn an_original_is_freed_once_the_server_has_it_and_comes_back_when_asked_for() {
    let site = site().await;
    let http = Http::new(&site.server.url()).unwrap();
    let (device, dir, token) = phone(&site);
    let all = [photo(1, 2_500_000), photo(2, 400_000)];
    device
        .lock()
        .unwrap()
        .capture_with_photos(scratch(site.vehicle), pictures(&all), now())
        .unwrap();
    {
        let mut device = device.lock().unwrap();
        assert_eq!(device.space().unwrap().photos_unsent, 2_900_000);
        device.free_space(10_000_000).unwrap();
    }
    // A server that is restored from a backup gets it again: it stays for the retention.
    sync(&http, &device).await;
    assert_eq!(device.lock().unwrap().space().unwrap().photos_stored, 2_900_000);
    let month_later = || {
        let journal = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
        journal.execute_batch("UPDATE uploads SET stored_at = stored_at - 31 * 86400000").unwrap();
    };
    drop(device);
    month_later();
    // And it stays where the photo store has lost it, whatever the server's list says.
    let stored = |photo: &[u8]| {
        let name = Hash::of(photo).to_string();
        files(&site.store.path().join("photos")).into_iter().find(|file| file.ends_with(&name))
    };
    std::fs::remove_file(stored(&all[0]).unwrap()).unwrap();
    let device = Mutex::new(open(dir.path(), &token));
    device.lock().unwrap().free_space(10_000_000).unwrap();
    sync(&http, &device).await;
    assert!(whole(&device.lock().unwrap(), Hash::of(&all[0]), Variant::Original).is_some());
    assert!(stored(&all[0]).is_some(), "what the store had lost was sent again");
    drop(device);
    month_later();
    let device = Mutex::new(open(dir.path(), &token));
    device.lock().unwrap().free_space(10_000_000).unwrap();
    sync(&http, &device).await;
    {
        let device = device.lock().unwrap();
        let space = device.space().unwrap();
        assert_eq!((space.photos_unsent, space.photos_stored), (0, 0), "{space:?}");
        assert!(space.journal - space.empty < 1_000_000, "{space:?}");
        assert_eq!(whole(&device, Hash::of(&all[0]), Variant::Original), None);
    }
    device.lock().unwrap().fetch_photo(Hash::of(&all[0]), Variant::Original, now()).unwrap();
    sync(&http, &device).await;
    let fetched = whole(&device.lock().unwrap(), Hash::of(&all[0]), Variant::Original);
    assert!(fetched.unwrap() == all[0]);
    device.lock().unwrap().set_photo_room(1_000_000).unwrap();
    assert_eq!(device.lock().unwrap().space().unwrap().cached, 0);
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_lost_is_noticed_and_sent_again() {
    let site = site().await;
    let http = Http::new(&site.server.url()).unwrap();
    let (device, _dir, _) = phone(&site);
    let all = [photo(1, 300_000), photo(2, 200_000)];
    let taken = pictures(&all);
    device.lock().unwrap().capture_with_photos(scratch(site.vehicle), taken, now()).unwrap();
    sync(&http, &device).await;
    device.lock().unwrap().compare_custody();
    sync(&http, &device).await;
    {
        let device = device.lock().unwrap();
        let report = device.custody().unwrap();
        // The event, two photos on it, and the session.
        assert_eq!((report.held, report.chains_differ), (4, false), "{report:?}");
        assert!(report.offered_again.is_empty() && report.photos_again.is_empty(), "{report:?}");
    }
    // A photo store that was restored from an older copy, rows and all.
    let lost = format!(
        "BEGIN; SET LOCAL session_replication_role = replica;
         DELETE FROM photos WHERE sha256 = '{}'; COMMIT;",
        Hash::of(&all[0])
    );
    site.database.admin().await.batch_execute(&lost).await.unwrap();
    device.lock().unwrap().compare_custody();
    sync(&http, &device).await;
    let report = device.lock().unwrap().custody().unwrap().clone();
    assert_eq!(report.photos_again, [Hash::of(&all[0])], "{report:?}");
    sync(&http, &device).await;
    let there = "SELECT count(*) FROM photos";
    assert_eq!(count(&site.database.admin().await, there).await, 2);
    site.server.stop().await;
}
