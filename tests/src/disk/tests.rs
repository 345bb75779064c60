//! The disk tested against SQLite itself: a promise kept by a synced file, broken by one that is
//! not, and never anything in between.

use std::collections::BTreeSet;

use rusqlite::{Connection, Result};

use super::{CrashPoint, Disk};
use crate::dice::Dice;

const SEEDS: u64 = 60;

fn open(disk: &Disk, journal: &str, synchronous: &str) -> Result<Connection> {
    let db = disk.connect("journal.db")?;
    db.pragma_update(None, "journal_mode", journal)?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "wal_autocheckpoint", 8)?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS fact (id INTEGER PRIMARY KEY, text TEXT, more BLOB)",
    )?;
    Ok(db)
}

/// Inserts until `last`, or until the power goes; returns what was acknowledged.
fn work(db: &Connection, ids: std::ops::Range<i64>) -> BTreeSet<i64> {
    let insert = "INSERT INTO fact VALUES (?1, 'fact ' || ?1, zeroblob(?1 * 37 % 3000))";
    ids.take_while(|id| db.execute(insert, [id]).is_ok()).collect()
}

fn facts(db: &Connection) -> Result<BTreeSet<i64>> {
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    assert_eq!(sound, "ok");
    let mut rows = db.prepare("SELECT id FROM fact")?;
    rows.query_map([], |row| row.get(0))?.collect()
}

/// Works, loses power at a random point, works on, loses it again; what was lost of the
/// acknowledged.
fn lost(seed: u64, journal: &str, synchronous: &str, lie: bool) -> Result<usize> {
    let mut dice = Dice::new(seed);
    let disk = Disk::new();
    drop(open(&disk, journal, synchronous)?);
    if lie {
        disk.lie_about_syncs_of("journal.db");
    }
    let mut acknowledged = BTreeSet::new();
    for round in 0..3 {
        let db = match open(&disk, journal, synchronous) {
            Ok(db) => db,
            // Without syncs even the file itself may be beyond reading.
            Err(_) if lie || synchronous == "OFF" => return Ok(acknowledged.len()),
            Err(error) => return Err(error),
        };
        let before = disk.counters();
        let point = match dice.below(3) {
            0 => CrashPoint::Write(before.writes + 1 + dice.below(120)),
            1 => CrashPoint::BeforeSync(before.syncs + 1 + dice.below(30)),
            _ => CrashPoint::AfterSync(before.syncs + 1 + dice.below(30)),
        };
        disk.crash_at(Some(point));
        acknowledged.extend(work(&db, round * 100..round * 100 + 25));
        disk.power_loss(&mut dice);
    }
    let survived = open(&disk, journal, synchronous).and_then(|db| facts(&db));
    match survived {
        Ok(facts) => Ok(acknowledged.difference(&facts).count()),
        Err(_) if lie || synchronous == "OFF" => Ok(acknowledged.len()),
        Err(error) => Err(error),
    }
}

#[test]
fn what_was_synced_survives_every_power_loss() {
    for journal in ["WAL", "TRUNCATE", "DELETE"] {
        for seed in 0..SEEDS {
            assert_eq!(lost(seed, journal, "FULL", false), Ok(0), "{journal} {seed}");
        }
    }
}

#[test]
fn what_was_not_synced_is_lost_for_some_seed() {
    let loses = |journal, synchronous, lie| {
        let mut seeds = 0..SEEDS;
        seeds.any(|seed| lost(seed, journal, synchronous, lie).unwrap() > 0)
    };
    assert!(loses("WAL", "NORMAL", false));
    assert!(loses("WAL", "OFF", false));
    assert!(loses("TRUNCATE", "OFF", false));
    assert!(loses("WAL", "FULL", true));
}

/// NORMAL may lose the newest transactions, but what is left is whole: SQLite's checksums find
/// every frame that the disk tore, and there are seeds in which it tore some.
#[test]
fn torn_frames_are_found_and_never_read() {
    let mut torn = 0;
    for seed in 0..SEEDS {
        let disk = Disk::new();
        let db = open(&disk, "WAL", "NORMAL").unwrap();
        let acknowledged = work(&db, 1..9);
        let whole = disk.image().0["journal.db-wal"].len();
        disk.power_loss(&mut Dice::new(seed));
        drop(db);
        let wal = disk.image().0.get("journal.db-wal").map_or(0, Vec::len);
        let left = open(&disk, "WAL", "NORMAL").and_then(|db| facts(&db)).unwrap();
        let length = i64::try_from(left.len()).unwrap();
        assert!(left.iter().copied().eq(1..=length), "a prefix, not {left:?}");
        torn += usize::from(wal == whole && left.len() < acknowledged.len());
    }
    assert!(torn > 0, "no seed tore a frame");
}

#[test]
fn the_dead_stay_dead_and_the_lock_is_free() {
    let disk = Disk::new();
    let db = open(&disk, "WAL", "FULL").unwrap();
    work(&db, 0..3);
    assert!(open(&disk, "WAL", "FULL").is_err(), "one owner at a time");
    disk.crash_at(Some(CrashPoint::Write(disk.counters().writes + 1)));
    assert!(db.execute("DELETE FROM fact", []).is_err());
    assert!(disk.power_is_out());
    assert!(open(&disk, "WAL", "FULL").is_err(), "no power, no files");
    disk.power_loss(&mut Dice::new(3));
    assert!(db.execute("DELETE FROM fact", []).is_err(), "it died");
    let again = open(&disk, "WAL", "FULL").unwrap();
    assert_eq!(facts(&again).unwrap().len(), 3);
    drop(db);
    assert_eq!(facts(&again).unwrap().len(), 3);
}

#[test]
fn two_files_attached_and_one_rolls_back_alone() {
    let disk = Disk::new();
    let write = |from: i64| {
        let db = open(&disk, "WAL", "FULL").unwrap();
        let attach = "ATTACH 'mirror.db' AS mirror; PRAGMA mirror.journal_mode = WAL;
             PRAGMA mirror.synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS mirror.copy (id INTEGER PRIMARY KEY)";
        db.execute_batch(attach).unwrap();
        for id in from..from + 5 {
            db.execute("INSERT INTO fact (id) VALUES (?1)", [id]).unwrap();
            db.execute("INSERT INTO mirror.copy VALUES (?1)", [id]).unwrap();
        }
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (count("SELECT count(*) FROM main.fact"), count("SELECT count(*) FROM mirror.copy"))
    };
    assert_eq!(write(0), (5, 5));
    let backup = disk.image();
    assert_eq!(write(5), (10, 10));
    disk.restore_file(&backup, "mirror.db");
    assert_eq!(write(10), (15, 10));
}

#[test]
fn a_clone_lives_its_own_life() {
    let disk = Disk::new();
    let db = open(&disk, "WAL", "FULL").unwrap();
    work(&db, 0..3);
    let twin = disk.clone_disk();
    work(&db, 3..9);
    let other = open(&twin, "WAL", "FULL").unwrap();
    assert_eq!(facts(&other).unwrap().len(), 3);
    work(&other, 100..101);
    assert_eq!(facts(&db).unwrap().len(), 9);
}

#[test]
fn the_same_seed_leaves_the_same_facts() {
    let run = |seed| lost(seed, "WAL", "NORMAL", false).unwrap();
    let once: Vec<usize> = (0..SEEDS).map(run).collect();
    assert_eq!(once, (0..SEEDS).map(run).collect::<Vec<_>>());
}
