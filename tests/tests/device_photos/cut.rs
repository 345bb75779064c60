//! Connections cut, device and server killed: every photo arrives, and little travels twice.

use std::sync::Mutex;

use motomind_core::http::Http;
use motomind_core::protocol::{Hash, Role};
use motomind_core::{Device, UploadState};
use motomind_tests::dice::Dice;
use motomind_tests::postgres::{Postgres, count, role};
use motomind_tests::process::Process;
use motomind_tests::proxy::{Faults, Proxy};
use motomind_tests::server::{SECRET, token};
use motomind_tests::tus::photo;
use tempfile::TempDir;
use uuid::Uuid;

use crate::site::{files, now, open, phone, pictures, scratch, site, sync};

/// An event with one photo.
fn take_one(device: &Mutex<Device>, vehicle: Uuid, dice: &mut Dice) {
    let size = usize::try_from(50_000 + dice.below(1_200_000)).unwrap();
    let all = [photo(dice.number(), size)];
    let mut device = device.lock().unwrap();
    device.capture_with_photos(scratch(vehicle), pictures(&all), now()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_cut_every_photo_arrives_and_little_is_sent_twice() {
    let photos: u64 = std::env::var("DEVICE_PHOTOS").map_or(60, |text| text.parse().unwrap());
    let site = site().await;
    let faults =
        Faults { request_cut_permille: 900, reply_cut_permille: 500, within_bytes: 600_000 };
    let proxy = Proxy::start(site.server.address, faults, 3).await.unwrap();
    let (mut device, dir, token) = phone(&site);
    let mut http = Http::new(&proxy.url()).unwrap();
    let mut dice = Dice::new(9);
    let (mut taken, mut rounds) = (0, 0);
    // One connection that is never cut would carry all the rest: the app ends and begins again, on
    // another one, in the middle of it and between twenty photos and the next.
    while taken < photos || device.lock().unwrap().status(now()).unwrap().pictures_unsent > 0 {
        let unsent = device.lock().unwrap().status(now()).unwrap().pictures_unsent;
        if unsent == 0 {
            let today = (photos - taken).min(20);
            (0..today).for_each(|_| take_one(&device, site.vehicle, &mut dice));
            taken += today;
        }
        for _ in 0..5 {
            let _ = http.sync_once(&device, now).await.unwrap();
        }
        rounds += 1;
        assert!(rounds < 2_000, "{:?}", device.lock().unwrap().status(now()));
        if unsent == 0 || rounds % 4 == 0 {
            drop(device);
            device = Mutex::new(open(dir.path(), &token));
            http = Http::new(&proxy.url()).unwrap();
        }
    }
    proxy.heal();
    sync(&http, &device).await;
    let uploads = device.lock().unwrap().uploads().unwrap();
    assert_eq!(uploads.len() as u64, photos, "random bytes have no previews");
    assert!(uploads.iter().all(|one| one.state == UploadState::Stored), "{uploads:?}");
    let (bytes, sent) =
        uploads.iter().fold((0, 0), |(bytes, sent), one| (bytes + one.bytes, sent + one.sent));
    // A cut falls within the first 600,000 bytes of a connection: no chunk is longer than that
    // and still cut, so that starting any picture over would show.
    let bound = proxy.cuts() * 600_000;
    assert!(sent - bytes <= bound, "{} bytes again after {} cuts", sent - bytes, proxy.cuts());
    assert!(proxy.cuts() > photos / 10, "only {} cuts", proxy.cuts());
    eprintln!("{photos} photos, {bytes} bytes, {} cuts, {} again", proxy.cuts(), sent - bytes);
    let admin = site.database.admin().await;
    let stored = "SELECT count(*) FROM photos";
    assert_eq!(count(&admin, stored).await, i64::try_from(photos).unwrap());
    let missing = "SELECT count(*) FROM event_photos e WHERE NOT EXISTS (
                     SELECT 1 FROM photos p WHERE p.tenant_id = e.tenant_id AND p.sha256 = e.photo)";
    assert_eq!(count(&admin, missing).await, 0);
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn device_and_server_killed_while_photos_go_up_lose_none() {
    let kills: u64 = std::env::var("KILLS").map_or(10, |text| text.parse().unwrap());
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (store, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (url, folder) = (database.url(role::SERVER), store.path().to_str().unwrap().to_owned());
    let serve = |listen: &str| {
        let program = env!("CARGO_BIN_EXE_field_server");
        Process::start(program, &[listen, &url, SECRET, &folder])
    };
    let mut server = serve("127.0.0.1:0");
    let address = server.line().expect("the server ended before it served");
    let faults =
        Faults { request_cut_permille: 500, reply_cut_permille: 100, within_bytes: 900_000 };
    let proxy = Proxy::start(address.parse().unwrap(), faults, 1).await.unwrap();
    let token = token(tenant, Uuid::new_v4(), Role::Technician);
    let path = dir.path().to_str().unwrap();
    let (device, vehicle) = (env!("CARGO_BIN_EXE_field_device"), vehicle.to_string());
    let mut dice = Dice::new(7);
    let mut captured = 0;
    for round in 0..kills {
        let arguments = [path, &proxy.url(), &token, &vehicle, "1000000", "700000"];
        let mut process = Process::start(device, &arguments);
        for _ in 0..1 + dice.below(9) {
            process.line().expect("the device ended by itself");
            captured += 1;
        }
        drop(process);
        if round % 3 == 2 {
            drop(server);
            server = serve(&address);
            server.line().expect("the server did not come back");
        }
    }
    proxy.heal();
    let mut last = Process::start(device, &[path, &proxy.url(), &token, &vehicle, "0"]);
    assert_eq!(last.line().as_deref(), Some("synced"));
    let admin = database.admin().await;
    let claimed =
        "SELECT count(*) FROM vehicle_events e, jsonb_array_elements_text(e.payload->'photos') p";
    let events = count(&admin, claimed).await;
    assert!(events >= captured, "{events} photos claimed by events of {captured} acknowledged");
    let nowhere = "SELECT count(*)
         FROM vehicle_events e, jsonb_array_elements_text(e.payload->'photos') claimed
         WHERE NOT EXISTS (SELECT 1 FROM photos p
                           WHERE p.tenant_id = e.tenant_id AND p.sha256 = claimed)
            OR NOT EXISTS (SELECT 1 FROM event_photos a
                           WHERE a.tenant_id = e.tenant_id AND a.event_id = e.id
                             AND a.photo = claimed)";
    assert_eq!(count(&admin, nowhere).await, 0, "an event claims a photo that is nowhere");
    let files = files(&store.path().join("photos"));
    assert_eq!(i64::try_from(files.len()).unwrap(), events);
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(Hash::of(&std::fs::read(&file).unwrap()).to_string(), name);
    }
    eprintln!("{kills} SIGKILLs, {} cuts: {events} photos arrived, 0 lost", proxy.cuts());
}
