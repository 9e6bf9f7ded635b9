"""What a file is, by keys and shapes: every published adapter, and what must be refused."""

import adapter_layouts
import make_models
import pytest
import torch

from ipadapter_core.adapter.checkpoint import read_spec
from ipadapter_core.adapter.features import Picture, Source, Unconditional
from ipadapter_core.adapter.layout import flatten

PORTRAIT, UNNORM = "FaceID portrait", "FaceID portrait unnorm"
KOLORS_FACEID = "Kolors-IP-Adapter-FaceID-Plus"
H, G, L_336 = "CLIP ViT-H/14", "CLIP ViT-bigG/14", "CLIP ViT-L/14-336"
TABLE = {  # name -> base model, kind, tokens, encoder, layers, parameters of the published file
    "ip-adapter_sd15": ("SD1.5", "base", "4 tokens", H, 16, 22_319_616),
    "ip-adapter_sd15_light": ("SD1.5", "base", "4 tokens", H, 16, 22_319_616),
    "ip-adapter_sd15_light_v11": ("SD1.5", "base", "4 tokens", H, 16, 22_319_616),
    "ip-adapter_sd15_vit-G": ("SD1.5", "base", "4 tokens", G, 16, 23_106_048),
    "ip-adapter-plus_sd15": ("SD1.5", "plus", "16 tokens", H, 16, 49_087_488),
    "ip-adapter-plus-face_sd15": ("SD1.5", "plus", "16 tokens", H, 16, 49_087_488),
    "ip_plus_composition_sd15": ("SD1.5", "plus", "16 tokens", H, 16, 49_087_488),
    "ip-adapter-full-face_sd15": ("SD1.5", "full-face", "one token per patch", H, 16, 21_794_304),
    "ip-adapter_sdxl": ("SDXL", "base", "4 tokens", G, 70, 351_285_248),
    "ip-adapter_sdxl_vit-h": ("SDXL", "base", "4 tokens", H, 70, 349_188_096),
    "ip-adapter-plus_sdxl_vit-h": ("SDXL", "plus", "16 tokens", H, 70, 423_748_864),
    "ip-adapter-plus-face_sdxl_vit-h": ("SDXL", "plus", "16 tokens", H, 70, 423_748_864),
    "ip_plus_composition_sdxl": ("SDXL", "plus", "16 tokens", H, 70, 423_748_864),
    "noobIPAMARK1_mark1": ("SDXL", "base", "4 tokens", G, 70, 351_285_248),
    "Kolors-IP-Adapter-Plus": ("Kolors", "plus", "16 tokens", L_336, 70, 506_552_320),
    KOLORS_FACEID: ("Kolors", "FaceID plus", "6 tokens", L_336, 70, 1_192_903_680),
    "ip-adapter-faceid_sd15": ("SD1.5", "FaceID", "4 tokens", "", 16, 48_354_816),
    "ip-adapter-faceid-plus_sd15": ("SD1.5", "FaceID plus v2", "4 tokens", H, 16, 78_260_736),
    "ip-adapter-faceid-plusv2_sd15": ("SD1.5", "FaceID plus v2", "4 tokens", H, 16, 78_260_736),
    "ip-adapter-faceid-portrait_sd15": ("SD1.5", PORTRAIT, "16 tokens", "", 16, 32_291_328),
    "ip-adapter-faceid-portrait-v11_sd15": ("SD1.5", PORTRAIT, "16 tokens", "", 16, 32_291_328),
    "ip-adapter-faceid_sdxl": ("SDXL", "FaceID", "4 tokens", "", 70, 535_507_968),
    "ip-adapter-faceid-plusv2_sdxl": ("SDXL", "FaceID plus v2", "4 tokens", H, 70, 743_707_648),
    "ip-adapter-faceid-portrait_sdxl": ("SDXL", PORTRAIT, "16 tokens", "", 70, 374_903_808),
    "ip-adapter-faceid-portrait_sdxl_unnorm": ("SDXL", UNNORM, "16 tokens", "", 70, 422_765_824),
}


def shapes(name):
    """The published layout as tensors without data."""
    return {
        key: torch.empty(shape, device="meta")
        for key, shape in adapter_layouts.layout(name).items()
    }


def nested(flat):
    return make_models.nested(flat)


