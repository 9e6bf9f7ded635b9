"""What every input makes of every kind of value, generated from the schemas of all nodes."""

import importlib
import inspect
from types import SimpleNamespace

import numpy
import pytest
import torch

NAN, INFINITE = float("nan"), float("inf")
WRONG_TYPES = {
    "a list": [1, "x"],
    "a dict": {"x": 1},
    "an array": numpy.zeros((1, 8, 8, 3), numpy.float32),
    "a tuple": (1, 2),
    "an object": object(),
}
REGION_FIELDS = "image", "attn_mask", "weight", "weight_type", "start_at", "end_at"
WRONG = {  # type of the host -> values that no node can read as that
    "FLOAT": WRONG_TYPES
    | {"a text": "1.0", "NaN": NAN, "infinity": INFINITE, "wild": 10**9000, "nothing": None},
    "INT": WRONG_TYPES
    | {"a text": "1", "NaN": NAN, "infinity": INFINITE, "a fraction": 1.5, "wild": 10**9000},
    "STRING": WRONG_TYPES | {"a number": 1.5, "nothing": None},
    "BOOLEAN": WRONG_TYPES | {"a text": "yes", "NaN": NAN},
    "COMBO": WRONG_TYPES | {"a number": 3, "nothing": None},
    "IMAGE": WRONG_TYPES
    | {
        "a number": 1.0,
        "rank 2": torch.rand(8, 8),
        "rank 3": torch.rand(8, 8, 3),
        "channels first": torch.rand(1, 3, 8, 8),
        "no height": torch.rand(1, 0, 8, 3),
        "NaN": torch.full((1, 8, 8, 3), NAN),
        "infinity": torch.full((1, 8, 8, 3), INFINITE),
        "0 to 255": torch.rand(1, 8, 8, 3) * 255,
        "-9 to 9": torch.rand(1, 8, 8, 3) * 18 - 9,
        "black or nearly black": torch.ones(1, 8, 8, 3, dtype=torch.int64),
        "16 bits": torch.full((1, 8, 8, 3), 65535, dtype=torch.uint16),
        "signed bytes": torch.full((1, 8, 8, 3), 100, dtype=torch.int8),
        "below 0": torch.full((1, 8, 8, 3), -1, dtype=torch.int32),
        "complex": torch.ones(1, 8, 8, 3, dtype=torch.complex64),
        "sparse": torch.rand(1, 8, 8, 3).to_sparse(),
        "without data": torch.empty(1, 8, 8, 3, device="meta"),
        "wildly large": torch.zeros(1, 1, 1, 3).expand(10**5, 10**4, 10**4, 3),
    },
    "MASK": WRONG_TYPES
    | {
        "rank 1": torch.rand(8),
        "a picture": torch.rand(1, 8, 8, 3),
        "rank 5": torch.rand(1, 1, 1, 8, 8),
        "no height": torch.rand(1, 0, 8),
        "NaN": torch.full((1, 8, 8), NAN),
        "infinity": torch.full((1, 8, 8), INFINITE),
        "0 to 255": torch.rand(1, 8, 8) * 255,
        "labels": torch.full((1, 8, 8), 3),
        "below 0": torch.full((1, 8, 8), -1, dtype=torch.int8),
        "16 bits": torch.full((1, 8, 8), 65535, dtype=torch.uint16),
        "complex": torch.ones(1, 8, 8, dtype=torch.complex64),
        "two batches": torch.rand(2, 3, 8, 8),
        "sparse": torch.rand(1, 8, 8).to_sparse(),
        "without data": torch.empty(1, 8, 8, device="meta"),
        "wildly large": torch.zeros(1, 1, 1).expand(10**5, 10**4, 10**4),
    },
    "MODEL": WRONG_TYPES | {"a text": "model"},
    "CLIP_VISION": WRONG_TYPES | {"a text": "encoder"},
    "CLIP_VISION_OUTPUT": WRONG_TYPES | {"a text": "output"},
    "CONDITIONING": WRONG_TYPES | {"a text": "prompt", "a pair alone": [None, {}]},
    "EMBEDS": WRONG_TYPES
    | {
        "a text": "embeds",
        "rank 1": torch.rand(8),
        "rank 5": torch.rand(1, 1, 1, 1, 8),
        "nothing in it": torch.rand(0, 8),
        "integers": torch.ones(1, 8, dtype=torch.int64),
        "NaN": torch.full((1, 8), NAN),
    },
    "IPADAPTER_PARAMS": WRONG_TYPES
    | {
        "fields that are no lists": dict.fromkeys(REGION_FIELDS, 1.0),
        "lists of other lengths": {key: [1.0] for key in REGION_FIELDS} | {"weight": []},
    },
    "WEIGHTS_STRATEGY": WRONG_TYPES | {"a field too few": {"weights": "1"}},
}
GREY = torch.rand(2, 8, 6, 1, generator=torch.Generator().manual_seed(0))
BYTES = (GREY * 255).round().byte()
SAME_IMAGES = {
    "grey": (GREY, GREY),
    "bytes": (BYTES, BYTES.float() / 255),
    "half": (GREY.half(), GREY.half().float()),
    "double": (GREY.double(), GREY.double().float()),
}
INTEGERS = [torch.int16, torch.int32, torch.int64, torch.uint16]
BLACK = torch.zeros_like(GREY)
SAME_IMAGES |= {f"bytes as {dtype}": (BYTES.to(dtype), BYTES.float() / 255) for dtype in INTEGERS}
SAME_IMAGES |= {f"black as {dtype}": (BLACK.to(dtype), BLACK) for dtype in [torch.int8, *INTEGERS]}
MASK = GREY[..., 0]
SWITCH = MASK > 0.5
LARGE_BATCH = torch.rand(3, 8, 6, generator=torch.Generator().manual_seed(1))
MASK_BYTES = BYTES[..., 0].clone()
MASK_BYTES[:, 0, 0] = 255
SAME_MASKS = {
    "a channel at the end": (GREY, MASK),
    "a channel in front": (MASK[:, None], MASK),
    "one without a batch": (MASK[0], MASK[:1]),
    "bytes": (BYTES[..., 0], BYTES[..., 0].float() / 255),
    "truth values": (MASK > 0.5, (MASK > 0.5).float()),
    "half": (MASK.half(), MASK.half().float()),
    "a batch of one batch": (LARGE_BATCH[None], LARGE_BATCH),
}
SAME_MASKS |= {
    f"bytes as {dtype}": (MASK_BYTES.to(dtype), MASK_BYTES.float() / 255) for dtype in INTEGERS
}
SAME_MASKS |= {
    f"0 and 1 as {dtype}": (SWITCH.to(dtype), SWITCH.float()) for dtype in [torch.int8, *INTEGERS]
}


