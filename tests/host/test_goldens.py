"""Our nodes give the numbers recorded from IPAdapter_plus, with and without the middle block.

IPADAPTER_GOLDENS names the folder with `golden_s11.json`, its tensors and `legacy_cases.py`; skipped without it.
"""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.host

FOLDER = os.environ.get("IPADAPTER_GOLDENS")
TAKES = {  # IPAdapter_plus's weight types in our words
    "linear": "balanced",
    "style transfer": "style",
    "composition": "layout",
    "strong style transfer": "strong style",
    "style and composition": "style and layout",
    "style transfer precise": "precise style",
    "composition precise": "precise layout",
}
APPLY = ("IPAdapterAdvanced", "IPAdapterBatch", "IPAdapterPreciseStyleTransfer")
APPLY += ("IPAdapterPreciseComposition",)
BLOCKS, MIDDLE = {"sd15": 16, "sdxl": 11}, {"sd15": 6, "sdxl": 4}


def cases():
    if not FOLDER:
        return []
    index = json.loads((Path(FOLDER) / "golden_s11.json").read_text())["cases"]
    kinds = {case["name"]: {n["class_type"] for n in case["graph"].values()} for case in index}
    ours = {*APPLY, "IPAdapterModelLoader"}
    return [
        case
        for case in index
        if any(kind in APPLY for kind in kinds[case["name"]])
        and all(
            kind in ours or (kind[0] == "@" and kind != "@Pipe") for kind in kinds[case["name"]]
        )
    ]


@pytest.fixture(scope="module")
def world(host, host_tree):
    if not FOLDER:
        pytest.skip("IPADAPTER_GOLDENS is not set")
    os.environ["COMFYUI_PATH"] = str(host_tree)
    sys.path.append(FOLDER)
    import legacy_cases

    class World(legacy_cases.World):
        middle = False

        def _load_pack(self, path):
            return host.NODE_CLASS_MAPPINGS

        def _call(self, kind, inputs):
            if kind == "IPAdapterModelLoader":
                return self.pack_ids["LoadIPAdapter"].execute(inputs["ipadapter_file"]).args
            return (self.applied(kind, **inputs),)

        def applied(self, kind, model, ipadapter, clip_vision, image, **old):
            take, second = ours(old, kind)
            blocks = self.blocks(model)
            places = range(len(blocks))
            factors = [float(self.middle or blocks[t][0] != "middle") for t in places]
            settings = {"layers": ", ".join(map(str, factors)), "second_amount": second}
            made = self.pack_ids["IPAdapterWeightMap"].execute(model, take, 1.0, **settings).args[0]
            negative = old.get("image_negative")
            if negative is None and ipadapter.spec.kind != "base":
                negative = torch.zeros(1, 224, 224, 3)
            unfold = "Batch" in kind
            weights = old["weight"] if isinstance(old["weight"], list) else None
            return (
                self.pack_ids["ApplyIPAdapter"]
                .execute(
                    model,
                    ipadapter,
                    clip_vision,
                    image,
                    weight=1.0 if weights else old["weight"],
                    start_at=old["start_at"],
                    end_at=old["end_at"],
                    image_negative=negative,
                    attn_mask=old.get("attn_mask"),
                    weight_map=made,
                    scaling=old["embeds_scaling"].replace("w/", "with"),
                    combine=old.get("combine_embeds", "concat").replace(
                        "norm average", "norm average (IPAdapter_plus)"
                    ),
                    batch="one for each picture" if unfold else "together",
                    frame_weights=", ".join(map(str, weights)) if weights else "",
                )
                .args[0]
            )

        def blocks(self, model):
            node = sys.modules[self.pack_ids["IPAdapterWeightMap"].__module__]
            return node.blocks_of(node.layers_of(model.get_model_object("diffusion_model")))

    def ours(old, kind):
        """The kind, and its second amount as a share of the weight."""
        if kind == "IPAdapterPreciseStyleTransfer":
            return "precise style", old["style_boost"] / old["weight"]
        if kind == "IPAdapterPreciseComposition":
            return "precise layout", old["composition_boost"] / old["weight"]
        take = TAKES.get(old["weight_type"], old["weight_type"])
        # there, the composition is at 1 whatever the weight
        return take, 1 / old["weight"] if take == "style and layout" else 1.0

    made = World(11, "ours")
    yield made
    made.close()


@pytest.fixture(scope="module")
def recorded():
    from safetensors.torch import load_file

    return load_file(Path(FOLDER) / "golden_s11.safetensors")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_output_is_the_recorded_one(world, recorded, case):
    for middle, key in ((False, "out"), (True, "out_middle")):
        expected = recorded.get(f"{case['name']}/{key}")
        if expected is None:
            continue
        world.middle = middle
        found = world.run({**case, "extra": {}})[0]["out"]
        off = float((found - expected).abs().max() / (expected.max() - expected.min()))
        assert off <= case["tolerance"], f"{off} {'with' if middle else 'without'} the middle block"
