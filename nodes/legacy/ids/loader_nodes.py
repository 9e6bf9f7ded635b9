"""The loaders of IPAdapter_plus: files and presets, found by what the files hold."""

import logging

from ....ipadapter_core.weights.presets import base_of
from ...files import folders
from ...files.load import LoadCLIPVision, LoadIPAdapter
from ...sampling.layers import model_blocks
from . import faceid_presets, input_specs as w, installed_files
from .adapter_link import pipe
from .old_node import OldNode

LOADERS = "Load IPAdapter and Load CLIP Vision"
PRESETS = {  # preset -> what it means for SD1.5 and for SDXL
    "LIGHT - SD1.5 only (low strength)": (installed_files.LIGHT, None),
    "STANDARD (medium strength)": (installed_files.SD15, installed_files.XL),
    "VIT-G (medium strength)": (installed_files.SD15_G, installed_files.XL_G),
    "PLUS (high strength)": (installed_files.PLUS, installed_files.XL_PLUS),
    "PLUS FACE (portraits)": (installed_files.FACE, installed_files.XL_FACE),
    "FULL FACE - SD1.5 only (portraits stronger)": (installed_files.FULL, None),
}
COMMUNITY_PRESETS = {
    "Composition": (installed_files.COMPOSITION, installed_files.XL_COMPOSITION),
    "Kolors": (None, None),
}
PROVIDERS = ["CPU", "CUDA", "ROCM", "DirectML", "OpenVINO", "CoreML"]
log = logging.getLogger("ipadapter")


class IPAdapterModelLoader(OldNode):
    NODE_ID, NAME, INSTEAD = "IPAdapterModelLoader", "IPAdapter Model Loader", "Load IPAdapter"
    RETURN_TYPES, FUNCTION = ("IPADAPTER",), "load_ipadapter_model"

    @classmethod
    def INPUT_TYPES(cls):
        names = folders.names(folders.ADAPTERS)
        return w.inputs({"ipadapter_file": w.choice(names, "A file in models/ipadapter.")})

    @classmethod
    def VALIDATE_INPUTS(cls, ipadapter_file):
        return installed_files.validate_adapter(ipadapter_file)

    @classmethod
    def IS_CHANGED(cls, ipadapter_file):
        return folders.stamp(folders.ADAPTERS, [installed_files.find_adapter(ipadapter_file)[0]])

    def load_ipadapter_model(self, ipadapter_file):
        return LoadIPAdapter.execute(installed_files.find_adapter(ipadapter_file)[0]).args


class IPAdapterUnifiedLoader(OldNode):
    NODE_ID, NAME, INSTEAD = "IPAdapterUnifiedLoader", "IPAdapter Unified Loader", LOADERS
    RETURN_TYPES, RETURN_NAMES = ("MODEL", "IPADAPTER"), ("model", "ipadapter")
    FUNCTION = "load_models"
    PRESETS = PRESETS

    def __init__(self):
        self.adapter = self.encoder = (
            "",
            None,
        )  # file and object: a changed model loads nothing again

    @classmethod
    def INPUT_TYPES(cls):
        preset = w.choice(list(cls.PRESETS), "The kind of adapter; the file is found by content.")
        return w.inputs({"model": w.MODEL, "preset": preset}, {"ipadapter": w.IPADAPTER})

    def load_models(self, model, preset, lora_strength=0.0, provider="CPU", ipadapter=None):
        want = self.wanted(model, preset)
        found = installed_files.installed_adapters(want)
        asked = f"{self.NAME}'s preset '{preset}'"
        if not found:
            raise ValueError(installed_files.missing_adapter(want, asked))
        fits = installed_files.installed_encoders(want.row.encoder)
        if not fits:
            raise ValueError(installed_files.missing_encoder(want.row.encoder, asked))
        chained = ipadapter if isinstance(ipadapter, dict) and "ipadapter" in ipadapter else {}
        before = {key: chained.get(key) or {} for key in ("ipadapter", "clipvision")}
        self.adapter = _kept(
            found[0], self.adapter, before["ipadapter"], lambda: LoadIPAdapter.execute(found[0])
        )
        self.encoder = _kept(
            fits[0], self.encoder, before["clipvision"], lambda: LoadCLIPVision.execute(fits[0])
        )
        log.info("%s takes '%s' with '%s'.", asked, found[0], fits[0])
        return model, pipe(self.adapter[1], found[0], self.encoder[1], fits[0])

    @classmethod
    def wanted(cls, model, preset):
        """The kind of adapter a preset means for this model. Raises ValueError."""
        sdxl = _is_sdxl(model)
        want = _pair(cls.PRESETS, preset, cls.NAME)[sdxl]
        if want is None:
            reason = (
                "Kolors is a model of its own, which this pack does not run"
                if preset == "Kolors"
                else f"there is no such adapter for {'SDXL' if sdxl else 'SD1.5'}"
            )
            raise ValueError(
                f"{cls.NAME}'s preset '{preset}' does not go with this model: {reason}; choose another preset."
            )
        return want


