"""Old nodes as other programs use them: Python calls of other packs, and prompts without later or
optional inputs.

The calls repeat what these packs do: Inspire-Pack (regional_nodes.py, model_nodes.py), Easy-Use
(py/nodes/adapter.py), krita-ai-diffusion (workflow.py, comfy_workflow.py).
"""

import asyncio

import pytest
import torch
from support.compare import NAMES, difference
from support.graphs import node, sampler
from support.tolerance import EFFECT

pytestmark = pytest.mark.host

KRITA_IDS = ("IPAdapterModelLoader", "IPAdapterInsightFaceLoader", "IPAdapterEncoder")
KRITA_IDS += ("IPAdapterCombineEmbeds", "IPAdapterEmbeds", "IPAdapterFaceID")


@pytest.fixture(scope="module")
def picture():
    return torch.rand(2, 250, 224, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def world(models, adapters, shallow, nodes_by_id):
    """model, adapter and encoder of one kind, and the nodes by id."""

    def make(kind="sd15", name=None):
        adapter, _ = adapters(name or NAMES[kind])
        return models(kind), adapter, shallow, nodes_by_id

    return make


@pytest.fixture
def differs(sample, models):
    def check(model, kind="sd15", batch=1):
        result = sample(model, kind, steps=1, batch=batch)
        plain = sample(models(kind), kind, steps=1, batch=batch)
        assert difference(result, plain) > EFFECT

    return check


def piped(adapter, encoder):
    """As Easy-Use builds it by hand."""
    return {
        "ipadapter": {"file": "a", "model": adapter},
        "clipvision": {"file": "b", "model": encoder},
        "insightface": {"provider": None, "model": None},
    }


def test_inspire_applies_a_picture(world, differs, picture):
    model, adapter, encoder, nodes = world()
    result = nodes["IPAdapterAdvanced"]().apply_ipadapter(
        model=model,
        ipadapter=adapter,
        weight=0.7,
        weight_type="original",
        start_at=0.0,
        end_at=1.0,
        combine_embeds="concat",
        clip_vision=encoder,
        image=picture,
        image_negative=None,
        attn_mask=torch.ones(64, 64),
        insightface=None,
        weight_faceidv2=None,
    )
    assert len(result) == 2
    differs(result[0])


def test_inspire_applies_embeds(world, differs, picture):
    model, adapter, encoder, nodes = world("sd15", "ip-adapter-plus_sd15")
    positive, negative = nodes["IPAdapterEncoder"]().encode(
        adapter, picture, 1.0, clip_vision=encoder
    )
    applied, _ = nodes["IPAdapterEmbeds"]().apply_ipadapter(
        model=model,
        ipadapter=adapter,
        pos_embed=positive,
        weight=0.7,
        weight_type="linear",
        start_at=0.0,
        end_at=1.0,
        neg_embed=negative,
        attn_mask=None,
        clip_vision=encoder,
    )
    differs(applied)


def test_inspire_reads_the_weight_types_as_a_list(nodes_by_id):
    for name in ("IPAdapterAdvanced", "IPAdapterFaceID", "IPAdapterEmbeds"):
        types = nodes_by_id[name].INPUT_TYPES()["required"]["weight_type"][0]
        assert isinstance(types, list)
        assert types[0] == "linear"
        assert len(types) == 15


@pytest.fixture
def files(host, model_folder, monkeypatch):
    """The host finds the test models alone."""
    import folder_paths

    for name in ("ipadapter", "clip_vision", "checkpoints"):
        where = ([str(model_folder / name)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, where)


def test_inspire_loads_files(nodes_by_id, files):
    loader = nodes_by_id["IPAdapterModelLoader"]()
    (adapter,) = loader.load_ipadapter_model(ipadapter_file="sd15 base.safetensors")
    assert adapter.spec.base_model == "SD1.5"
    (face,) = nodes_by_id["IPAdapterInsightFaceLoader"]().load_insightface("CPU")
    assert face


@pytest.mark.parametrize("wrapped", [False, True])
def test_easy_use_unpacks_model_and_images(world, differs, picture, wrapped):
    model, adapter, encoder, nodes = world()
    inputs = piped(adapter, encoder) if wrapped else adapter
    cls = nodes["IPAdapterAdvanced"]
    result, images = cls().apply_ipadapter(
        model,
        inputs,
        weight=0.8,
        weight_type="linear",
        start_at=0.0,
        end_at=1.0,
        combine_embeds="average",
        weight_faceidv2=1.0,
        image=picture,
        image_negative=None,
        clip_vision=None if wrapped else encoder,
        attn_mask=None,
        insightface=None,
        embeds_scaling="V only",
        layer_weights=None,
        weight_kolors=1.0,
    )
    assert images is None
    differs(result)


def test_easy_use_calls_the_simple_node(world, differs, picture):
    model, adapter, encoder, nodes = world()
    result, images = nodes["IPAdapter"]().apply_ipadapter(
        model, piped(adapter, encoder), picture, 0.8, 0.0, 1.0, "standard", attn_mask=None
    )
    assert images is None
    differs(result)


def test_easy_use_calls_style_composition(world, differs, picture):
    model, adapter, encoder, nodes = world("sdxl")
    result, _ = nodes["IPAdapterStyleComposition"]().apply_ipadapter(
        model,
        adapter,
        image_style=picture,
        image_composition=picture,
        weight_style=1.0,
        weight_composition=0.5,
        expand_style=True,
        combine_embeds="average",
        start_at=0.0,
        end_at=1.0,
        embeds_scaling="K+V",
        clip_vision=encoder,
    )
    differs(result, "sdxl")


def test_easy_use_calls_batch_tiled_and_params(world, differs, picture):
    model, adapter, encoder, nodes = world()
    shared = {"clip_vision": encoder, "start_at": 0.0, "end_at": 1.0}
    result, _ = nodes["IPAdapterBatch"]().apply_ipadapter(
        model, adapter, weight=[0.5, 1.0], weight_type="linear", image=picture, **shared
    )
    differs(result, batch=2)
    result, tiles, masks = nodes["IPAdapterTiled"]().apply_tiled(
        model, adapter, image=picture, weight=0.7, weight_type="linear", sharpening=0.0, **shared
    )
    assert len(tiles) == 2 * len(masks) == 8
    differs(result)
    region, positive, negative = nodes["IPAdapterRegionalConditioning"]().conditioning(
        picture, 0.8, 1.0, "linear", 0.0, 1.0, mask=torch.ones(1, 64, 64), positive=[], negative=[]
    )
    assert positive == negative == []
    result, _ = nodes["IPAdapterFromParams"]().apply_ipadapter(
        model,
        adapter,
        clip_vision=encoder,
        combine_embeds="concat",
        embeds_scaling="V only",
        image_negative=None,
        ipadapter_params=region,
    )
    differs(result)


@pytest.mark.parametrize(("black", "count"), [(slice(None), 1), (slice(32), 0)])
def test_a_black_mask_is_said_once_and_not_of_tiles_outside_it(
    world, picture, caplog, black, count
):
    model, adapter, encoder, nodes = world()
    mask = torch.ones(1, 64, 64)
    mask[:, black] = 0
    shared = {"image": picture, "weight": 0.7, "weight_type": "linear", "start_at": 0.0}
    nodes["IPAdapterTiled"]().apply_tiled(
        model, adapter, **shared, end_at=1.0, sharpening=0.0, attn_mask=mask, clip_vision=encoder
    )
    assert caplog.text.count("is black everywhere") == count


@pytest.fixture
def krita(files):
    """What Krita sends for two control layers: no optional input, none that was added later, no
    `_meta`.
    """
    prompt = {
        "ckpt": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
        "picture": node("EmptyImage", width=64, height=64, batch_size=1, color=0x884422),
        "adapter": node("IPAdapterModelLoader", ipadapter_file="sd15 base.safetensors"),
        "encoder": node("CLIPVisionLoader", clip_name="clip-vision_vit-h.safetensors"),
        "insightface": node("IPAdapterInsightFaceLoader", provider="CPU"),
        "positive": node("CLIPTextEncode", clip=["ckpt", 1], text="a"),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sample": sampler(["face", 0], negative=["positive", 0], steps=1, cfg=5.0),
        "end": node("SaveLatent", samples=["sample", 0], filename_prefix="x"),
    }
    links = {"ipadapter": ["adapter", 0], "clip_vision": ["encoder", 0]}
    for number in (1, 2):
        weight = 0.6 + 0.2 * number
        prompt[f"encode {number}"] = node(
            "IPAdapterEncoder", image=["picture", 0], weight=weight, **links
        )
    embeds = {"embed1": ["encode 1", 0], "embed2": ["encode 2", 0]}
    prompt["both"] = node("IPAdapterCombineEmbeds", method="concat", **embeds)
    always = {"start_at": 0.0, "end_at": 1.0}
    weights = {"weight": 1.0, "weight_type": "linear", **always}
    applied = {"model": ["ckpt", 0], "pos_embed": ["both", 0]}
    prompt["apply"] = node("IPAdapterEmbeds", **links, **applied, **weights)
    weights = {"weight": 0.6, "weight_faceidv2": 1.2, "weight_type": "style transfer", **always}
    applied = {"model": ["apply", 0], "image": ["picture", 0], "insightface": ["insightface", 0]}
    prompt["face"] = node("IPAdapterFaceID", **links, **applied, **weights)
    return prompt


def test_a_prompt_as_krita_sends_it_is_valid(host, pack, nodes_by_id, krita):
    import execution

    assert {each["class_type"] for each in krita.values()} >= {*KRITA_IDS}
    legacy = pack.nodes.legacy
    prompt = legacy.reading.prompts.read_prompt(krita, legacy.BY_ID, nodes_by_id | legacy.BY_ID, {})
    valid, error, _, problems = asyncio.run(execution.validate_prompt("a", prompt, None))
    assert valid, (error, problems)
    assert not problems
    assert prompt["encoder"]["inputs"]["clip_name"] == "some/model.safetensors"
    assert prompt["face"]["inputs"]["combine_embeds"] == "concat"
    assert krita["encoder"]["inputs"]["clip_name"] == "clip-vision_vit-h.safetensors"


def test_a_wrong_encoder_is_named_also_after_a_right_one(world, adapters, picture):
    model, right, encoder, nodes = world("sd15", "ip-adapter_sd15")
    wrong, _ = adapters("ip-adapter_sd15_vit-G")
    links = {"model": model, "image": picture, "clip_vision": encoder}
    nodes["IPAdapterAdvanced"]().apply_ipadapter(ipadapter=right, **links)
    with pytest.raises(ValueError, match="needs CLIP ViT-bigG/14, but 'image' was encoded by"):
        nodes["IPAdapterAdvanced"]().apply_ipadapter(ipadapter=wrong, **links)
