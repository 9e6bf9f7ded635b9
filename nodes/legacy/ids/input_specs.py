"""The inputs of old nodes: types, options, ranges and defaults as saved graphs expect them."""

from collections.abc import Iterable
from typing import Any

import folder_paths

from ...files import folders
from . import faceid_presets
from .flux_files import SIGLIP_NAME
from .installed_files import COMMUNITY_PRESETS, PRESETS
from .weight_types import NEW_SCALINGS, NEW_TAKES, SCALINGS_BEFORE_MARCH_2024

Spec = tuple[Any, dict[str, Any]]
EMBEDS_EXTENSION = ".ipadpt"
COMBINE_METHODS = ["concat", "add", "subtract", "average", "norm average"]
PILLOW_FILTERS = ["LANCZOS", "BICUBIC", "HAMMING", "BILINEAR", "BOX", "NEAREST"]
TORCH_FILTERS = ["bicubic", "nearest", "bilinear", "area", "nearest-exact", "lanczos"]
CROPS = ["top", "bottom", "left", "right", "center"]
NOISE_TYPES = ["fade", "dissolve", "gaussian", "shuffle"]
TIMINGS = ["custom", "linear", "ease_in_out", "ease_in", "ease_out", "random"]
SEQUENCES = ["full batch", "shift batches", "alternate batches"]
STRENGTH_CURVES = ["Linear", "First half", "Second half", "Sigmoid"]
PROVIDERS = ["CPU", "CUDA", "ROCM", "DirectML", "OpenVINO", "CoreML"]


def link(socket_type: str, tooltip: str) -> Spec:
    return socket_type, {"tooltip": tooltip}


def number(default: float, low: float, high: float, step: float, tooltip: str) -> Spec:
    return "FLOAT", {"default": default, "min": low, "max": high, "step": step, "tooltip": tooltip}


def count(default: int, low: int, high: int, tooltip: str) -> Spec:
    return "INT", {"default": default, "min": low, "max": high, "step": 1, "tooltip": tooltip}


def choice(options: Iterable[str], tooltip: str, default: str | None = None) -> Spec:
    defaults = {} if default is None else {"default": default}
    return list(options), {**defaults, "tooltip": tooltip}


def text(default: str, tooltip: str, multiline: bool = True) -> Spec:
    lines = {"multiline": True} if multiline else {}
    return "STRING", {"default": default, **lines, "tooltip": tooltip}


def switch(default: bool, tooltip: str) -> Spec:
    return "BOOLEAN", {"default": default, "tooltip": tooltip}


