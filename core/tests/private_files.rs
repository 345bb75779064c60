//! What a device writes, nobody but its owner reads.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "photos/field.rs"]
mod field;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use field::*;
use motomind_core::*;

fn modes(folder: &Path) -> BTreeMap<String, u32> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mode = |entry: &std::fs::DirEntry| entry.metadata().unwrap().permissions().mode() & 0o777;
    entries.map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry))).collect()
}

#[test]
fn journal_mirror_and_what_is_salvaged_are_their_owners_alone() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    field.reopen_without_mirror();
    field.add(PhotoTarget::Event(event), "south_west.jpg").unwrap();
    let folder = field.journal().parent().unwrap().to_owned();
    // Others could read whatever a file is created with unless somebody says otherwise.
    std::fs::write(folder.join("other"), "").unwrap();
    let mut found = modes(&folder);
    assert_ne!(found.remove("other").unwrap(), 0o600, "the test sees nothing under this umask");
    for name in ["journal.db", "journal.db-wal", "mirror.db", "mirror.db-wal"] {
        assert!(found.contains_key(name), "{found:?}");
    }
    assert!(found.values().all(|mode| *mode == 0o600), "{found:?}");

    field.leave_files();
    let into = folder.join("salvaged.db").display().to_string();
    salvage(field.journal().to_str().unwrap(), &into, None, None).unwrap();
    assert_eq!(modes(&folder)["salvaged.db"], 0o600);
    // What somebody has opened to a group stays so.
    std::fs::set_permissions(field.journal(), std::fs::Permissions::from_mode(0o640)).unwrap();
    field.reopen();
    assert_eq!(modes(&folder)["journal.db"], 0o640);
}
