"""Pictures without metadata: red, green, blue and yellow quarters, so that turning them shows."""
import os
import subprocess
import sys

from PIL import Image, ImageDraw

out = sys.argv[1]
WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 200, 20), (20, 20, 220), (230, 220, 20)


def quarters(width=WIDTH, height=HEIGHT):
    """What a person should see."""
    picture = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=BLUE)
    draw.rectangle((width // 2, height // 2, width, height), fill=YELLOW)
    return picture


def path(name):
    return os.path.join(out, name)


# The stored picture is what the orientation turns into the one to see.
turns = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
for n, turn in turns.items():
    stored = quarters() if turn is None else quarters().transpose(turn)
    stored.save(path(f"orientation_{n}.jpg"), quality=90)

turned = quarters().transpose(Image.Transpose.ROTATE_90)
for name in (
    "north_east north_west south_east south_west null_island no_hemisphere offset local modified_only "
    "digitized_only retouched edited no_time names bare"
).split():
    quarters().save(path(f"{name}.jpg"), quality=85)
quarters().save(path("long_profile.jpg"), icc_profile=bytes(range(256)) * 280)
turned.save(path("thumbnail_inside.jpg"), quality=85)
turned.resize((32, 48)).save(path("thumbnail.jpg"), quality=80)
quarters().save(path("progressive.jpg"), progressive=True)
quarters().convert("L").save(path("grey.jpg"))
quarters().convert("CMYK").save(path("cmyk.jpg"))
quarters(1, 1).save(path("tiny.jpg"))
quarters(4000, 30).save(path("wide.jpg"), quality=50)
quarters(1, 1).save(path("tiny.png"))
for name in ("position.png", "screenshot_phone.png", "screenshot_desktop.png"):
    quarters().save(path(name), optimize=True)
glass = quarters().convert("RGBA")
glass.putalpha(0)
glass.save(path("glass.png"), optimize=True)
quarters().convert("P").save(path("palette.png"), optimize=True)
turned.save(path("position.webp"), quality=85)
quarters().save(path("lossless.webp"), lossless=True)
glass.save(path("glass.webp"), lossless=True)
quarters().save(path("bare.webp"), quality=80)
# As many pixels as a photo may have, far more memory than a preview may take.
Image.new("1", (9990, 10000)).save(path("vast.png"), optimize=True)

for name, source, options in (
    ("position.heic", quarters(), []),
    ("with_thumbnail.heic", quarters(640, 480), ["-t", "160"]),
    ("thumbnail_inside.heic", turned, []),
):
    source.save(path("source.png"))
    subprocess.run(
        ["heif-enc", "-q", "30", *options, "-o", path(name), path("source.png")],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
os.remove(path("source.png"))
