//! What others see of a photo, and when.

use motomind_core::http::Http;
use motomind_core::photo::PhotoMime;
use motomind_core::protocol::place::{CorrectionMethod, PlaceFrom};
use motomind_core::protocol::{EventId, Hash, Role};
use motomind_core::{LocationSaid, TimelineQuery, TransferPolicy, Variant, When};
use motomind_tests::postgres::count;
use motomind_tests::tus::{self, photo};
use reqwest::StatusCode;
use uuid::Uuid;

use crate::site::{corpus, now, phone, pictures, scratch, site, sync, whole};

#[tokio::test(flavor = "multi_thread")]
async fn readings_arrive_first_then_previews_then_originals_and_the_corrected_place_is_shown() {
    let site = site().await;
    let http = Http::new(&site.server.url()).unwrap();
    let (taker, _dir, _) = phone(&site);
    let (viewer, _other, _) = phone(&site);
    let taken = [corpus("orientation_6.jpg"), corpus("offset.jpg")];
    let paused =
        TransferPolicy { originals: When::Paused, previews: When::Paused, ..Default::default() };
    let event: EventId = {
        let mut device = taker.lock().unwrap();
        device.set_transfer_policy(paused).unwrap();
        let captured =
            device.capture_with_photos(scratch(site.vehicle), pictures(&taken), now()).unwrap();
        let said = LocationSaid {
            latitude: 39.7025,
            longitude: -105.0,
            method: CorrectionMethod::MapPin,
            address: None,
            reason: Some("across the street".into()),
            extraction: None,
        };
        device.correct_location(captured.op_id.into(), said, now()).unwrap();
        captured.op_id.into()
    };
    sync(&http, &taker).await;
    sync(&http, &viewer).await;
    {
        let device = viewer.lock().unwrap();
        let shown = device.photos(event).unwrap();
        assert_eq!(shown.len(), 2);
        assert!(shown.iter().all(|one| !one.original.on_server && !one.preview.on_server));
        assert_eq!(shown[0].photo, Hash::of(&taken[0]));
        assert_eq!(shown[0].facts.as_ref().unwrap().mime, PhotoMime::Jpeg);
        let known = device.place(event).unwrap().unwrap();
        let (place, measured) = (known.place.unwrap(), known.measured.unwrap());
        assert_eq!((place.latitude, place.from), (39.7025, PlaceFrom::Correction));
        assert_eq!((measured.latitude, measured.from), (39.7, PlaceFrom::Fix));
        let page = device.timeline(&TimelineQuery::default()).unwrap();
        assert_eq!(page.entries[0].place.as_ref().unwrap().latitude, 39.7025);
    }
    taker
        .lock()
        .unwrap()
        .set_transfer_policy(TransferPolicy { originals: When::Paused, ..Default::default() })
        .unwrap();
    sync(&http, &taker).await;
    sync(&http, &viewer).await;
    let shown = viewer.lock().unwrap().photos(event).unwrap();
    assert!(shown.iter().all(|one| one.preview.here && !one.original.on_server), "{shown:?}");
    for one in &shown {
        let preview = whole(&viewer.lock().unwrap(), one.photo, Variant::Preview).unwrap();
        assert_eq!(Some(Hash::of(&preview)), one.preview.sha256);
    }
    taker.lock().unwrap().set_transfer_policy(TransferPolicy::default()).unwrap();
    sync(&http, &taker).await;
    viewer.lock().unwrap().fetch_photo(shown[1].photo, Variant::Original, now()).unwrap();
    sync(&http, &viewer).await;
    let fetched = whole(&viewer.lock().unwrap(), shown[1].photo, Variant::Original);
    assert!(fetched.unwrap() == taken[1]);
    assert_eq!(whole(&viewer.lock().unwrap(), shown[0].photo, Variant::Original), None);
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_and_place_follow_an_event_that_is_amended_to_the_vehicle_that_was_meant() {
    let site = site().await;
    let http = Http::new(&site.server.url()).unwrap();
    let meant = Uuid::new_v4();
    let vehicle = "INSERT INTO vehicles (tenant_id, id, make) VALUES ($1, $2, 'Ford')";
    let admin = site.database.admin().await;
    admin.execute(vehicle, &[&site.tenant, &meant]).await.unwrap();
    let ((taker, _dir, _), (viewer, _other, _)) = (phone(&site), phone(&site));
    let all = [photo(1, 50_000), photo(2, 60_000)];
    let amended = {
        let mut device = taker.lock().unwrap();
        let taken = pictures(&all);
        let wrong = device.capture_with_photos(scratch(site.vehicle), taken, now()).unwrap().op_id;
        let said = LocationSaid {
            latitude: 39.7025,
            longitude: -105.0,
            method: CorrectionMethod::MapPin,
            address: None,
            reason: None,
            extraction: None,
        };
        device.correct_location(wrong.into(), said, now()).unwrap();
        let mut right = scratch(meant);
        right.payload.insert("description".into(), "scratch".into());
        device.amend(wrong, right, now()).unwrap().op_id
    };
    sync(&http, &taker).await;
    assert_eq!(taker.lock().unwrap().pending(now()).unwrap(), []);
    sync(&http, &viewer).await;
    let photos = viewer.lock().unwrap().photos(amended.into()).unwrap();
    let shown: Vec<Hash> = photos.iter().map(|one| one.photo).collect();
    assert_eq!(shown, [Hash::of(&all[0]), Hash::of(&all[1])]);
    let known = viewer.lock().unwrap().place(amended.into()).unwrap().unwrap();
    assert_eq!(known.place.unwrap().from, PlaceFrom::Correction);
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_comes_from_whoever_put_the_photo_on_an_event() {
    let site = site().await;
    let http = Http::new(&site.server.url()).unwrap();
    let (taker, _dir, _) = phone(&site);
    let all = [photo(1, 50_000), photo(2, 60_000)];
    {
        let mut device = taker.lock().unwrap();
        let paused = TransferPolicy { previews: When::Paused, ..TransferPolicy::default() };
        device.set_transfer_policy(paused).unwrap();
        device.capture_with_photos(scratch(site.vehicle), pictures(&all), now()).unwrap();
    }
    sync(&http, &taker).await;
    let other = tus::Phone::new(&site.server.url(), site.tenant, Role::Technician);
    let forged = photo(3, 5_000);
    for picture in [&forged, &all[1]] {
        let metadata = tus::preview(picture, &all[0]);
        let reply = other.create_reply(picture.len(), &metadata).await;
        assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    }
    let previews = "SELECT count(*) FROM photo_previews";
    assert_eq!(count(&site.database.admin().await, previews).await, 0);
    site.server.stop().await;
}
