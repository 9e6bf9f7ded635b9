"""The case list for Face Crop: pictures with and without faces, made hard in ways that happen, and
where the faces are.

Made anew each time, always the same, from the photographs in tests/data/faces (public domain), its
drawings (MIT) and the pictures without faces that ship in scikit-image 0.26 (free licences; only
its files are read, it need not be imported).
"""

import importlib.util
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

PACK = Path(__file__).resolve().parent.parent
PICTURES = PACK / "tests" / "data" / "faces"
GREY = (128, 128, 128)
NO_FACE = (
    "brick cell chelsea chessboard_GRAY chessboard_RGB clock_motion coffee coins color grass gravel"
    " horse ihc logo microaneurysms moon motorcycle_left motorcycle_right page phantom text"
    " hubble_deep_field retina rocket"
)


@dataclass(frozen=True)
class Truth:
    """Where a face is: its centre, its box's longer side, and by how many degrees it is turned
    clockwise."""

    x: float
    y: float
    side: float
    roll: float = 0.0


@dataclass(frozen=True)
class Case:
    name: str
    column: str
    picture: Image.Image
    faces: tuple[Truth, ...] = ()


@dataclass(frozen=True)
class Source:
    """A picture with one face."""

    name: str
    picture: Image.Image
    face: Truth


def photographs() -> list[Source]:
    return _sources("photographs")


def drawings() -> list[Source]:
    return _sources("drawings")


def cases() -> Iterator[Case]:
    """All of them, column by column, one picture in memory at a time."""
    for make in (_plain, _turned, _small, _filling, _spoilt, _covered, _cut):
        for source in photographs():
            yield from make(source)
    yield from _sheets()
    for source in drawings():
        yield from _drawn(source)
    yield from _faceless()


def _sources(kind: str) -> list[Source]:
    table = json.loads((PICTURES / "faces.json").read_text())[kind]
    opened = {name: Image.open(PICTURES / f"{name}.jpg").convert("RGB") for name in table}
    return [Source(name, opened[name], Truth(*table[name])) for name in table]


def _plain(source: Source) -> Iterator[Case]:
    picture = source.picture
    yield Case(source.name, "plain, grey", picture, (source.face,))
    grey = ImageOps.grayscale(picture).convert("RGB")
    yield Case(f"{source.name} grey", "plain, grey", grey, (source.face,))
    flipped = ImageOps.mirror(picture)
    face = source.face
    mirrored_face = Truth(picture.width - face.x, face.y, face.side, -face.roll)
    yield Case(f"{source.name} mirrored", "plain, grey", flipped, (mirrored_face,))


def _turned(source: Source) -> Iterator[Case]:
    columns = {
        "tilted 15-30": (-30, -15, 15, 30),
        "tilted 45-60": (-60, -45, 45, 60),
        "turned 90-180": (-90, 90, 180, -120, 150),
    }
    for column, angles in columns.items():
        for angle in angles:
            yield Case(f"{source.name} {angle}", column, *turn(source, angle))


def turn(source: Source, degrees: float) -> tuple[Image.Image, tuple[Truth]]:
    """The picture turned clockwise about its centre, on grey, and where the face then is."""
    picture, face = source.picture, source.face
    turned_picture = picture.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=GREY)
    x, y = face.x - picture.width / 2, face.y - picture.height / 2
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = c * x - s * y + turned_picture.width / 2, s * x + c * y + turned_picture.height / 2
    return turned_picture, (Truth(x, y, face.side, face.roll + degrees),)


