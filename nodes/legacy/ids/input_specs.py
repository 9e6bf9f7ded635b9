"""The inputs of old nodes: types, options, ranges and defaults as saved graphs expect them."""

from collections.abc import Iterable
from typing import Any

import folder_paths

from ....ipadapter_core.references.embeds_file import OLD_ENDING
from ....ipadapter_core.references.noise import NOISES
from ...files import folders
from .faceid_presets import FACEID_PRESETS
from .flux_files import SIGLIP_NAME
from .installed_files import COMMUNITY_PRESETS, PRESETS
from .weight_types import NEW_SCALINGS, NEW_TAKES, SCALINGS_BEFORE_MARCH_2024

Spec = tuple[Any, dict[str, Any]]
COMBINE_METHODS = ["concat", "add", "subtract", "average", "norm average"]
PILLOW_FILTERS = ["LANCZOS", "BICUBIC", "HAMMING", "BILINEAR", "BOX", "NEAREST"]
TORCH_FILTERS = ["bicubic", "nearest", "bilinear", "area", "nearest-exact", "lanczos"]
CROPS = ["top", "bottom", "left", "right", "center"]
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
    "ipadapter_params": link(
        "IPADAPTER_PARAMS", "The regions, from IPAdapter Regional Conditioning."
    ),
    "clip_vision": link("CLIP_VISION", "The image encoder, if 'ipadapter' does not include it."),
    "clip_vision_output": link("CLIP_VISION_OUTPUT", "The reference, already encoded."),
    "insightface": link(
        "INSIGHTFACE", "InsightFace, for FaceID adapters; other adapters do not need it."
    ),
    "embeds": link("EMBEDS", "Encoded references."),
    "neg_embed": link("EMBEDS", "The negative embeds."),
    "positive": link("CONDITIONING", "The positive prompt of this region."),
    "negative": link("CONDITIONING", "The negative prompt of this region."),
    "weights_strategy": link("WEIGHTS_STRATEGY", "From IPAdapter Weights."),
    "image": link("IMAGE", "The reference; a batch is several references."),
    "one_image": link("IMAGE", "The reference."),
    "image_negative": link("IMAGE", "The negative reference."),
    "image_style": link("IMAGE", "The image to take the style from."),
    "image_composition": link("IMAGE", "The image to take the composition from."),
    "image_optional": link(
        "IMAGE", "The image that the noise is added to; without one, a black image."
    ),
    "region_image": link("IMAGE", "The reference of this region."),
    "frame_images": link("IMAGE", "The reference images, in order."),
    "other_frame_images": link("IMAGE", "More reference images, in order."),
    "face_image": link("IMAGE", "The image with the face."),
    "attn_mask": link("MASK", "The part of the generated image that the reference affects."),
    "encoded_area": link("MASK", "Which part of the image is encoded."),
    "region_mask": link("MASK", "The region."),
    # what to take, how strongly, and when
    "weight": number(1.0, -1, 3, 0.05, "How strongly the model follows the reference."),
    "weight_in_tenths": number(1.0, -1, 3, 0.1, "How strongly the model follows the reference."),
    "weight_to_5": number(1.0, -1, 5, 0.05, "How strongly the model follows the reference."),
    "tiles_weight": number(0.7, -1, 3, 0.05, "How strongly the model follows the reference."),
    "embeds_weight": number(1.0, -1.0, 3.0, 0.01, "The factor that the embeds are multiplied by."),
    "weight_faceidv2": number(
        1.0, -1, 5.0, 0.05, "Only for FaceID plus v2 adapters: how much of the face image is used."
    ),
    "weight_v2": number(
        1.0, -1, 3, 0.05, "Only for FaceID plus v2 adapters: how much of the face image is used."
    ),
    "weight_kolors": number(
        1.0, -1, 5.0, 0.05, "For the FaceID adapter for Kolors: a factor on its keys and values."
    ),
    "weight_style": number(1.0, -1, 5, 0.05, "How strongly the style is followed."),
    "weight_composition": number(1.0, -1, 5, 0.05, "How strongly the composition is followed."),
    "image_weight": number(1.0, -1.0, 3.0, 0.05, "The weight of the reference of this region."),
    "prompt_weight": number(1.0, 0.0, 10.0, 0.05, "The weight of the prompts of this region."),
    "tile_weight": number(0.6, 0.0, 1.0, 0.05, "How much each tile counts."),
    "style_boost": number(
        1.0, -5, 5, 0.05, "How strongly the result avoids the reference's composition."
    ),
    "composition_boost": number(
        0.0, -5, 5, 0.05, "How strongly the result avoids the reference's style."
    ),
    "expand_style": switch(False, "Takes the style from more layers."),
    "weight_type": choice(NEW_TAKES, "What to take from the reference."),
    "simple_weight_type": choice(
        ["standard", "prompt is more important", "style transfer"],
        "What to take from the reference.",
    ),
    "first_weight_type": choice(SCALINGS_BEFORE_MARCH_2024, "What the weight multiplies."),
    "layer_weights": text("", "Weights of the model's blocks by number, like 3:1, 6:0.5."),
    "embeds_scaling": choice(NEW_SCALINGS, "What the weight multiplies."),
    "start_at": number(
        0.0, 0.0, 1.0, 0.001, "When the reference becomes active: 0 is the first step, 1 the end."
    ),
    "end_at": number(1.0, 0.0, 1.0, 0.001, "When the reference becomes inactive."),
    "faceid_v2": switch(False, "No longer has an effect: the adapter's file is recognised."),
    # how references are encoded and combined
    "combine_embeds": choice(COMBINE_METHODS, "How several references are combined."),
    "average_embeds": choice(COMBINE_METHODS, "How several references are combined.", "average"),
    "combine_method": choice([*COMBINE_METHODS, "max", "min"], "How the references are combined."),
    "unfold_batch": switch(False, "One reference for each generated image of the batch."),
    "encode_batch_size": count(
        0, 0, 4096, "No longer has an effect: long batches are encoded in parts automatically."
    ),
    "enhance_tiles": count(2, 1, 16, "The number of tiles along each side of the image."),
    "enhance_ratio": number(
        1.0, 0.0, 1.0, 0.05, "How much the whole image counts, compared with its tiles."
    ),
    "half_ratio": number(
        0.5, 0.0, 1.0, 0.05, "How much the whole image counts, compared with its tiles."
    ),
    "short_side_tiles": count(1, 0, 12, "The number of tiles along the shorter side."),
    "noise": number(
        0.0, 0.0, 1.0, 0.01, "How far the image is distorted to be the negative reference."
    ),
    "ipadapter_plus": switch(False, "Switch on for plus and full-face adapters."),
    **{
        f"weight_{place}": number(1.0, 0, 1.0, 0.01, f"How much 'image_{place}' counts.")
        for place in (1, 2, 3, 4)
    },
    # pictures
    "interpolation": choice(PILLOW_FILTERS, "The filter for resizing the image."),
    "torch_interpolation": choice(TORCH_FILTERS, "The filter for resizing the image."),
    "crop_position": choice([*CROPS, "pad"], "Which part of the image is kept."),
    "plain_crop": choice(CROPS, "Which part of the image is kept."),
    "face_crop": choice(["center", *CROPS[:-1]], "Which part of the image is kept."),
    "sharpening": number(
        0.0, 0.0, 1.0, 0.05, "How much the image is sharpened before it is encoded."
    ),
    "add_weight": switch(False, "Repeats the reference, so that it counts twice."),
    "pad_around": switch(True, "Adds a white border around the image."),
    "type": choice(NOISES, "The kind of noise."),
    "strength": number(1.0, 0, 1, 0.05, "The amount of noise."),
    "blur": count(0, 0, 32, "How strongly the noisy image is blurred."),
    # a weight for each frame
    "weights": text("1.0, 0.0", "The weights, separated by commas."),
    "timing": choice(TIMINGS, "How the weight changes during a transition.", "linear"),
    "frames": count(0, 0, 9999, "The number of frames in a transition."),
    "start_frame": count(0, 0, 9999, "The frame in which the transition starts."),
    "end_frame": count(9999, 0, 9999, "The frame in which the transition ends."),
    "add_starting_frames": count(
        0, 0, 9999, "The number of frames added at the start, with the first image."
    ),
    "add_ending_frames": count(
        0, 0, 9999, "The number of frames added at the end, with the last image."
    ),
    "sequence": choice(SEQUENCES, "How the images follow each other.", "full batch"),
    "prompt": text("", "The prompts, one on each line, in the order of the images."),
    "weight_list": number(
        0.0, 0.0, 1.0, 0.05, "A weight, or a list of weights, one for each frame."
    ),
    # nodes of FLUX.1
    "flux_model": link("MODEL", "The FLUX.1 model."),
    "ip_adapter_flux": link("IP_ADAPTER_FLUX", "The adapter, from the loader of the same pack."),
    "ipadapter_flux": link(
        "IP_ADAPTER_FLUX_INSTANTX", "The adapter, from the loader of the same pack."
    ),
    "ip_scale": number(0.93, 0.0, 1.0, 0.001, "How strongly the model follows the reference."),
    "begin_strength": number(0.0, -100.0, 100.0, 0.01, "The strength in the first block."),
    "end_strength": number(1.0, -100.0, 100.0, 0.01, "The strength in the last block."),
    "strength_curve": choice(
        STRENGTH_CURVES, "How the strength changes from the first block to the last."
    ),
    "siglip": choice([SIGLIP_NAME], "The image encoder; the file is found by its content."),
    "xlabs_provider": choice(["CPU", "GPU"], "No longer has an effect."),
    "instantx_provider": choice(["cuda", "cpu", "mps"], "No longer has an effect."),
    # files
    "preset": choice(PRESETS, "The kind of adapter; the file is found by its content."),
    "community_preset": choice(
        COMMUNITY_PRESETS, "The kind of adapter; the file is found by its content."
    ),
    "faceid_preset": choice(FACEID_PRESETS, "The kind of FaceID adapter."),
    "lora_strength": number(
        0.6, 0, 1, 0.01, "The strength of the LoRA that belongs to the adapter."
    ),
    "provider": choice(PROVIDERS, "No longer has an effect: faces are found on ComfyUI's device."),
    "first_provider": choice(
        PROVIDERS[:3], "No longer has an effect: faces are found on ComfyUI's device."
    ),
    "insightface_model": choice(
        ["buffalo_l", "antelopev2"], "The InsightFace model whose face recogniser is used."
    ),
    "dtype": choice(["fp16", "fp32"], "No longer has an effect."),
    "filename_prefix": text(
        "IP_embeds",
        "Sub-folder of the output folder, and the beginning of the file name.",
        multiline=False,
    ),
}


def spec_of(name: str) -> Spec:
    """The spec of that name; lists of files as they are now."""
    if name == "adapter_file":
        return choice(folders.names(folders.ADAPTERS), "The adapter: a file in models/ipadapter.")
    if name == "encoder_file":
        return choice(
            folders.names(folders.ENCODERS), "The image encoder: a file in models/clip_vision."
        )
    if name == "embeds_file":
        names = folders.names_below(folder_paths.get_input_directory())
        files = sorted(name for name in names if name.lower().endswith(OLD_ENDING))
        return choice(files, "An .ipadpt file in the input folder.")
    return SPECS[name]