def renamed(flat):
    """As training writes it, with weights of the UNet that do not belong to the adapter."""
    names = {"image_proj": "image_proj_model", "ip_adapter": "adapter_modules"}
    second = {"unet.conv_in.weight": torch.empty(3, 5, device="meta")}
    return second | {
        ".".join((names[k.split(".")[0]], *k.split(".")[1:])): v for k, v in flat.items()
    }


def with_copies(flat):
    """A nested file with a second copy of its projection under another name, as some published ones
    have.
    """
    parts = nested(flat)
    return {**parts, "more": parts["image_proj"], "step": 7}


@pytest.mark.parametrize("container", [dict, nested, renamed, with_copies])
@pytest.mark.parametrize("name", TABLE)
def test_published_adapters_are_recognised_in_every_container(name, container):
    base, kind, tokens, encoder, layers, _ = TABLE[name]
    spec = read_spec(container(shapes(name)))
    assert (spec.base_model, spec.kind, spec.tokens, spec.encoder) == (base, kind, tokens, encoder)
    assert [index for index, _ in spec.layers] == list(range(1, 2 * layers, 2))


@pytest.mark.parametrize("name", TABLE)
def test_the_layouts_have_the_published_number_of_parameters(name):
    assert sum(value.numel() for value in shapes(name).values()) == TABLE[name][-1]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("image_proj.proj_new_input.weight", "IPAdapter-Instruct"),
        ("ms_adapter.1.to_k_ip.weight", "MS-Diffusion"),
        ("content_image_proj.latents", "CSGO"),
        ("style_image_proj_modules.0.proj.weight", "StyleShot"),
    ],
)
@pytest.mark.parametrize("container", [dict, nested])
def test_other_methods_are_refused_by_their_name(key, name, container):
    file = shapes("ip-adapter-plus_sd15")
    prefix, _, rest = key.partition(".")
    extra = {key: torch.empty(3, device="meta")}
    if container is nested:
        parts = nested(file)
        parts.setdefault(prefix, {})[rest] = extra[key]
    else:
        parts = file | extra
    with pytest.raises(ValueError, match=f"is a file of {name}, which this pack does not support"):
        read_spec(parts)


def test_order_of_layers_is_by_number_not_by_text():
    flat = shapes("ip-adapter_sd15")
    shuffled = {key: flat[key] for key in sorted(flat)}  # "11" stands before "3"
    widths = [320, 320, 640, 640] + [1280] * 5 + [640] * 3 + [320] * 3 + [1280]
    assert [width for _, width in read_spec(shuffled).layers] == widths


def tiny_plus(tokens=9, dim=192, depth=2, heads=2, features=40, width=24):
    base = adapter_layouts.Base(width, (8, 16))
    projection = {"latents": (1, tokens, dim)} | adapter_layouts.perceiver(
        width, dim, features, heads, depth
    )
    return adapter_layouts.adapter(base, projection)


def test_sizes_are_read_from_the_file():
    flat = {key: torch.empty(shape, device="meta") for key, shape in tiny_plus().items()}
    spec = read_spec(flat)
    result = spec.projector
    assert (result.token_count, result.query_width, result.layer_count, result.head_count) == (
        9,
        192,
        2,
        2,
    )
    assert (result.feature_width, result.hidden_width, spec.text_width) == (40, 768, 24)
    assert spec.base_model == "a model with text width 24"
    assert spec.encoder == "an encoder with 40 features"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda flat: flat.pop("ip_adapter.1.to_v_ip.weight"), "layer 1"),
        (lambda flat: flat.pop("image_proj.norm.weight"), "norm.weight"),
        (
            lambda flat: [flat.pop(k) for k in list(flat) if k.startswith("ip_adapter.")],
            "no 'to_k_ip'",
        ),
        (
            lambda flat: [flat.pop(k) for k in list(flat) if k.startswith("image_proj.")],
            "no image projection",
        ),
        (lambda flat: flat.update({"ip_adapter.1.to_k_ip.weight": torch.empty(320, 8)}), "layer 1"),
        (lambda flat: flat.update({"image_proj.proj.weight": torch.empty(0, 1024)}), "damaged"),
        (lambda flat: flat.update({"image_proj.norm.weight": torch.empty(768, 2)}), "damaged"),
        (lambda flat: flat.update({"ip_adapter.1.to_q_ip.weight": torch.empty(3)}), "to_q_ip"),
        (lambda flat: flat.clear(), "not an IP-Adapter"),
    ],
)
def test_damaged_files_are_refused(change, words):
    flat = shapes("ip-adapter_sd15")
    change(flat)
    with pytest.raises(ValueError, match=words):
        read_spec(flat)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("vision_model.embeddings.class_embedding", "models/clip_vision"),
        ("model.diffusion_model.out.2.weight", "models/checkpoints"),
        ("lora_unet_mid_block.lora_up.weight", "models/loras"),
        ("something.else", "not an IP-Adapter"),
    ],
)
def test_files_for_other_folders_are_sent_there(key, words):
    with pytest.raises(ValueError, match=words):
        read_spec({key: torch.empty(3, device="meta")})


