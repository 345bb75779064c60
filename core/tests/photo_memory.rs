//! A large photo streams by; alone in this file, because the memory is that of the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use motomind_core::photo::{PhotoError, PhotoReader};

const MIB: usize = 1024 * 1024;

fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn sixty_megabytes_take_less_than_sixteen() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/photos");
    let file = |name: &str| std::fs::read(format!("{directory}/{name}")).unwrap();
    let (jpeg, circles) = (file("north_west.jpg"), file("tags_in_circles.jpg"));
    let chunk = vec![b'x'; 256 * 1024];
    let idle = kib("VmRSS");
    for head in [&jpeg, &circles] {
        let mut reader = PhotoReader::new(None);
        reader.feed(head).unwrap();
        for _ in 0..60 * 4 {
            reader.feed(&chunk).unwrap();
        }
        let reading = reader.finish().unwrap();
        assert_eq!(reading.facts.size, (head.len() + 60 * MIB) as u64);
        assert!(reading.facts.make.is_some() || head == &circles);
    }
    #[cfg(feature = "previews")]
    for name in ["vast.png", "few_bytes_many_pixels.jpg"] {
        use motomind_core::photo::{PreviewAbsence, preview::preview};
        let bytes = file(name);
        let mut reader = PhotoReader::new(None);
        reader.feed(&bytes).unwrap();
        let facts = reader.finish().unwrap().facts;
        let none = preview(std::io::Cursor::new(bytes), &facts, None);
        assert_eq!(none, Err(PreviewAbsence::TooLarge), "{name}");
    }
    let most = kib("VmHWM");
    assert!(most - idle < 16 * 1024, "{idle} KiB idle, {most} KiB at most");

    let mut reader = PhotoReader::new(None);
    reader.feed(&jpeg).unwrap();
    let refused = (0..70 * 4).find_map(|_| reader.feed(&chunk).err());
    assert_eq!(refused, Some(PhotoError::TooLarge));
    assert_eq!(reader.finish(), Err(PhotoError::TooLarge));
}
