"""Old nodes give the numbers recorded from IPAdapter_plus, case by case:
`tests/data/legacy_goldens`.
"""

import json
import os
from pathlib import Path

import pytest
from support.golden_world import ENCODER_FILE, GoldenWorld
from support.tolerance import ARITHMETIC

pytestmark = pytest.mark.host

FOLDER = Path(__file__).parent.parent / "data" / "legacy_goldens"
RECORDING = json.loads((FOLDER / "golden_s11.json").read_text())
CASES = RECORDING["cases"]


@pytest.fixture(scope="module")
def world(host, tmp_path_factory):
    """The host finds the recordings' files alone, and takes their encoder of three layers for a
    ViT-H.
    """
    import comfy.clip_vision
    import folder_paths

    folder = tmp_path_factory.mktemp("goldens")
    for name in ("ipadapter", "clip_vision", "io"):
        (folder / name).mkdir()
    result = GoldenWorld(RECORDING["seed"], host.NODE_CLASS_MAPPINGS, folder)
    load = comfy.clip_vision.load_clipvision_from_sd

    def load_any(tensors, *arguments, **options):
        is_ours = os.path.exists(folder / "clip_vision" / ENCODER_FILE)
        return result.encoder() if is_ours else load(tensors, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comfy.clip_vision, "load_clipvision_from_sd", load_any)
        for name in ("input", "output"):
            patch.setattr(folder_paths, f"{name}_directory", str(folder / "io"))
        for name in ("ipadapter", "clip_vision"):
            where = ([str(folder / name)], folder_paths.supported_pt_extensions)
            patch.setitem(folder_paths.folder_names_and_paths, name, where)
        yield result


@pytest.fixture(scope="module")
def recorded():
    from safetensors.torch import load_file

    return load_file(FOLDER / "golden_s11.safetensors")


def test_every_case_is_recorded(recorded):
    assert len(CASES) == 92
    names = {f"{case['name']}/{key}" for case in CASES for key in case["tensors"]}
    assert names <= recorded.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_output_is_the_recorded_one(world, recorded, case):
    tensors, values = world.run(case)
    assert case["tensors"] or case["values"]
    for key in case["tensors"]:
        expected = recorded[f"{case['name']}/{key}"]
        span = float(expected.max() - expected.min()) or 1.0
        off = float((tensors[key].float() - expected).abs().max()) / span
        assert off <= case["tolerance"], f"{key}: {off}"
    for key, expected in case["values"].items():
        if isinstance(expected, dict):  # further keys are allowed
            assert expected.items() <= values[key].items()
        elif isinstance(expected, list):
            assert values[key] == pytest.approx(expected, abs=ARITHMETIC)
        else:
            assert values[key] == expected