@pytest.mark.parametrize(
    ("name", "source", "width", "unconditional"),
    [
        ("ip-adapter_sd15", Source.CLIP_EMBEDS, 1024, Unconditional.ZERO_FEATURES),
        ("ip-adapter_sdxl", Source.CLIP_EMBEDS, 1280, Unconditional.ZERO_FEATURES),
        ("ip-adapter-plus_sd15", Source.CLIP_HIDDEN, 1280, Unconditional.ZERO_PIXELS),
        ("ip-adapter-full-face_sd15", Source.CLIP_HIDDEN, 1280, Unconditional.ZERO_PIXELS),
    ],
)
def test_a_spec_says_what_the_adapter_takes(name, source, width, unconditional):
    spec = read_spec(shapes(name))
    (feature,) = spec.inputs
    assert (feature.source, feature.name, feature.width) == (source, source.value, width)
    assert feature.picture is Picture.WHOLE and not feature.is_normalised
    assert spec.unconditional is unconditional
    assert spec.is_sdxl == ("sdxl" in name)


SD15_PLACES = [
    *(f"down_blocks.{block}.attentions.{layer}" for block in range(3) for layer in range(2)),
    *(f"up_blocks.{block}.attentions.{layer}" for block in range(1, 4) for layer in range(3)),
    "mid_block.attentions.0",
]


def with_processor_names(flat, prefix="unet.", infix=".processor"):
    """As accelerate saves a UNet whose layers were never renamed to numbers."""
    dump = {}
    for key, value in flat.items():
        head, _, rest = key.partition(".")
        if head == "image_proj":
            dump[f"image_proj_model.{rest}"] = value
        else:
            number, _, name = rest.partition(".")
            place = f"{SD15_PLACES[(int(number) - 1) // 2]}.transformer_blocks.0.attn2"
            dump[f"{prefix}{place}{infix}.{name}"] = value
    return dict(sorted(dump.items()))  # not in the order of the layers


DUMPS = {
    "processors": with_processor_names,
    "wrong conversion": lambda flat: with_processor_names(flat, "ip_adapter.", ""),
    "parallel": lambda flat: {f"module.{key}": value for key, value in renamed(flat).items()},
    "nested": lambda flat: {"epoch": 3, "state_dict": {"module": renamed(flat)}},
    "parallel processors": lambda flat: {
        f"module.{key}": value for key, value in with_processor_names(flat).items()
    },
}


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("name", ["ip-adapter_sd15", "ip-adapter-plus_sd15"])
def test_a_training_dump_is_the_adapter_that_it_holds(name, dump):
    plain, unconverted = shapes(name), DUMPS[dump](shapes(name))
    assert read_spec(unconverted) == read_spec(plain)
    flat = flatten(unconverted)
    assert {key: value.shape for key, value in flat.items()} == {
        key: value.shape for key, value in plain.items()
    }


def test_layers_of_a_dump_are_numbered_in_the_order_of_diffusers():
    flat = {f"ip_adapter.{2 * i + 1}.to_k_ip.weight": torch.full((1,), float(i)) for i in range(16)}
    numbered = flatten(with_processor_names(flat))
    assert {key: value.item() for key, value in numbered.items()} == {
        key: value.item() for key, value in flat.items()
    }


def test_an_incomplete_dump_is_told_by_what_is_missing():
    dump = with_processor_names(shapes("ip-adapter_sd15"))
    del dump["unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_v_ip.weight"]
    with pytest.raises(ValueError, match="key and value of layer 31 do not belong together"):
        read_spec(dump)
