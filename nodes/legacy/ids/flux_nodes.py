"""The FLUX.1 nodes of x-flux-comfyui (XLabs) and ComfyUI-IPAdapter-Flux (Shakker-Labs).

They gave each image of a batch the mean of what all of them got; here each gets its own.
"""

from dataclasses import replace
from math import exp
from typing import ClassVar, NamedTuple

from torch import Tensor

from comfy.clip_vision import ClipVisionModel
from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.references.embeds import References
from ....ipadapter_core.references.images import CROP, STRETCH
from ....ipadapter_core.weights.blocks import blocks_of
from ....ipadapter_core.weights.weight_map import STEPS, WeightMap
from ...apply.inputs import warn_of_empty_range
from ...apply.keys import keys_for
from ...files import folders
from ...files.load import open_adapter, open_encoder, open_encoder_file
from ...references.side_inputs import ReferenceEncoder, SideInputs, negative_inputs
from ...sampling.image_prompt import PromptSettings, prompts_for
from ...sampling.layers import fitting_layers
from ...sampling.patch import add_image_prompts
from ...sockets import LoadedAdapter
from .flux_files import find_clip_l, find_instantx, find_xlabs, name_siglip
from .input_specs import STRENGTH_CURVES
from .old_node import FindFiles, OldNode, unknown_option

RAMP, FIRST_HALF, SECOND_HALF, SIGMOID = STRENGTH_CURVES
Pair = tuple[References, References | None]  # positive and negative


class FluxAdapter(NamedTuple):
    """The output of the loaders: an adapter with its encoder."""

    adapter: LoadedAdapter
    clip_vision: ClipVisionModel


class FluxNode(OldNode):
    """The common base of the apply nodes."""

    def encode(self, link: object, image: Tensor, fit: str, with_negative: bool = False) -> Pair:
        """The references of both sides. with_negative: the image is on the negative side too."""
        loaded = self.require_adapter(link)
        encoder = ReferenceEncoder(loaded.clip_vision, loaded.adapter, fit=fit, node=self.NAME)
        negative = negative_inputs(image if with_negative else None)
        references = encoder.encode_sides(SideInputs(image), negative)
        if references is None:
            raise ValueError(f"{self.NAME} got an empty 'image': connect at least one image.")
        return references

    def require_adapter(self, link: object) -> FluxAdapter:
        if isinstance(link, FluxAdapter):
            return link
        raise ValueError(
            f"{self.NAME} got an adapter from another pack: connect the loader that belongs to "
            "this node, or use Load IPAdapter and Apply IPAdapter."
        )


class LoadXLabs(OldNode):
    FUNCTION, PACK = "loadmodel", "x-flux-comfyui"
    FILES: ClassVar[FindFiles] = {"ipadatper": find_xlabs, "clip_vision": find_clip_l}

    @classmethod
    def VALIDATE_INPUTS(cls, ipadatper: object, clip_vision: object) -> bool | str:
        return _file_problem(cls, {"ipadatper": ipadatper, "clip_vision": clip_vision})

    def compute(self, ipadatper, clip_vision, provider="CPU"):
        adapter = open_adapter(find_xlabs(ipadatper))
        return (FluxAdapter(adapter, open_encoder_file(find_clip_l(clip_vision), adapter)),)


class ApplyXLabs(FluxNode):
    """Several pictures: the mean of what each of them does."""

    FUNCTION, PACK = "applymodel", "x-flux-comfyui"

    def compute(self, model: ModelPatcher, ip_adapter_flux, image, ip_scale=0.93):
        positive, negative = self.encode(ip_adapter_flux, image, CROP)
        adapter, prompts = ip_adapter_flux.adapter, []
        settings = PromptSettings(weight=ip_scale / positive.count)
        for reference in _each(positive):
            keys = keys_for(model, adapter, reference, negative)
            prompts += prompts_for(model, keys, settings, None)
        return (add_image_prompts(model, prompts),)