@pytest.fixture(scope="module")
def checks(pack):
    return importlib.import_module(f"{pack.__name__}.nodes.input_checks")


@pytest.fixture(scope="module")
def every_input(pack, checks, legacy):
    """(node's name, input, spec) of all nodes, new and old."""
    inputs = [
        (node.define_schema().display_name, entry.id, checks.new_spec(entry))
        for node in pack.nodes.NODES
        for entry in node.define_schema().inputs
    ]
    for node in legacy.OLD_NODES:
        groups = node.INPUT_TYPES()
        entries = {**groups["required"], **groups.get("optional", {})}
        inputs += [(node.NAME, name, checks.old_spec(entry)) for name, entry in entries.items()]
    assert len(inputs) > 400
    return inputs


@pytest.mark.parametrize("socket", WRONG)
def test_a_wrong_value_is_one_sentence_with_node_and_input(checks, every_input, socket):
    inputs = [entry for entry in every_input if entry[2].type == socket]
    assert inputs
    for node, name, spec in inputs:
        for kind, value in WRONG[socket].items():
            if value is None and spec.may_be_none:
                continue
            with pytest.raises(ValueError) as error:
                checks.check_input(value, spec, node, name)
            text = str(error.value)
            assert f"{node}'s '{name}'" in text, (kind, text)
            assert text.endswith((".", ")")) and len(text) < 500 and "\n" not in text, text


@pytest.mark.parametrize(
    ("field", "value"),
    [("image", "a"), ("attn_mask", 1), ("weight", NAN), ("start_at", "0"), ("weight_type", 3)],
)
def test_what_old_regions_hold_is_checked(checks, field, value):
    region = {"image": torch.rand(1, 8, 8, 3), "attn_mask": None, "weight": 1.0}
    region |= {"weight_type": "linear", "start_at": 0.0, "end_at": 1.0}
    link = {name: [entry] for name, entry in region.items()}
    spec = checks.InputSpec("IPADAPTER_PARAMS", {})
    assert checks.check_input(link, spec, "A node", "params_1")["weight"] == [1.0]
    with pytest.raises(ValueError, match=f"A node's '{field}' (got|has)"):
        checks.check_input(link | {field: [value]}, spec, "A node", "params_1")


@pytest.mark.parametrize("count", [10**9, -1, NAN, "1"])
def test_frames_of_an_old_strategy_have_a_bound(run_old, count):
    strategy = run_old("IPAdapterWeights", weights="1, 0.5", timing="linear", frames=4)[-1]
    strategy["add_starting_frames"] = count
    with pytest.raises(ValueError, match=r"'add_starting_frames' got .*a whole number"):
        run_old("IPAdapterWeightsFromStrategy", weights_strategy=strategy)


@pytest.mark.parametrize("text", ["1, nan", "inf", "x" * 3000, "1\x00\x1b[31m"])
def test_typed_weights_are_finite_and_quoted_short(run_old, text):
    with pytest.raises(ValueError, match="must be numbers separated by commas") as error:
        run_old("IPAdapterWeights", weights=text)
    assert len(str(error.value)) < 400 and str(error.value).isprintable()


