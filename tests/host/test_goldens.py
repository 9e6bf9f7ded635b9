"""Old nodes give the numbers recorded from IPAdapter_plus, case by case.

IPADAPTER_GOLDENS names the folder with `golden_s11.json`, its tensors and `legacy_cases.py`; skipped without it.
"""

import json
import os
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

FOLDER = os.environ.get("IPADAPTER_GOLDENS")


def cases():
    if not FOLDER:
        return []
    return json.loads((Path(FOLDER) / "golden_s11.json").read_text())["cases"]


@pytest.fixture(scope="module")
def world(host, host_tree):
    if not FOLDER:
        pytest.skip("IPADAPTER_GOLDENS is not set")
    os.environ["COMFYUI_PATH"] = str(host_tree)
    sys.path.append(FOLDER)
    import legacy_cases

    class World(legacy_cases.World):
        def _load_pack(self, path):
            return host.NODE_CLASS_MAPPINGS

    made = World(11, "ours")
    yield made
    made.close()


@pytest.fixture(scope="module")
def recorded():
    from safetensors.torch import load_file

    return load_file(Path(FOLDER) / "golden_s11.safetensors")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_output_is_the_recorded_one(world, recorded, case):
    tensors, values = world.run(case)
    for key in case["tensors"]:
        expected = recorded[f"{case['name']}/{key}"]
        span = float(expected.max() - expected.min()) or 1.0
        off = float((tensors[key].float() - expected).abs().max()) / span
        assert off <= case["tolerance"], f"{key}: {off}"
    for key, expected in case["values"].items():
        if isinstance(expected, dict):  # further keys are allowed
            assert expected.items() <= values[key].items()
        elif isinstance(expected, list):
            assert values[key] == pytest.approx(expected, abs=1e-6)
        else:
            assert values[key] == expected
