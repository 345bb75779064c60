//! Photos from one phone's shutter to another one's screen, with the real server between them:
//! kept, sent, fetched, freed, and the same bytes at every stage.
//!
//! Counts by environment: `DEVICE_PHOTOS` (60), `KILLS` (10).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::NaiveDate;
use motomind_core::http::{Http, SyncEnd};
use motomind_core::photo::PhotoMime;
use motomind_core::protocol::place::{CorrectionMethod, PlaceFrom};
use motomind_core::protocol::{Claims, EventId, Fix, FixSource, Hash, Role, limits};
use motomind_core::{
    Capture, Device, HostPreview, LocationSaid, NewPhoto, OpenOptions, PhotoMeta, TimelineQuery,
    TransferPolicy, UploadState, Variant, When,
};
use motomind_server::serve::{Running, start};
use motomind_tests::dice::Dice;
use motomind_tests::postgres::{Database, Postgres, count, role};
use motomind_tests::process::Process;
use motomind_tests::proxy::{Faults, Proxy};
use motomind_tests::server::{SECRET, settings, token};
use motomind_tests::tus::{self, photo};
use reqwest::StatusCode;
use tempfile::TempDir;
use uuid::Uuid;

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A server with a photo store of its own.
struct Site {
    database: Database,
    server: Running,
    tenant: Uuid,
    vehicle: Uuid,
    store: TempDir,
}

async fn site() -> Site {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let store = TempDir::new().unwrap();
    let mut settings = settings(&database);
    settings.photo_store = Some(store.path().to_str().unwrap().into());
    (settings.rate_per_minute, settings.rate_burst) = (6_000_000, 1_000_000);
    let server = start(settings).await.unwrap();
    Site { database, server, tenant, vehicle, store }
}

fn open(dir: &Path, token: &str) -> Device {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(Claims::peek(token).unwrap().identity()),
        key: None,
        seed: [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat().try_into().unwrap(),
        now: now(),
    })
    .unwrap();
    device.set_token(Some(token), now());
    device
}

/// A phone of a new person, and its folder.
fn phone(site: &Site) -> (Mutex<Device>, TempDir, String) {
    let (dir, token) =
        (TempDir::new().unwrap(), token(site.tenant, Uuid::new_v4(), Role::Technician));
    (Mutex::new(open(dir.path(), &token)), dir, token)
}

fn scratch(vehicle: Uuid) -> Capture {
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    let mut capture = Capture::new(vehicle.into(), "damage", now(), day, "America/Denver");
    capture.fix = Some(Fix { accuracy_m: Some(300.0), ..Fix::at(39.7, -105.0, FixSource::Gps) });
    capture
}

fn pictures(all: &[Vec<u8>]) -> Vec<NewPhoto<&[u8]>> {
    all.iter()
        .map(|bytes| NewPhoto {
            bytes: bytes.as_slice(),
            meta: PhotoMeta::default(),
            preview: HostPreview::None,
        })
        .collect()
}

/// A picture that was taken, of those that the metadata tests use.
fn corpus(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/data/photos").join(name);
    std::fs::read(path).unwrap()
}

async fn sync(http: &Http, device: &Mutex<Device>) {
    while http.sync_once(device, now).await.unwrap() != SyncEnd::CaughtUp {
        tokio::task::yield_now().await;
    }
}

fn whole(device: &Device, photo: Hash, variant: Variant) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let piece = device
            .read_photo(photo, variant, bytes.len() as u64, limits::PIECE_BYTES_MAX)
            .unwrap()?;
        bytes.extend_from_slice(&piece.bytes);
        if bytes.len() as u64 == piece.total {
            return Some(bytes);
        }
        assert!(!piece.bytes.is_empty());
    }
}

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
async fn whatever_is_cut_every_photo_arrives_and_little_is_sent_twice() {
    let photos: u64 = std::env::var("DEVICE_PHOTOS").map_or(60, |text| text.parse().unwrap());
    let site = site().await;
    let faults =
        Faults { request_cut_permille: 900, reply_cut_permille: 500, within_bytes: 600_000 };
    let proxy = Proxy::start(site.server.address, faults, 3).await.unwrap();
    let http = Http::new(&proxy.url()).unwrap();
    let (device, dir, token) = phone(&site);
    let mut dice = Dice::new(9);
    let mut taken = Vec::new();
    for _ in 0..photos {
        let size = usize::try_from(50_000 + dice.below(1_200_000)).unwrap();
        let picture = photo(dice.number(), size);
        taken.push(Hash::of(&picture));
        let mut device = device.lock().unwrap();
        let all = [picture];
        device.capture_with_photos(scratch(site.vehicle), pictures(&all), now()).unwrap();
    }
    // The app ends and begins again in the middle of it, whatever is under way.
    let mut device = device;
    let mut rounds = 0;
    while device.lock().unwrap().status(now()).unwrap().pictures_unsent > 0 {
        for _ in 0..5 {
            let _ = http.sync_once(&device, now).await.unwrap();
        }
        rounds += 1;
        assert!(rounds < 2_000, "{:?}", device.lock().unwrap().status(now()));
        if rounds % 4 == 0 {
            drop(device);
            device = Mutex::new(open(dir.path(), &token));
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

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| entry.path());
    each.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_to_go_up_goes_on_without_a_token_and_in_the_hosts_hands() {
    let site = site().await;
    let http = Http::new(&site.server.url()).unwrap();
    let (device, dir, token) = phone(&site);
    let all = [photo(1, 900_000)];
    let sha256 = Hash::of(&all[0]);
    {
        let mut device = device.lock().unwrap();
        device
            .set_transfer_policy(TransferPolicy { originals_by_host: true, ..Default::default() })
            .unwrap();
        device.capture_with_photos(scratch(site.vehicle), pictures(&all), now()).unwrap();
    }
    sync(&http, &device).await;
    let plan = device.lock().unwrap().upload_plans().unwrap().remove(0);
    assert_eq!((plan.sha256, plan.offset, plan.bytes), (sha256, 0, 900_000));
    // The system sends a part of the file while the app is not there, and is interrupted.
    let file = dir.path().join("to-send");
    device
        .lock()
        .unwrap()
        .write_blob(sha256, 0, &mut std::fs::File::create(&file).unwrap())
        .unwrap();
    drop(device);
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(Hash::of(&bytes), sha256);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.patch(format!("{}{}", site.server.url(), plan.path));
    for (name, value) in &plan.headers {
        request = request.header(*name, value);
    }
    let reply = request.body(bytes[..300_000].to_vec()).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NO_CONTENT);
    // The app comes back without a token, hears that it failed, and is told to go on by itself:
    // what the host had set still holds.
    let mut back = open(dir.path(), &token);
    back.set_token(None, now());
    assert!(back.transfer_policy().originals_by_host);
    back.set_transfer_policy(TransferPolicy::default()).unwrap();
    back.upload_failed(sha256, Variant::Original, "the system gave up", now()).unwrap();
    let back = Mutex::new(back);
    let end = http.sync_once(&back, now).await.unwrap();
    assert!(matches!(end, SyncEnd::Blocked(_)), "{end:?}");
    let upload = back.lock().unwrap().uploads().unwrap().remove(0);
    assert_eq!(upload.state, UploadState::Stored);
    assert_eq!(upload.sent, 600_000, "what the system had sent is not sent again");
    site.server.stop().await;
}

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
