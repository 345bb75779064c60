//! Pictures as bytes, in pieces of 256 KiB beside the operations in the journal.
//!
//! Pieces are written as they come, each call its own transaction that is not waited for; the one
//! that names the whole by its hash is. In WAL mode a transaction that is synced syncs the log with
//! all that went into it before, so what is named is there after a power loss, and captures made in
//! between are as durable as ever. What was never named is removed at the next opening.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use motomind_protocol::{Hash, Millis, PhotoMime};
use rusqlite::{Connection, OptionalExtension, params};

use sha2::{Digest, Sha256};

use crate::error::StoreError;

/// One piece of a picture as it rests, bytes.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// Pages given back to the file system in one go.
const GIVE_BACK_PAGES: u32 = 20_000;

/// A picture that rests whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// Its row.
    pub(crate) n: i64,
    /// By its first bytes.
    pub(crate) mime: PhotoMime,
    /// The whole, bytes.
    pub(crate) bytes: u64,
}

/// The picture with these bytes, if it rests here; of one that was freed only the row does.
pub(crate) fn find(conn: &Connection, sha256: &Hash) -> Result<Option<Blob>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT n, mime, bytes FROM blobs WHERE sha256 = ?1
               AND EXISTS (SELECT 1 FROM blob_chunks WHERE blob = n AND chunk = 0)",
        )?
        .query_row([sha256.0], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?.unsigned_abs()))
        })
        .optional()?;
    let Some((n, mime, bytes)) = found else { return Ok(None) };
    let mime = serde_json::from_value(mime.into())?;
    Ok(Some(Blob { n, mime, bytes }))
}

/// Bytes of a picture from an offset, at most so many; fewer at its end.
pub(crate) fn read(
    conn: &Connection,
    blob: &Blob,
    offset: u64,
    most: usize,
) -> Result<Vec<u8>, StoreError> {
    let end = offset.saturating_add(most as u64).min(blob.bytes);
    let mut out = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
    let mut at = offset;
    while at < end {
        let piece = chunk(conn, blob.n, at / CHUNK_BYTES as u64)?;
        // Below one piece.
        let from = (at % CHUNK_BYTES as u64) as usize;
        let to = piece.len().min(from + usize::try_from(end - at).unwrap_or(usize::MAX));
        let part = piece.get(from..to).filter(|part| !part.is_empty());
        let part = part.ok_or_else(|| StoreError::Damaged("a photo lacks bytes".into()))?;
        out.extend_from_slice(part);
        at += part.len() as u64;
    }
    Ok(out)
}

fn chunk(conn: &Connection, blob: i64, chunk: u64) -> Result<Vec<u8>, StoreError> {
    let bytes = conn
        .prepare_cached("SELECT bytes FROM blob_chunks WHERE blob = ?1 AND chunk = ?2")?
        .query_row(params![blob, chunk as i64], |row| row.get(0))
        .optional()?;
    bytes.ok_or_else(|| StoreError::Damaged(format!("piece {chunk} of a photo is missing")))
}

