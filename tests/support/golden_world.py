"""Runs the graphs of the recordings in `tests/data/legacy_goldens` node by node, and samples what
they end in.

Models and the encoder are made once; every graph gets a fresh ModelPatcher. Ids that begin with `@`
are inputs of the recordings, all others nodes of the pack or the host.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import golden_inputs

CFG = 5.0
# elements of a tensor that is recorded whole; samples of a larger one
LARGEST, SAMPLES = 4096, 4096
ENCODER_FILE = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
Link = tuple[str, int]


class GoldenWorld:
    """folder: with `ipadapter`, `clip_vision` and `io`, where the host looks for files."""

    def __init__(self, seed: int, nodes: Mapping[str, Any], folder: Path):
        self.seed, self.nodes, self.folder = seed, nodes, folder
        self._models: dict[str, Any] = {}
        self._encoder: Any = None

    def run(self, case: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and the other values of a case, by name."""
        results: dict[str, tuple[Any, ...]] = {}
        for key in sorted(case["graph"], key=int):
            results[key] = self._run_node(case["graph"], key, results)

        def value(link: Link) -> Any:
            return results[link[0]][link[1]]

        tensors: dict[str, Tensor] = {}
        values: dict[str, Any] = {}
        if case.get("model"):
            texts = [
                value(case[side]) if case.get(side) else self.text(side, case["arch"])
                for side in ("positive", "negative")
            ]
            tensors["out"] = self._sample(value(case["model"]), case, texts)
        for name, link in (case.get("extra") or {}).items():
            if torch.is_tensor(result := value(link)):
                tensors[name] = thin(result)
            else:
                values[name] = result
        return tensors, values

    def text(self, tag: str, base: str) -> list[Any]:
        return golden_inputs.conditioning(self.seed, tag, base)

    def model(self, base: str) -> Any:
        """A fresh ModelPatcher over the one UNet of that base model."""
        import comfy.model_patcher

        cpu = torch.device("cpu")
        if base not in self._models:
            self._models[base] = self._make_model(base)
        return comfy.model_patcher.ModelPatcher(self._models[base], cpu, cpu)

    def encoder(self) -> Any:
        """Three layers at the widths of ViT-H."""
        if self._encoder is None:
            import comfy.clip_vision

            encoder = comfy.clip_vision.ClipVisionModel(dict(golden_inputs.ENCODER))
            ours = encoder.model.state_dict()
            tensors = golden_inputs.encoder_tensors(self.seed, ours)
            encoder.model.load_state_dict(tensors, assign=True)
            encoder.model.float().requires_grad_(False)
            encoder.model.forward = remember(encoder.model.forward)
            self._encoder = encoder
        return self._encoder

    def _make_model(self, base: str) -> Any:
        import comfy.supported_models

        supported = {"sd15": comfy.supported_models.SD15, "sdxl": comfy.supported_models.SDXL}
        config = supported[base]({**golden_inputs.UNETS[base], "dtype": torch.float32})
        config.set_inference_dtype(torch.float32, None)
        model = config.get_model({}, "", device=torch.device("meta"))
        ours = model.diffusion_model.state_dict()
        tensors = golden_inputs.unet_tensors(base, self.seed, ours)
        model.diffusion_model.load_state_dict(tensors, assign=True)
        model.diffusion_model.requires_grad_(False)
        return model

    def _run_node(
        self, graph: Mapping[str, Any], key: str, results: Mapping[str, tuple[Any, ...]]
    ) -> tuple[Any, ...]:
        kind, inputs = graph[key]["class_type"], {}
        for name, value in graph[key]["inputs"].items():
            is_link = isinstance(value, list) and len(value) == 2 and value[0] in results
            inputs[name] = results[value[0]][value[1]] if is_link else value
        if kind.startswith("@"):
            return (self._input(kind, inputs),)
        if kind == "IPAdapterModelLoader":
            self._write_adapter(inputs["ipadapter_file"])
        if "UnifiedLoader" in kind:
            self._write_all_files(inputs["model"].model is self._models.get("sdxl"))
        return call(self.nodes[kind], inputs)

    def _input(self, kind: str, inputs: dict[str, Any]) -> Any:
        makers: dict[str, Callable[..., Any]] = {
            "@Model": lambda arch: self.model(arch),
            "@ClipVision": self.encoder,
            "@Image": lambda **sizes: golden_inputs.images(self.seed, **sizes),
            "@Mask": golden_inputs.masks,
            "@Cond": lambda tag, arch: self.text(tag, arch),
            "@Floats": lambda values: list(values),
            "@Pipe": pipe,
            "@EmbedsFile": self._write_embeds,
            "@SavedName": self._newest_file,
        }
        return makers[kind](**inputs)

    def _write_adapter(self, name: str) -> None:
        from safetensors.torch import save_file

        path = self.folder / "ipadapter" / name
        if not path.exists():
            save_file(golden_inputs.adapter_tensors(name, self.seed), path)

    def _write_all_files(self, is_sdxl: bool) -> None:
        """The unified loaders choose among all files of a base model."""
        from safetensors.torch import save_file

        for name in golden_inputs.ADAPTERS:
            if ("sdxl" in name) == is_sdxl:
                self._write_adapter(name)
        path = self.folder / "clip_vision" / ENCODER_FILE
        if not path.exists():
            tensors = self.encoder().model.state_dict()
            halves = {
                key: (value.half() if value.is_floating_point() else value).contiguous()
                for key, value in tensors.items()
            }
            save_file(halves, path)

    def _write_embeds(self, embeds: Tensor, name: str) -> str:
        torch.save(embeds.clone(), self.folder / "io" / f"{name}.ipadpt")
        return f"{name}.ipadpt"

    def _newest_file(self, prefix: str, after: object) -> str:
        files = (self.folder / "io").glob(f"{prefix}*")
        return max(files, key=lambda path: path.stat().st_mtime).name

    def _sample(self, model: Any, case: Mapping[str, Any], texts: Sequence[Any]) -> Tensor:
        """One call of the UNet for each sigma: noise predictions [sigmas, 2, B, 4, h, w], positive
        first.
        """
        import comfy.samplers

        batch, height, width = case["latent"]
        predictions: list[Tensor] = []

        def note(call: dict[str, Any]) -> Tensor:
            sides = [call["input"] - call[f"{side}_denoised"] for side in ("cond", "uncond")]
            sigma = call["sigma"].view(-1, 1, 1, 1)
            predictions.append(torch.stack([side / sigma for side in sides]).float())
            return call["denoised"]

        def walk(denoise: Any, x: Tensor, _: Tensor, extra_args: Any = None, **__: Any) -> Tensor:
            for number, sigma in enumerate(case["sigmas"]):
                tag = f"latent/{case['arch']}/{number}"
                noise = golden_inputs.randn(self.seed, tag, batch, 4, height, width)
                sigmas = torch.full((batch,), float(sigma))
                denoise(noise * (1 + sigma**2) ** 0.5, sigmas, **(extra_args or {}))
            return x

        model.set_model_sampler_post_cfg_function(note)
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(*texts)
        guider.set_cfg(CFG)
        empty = torch.zeros(batch, 4, height, width)
        sigmas = torch.tensor([*case["sigmas"], 0.0])
        sampler = comfy.samplers.KSAMPLER(walk)
        guider.sample(empty, empty, sampler, sigmas, disable_pbar=True, seed=0)
        return torch.stack(predictions)