class IPAdapterUnifiedLoaderCommunity(IPAdapterUnifiedLoader):
    NODE_ID = "IPAdapterUnifiedLoaderCommunity"
    NAME = "IPAdapter Unified Loader Community"
    PRESETS = COMMUNITY_PRESETS


class IPAdapterUnifiedLoaderFaceID(OldNode):
    NODE_ID = "IPAdapterUnifiedLoaderFaceID"
    NAME, INSTEAD = "IPAdapter Unified Loader FaceID", "Load IPAdapter with a plus-face adapter"
    RETURN_TYPES, RETURN_NAMES = ("MODEL", "IPADAPTER"), ("MODEL", "ipadapter")
    FUNCTION = "load_models"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "model": w.MODEL,
                "preset": w.choice(list(faceid_presets.PRESETS), "The kind of FaceID adapter."),
                "lora_strength": w.number(0.6, 0, 1, 0.01, "Of the LoRA that belongs to it."),
                "provider": w.choice(PROVIDERS, "What InsightFace runs on."),
            },
            {"ipadapter": w.IPADAPTER},
        )

    def load_models(self, model, preset, lora_strength=0.6, provider="CPU", ipadapter=None):
        """-> the model with the LoRA of the preset, and its files; the node that gets the adapter refuses it."""
        asked, sdxl = f"{self.NAME}'s preset '{preset}'", _is_sdxl(model)
        want = _pair(faceid_presets.PRESETS, preset, self.NAME)[sdxl]
        if want is None:
            raise ValueError(
                f"{asked} needs InsightFace, which this pack does not run, and there is no such adapter for {'SDXL' if sdxl else 'SD1.5'}: {faceid_presets.INSTEAD}."
            )
        name = faceid_presets.adapter_for(want, sdxl, asked)
        taken = [name]
        if want.lora and lora_strength > 0:
            taken.append(faceid_presets.lora_for(want, sdxl, asked))
            model = faceid_presets.with_lora(model, taken[-1], lora_strength)
        log.info("%s takes %s.", asked, " with ".join(f"'{one}'" for one in taken))
        return model, pipe(faceid_presets.FaceID(name), name, None, "")


class IPAdapterInsightFaceLoader(OldNode):
    NODE_ID, NAME = "IPAdapterInsightFaceLoader", "IPAdapter InsightFace Loader"
    INSTEAD = "nothing: Face Crop finds faces by itself"
    RETURN_TYPES, FUNCTION = ("INSIGHTFACE",), "load_insightface"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "provider": w.choice(PROVIDERS[:3], "What InsightFace runs on."),
                "model_name": w.choice(["buffalo_l", "antelopev2"], "InsightFace's own models."),
            }
        )

    def load_insightface(self, provider, model_name="buffalo_l"):
        """Names what a FaceID adapter would need; those that need no face run with it."""
        return ({"provider": provider, "model_name": model_name},)


def _pair(presets, preset, node):
    """What a preset means for SD1.5 and for SDXL. Raises ValueError for one that is none."""
    if preset not in presets:
        raise ValueError(
            f"{node} has the unknown preset '{preset}': choose one of {', '.join(presets)}."
        )
    return presets[preset]


def _is_sdxl(model):
    blocks = model_blocks(model)
    return bool(blocks) and base_of(blocks) == "sdxl"


def _kept(file, own, chained, load):
    """What this node or the one before it in the chain has loaded already, else the file, loaded now."""
    for name, one in (own, (chained.get("file"), chained.get("model"))):
        if name == file and one is not None:
            return file, one
    return file, load().args[0]


NODES = [
    IPAdapterModelLoader,
    IPAdapterUnifiedLoader,
    IPAdapterUnifiedLoaderFaceID,
    IPAdapterUnifiedLoaderCommunity,
    IPAdapterInsightFaceLoader,
]