class ApplyXLabsAdvanced(FluxNode):
    """A strength for each double block; the embeds of several pictures are averaged."""

    FUNCTION, PACK = "applymodel", "x-flux-comfyui"

    def compute(
        self,
        model: ModelPatcher,
        ip_adapter_flux,
        image,
        begin_strength=0.0,
        end_strength=1.0,
        smothing_type=RAMP,
    ):
        positive, negative = self.encode(ip_adapter_flux, image, CROP)
        adapter = ip_adapter_flux.adapter
        blocks = tuple(blocks_of(fitting_layers(model, adapter)))
        if smothing_type not in STRENGTH_CURVES:
            raise unknown_option(self.NAME, "smothing_type", smothing_type, STRENGTH_CURVES)
        strengths = block_strengths(begin_strength, end_strength, smothing_type, len(blocks))
        never = (0.0,) * len(blocks)
        weight_map = WeightMap(blocks, (strengths,) * (STEPS + 1), (never,) * (STEPS + 1))
        keys = keys_for(model, adapter, replace(positive, method="average"), negative)
        prompts = prompts_for(model, keys, PromptSettings(weight_map=weight_map), None)
        return (add_image_prompts(model, prompts),)


class LoadInstantX(OldNode):
    """The encoder is the installed SigLIP, not one from the hub."""

    FUNCTION, PACK = "load_model", "ComfyUI-IPAdapter-Flux"
    FILES: ClassVar[FindFiles] = {"ipadapter": find_instantx, "clip_vision": name_siglip}

    @classmethod
    def VALIDATE_INPUTS(cls, ipadapter: object) -> bool | str:
        return _file_problem(cls, {"ipadapter": ipadapter})

    def compute(self, ipadapter, clip_vision="", provider="cuda"):
        adapter = open_adapter(find_instantx(ipadapter))
        return (FluxAdapter(adapter, open_encoder(adapter)),)


class ApplyInstantX(FluxNode):
    """The first picture, stretched to a square, on the negative side as well."""

    FUNCTION, PACK = "apply_ipadapter_flux", "ComfyUI-IPAdapter-Flux"

    def compute(
        self,
        model: ModelPatcher,
        ipadapter_flux,
        image: Tensor,
        weight=1.0,
        start_percent=0.0,
        end_percent=1.0,
    ):
        first_image = image if len(image) == 1 else image[:1]
        references = self.encode(ipadapter_flux, first_image, STRETCH, with_negative=True)
        keys = keys_for(model, ipadapter_flux.adapter, *references)
        input_names = "start_percent", "end_percent"
        warn_of_empty_range(self.NAME, start_percent, end_percent, input_names)
        settings = PromptSettings(weight=weight, start_at=start_percent, end_at=end_percent)
        return (add_image_prompts(model, prompts_for(model, keys, settings, None)),)


def block_strengths(begin: float, end: float, curve: str, block_count: int) -> tuple[float, ...]:
    """XLabs' strength of each double block.

    https://github.com/XLabs-AI/x-flux-comfyui/blob/0032855/utils.py#L244
    """
    half = block_count // 2
    shares = {
        RAMP: _ramp(block_count),
        FIRST_HALF: [*_ramp(half), *[1.0] * (block_count - half)],
        SECOND_HALF: [*[0.0] * (block_count - half), *_ramp(half)],
        SIGMOID: [  # from -0.48 to 0.44, not from 0 to 1
            1 / (1 + exp(-8 * (number / block_count - 0.5))) - 0.5 for number in range(block_count)
        ],
    }[curve]
    return tuple(begin + (end - begin) * share for share in shares)


def _ramp(count: int) -> list[float]:
    return [number / max(count - 1, 1) for number in range(count)]


def _each(references: References) -> list[References]:
    """References one by one."""
    if references.count == 1:
        return [references]
    return [
        replace(
            references.change_features(lambda tensor, number=number: tensor[number : number + 1]),
            weights=(1.0,),
        )
        for number in range(references.count)
    ]


def _file_problem(node: type[OldNode], names: dict[str, object]) -> bool | str:
    """For the host, before a loader runs: True, or why no installed file can be used."""
    for input_name, name in names.items():
        if not isinstance(name, str):
            if name is None:  # linked
                continue
            return folders.NO_NAME
        try:
            node.FILES[input_name](name)
        except ValueError as error:
            return str(error)
    return True
