use super::*;

const DAY_MS: Millis = 86_400_000;

/// An accepted operation at the next place, as a device appends it.
fn append_accepted(conn: &Connection, device_seq: u64, settled_at: Millis) {
    let id = Uuid::from_u128(u128::from(device_seq));
    conn.execute(
        "INSERT INTO operations
           (op_id, incarnation, device_seq, lane, captured_at, hash, text, state, seq, settled_at)
         VALUES (?1, 1, ?2, ?1, 0, ?3, '', 'accepted', ?2, ?4)",
        params![blob(&id), device_seq as i64, hash_of(device_seq).0, settled_at],
    )
    .unwrap();
}

fn hash_of(device_seq: u64) -> Hash {
    Hash([u8::try_from(device_seq).unwrap(); 32])
}

fn empty_journal() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(include_str!("001_journal.sql")).unwrap();
    open_incarnation(&conn, Incarnation(Uuid::from_u128(1)), Hash::ZERO, 0).unwrap();
    conn
}

#[test]
fn the_chain_goes_on_however_much_is_pruned() {
    let conn = empty_journal();
    let mut last = 0;
    for life in 1..=4 {
        for _ in 0..5 - life {
            last += 1;
            append_accepted(&conn, last, 0);
        }
        prune(&conn, 1_000 * DAY_MS, 0, last).unwrap();
        let head = chain_head(&conn).unwrap();
        assert_eq!((head.device_seq, head.hash), (last, hash_of(last)), "life {life}");
    }
    let kept: i64 =
        conn.query_row("SELECT count(*) FROM operations", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1, "the newest numbers the next");
}
