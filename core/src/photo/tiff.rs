//! Reads single tags of a TIFF structure, the form of EXIF.
//!
//! Only what is asked for is looked at, and nothing is kept: tags that point at each other, which
//! make a reader that lists them all fill the memory from 64 KiB, cost nothing here.

/// Tags in one directory; a camera writes some dozens.
const TAGS_MAX: usize = 512;

/// A TIFF structure.
#[derive(Clone, Copy)]
pub(super) struct Tiff<'a> {
    data: &'a [u8],
    little: bool,
}

/// The tags of one directory.
#[derive(Clone, Copy)]
pub(super) struct Directory<'a> {
    tiff: Tiff<'a>,
    tags: &'a [u8],
    next: Option<usize>,
    /// It should have had more tags than there are bytes.
    pub(super) cut: bool,
}

/// A tag's value.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    tiff: Tiff<'a>,
    kind: u16,
    bytes: &'a [u8],
}

impl<'a> Tiff<'a> {
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let little = match data.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { data, little })
    }

    pub(super) fn first(self) -> Option<Directory<'a>> {
        self.directory(usize::try_from(self.long(self.data.get(4..)?)?).ok()?)
    }

    fn directory(self, at: usize) -> Option<Directory<'a>> {
        let bytes = self.data.get(at..)?;
        let count = usize::from(self.short(bytes)?);
        let tags = &bytes[2..];
        let wanted = count.min(TAGS_MAX) * 12;
        let present = wanted.min(tags.len() / 12 * 12);
        let next = tags.get(count * 12..).and_then(|rest| self.long(rest));
        let next = next.filter(|at| *at > 0).and_then(|at| usize::try_from(at).ok());
        Some(Directory { tiff: self, tags: &tags[..present], next, cut: present < count * 12 })
    }

    fn short(self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}

impl<'a> Directory<'a> {
    /// The first tag of that number whose value lies inside the data.
    pub(super) fn get(&self, tag: u16) -> Option<Value<'a>> {
        let entry = self.tags.chunks_exact(12).find(|entry| self.tiff.short(entry) == Some(tag))?;
        self.value(entry)
    }

    /// Whether a value lies outside the data.
    pub(super) fn is_damaged(&self) -> bool {
        self.cut || self.tags.chunks_exact(12).any(|entry| self.value(entry).is_none())
    }

    pub(super) fn child(&self, tag: u16) -> Option<Directory<'a>> {
        self.tiff.directory(usize::try_from(self.get(tag)?.uint()?).ok()?)
    }

    /// The directory after this one: the thumbnail's.
    pub(super) fn next(&self) -> Option<Directory<'a>> {
        self.tiff.directory(self.next?)
    }

    fn value(&self, entry: &'a [u8]) -> Option<Value<'a>> {
        let tiff = self.tiff;
        let kind = tiff.short(&entry[2..])?;
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => 0, // a kind that is not known holds nothing for us
        };
        let length = usize::try_from(tiff.long(&entry[4..])?).ok()?.checked_mul(size)?;
        let bytes = if length <= 4 {
            &entry[8..8 + length]
        } else {
            let at = usize::try_from(tiff.long(&entry[8..])?).ok()?;
            tiff.data.get(at..at.checked_add(length)?)?
        };
        Some(Value { tiff, kind, bytes })
    }
}

impl<'a> Value<'a> {
    /// Up to the first NUL, as the bytes are.
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        (self.kind == 2).then(|| self.bytes.split(|byte| *byte == 0).next()).flatten()
    }

    pub(super) fn uint(&self) -> Option<u32> {
        match self.kind {
            1 => self.bytes.first().map(|byte| u32::from(*byte)),
            3 => self.tiff.short(self.bytes).map(u32::from),
            4 | 13 => self.tiff.long(self.bytes),
            _ => None,
        }
    }

    /// The n-th fraction, where it is a number.
    pub(super) fn fraction(&self, n: usize) -> Option<f64> {
        let bytes = self.bytes.get(n * 8..n * 8 + 8)?;
        let (above, below) = (self.tiff.long(bytes)?, self.tiff.long(&bytes[4..])?);
        let number = match self.kind {
            5 => f64::from(above) / f64::from(below),
            10 => f64::from(above.cast_signed()) / f64::from(below.cast_signed()),
            _ => return None,
        };
        number.is_finite().then_some(number)
    }
}
