//! The boxes of HEIC and HEIF: a table of contents, and in it where the EXIF block is.
//!
//! The table (`meta`) is usually near the beginning and the block behind it, so that one pass sees
//! both. Where the table comes last, the block has gone by: its range is told instead.

use super::container::{Found, Want, cut};
use super::read::PhotoNote;
use super::{EXIF_BYTES_MAX, HEIF_META_BYTES_MAX};

#[derive(Debug, Default)]
pub(super) struct Heif {
    /// Where the stream is after what was asked for.
    at: u64,
    part: Part,
    /// Where the last item in the table ends.
    end: u64,
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    Header,
    /// The name of a box whose length has 64 bits.
    Long([u8; 4]),
    Meta,
    Exif,
}

impl Heif {
    pub(super) fn next(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        match std::mem::take(&mut self.part) {
            Part::Header => {
                self.at += 8;
                let mut header = Bytes(taken);
                let (length, name) = (header.uint(4)?, header.name()?);
                match length {
                    0 => self.stop(found), // to the end of the file: nothing comes after it
                    1 => {
                        self.part = Part::Long(name);
                        Some(Want::take(8))
                    }
                    length => self.inside(name, length.checked_sub(8), found),
                }
            }
            Part::Long(name) => {
                self.at += 8;
                let length = Bytes(taken).uint(8)?;
                self.inside(name, length.checked_sub(16), found)
            }
            Part::Meta => self.meta(taken, found),
            Part::Exif => {
                found.heif_exif(taken);
                None
            }
        }
    }

    pub(super) fn ends_after(&self, size: u64) -> bool {
        self.end > size
    }

    fn stop(&self, found: &mut Found) -> Option<Want> {
        found.note(PhotoNote::Malformed);
        None
    }

    fn inside(&mut self, name: [u8; 4], length: Option<u64>, found: &mut Found) -> Option<Want> {
        let Some(length) = length else { return self.stop(found) };
        self.at = self.at.saturating_add(length);
        if &name != b"meta" {
            return Some(Want::after(length, 8));
        }
        match usize::try_from(length) {
            Ok(length) if length <= HEIF_META_BYTES_MAX => {
                self.part = Part::Meta;
                Some(Want::take(length))
            }
            _ => self.stop(found),
        }
    }

    fn meta(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        let Some(table) = Table::read(taken) else { return self.stop(found) };
        if let Some((width, height)) = table.dimensions() {
            found.pixels(width, height);
        }
        found.rotation = table.rotation();
        self.end = table.end.unwrap_or(0);
        match table.exif()? {
            Place::Inside(item) => {
                found.heif_exif(item);
                None
            }
            Place::File { offset, length } => {
                let (length, _) = cut(length, found);
                match offset.checked_sub(self.at) {
                    Some(skip) => {
                        self.part = Part::Exif;
                        Some(Want::after(skip, length))
                    }
                    None => {
                        found.missed = Some(offset..offset.saturating_add(length as u64));
                        None
                    }
                }
            }
        }
    }
}

/// Where an item's bytes are.
enum Place<'a> {
    Inside(&'a [u8]),
    File { offset: u64, length: u64 },
}

/// The boxes of `meta`.
#[derive(Default)]
struct Table<'a> {
    primary: Option<u64>,
    items: &'a [u8],
    locations: &'a [u8],
    properties: &'a [u8],
    data: &'a [u8],
    end: Option<u64>,
}

impl<'a> Table<'a> {
    fn read(content: &'a [u8]) -> Option<Self> {
        let mut table = Self::default();
        let mut bytes = Bytes(content.get(4..)?);
        while let Some((name, inside)) = bytes.inner_box() {
            match &name {
                b"pitm" => table.primary = Self::primary(inside),
                b"iinf" => table.items = inside,
                b"iloc" => table.locations = inside,
                b"iprp" => table.properties = inside,
                b"idat" => table.data = inside,
                _ => {}
            }
        }
        table.end = table.locate(None).map(|(_, end)| end);
        Some(table)
    }

    fn primary(inside: &[u8]) -> Option<u64> {
        let mut bytes = Bytes(inside);
        let version = bytes.uint(4)? >> 24;
        bytes.uint(if version == 0 { 2 } else { 4 })
    }