/// Whether the bytes here still are what their hash says.
pub(crate) fn is_intact(conn: &Connection, sha256: &Hash) -> Result<bool, StoreError> {
    let Some(blob) = find(conn, sha256)? else { return Ok(false) };
    let mut hasher = Sha256::new();
    let mut statement =
        conn.prepare_cached("SELECT bytes FROM blob_chunks WHERE blob = ?1 ORDER BY chunk")?;
    let mut rows = statement.query([blob.n])?;
    while let Some(row) = rows.next()? {
        hasher.update(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    Ok(Hash(hasher.finalize().into()) == *sha256)
}

/// A picture that is being written.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) n: i64,
    chunks: i64,
    bytes: u64,
    /// What fills no piece yet.
    rest: Vec<u8>,
}

impl Writing {
    /// Begins a picture within the caller's transaction.
    pub(crate) fn begin(conn: &Connection, now: Millis) -> Result<Self, StoreError> {
        conn.prepare_cached("INSERT INTO blobs (bytes, added_at) VALUES (0, ?1)")?
            .execute([now])?;
        Ok(Self { n: conn.last_insert_rowid(), chunks: 0, bytes: 0, rest: Vec::new() })
    }

    /// Adds bytes within the caller's transaction.
    pub(crate) fn add(&mut self, conn: &Connection, mut bytes: &[u8]) -> Result<(), StoreError> {
        self.bytes += bytes.len() as u64;
        while self.rest.len() + bytes.len() >= CHUNK_BYTES {
            let (now, later) = bytes.split_at(CHUNK_BYTES - self.rest.len());
            if self.rest.is_empty() {
                self.put(conn, now)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(now);
                self.put(conn, &whole)?;
            }
            bytes = later;
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether bytes would fill a piece, so that something is to be written.
    pub(crate) fn fills(&self, bytes: usize) -> bool {
        self.rest.len() + bytes >= CHUNK_BYTES
    }

    fn put(&mut self, conn: &Connection, piece: &[u8]) -> Result<(), StoreError> {
        conn.prepare_cached("INSERT INTO blob_chunks (blob, chunk, bytes) VALUES (?1, ?2, ?3)")?
            .execute(params![self.n, self.chunks, piece])?;
        self.chunks += 1;
        Ok(())
    }

    /// Writes what is left, so that the whole can be read.
    pub(crate) fn end(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() { Ok(()) } else { self.put(conn, &rest) }
    }

    /// What can be read of it, once [`Writing::end`] was called.
    pub(crate) fn blob(&self, mime: PhotoMime) -> Blob {
        Blob { n: self.n, mime, bytes: self.bytes }
    }

    /// Names the whole by its hash, within the caller's transaction. Where the same bytes rest here
    /// already, these go, and it returns `false`.
    pub(crate) fn name(
        &self,
        conn: &Connection,
        sha256: &Hash,
        mime: PhotoMime,
    ) -> Result<bool, StoreError> {
        if find(conn, sha256)?.is_some() {
            remove(conn, self.n)?;
            return Ok(false);
        }
        conn.prepare_cached("DELETE FROM blobs WHERE sha256 = ?1")?.execute([sha256.0])?;
        conn.prepare_cached("UPDATE blobs SET sha256 = ?2, mime = ?3, bytes = ?4 WHERE n = ?1")?
            .execute(params![self.n, sha256.0, mime.as_str(), self.bytes as i64])?;
        Ok(true)
    }
}

/// Stores a small picture whole, within the caller's transaction.
pub(crate) fn store(
    conn: &Connection,
    bytes: &[u8],
    mime: PhotoMime,
    now: Millis,
) -> Result<Hash, StoreError> {
    let sha256 = Hash::of(bytes);
    let mut writing = Writing::begin(conn, now)?;
    writing.add(conn, bytes)?;
    writing.end(conn)?;
    writing.name(conn, &sha256, mime)?;
    Ok(sha256)
}

/// Removes a picture, within the caller's transaction; the journal refuses it for a photo that the
/// server is not known to have.
pub(crate) fn remove(conn: &Connection, n: i64) -> Result<(), StoreError> {
    conn.execute("DELETE FROM blob_chunks WHERE blob = ?1", [n])?;
    conn.execute("DELETE FROM blobs WHERE n = ?1", [n])?;
    Ok(())
}

/// Removes what was begun and never named, but for what is being written now.
pub(crate) fn remove_half_written(conn: &Connection, but: &[i64]) -> Result<(), StoreError> {
    let left: Vec<i64> = {
        let mut statement = conn.prepare_cached("SELECT n FROM blobs WHERE sha256 IS NULL")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    let left: Vec<i64> = left.into_iter().filter(|n| !but.contains(n)).collect();
    if left.is_empty() {
        return Ok(());
    }
    let tx = conn.unchecked_transaction()?;
    left.iter().try_for_each(|n| remove(&tx, *n))?;
    tx.commit()?;
    give_back(conn)
}

/// Gives space that photos have left back to the file system, a part of it at a time. A journal
/// that was begun before this was possible keeps it and uses it again.
pub(crate) fn give_back(conn: &Connection) -> Result<(), StoreError> {
    let mut pragma = conn.prepare(&format!("PRAGMA main.incremental_vacuum({GIVE_BACK_PAGES})"))?;
    let mut rows = pragma.query([])?;
    // Each step gives back one page.
    while rows.next()?.is_some() {}
    Ok(())
}

/// Does something that a later synced transaction makes durable: its own commit is not waited for.
pub(crate) fn without_waiting<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.execute_batch("PRAGMA main.synchronous = NORMAL")?;
    let done = (|| {
        let tx = conn.unchecked_transaction()?;
        let done = work(&tx)?;
        tx.commit()?;
        Ok(done)
    })();
    // Whatever became of it: what comes next is a capture, perhaps.
    conn.execute_batch("PRAGMA main.synchronous = FULL")?;
    done
}

/// Reads a picture as a file, one piece in memory at a time.
pub(crate) struct Reader<'a> {
    conn: &'a Connection,
    blob: Blob,
    at: u64,
    /// The piece that was read last.
    piece: Option<(u64, Vec<u8>)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(conn: &'a Connection, blob: Blob) -> Self {
        Self { conn, blob, at: 0, piece: None }
    }
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.blob.bytes {
            return Ok(&[]);
        }
        let wanted = self.at / CHUNK_BYTES as u64;
        let bytes = match self.piece.take() {
            Some((number, bytes)) if number == wanted => bytes,
            _ => chunk(self.conn, self.blob.n, wanted).map_err(io::Error::other)?,
        };
        let (_, bytes) = self.piece.insert((wanted, bytes));
        // Below one piece.
        Ok(bytes.get((self.at % CHUNK_BYTES as u64) as usize..).unwrap_or(&[]))
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes as u64;
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let bytes = ready.len().min(into.len());
        into[..bytes].copy_from_slice(&ready[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.blob.bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