def call(node: Any, inputs: dict[str, Any]) -> tuple[Any, ...]:
    """The outputs of a node of the host's first kind, called as the host does."""
    outputs = getattr(node(), node.FUNCTION)(**inputs)
    return tuple(outputs) if outputs is not None else ()


def pipe(ipadapter: Any, clip_vision: Any, file: str) -> dict[str, Any]:
    """The output of an old unified loader."""
    return {
        "clipvision": {"file": ENCODER_FILE, "model": clip_vision},
        "ipadapter": {"file": file, "model": ipadapter},
        "insightface": {"provider": None, "model": None},
    }


def remember(forward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The same numbers for the same pixels, in less time."""
    results: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def remembered(*, pixel_values: Tensor, **options: Any) -> tuple[Any, ...]:
        pixels = hashlib.sha1(pixel_values.detach().float().contiguous().numpy().tobytes())
        key = (tuple(pixel_values.shape), pixels.hexdigest(), repr(sorted(options.items())))
        if key not in results:
            results[key] = forward(pixel_values=pixel_values, **options)
        return tuple(value.clone() if torch.is_tensor(value) else value for value in results[key])

    return remembered


def thin(tensor: Tensor) -> Tensor:
    """Small tensors whole; of larger ones evenly spaced elements, statistics and the shape."""
    tensor = tensor.detach().float()
    if tensor.numel() <= LARGEST:
        return tensor.clone()
    steps = torch.arange(SAMPLES, dtype=torch.float64) * ((tensor.numel() - 1) / (SAMPLES - 1))
    exact = tensor.double()
    statistics = [exact.mean(), exact.std(), exact.min(), exact.max(), *tensor.shape]
    numbers = torch.tensor([float(number) for number in statistics])
    return torch.cat([tensor.flatten()[steps.round().long()], numbers])