    fn exif(&self) -> Option<Place<'a>> {
        let id = self.exif_id()?;
        self.locate(Some(id))?.0
    }

    fn exif_id(&self) -> Option<u64> {
        let mut bytes = Bytes(self.items);
        let version = bytes.uint(4)? >> 24;
        bytes.uint(if version == 0 { 2 } else { 4 })?;
        while let Some((name, inside)) = bytes.inner_box() {
            let mut item = Bytes(inside);
            let version = item.uint(4)? >> 24;
            if &name != b"infe" || version < 2 {
                continue;
            }
            let id = item.uint(if version == 2 { 2 } else { 4 })?;
            item.uint(2)?;
            if item.name() == Some(*b"Exif") {
                return Some(id);
            }
        }
        None
    }

    /// Where an item is, as its first piece, and where the last of all items in the file ends.
    fn locate(&self, wanted: Option<u64>) -> Option<(Option<Place<'a>>, u64)> {
        let (mut place, mut end) = (None, 0_u64);
        let mut bytes = Bytes(self.locations);
        let version = bytes.uint(4)? >> 24;
        let sizes = bytes.uint(2)?;
        let size = |shift: u32| usize::try_from(sizes >> shift & 15).ok().filter(|size| *size <= 8);
        let (offset_size, length_size, base_size) = (size(12)?, size(8)?, size(4)?);
        let index_size = if version == 0 { 0 } else { size(0)? };
        if offset_size + length_size == 0 {
            return None; // pieces of no bytes could be counted for ever
        }
        let count = bytes.uint(if version < 2 { 2 } else { 4 })?;
        for _ in 0..count {
            let id = bytes.uint(if version < 2 { 2 } else { 4 })?;
            let method = if version == 0 { 0 } else { bytes.uint(2)? & 15 };
            bytes.uint(2)?;
            let base = bytes.uint(base_size)?;
            for piece in 0..bytes.uint(2)? {
                bytes.uint(index_size)?;
                let offset = base.saturating_add(bytes.uint(offset_size)?);
                let length = bytes.uint(length_size)?;
                if method == 0 {
                    end = end.max(offset.saturating_add(length));
                }
                if piece == 0 && Some(id) == wanted {
                    place = self.place(method, offset, length);
                }
            }
        }
        Some((place, end))
    }

    fn place(&self, method: u64, offset: u64, length: u64) -> Option<Place<'a>> {
        match method {
            0 => Some(Place::File { offset, length }),
            1 => {
                let start = usize::try_from(offset).ok()?;
                let length = usize::try_from(length).ok()?.min(EXIF_BYTES_MAX);
                self.data.get(start..start.checked_add(length)?).map(Place::Inside)
            }
            _ => None,
        }
    }

    fn dimensions(&self) -> Option<(u32, u32)> {
        let mut bytes = Bytes(self.property(*b"ispe")?.get(4..)?);
        Some((u32::try_from(bytes.uint(4)?).ok()?, u32::try_from(bytes.uint(4)?).ok()?))
    }

    /// The quarter turns, counter-clockwise, as EXIF says them.
    fn rotation(&self) -> Option<u8> {
        match self.property(*b"irot")?.first()? & 3 {
            1 => Some(8),
            2 => Some(3),
            3 => Some(6),
            _ => None,
        }
    }

    /// The property of that name of the primary item.
    fn property(&self, wanted: [u8; 4]) -> Option<&'a [u8]> {
        let (mut all, mut links) = (None, None);
        let mut bytes = Bytes(self.properties);
        while let Some((name, inside)) = bytes.inner_box() {
            match &name {
                b"ipco" => all = Some(inside),
                b"ipma" => links = Some(inside),
                _ => {}
            }
        }
        let indices = Self::linked(links?, self.primary?)?;
        let mut properties = Bytes(all?);
        let mut index = 0;
        while let Some((name, inside)) = properties.inner_box() {
            index += 1;
            if name == wanted && indices.contains(&index) {
                return Some(inside);
            }
        }
        None
    }

    fn linked(links: &[u8], item: u64) -> Option<Vec<u64>> {
        let mut bytes = Bytes(links);
        let header = bytes.uint(4)?;
        let (version, wide) = (header >> 24, header & 1 == 1);
        for _ in 0..bytes.uint(4)? {
            let id = bytes.uint(if version == 0 { 2 } else { 4 })?;
            let mut indices = Vec::new();
            for _ in 0..bytes.uint(1)? {
                let link = bytes.uint(if wide { 2 } else { 1 })?;
                indices.push(link & if wide { 0x7fff } else { 0x7f });
            }
            if id == item {
                return Some(indices);
            }
        }
        None
    }
}

/// Big-endian bytes, read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (now, later) = self.0.split_at_checked(count)?;
        self.0 = later;
        Some(now)
    }

    fn uint(&mut self, size: usize) -> Option<u64> {
        Some(self.take(size)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn name(&mut self) -> Option<[u8; 4]> {
        self.take(4)?.try_into().ok()
    }

    fn inner_box(&mut self) -> Option<([u8; 4], &'a [u8])> {
        let (length, name) = (self.uint(4)?, self.name()?);
        let length = match length {
            0 => return Some((name, std::mem::take(&mut self.0))),
            1 => self.uint(8)?.checked_sub(16)?,
            length => length.checked_sub(8)?,
        };
        Some((name, self.take(usize::try_from(length).ok()?)?))
    }
}
