//! How much work Automerge's bytes would make, before Automerge reads them.
//!
//! Its columns are run-length encoded and may be deflated: ten bytes can ask for 2⁶⁰ operations,
//! and reading them would not end. Here runs are counted, not followed. What is sound passes
//! within a fraction of the time that reading it takes; everything else is Automerge's to judge.
//!
//! The format: <https://automerge.org/automerge-binary-format-spec/>.

use std::io::Read as _;

/// Operations, changes or actors in one chunk. A character of a text is one operation.
pub(super) const ROWS_MAX: u64 = crate::limits::DOCUMENT_OPERATIONS_MAX;

/// Bytes of a column once it is inflated.
const COLUMN_BYTES_MAX: u64 = 8 * 1024 * 1024;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// A kind of chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// A whole document.
    Document = 0,
    /// One change, not compressed.
    Change = 1,
}

/// Whether these bytes are one whole chunk of that kind that can be read in bounded time.
pub(super) fn is_bounded(bytes: &[u8], kind: Chunk) -> bool {
    body(bytes, kind).and_then(|body| rows(body, kind)).is_some()
}

/// What follows the header: magic, checksum, kind, length.
fn body(bytes: &[u8], kind: Chunk) -> Option<Bytes<'_>> {
    let mut rest = Bytes(bytes);
    let header = rest.take(9)?;
    if header.get(..4) != Some(&MAGIC) || header.get(8) != Some(&(kind as u8)) {
        return None;
    }
    let length = rest.unsigned()?;
    (u64::try_from(rest.0.len()).ok()? == length).then_some(rest)
}

fn rows(mut body: Bytes<'_>, kind: Chunk) -> Option<()> {
    match kind {
        Chunk::Change => {
            body.list(|body| body.take(32).map(drop))?; // what it builds on
            body.prefixed()?; // its actor
            for _ in 0..3 {
                body.unsigned()?; // sequence, first operation, time
            }
            body.prefixed()?; // its message
            let mut actors = 1; // its own, and others
            body.list(|body| {
                actors += 1;
                body.prefixed().map(drop)
            })?;
            let columns = body.columns()?;
            let mut columns = columns.into_iter();
            columns.try_for_each(|column| column.check(&mut body, false, Some(actors)))?;
            body.0.is_empty().then_some(())
        }
        Chunk::Document => {
            body.list(|body| body.prefixed().map(drop))?; // actors
            body.list(|body| body.take(32).map(drop))?; // heads
            let changes = body.columns()?;
            let operations = body.columns()?;
            let mut columns = changes.into_iter().chain(operations);
            columns.try_for_each(|column| column.check(&mut body, true, None))
        }
    }
}

/// A column: what it holds in its lowest four bits, and its length.
struct Column {
    spec: u64,
    length: u64,
}

impl Column {
    /// Actors are numbers below how many there are, where that is known.
    fn check(
        &self,
        body: &mut Bytes<'_>,
        may_be_deflated: bool,
        actors: Option<u64>,
    ) -> Option<()> {
        let bytes = body.take(self.length)?;
        if self.spec & 8 == 0 {
            return self.runs(Bytes(bytes), actors);
        }
        if !may_be_deflated {
            return None;
        }
        let mut inflated = Vec::new();
        let mut inflate = flate2::bufread::DeflateDecoder::new(bytes).take(COLUMN_BYTES_MAX + 1);
        inflate.read_to_end(&mut inflated).ok()?;
        (inflated.len() as u64 <= COLUMN_BYTES_MAX).then_some(())?;
        self.runs(Bytes(&inflated), actors)
    }

    /// Counts the runs of a column.
    fn runs(&self, mut column: Bytes<'_>, actors: Option<u64>) -> Option<()> {
        const GROUP: u64 = 0;
        const ACTORS: u64 = 1;
        const FLAGS: u64 = 4;
        const TEXTS: u64 = 5;
        const RAW: u64 = 7;
        let kind = self.spec & 7;
        let (mut rows, mut grouped) = (0_u64, 0_u64);
        while kind != RAW && !column.0.is_empty() {
            let (count, values) = match kind {
                FLAGS => (column.unsigned()?, 0),
                _ => match column.signed()? {
                    0 => (column.unsigned()?, 0),
                    run if run > 0 => (run.unsigned_abs(), 1),
                    literal => (literal.unsigned_abs(), literal.unsigned_abs()),
                },
            };
            rows = rows.checked_add(count).filter(|rows| *rows <= ROWS_MAX)?;
            for _ in 0..values {
                match kind {
                    TEXTS => column.prefixed().map(drop)?,
                    GROUP => {
                        let each = column.unsigned()?;
                        let repeated = if values == 1 { count } else { 1 };
                        let more = each.checked_mul(repeated)?;
                        grouped = grouped.checked_add(more).filter(|all| *all <= ROWS_MAX)?;
                    }
                    ACTORS => {
                        let actor = column.unsigned()?;
                        actors.is_none_or(|actors| actor < actors).then_some(())?;
                    }
                    _ => drop(column.unsigned()?),
                }
            }
        }
        Some(())
    }
}

/// Bytes that are read from their front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(front)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// LEB128; also passes over a signed one, whose value is then of no use.
    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift < 64 {
                value |= i64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                let negative = byte & 0x40 != 0 && shift + 7 < 64;
                return Some(if negative { value | (-1_i64 << (shift + 7)) } else { value });
            }
        }
        None
    }

    fn prefixed(&mut self) -> Option<&'a [u8]> {
        let length = self.unsigned()?;
        self.take(length)
    }

    fn list(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let count = self.unsigned()?;
        (0..count).try_for_each(|_| each(self))
    }

    fn columns(&mut self) -> Option<Vec<Column>> {
        let mut columns = Vec::new();
        self.list(|body| {
            columns.push(Column { spec: body.unsigned()?, length: body.unsigned()? });
            Some(())
        })?;
        Some(columns)
    }
}
