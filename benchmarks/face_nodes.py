"""Apply IPAdapter from a picture of a face: the first run, and what later ones run again."""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import counters
import hollow
import inside
import numpy
import torch
import variants
from PIL import Image
from safetensors.torch import save_file

import folder_paths
import nodes as host_nodes

sys.path.append(str(inside.PACK / "tests"))
from support import arcface

SIDE = 1024  # of the pictures
PRODUCTS = ("aten.mm", "aten.addmm", "aten.bmm")


def measure(pack: Any, kind: str, name: str) -> None:
    """CPU times and counts, with random weights and an encoder that costs nothing."""
    (adapter, _), model = variants.adapter(pack, name), hollow.model(kind)
    encoder = variants.Encoder(variants.features(1))
    apply = partial(host_nodes.NODE_CLASS_MAPPINGS["ApplyIPAdapter"].execute, model, adapter)

    def run(picture: torch.Tensor, weight: float = 1.0) -> float:
        start = time.process_time()
        apply(encoder, picture, weight=weight)
        return 1000 * (time.process_time() - start)

    first_picture, other_picture = (photograph(name) for name in ("one_portrait", "one_senator"))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        weights = arcface.random_net(arcface.R50).state_dict()
        save_file(weights, Path(folder, "net.safetensors"))
        folder_paths.folder_names_and_paths["insightface"] = ([folder], set())
        first, first_encodings = run(first_picture), encoder.runs
        again = min(run(first_picture, number / 10) for number in range(1, 6))
        with counters.Operations() as mode:
            run(first_picture, 0.95)
        encodings = encoder.runs - first_encodings
        other = run(other_picture)
    counts = mode.counted["aten.convolution"], sum(mode.counted[each] for each in PRODUCTS)
    print(f"{name} from a picture of {SIDE} pixels: first run {first:.0f} ms", end=" ")
    print(f"and {first_encodings} encodings, another picture {other:.0f} ms and one encoding,")
    print(f"    again with another weight {again:.1f} ms: {counts[0]} convolutions,", end=" ")
    print(f"{counts[1]} matrix products, {encodings} encodings", flush=True)


def photograph(name: str) -> torch.Tensor:
    """A face, [1, H, W, 3]."""
    picture = Image.open(inside.PACK / "tests" / "data" / "faces" / f"{name}.jpg").convert("RGB")
    size = [round(side * SIDE / max(picture.size)) for side in picture.size]
    pixels = numpy.array(picture.resize(size, Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels)[None].float() / 255
