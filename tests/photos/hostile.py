"""Files that are not what they seem, made by hand from the good ones."""
import os
import struct
import sys
import zlib

out = sys.argv[1]


def read(name):
    with open(os.path.join(out, name), "rb") as file:
        return file.read()


def write(name, data):
    with open(os.path.join(out, name), "wb") as file:
        file.write(data)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PNG = b"\x89PNG\r\n\x1a\n"


def bomb_png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


jpeg = read("bare.jpg")
write("bomb.png", bomb_png(60_000, 60_000))
frame = jpeg.index(b"\xff\xc0")
write("bomb.jpg", jpeg[: frame + 5] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 9 :])
extended = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff\xff\xff" * 2
write("bomb.webp", b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended)
write("few_bytes_many_pixels.jpg", jpeg[: frame + 5] + struct.pack(">HH", 9_990, 10_000) + jpeg[frame + 9 :])

write("zero.jpg", b"")
write("one_byte.jpg", b"\xff")
write("film.gif", b"GIF89a" + bytes(64))
write("page.jpg", b"<!doctype html><script>alert(1)</script>" + bytes(64))
write("jpeg_and_zip.jpg", jpeg + b"PK\x03\x04" + bytes(40))
write("jpeg_and_page.jpg", jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 42) + b"--><script>alert(document.domain)</script>"[:40] + jpeg[2:])
write("png_named.jpg", read("tiny.png"))
write("pdf_and_jpeg.jpg", b"%PDF-1.7\n" + jpeg)
write("fill_bytes.jpg", jpeg[:2] + b"\xff\xff\xff" + jpeg[2:])
write("no_end.jpg", jpeg[:-40])

# Tags that name each other: a reader that lists them all runs out of memory.
count = 2700
entries = b"".join(struct.pack(">HHII", 0x8769, 4, 1, 8) for _ in range(count))
tiff = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", count) + entries + struct.pack(">I", 8)
block = b"Exif\0\0" + tiff
write("tags_in_circles.jpg", jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:])
# A block whose values lie outside of it.
north = read("north_west.jpg")
at = north.index(b"Exif\0\0") + 6
write("values_garbled.jpg", north[: at + 200] + b"\xff" * 60 + north[at + 260 :])
pointer = north.index(b"\x88\x25\0\x04\0\0\0\x01") + 8
write("values_elsewhere.jpg", north[:pointer] + b"\0\xff\xff\0" + north[pointer + 4 :])
long_block = read("position.png")
start = long_block.index(b"eXIf") - 4
length = struct.unpack(">I", long_block[start : start + 4])[0]
exif = long_block[start + 8 : start + 8 + length] + bytes(70_000)
write("long_exif.png", long_block[:start] + chunk(b"eXIf", exif) + long_block[start + 12 + length :])


def boxes(data):
    at = 0
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        yield name, data[at : at + size]
        at += size


def moved(meta, by):
    """The same table after the items moved; as heif-enc and exiftool write it: 4-byte offsets."""
    at = meta.index(b"iloc") + 4
    version = meta[at]
    sizes = struct.unpack(">H", meta[at + 4 : at + 6])[0]
    assert version in (0, 1) and sizes >> 8 == 0x44, (version, hex(sizes))
    base, count = (sizes >> 4) & 15, struct.unpack(">H", meta[at + 6 : at + 8])[0]
    table, at = bytearray(meta), at + 8
    for _ in range(count):
        inside = version == 1 and table[at + 3] & 15 == 1
        at += 2 + (2 if version else 0) + 2
        start = int.from_bytes(table[at : at + base], "big")
        at += base
        if base and start and not inside:
            table[at - base : at] = (start + by).to_bytes(base, "big")
        pieces = struct.unpack(">H", table[at : at + 2])[0]
        at += 2
        for _ in range(pieces):
            offset = struct.unpack(">I", table[at : at + 4])[0]
            if not inside and not start:
                table[at : at + 4] = struct.pack(">I", offset + by)
            at += 8
    return bytes(table)


parts = dict(boxes(read("position.heic")))
assert list(parts) == [b"ftyp", b"meta", b"mdat"], list(parts)
meta = moved(parts[b"meta"], -len(parts[b"meta"]))
write("table_last.heic", parts[b"ftyp"] + parts[b"mdat"] + meta)
