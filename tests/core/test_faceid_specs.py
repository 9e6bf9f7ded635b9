"""FaceID adapters by keys and shapes: what they take, which twin they are, the LoRA they bring."""

import adapter_layouts
import pytest
import torch

from ipadapter_core.adapter.checkpoint import read_spec
from ipadapter_core.adapter.features import Picture, Source, Unconditional

H, UNNORM = "CLIP ViT-H/14", "FaceID portrait unnorm"
RECOGNISERS = {  # name -> recogniser, whether its embedding is brought to length 1
    name: ("w600k_r50", not name.endswith("unnorm"))
    for name in adapter_layouts.ADAPTERS
    if "faceid" in name
}


def shapes(name):
    """The published layout as tensors without data."""
    return {
        key: torch.empty(shape, device="meta")
        for key, shape in adapter_layouts.layout(name).items()
    }


@pytest.mark.parametrize("name", RECOGNISERS)
def test_a_faceid_adapter_takes_an_identity_first(name):
    spec = read_spec(shapes(name))
    recogniser, is_normalised = RECOGNISERS[name]
    identity, *rest = spec.inputs
    assert spec.identity_input is identity
    assert (identity.name, identity.width) == ("face_identity", 512)
    assert (identity.encoder, identity.is_normalised) == (recogniser, is_normalised)
    assert identity.picture is Picture.ALIGNED_CROP
    is_plus = "-plus" in name
    assert [(crop.source, crop.width, crop.picture) for crop in rest] == (
        [(Source.CLIP_HIDDEN, 1280, Picture.ALIGNED_CROP)] if is_plus else []
    )
    assert spec.clip_input is (rest[0] if rest else None)
    assert spec.unconditional is (
        Unconditional.ZERO_PIXELS if is_plus else Unconditional.ZERO_FEATURES
    )
    parts = ["the face recogniser w600k_r50", *([H] if is_plus else [])]
    assert spec.describe().endswith(f", needs {' and '.join(parts)}")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ip-adapter-faceid-plus_sd15", ("FaceID plus v2", "FaceID plus")),
        ("ip-adapter-faceid-portrait_sdxl_unnorm", (UNNORM, "InstantID")),
    ],
)
def test_twins_are_what_they_are_said_to_be(name, kinds):
    specs = {kind: read_spec(shapes(name), kind) for kind in kinds}
    assert {kind: spec.kind for kind, spec in specs.items()} == {kind: kind for kind in kinds}
    first, second = specs.values()
    assert read_spec(shapes(name)) == read_spec(shapes(name), "FaceID") == first
    assert first.family.twins == second.family.twins == (first.family, second.family)
    assert first.layers == second.layers


def test_twins_differ_in_what_they_compute():
    plus = [
        read_spec(shapes("ip-adapter-faceid-plus_sd15"), kind) for kind in (None, "FaceID plus")
    ]
    assert [spec.projector.adds_identity for spec in plus] == [True, False]
    raw = "ip-adapter-faceid-portrait_sdxl_unnorm"
    recognisers = [read_spec(shapes(raw), kind).identity_input for kind in (None, "InstantID")]
    assert [feature.encoder for feature in recognisers] == ["w600k_r50", "glintr100"]
    assert not any(feature.is_normalised for feature in recognisers)


@pytest.mark.parametrize("name", adapter_layouts.ADAPTERS)
def test_the_lora_in_a_file_is_part_of_its_spec(name):
    lora = read_spec(shapes(name)).lora
    has_lora = "faceid" in name and "portrait" not in name
    assert (lora is not None) == has_lora
    if lora is not None:
        attentions = 140 if "sdxl" in name else 32
        assert lora.rank == 128
        assert len(lora.targets) == len(set(lora.targets)) == 4 * attentions
        assert {target.attention for target in lora.targets} == set(range(attentions))


@pytest.mark.parametrize(
    "change",
    [
        lambda flat: flat.pop("ip_adapter.3.to_k_lora.up.weight"),
        lambda flat: flat.update({"ip_adapter.3.to_k_lora.up.weight": torch.empty(8, 128)}),
        lambda flat: flat.update({"ip_adapter.3.to_k_lora.down.weight": torch.empty(64, 768)}),
        lambda flat: flat.update({"ip_adapter.3.to_k_lora.down.weight": torch.empty(())}),
        lambda flat: flat.update({"ip_adapter.99.to_k_lora.down.weight": torch.empty(128, 768)}),
    ],
)
def test_a_lora_that_does_not_fit_is_damage(change):
    flat = shapes("ip-adapter-faceid_sd15")
    change(flat)
    with pytest.raises(ValueError, match="damaged: its LoRA does not fit 'to_k' of attention"):
        read_spec(flat)


def test_the_one_for_kolors_takes_the_square_of_a_face_and_its_raw_identity():
    """As its authors' file has it; its tokens are wider than its layers, which is no damage."""
    flat = shapes("Kolors-IP-Adapter-FaceID-Plus")
    file = {"image_proj": {}, "adapter_modules": {}}
    for key, value in flat.items():
        part, _, rest = key.partition(".")
        file["image_proj" if part == "image_proj" else "adapter_modules"][rest] = value
    spec = read_spec(file)
    assert (spec.projector.token_width, spec.text_width) == (4096, 2048)
    assert spec.family.is_projected_as_text and spec.projector.adds_identity
    identity, square = spec.inputs
    assert (identity.encoder, identity.is_normalised) == ("glintr100", False)
    assert (square.width, square.sequence_length) == (1024, 577)
    assert square.picture is Picture.FACE_SQUARE
    assert spec.unconditional is Unconditional.ZERO_FEATURES
    assert spec.describe() == (
        "Kolors FaceID plus, 6 tokens, needs the face recogniser glintr100 and CLIP ViT-L/14-336"
    )
    wider = flat | {"image_proj.norm.weight": torch.empty(8192, device="meta")}
    with pytest.raises(ValueError, match="tokens of width 8192, its perceiver has width 4096"):
        read_spec(wider)