SPECS: dict[str, Spec] = {
    # links
    "model": link("MODEL", "The SD1.5 or SDXL model."),
    "ipadapter": link("IPADAPTER", "The adapter, from a unified loader or a model loader."),
    "ipadapter_params": link("IPADAPTER_PARAMS", "Regions, from IPAdapter Regional Conditioning."),
    "clip_vision": link(
        "CLIP_VISION", "The encoder, where the link 'ipadapter' does not bring it."
    ),
    "clip_vision_output": link("CLIP_VISION_OUTPUT", "What the encoder saw."),
    "insightface": link("INSIGHTFACE", "For FaceID adapters; others do not need it."),
    "embeds": link("EMBEDS", "Encoded references."),
    "neg_embed": link("EMBEDS", "What the negative side sees."),
    "positive": link("CONDITIONING", "The text of this region."),
    "negative": link("CONDITIONING", "What this region leads away from."),
    "weights_strategy": link("WEIGHTS_STRATEGY", "From IPAdapter Weights."),
    "image": link("IMAGE", "The reference; a batch is several references."),
    "one_image": link("IMAGE", "The reference."),
    "image_negative": link("IMAGE", "What the negative side sees."),
    "image_style": link("IMAGE", "The picture to take the style from."),
    "image_composition": link("IMAGE", "The picture to take the composition from."),
    "image_optional": link("IMAGE", "The picture it is put into; black without one."),
    "region_image": link("IMAGE", "The reference of this region."),
    "frame_images": link("IMAGE", "The pictures, in order."),
    "other_frame_images": link("IMAGE", "Other pictures, in order."),
    "face_image": link("IMAGE", "The picture with the face."),
    "attn_mask": link("MASK", "Where the picture acts."),
    "encoded_area": link("MASK", "What of the picture the encoder sees."),
    "region_mask": link("MASK", "The region."),
    # what to take, how strongly, and when
    "weight": number(1.0, -1, 3, 0.05, "How strongly the picture acts."),
    "weight_to_5": number(1.0, -1, 5, 0.05, "How strongly the picture acts."),
    "tiles_weight": number(0.7, -1, 3, 0.05, "How strongly the picture acts."),
    "embeds_weight": number(1.0, -1.0, 3.0, 0.01, "What the embeds are multiplied by."),
    "weight_faceidv2": number(1.0, -1, 5.0, 0.05, "For FaceID plus v2 adapters alone."),
    "weight_v2": number(1.0, -1, 3, 0.05, "For FaceID plus v2 adapters alone."),
    "weight_kolors": number(1.0, -1, 5.0, 0.05, "For Kolors adapters alone."),
    "weight_style": number(1.0, -1, 5, 0.05, "How much style."),
    "weight_composition": number(1.0, -1, 5, 0.05, "How much composition."),
    "image_weight": number(1.0, -1.0, 3.0, 0.05, "How strongly it acts."),
    "prompt_weight": number(1.0, 0.0, 10.0, 0.05, "How strongly the texts act."),
    "tile_weight": number(0.6, 0.0, 1.0, 0.05, "How much each tile counts."),
    "style_boost": number(1.0, -5, 5, 0.05, "How far the composition is kept away."),
    "composition_boost": number(0.0, -5, 5, 0.05, "How far the style is kept away."),
    "expand_style": switch(False, "Takes style from more layers."),
    "weight_type": choice(NEW_TAKES, "What to take from the picture."),
    "simple_weight_type": choice(
        ["standard", "prompt is more important", "style transfer"],
        "What to take from the picture.",
    ),
    "first_weight_type": choice(SCALINGS_BEFORE_MARCH_2024, "What the weight multiplies."),
    "layer_weights": text("", "Weights of blocks by number, like 3:1, 6:0.5."),
    "embeds_scaling": choice(NEW_SCALINGS, "What the weight multiplies."),
    "start_at": number(0.0, 0.0, 1.0, 0.001, "When the picture begins to act."),
    "end_at": number(1.0, 0.0, 1.0, 0.001, "When it stops."),
    "faceid_v2": switch(False, "For FaceID plus v2 adapters."),
    # how references are encoded and combined
    "combine_embeds": choice(COMBINE_METHODS, "How several references become one."),
    "average_embeds": choice(COMBINE_METHODS, "How several references become one.", "average"),
    "combine_method": choice([*COMBINE_METHODS, "max", "min"], "How they become one."),
    "unfold_batch": switch(False, "One reference for each picture of the batch."),
    "encode_batch_size": count(
        0, 0, 4096, "Has no effect any more: long batches are encoded in pieces."
    ),
    "enhance_tiles": count(2, 1, 16, "The picture is cut into so many tiles a side."),
    "enhance_ratio": number(1.0, 0.0, 1.0, 0.05, "How much the whole picture counts."),
    "half_ratio": number(0.5, 0.0, 1.0, 0.05, "How much the whole picture counts."),
    "short_side_tiles": count(1, 0, 12, "Tiles along the shorter side."),
    "noise": number(
        0.0, 0.0, 1.0, 0.01, "How much of the picture, shuffled, the negative side sees."
    ),
    "ipadapter_plus": switch(False, "For plus and full-face adapters."),
    **{
        f"weight_{place}": number(1.0, 0, 1.0, 0.01, f"How much 'image_{place}' counts.")
        for place in (1, 2, 3, 4)
    },
    # pictures
    "interpolation": choice(PILLOW_FILTERS, "How it is resized."),
    "torch_interpolation": choice(TORCH_FILTERS, "How it is resized."),
    "crop_position": choice([*CROPS, "pad"], "Which part of it is kept."),
    "plain_crop": choice(CROPS, "Which part of it is kept."),
    "face_crop": choice(["center", *CROPS[:-1]], "Which part of it is kept."),
    "sharpening": number(0.0, 0.0, 1.0, 0.05, "Sharpens what the encoder sees."),
    "add_weight": switch(False, "The reference counts twice."),
    "pad_around": switch(True, "A white border around it."),
    "type": choice(NOISE_TYPES, "The kind of noise."),
    "strength": number(1.0, 0, 1, 0.05, "How much noise."),
    "blur": count(0, 0, 32, "How far the noisy picture is blurred."),
    # a weight for each frame
    "weights": text("1.0, 0.0", "Weights between commas."),
    "timing": choice(TIMINGS, "How the weights go from first to last.", "linear"),
    "frames": count(0, 0, 9999, "How many frames one transition takes."),
    "start_frame": count(0, 0, 9999, "When the transition begins."),
    "end_frame": count(9999, 0, 9999, "When it ends."),
    "add_starting_frames": count(0, 0, 9999, "Frames before, with the first picture."),
    "add_ending_frames": count(0, 0, 9999, "Frames after, with the last picture."),
    "sequence": choice(SEQUENCES, "How pictures take turns.", "full batch"),
    "prompt": text("", "One prompt a line, one for each picture."),
    "weight_list": number(0.0, 0.0, 1.0, 0.05, "A weight, or a list of weights."),
    # nodes of FLUX.1
    "flux_model": link("MODEL", "The FLUX.1 model."),
    "ip_adapter_flux": link("IP_ADAPTER_FLUX", "The adapter, from its own loader."),
    "ipadapter_flux": link("IP_ADAPTER_FLUX_INSTANTX", "The adapter, from its own loader."),
    "ip_scale": number(0.93, 0.0, 1.0, 0.001, "How strongly the picture acts."),
    "begin_strength": number(0.0, -100.0, 100.0, 0.01, "How strongly it acts in the first block."),
    "end_strength": number(1.0, -100.0, 100.0, 0.01, "How strongly it acts in the last block."),
    "strength_curve": choice(STRENGTH_CURVES, "How the strength goes from first to last block."),
    "siglip": choice([SIGLIP_NAME], "The encoder; the file is found by content."),
    "xlabs_provider": choice(["CPU", "GPU"], "Has no effect any more."),
    "instantx_provider": choice(["cuda", "cpu", "mps"], "Has no effect any more."),
    # files
    "preset": choice(PRESETS, "The kind of adapter; the file is found by content."),
    "community_preset": choice(
        COMMUNITY_PRESETS, "The kind of adapter; the file is found by content."
    ),
    "faceid_preset": choice(faceid_presets.PRESETS, "The kind of FaceID adapter."),
    "lora_strength": number(0.6, 0, 1, 0.01, "Of the LoRA that belongs to it."),
    "provider": choice(PROVIDERS, "What InsightFace runs on."),
    "first_provider": choice(PROVIDERS[:3], "What InsightFace runs on."),
    "insightface_model": choice(["buffalo_l", "antelopev2"], "InsightFace's own models."),
    "dtype": choice(["fp16", "fp32"], "Has no effect any more."),
    "filename_prefix": text(
        "IP_embeds", "Where below the output folder, and how the name begins.", multiline=False
    ),
}


def spec_of(name: str) -> Spec:
    """The spec of that name; lists of files as they are now."""
    if name == "adapter_file":
        return choice(folders.names(folders.ADAPTERS), "A file in models/ipadapter.")
    if name == "encoder_file":
        return choice(folders.names(folders.ENCODERS), "A file in models/clip_vision.")
    if name == "embeds_file":
        names = folders.names_below(folder_paths.get_input_directory())
        files = sorted(name for name in names if name.lower().endswith(EMBEDS_EXTENSION))
        return choice(files, "An .ipadpt file in the input folder.")
    return SPECS[name]