def test_a_region_of_another_pack_is_refused(nodes_by_id, models):
    apply = nodes_by_id["ApplyIPAdapterRegions"].execute
    with pytest.raises(ValueError, match="'region0' input needs the output of this pack's"):
        apply(models("sd15"), {"region0": (object(),)}, 0, "normalised")


@pytest.mark.parametrize(
    ("node_id", "input_name"),
    [
        ("LoadIPAdapter", "ipadapter_file"),
        ("LoadCLIPVision", "clip_name"),
        ("LoadIPAdapterEmbeds", "file"),
        ("IPAdapterModelLoader", "ipadapter_file"),
        ("IPAdapterLoadEmbeds", "embeds"),
    ],
)
@pytest.mark.parametrize(
    "name", [0, 10**12, True, 1.5, {}, ["a"], "\0", "x" * 3000], ids=lambda name: repr(name)[:9]
)
def test_a_file_that_is_no_name_is_refused_before_the_graph_runs(
    nodes_by_id, node_id, input_name, name
):
    node = nodes_by_id[node_id]
    validate = getattr(node, "validate_inputs", None) or node.VALIDATE_INPUTS
    answer = validate(**{input_name: name})
    assert isinstance(answer, str) and answer.endswith(".") and len(answer) < 1200


@pytest.mark.parametrize("kind", SAME_IMAGES)
def test_pictures_written_otherwise_are_the_same_picture(pack, kind):
    written, plain = SAME_IMAGES[kind]
    assert torch.equal(pack.nodes.pictures.require_images(written, "A node", "image"), plain)


@pytest.mark.parametrize("kind", SAME_MASKS)
def test_masks_written_otherwise_are_the_same_mask(pack, kind):
    written, plain = SAME_MASKS[kind]
    assert torch.equal(pack.nodes.pictures.require_masks(written, "A node", "mask"), plain)


def test_ordinary_pictures_and_masks_are_not_copied(pack):
    """What is recalled is recalled by the very tensor."""
    image, mask = torch.rand(2, 8, 8, 3), torch.rand(2, 8, 8)
    assert pack.nodes.pictures.require_images(image, "A node", "image") is image
    assert pack.nodes.pictures.require_masks(mask, "A node", "mask") is mask


def test_every_node_checks_what_comes_in(pack, legacy):
    assert pack.nodes.NODES and legacy.OLD_NODES
    for node in pack.nodes.NODES:
        assert inspect.unwrap(node.execute) is not node.execute, node
    for node in legacy.OLD_NODES:
        function = getattr(node, node.FUNCTION)
        assert inspect.unwrap(function) is not function, node


LINKS = {  # inputs that pass the checks, for nodes that stop at another one
    "IMAGE": torch.rand(1, 8, 8, 3),
    "MASK": torch.rand(1, 8, 8),
    "CLIP_VISION": SimpleNamespace(encode_image=None, patcher=None),
    "VAE": SimpleNamespace(decode=None, first_stage_model=None),
    "CLIP": SimpleNamespace(tokenize=None, cond_stage_model=None),
    "CONDITIONING": [[torch.rand(1, 77, 768), {}]],
    "COMFY_AUTOGROW_V3": {},
}


def test_every_number_of_every_node_is_checked(pack, models):
    """Also where `execute` takes it as one of its **widgets."""
    links, numbers = {**LINKS, "MODEL": models("sd15")}, 0
    for node in pack.nodes.NODES:
        schema = node.define_schema()
        required = {
            entry.id: links.get(entry.get_io_type(), getattr(entry, "default", None))
            for entry in schema.inputs
            if not entry.optional
        }
        for entry in schema.inputs:
            if entry.get_io_type() not in ("FLOAT", "INT"):
                continue
            numbers += 1
            with pytest.raises(ValueError, match=f"'{entry.id}' got a float"):
                node.execute(**{**required, entry.id: NAN})
    assert numbers > 50


@pytest.mark.parametrize("weight", [NAN, INFINITE, -INFINITE, 1e300])
def test_a_weight_that_is_no_number_never_reaches_the_model(models, apply, weight):
    with pytest.raises(ValueError, match=r"'weight' got a float .*expected a number"):
        apply(models("sd15"), weight=weight)


def test_an_old_weight_that_is_no_number_is_refused(models, legacy, adapters):
    node = legacy.BY_ID["IPAdapterAdvanced"]()
    adapter, _ = adapters("ip-adapter_sd15")
    with pytest.raises(ValueError, match="'weight' got a float"):
        node.apply_ipadapter(
            models("sd15"), adapter, weight=[1.0, NAN], image=torch.rand(1, 8, 8, 3)
        )


@pytest.mark.parametrize("kind", [kind for kind in SAME_MASKS if "torch" not in kind])
def test_apply_masks_alike_however_they_are_written(models, apply, sample, kind):
    written, plain = SAME_MASKS[kind]
    model = models("sd15")
    masked = sample(apply(model, attn_mask=written), batch=2)
    assert torch.equal(masked, sample(apply(model, attn_mask=plain), batch=2))