def _small(source: Source) -> Iterator[Case]:
    """The face 40, 24 and 16 pixels tall, somewhere on a scene of 1024 to 2048."""
    rocket = _scikit_image("rocket")
    for pixels, wide in ((40, 1024), (40, 2048), (24, 1024), (24, 1536), (16, 1024), (16, 1280)):
        scene = rocket.resize((wide, wide * 3 // 4), Image.Resampling.BICUBIC)
        for number, (across, down) in enumerate(((0.1, 0.2), (0.8, 0.7))):
            small, small_face = _scaled(source, pixels / source.face.side)
            picture = scene.copy()
            left = round(across * (scene.width - small.width))
            top = round(down * (scene.height - small.height))
            picture.paste(small, (left, top))
            truth = Truth(small_face.x + left, small_face.y + top, small_face.side, small_face.roll)
            name = f"{source.name} {pixels} px of {wide}, {number}"
            yield Case(name, f"{pixels} px", picture, (truth,))


def _filling(source: Source) -> Iterator[Case]:
    """Nothing but the face: 1.3, 1.0 and 0.8 times its longer side, 640 pixels of it."""
    for share in (1.3, 1.0, 0.8):
        face = source.face
        half = face.side * share / 2
        box = (face.x - half, face.y - half, face.x + half, face.y + half)
        pixel_box = tuple(round(value) for value in box)
        picture = source.picture.crop(pixel_box).resize((640, 640), Image.Resampling.BICUBIC)
        truth = Truth(320, 320, 640 / share, face.roll)
        yield Case(f"{source.name} fills {share}", "fills the frame", picture, (truth,))


def _spoilt(source: Source) -> Iterator[Case]:
    picture, side = source.picture, source.face.side
    spoilt = {
        "noise 0.1": _noisy(picture, 0.1),
        "noise 0.2": _noisy(picture, 0.2),
        "jpeg 8": _jpeg(picture, 8),
        "blur": picture.filter(ImageFilter.GaussianBlur(side / 30)),
        "dark": ImageEnhance.Brightness(picture).enhance(0.15),
        "bright": Image.eval(picture, lambda value: min(255, 110 + value)),
        "flat": ImageEnhance.Contrast(picture).enhance(0.25),
    }
    for name, spoilt_picture in spoilt.items():
        yield Case(
            f"{source.name} {name}", "noise, jpeg, blur, dark", spoilt_picture, (source.face,)
        )


def _covered(source: Source) -> Iterator[Case]:
    """Shares of the face's square hidden by a patch: eyes, mouth, the left or the right half."""
    patches = {
        "eyes": ((0.1, 0.28, 0.9, 0.45), (20, 20, 20)),
        "mouth": ((0.1, 0.58, 0.9, 1.0), (200, 210, 220)),
        "left half": ((0.0, 0.0, 0.5, 1.0), GREY),
        "right half": ((0.5, 0.0, 1.0, 1.0), GREY),
        "eyes to brow": ((0.0, 0.0, 1.0, 0.5), (60, 50, 40)),
        "nose and mouth": ((0.0, 0.42, 1.0, 1.0), (40, 60, 110)),
    }
    face = source.face
    for name, (shares, colour) in patches.items():
        picture = source.picture.copy()
        box = [
            centre + (share - 0.5) * face.side
            for share, centre in zip(shares, (face.x, face.y) * 2, strict=True)
        ]
        ImageDraw.Draw(picture).rectangle(box, fill=colour)
        yield Case(f"{source.name} {name} covered", "covered", picture, (face,))


def _cut(source: Source) -> Iterator[Case]:
    """The picture's border goes through the face: a quarter of it is missing, or nearly half, on
    each side in turn."""
    picture, face = source.picture, source.face
    borders: dict[str, tuple[float, float, float, float]] = {}
    for name, share in (("quarter", 0.5), ("half", 0.05)):
        across, down = face.side * 0.36 * share, face.side * 0.5 * share
        borders |= {
            f"left {name}": (face.x - across, 0, picture.width, picture.height),
            f"right {name}": (0, 0, face.x + across, picture.height),
            f"top {name}": (0, face.y - down, picture.width, picture.height),
            f"bottom {name}": (0, 0, picture.width, face.y + down),
        }
    for name, box in borders.items():
        pixel_box = tuple(round(value) for value in box)
        truth = Truth(face.x - pixel_box[0], face.y - pixel_box[1], face.side, face.roll)
        yield Case(
            f"{source.name} {name} cut", "cut by the border", picture.crop(pixel_box), (truth,)
        )


def _sheets() -> Iterator[Case]:
    """Many in one picture: contact sheets, the largest of 300 faces."""
    sources = photographs()
    for columns, rows, tile in ((3, 2, 320), (5, 3, 200), (6, 5, 170), (10, 7, 100), (20, 15, 50)):
        sheet = Image.new("RGB", (columns * tile, rows * tile), GREY)
        faces: list[Truth] = []
        for number in range(columns * rows):
            source = sources[number % len(sources)]
            face = source.face
            half = face.side * (0.9 + 0.1 * (number % 4))
            box = (face.x - half, face.y - half, face.x + half, face.y + half)
            part = source.picture.crop(tuple(round(value) for value in box)).resize((tile, tile))
            left, top = number % columns * tile, number // columns * tile
            sheet.paste(part, (left, top))
            side = face.side * tile / (2 * half)
            faces.append(Truth(left + tile / 2, top + tile / 2, side, face.roll))
        yield Case(f"sheet of {columns * rows}", "many in one", sheet, tuple(faces))


def _drawn(source: Source) -> Iterator[Case]:
    yield Case(source.name, "drawn", source.picture, (source.face,))
    face = source.face
    mirrored = Truth(source.picture.width - face.x, face.y, face.side, -face.roll)
    yield Case(f"{source.name} mirrored", "drawn", ImageOps.mirror(source.picture), (mirrored,))
    grey = ImageOps.grayscale(source.picture).convert("RGB")
    yield Case(f"{source.name} grey", "drawn", grey, (face,))
    for share in (0.5, 1.6):
        picture, scaled_face = _scaled(source, share)
        yield Case(f"{source.name} x {share}", "drawn", picture, (scaled_face,))
    half = face.side * 0.8
    box = tuple(round(v) for v in (face.x - half, face.y - half, face.x + half, face.y + half))
    close_face = Truth(half, half, face.side, face.roll)
    yield Case(f"{source.name} close", "drawn", source.picture.crop(box), (close_face,))


def _faceless() -> Iterator[Case]:
    for name in NO_FACE.split():
        picture = _scikit_image(name)
        picture.thumbnail((1024, 1024))
        yield Case(name, "no face", picture)
        yield Case(f"{name} on its side", "no face", picture.transpose(Image.Transpose.ROTATE_90))
        yield Case(f"{name} upside down", "no face", picture.rotate(180))
    for source in photographs():  # below the face, and the back of nothing
        top = round(source.face.y + source.face.side * 0.62)
        rest = source.picture.crop((0, top, source.picture.width, source.picture.height))
        if rest.height > 64:
            yield Case(f"{source.name} without the head", "no face", rest)
    for seed in range(3):
        noise = numpy.random.default_rng(seed).integers(0, 256, (40 * 2**seed, 640, 3), "uint8")
        yield Case(f"noise {seed}", "no face", Image.fromarray(noise).resize((640, 480)))
    yield Case("one colour", "no face", Image.new("RGB", (512, 512), (210, 160, 130)))


def _scaled(source: Source, share: float) -> tuple[Image.Image, Truth]:
    picture, face = source.picture, source.face
    size = (round(picture.width * share), round(picture.height * share))
    scaled_face = Truth(face.x * share, face.y * share, face.side * share, face.roll)
    return picture.resize(size, Image.Resampling.BICUBIC), scaled_face


def _noisy(picture: Image.Image, sigma: float) -> Image.Image:
    noise = numpy.random.default_rng(7).normal(0, sigma * 255, (*picture.size[::-1], 3))
    return Image.fromarray((numpy.asarray(picture) + noise).clip(0, 255).astype("uint8"))


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _scikit_image(name: str) -> Image.Image:
    folder = scikit_image_data()
    (path,) = (path for path in folder.glob(f"{name}.*"))
    return Image.open(path).convert("RGB")


def scikit_image_data() -> Path:
    """The folder of scikit-image's pictures; located, not imported."""
    package = importlib.util.find_spec("skimage")
    if package is None:
        raise FileNotFoundError(
            "The case list needs the pictures in scikit-image: pip install scikit-image==0.26.0"
        )
    return Path(package.origin).parent / "data"
