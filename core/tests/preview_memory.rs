//! A photo of 60 MB is stored, and its preview made here; alone in this file, because the memory is
//! that of the whole process.
#![cfg(all(target_os = "linux", feature = "previews"))]
#![allow(clippy::unwrap_used)]

#[path = "photos/field.rs"]
mod field;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use field::*;
use image::codecs::jpeg::JpegEncoder;
use image::{GenericImageView, Rgb};
use motomind_core::*;

const MIB: u64 = 1024 * 1024;

/// A dashboard by day: a bright half and a dark one, under so much noise that it weighs something.
struct Scene {
    width: u32,
    height: u32,
}

impl GenericImageView for Scene {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn get_pixel(&self, x: u32, y: u32) -> Rgb<u8> {
        let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519))
            .wrapping_mul(3_266_489_917);
        let light = if x < self.width / 2 { 40 } else { 150 };
        let [one, two, three, _] = noise.to_be_bytes();
        Rgb([one, two, three].map(|byte| light + byte % 64))
    }
}

fn write_scene(path: &Path, (width, height): (u32, u32), quality: u8) -> u64 {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut encoder = JpegEncoder::new_with_quality(&mut file, quality);
    encoder.encode_image(&Scene { width, height }).unwrap();
    file.flush().unwrap();
    std::fs::metadata(path).unwrap().len()
}

fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn preview_of(field: &Field, added: &AddedPhoto) -> image::RgbImage {
    let piece = field.device.read_photo(added.facts.sha256, Variant::Preview, 0, usize::MAX);
    image::load_from_memory(&piece.unwrap().unwrap().bytes).unwrap().into_rgb8()
}

#[test]
fn a_photo_of_sixty_megabytes_and_its_preview_take_less_than_sixteen() {
    let mut field = Field::new();
    let folder = tempfile::TempDir::new().unwrap();
    let now = field.tick();
    let session =
        field.device.begin_session(truck(), "document", protocol::flow::Path::Quick, now).unwrap();
    let path = folder.path().join("photo.jpg");
    let bytes = write_scene(&path, (5_600, 4_200), 100);
    assert!((57 * MIB..64 * MIB).contains(&bytes), "{bytes}");
    // What the process took before counts no more.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle = kib("VmRSS:");
    let target = PhotoTarget::Session { id: session.id, step: None };
    let (file, now) = (File::open(&path).unwrap(), field.tick());
    let added =
        field.device.add_photo(target, file, PhotoMeta::default(), HostPreview::None, now).unwrap();
    let above = kib("VmHWM:").saturating_sub(idle);
    println!("{bytes} bytes stored and previewed, {above} KiB above idle");
    assert!(above < 16 * 1024, "{above} KiB above idle");
    added.preview.clone().unwrap().unwrap();
    let preview = preview_of(&field, &added);
    assert_eq!(preview.dimensions(), (1_400, 1_050));
    let light = |x: u32| preview.get_pixel(x, preview.height() / 2).0[1];
    assert!(light(10) < 110 && light(preview.width() - 10) > 140);
}
