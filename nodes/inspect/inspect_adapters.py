"""Inspect IPAdapter: the applied adapters by number; each can be weakened, muted or moved."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ...ipadapter_core.messages import printable
from ...ipadapter_core.weights.curves import entries
from ..notes import shown_texts
from ..sampling.compiled import OVERRIDE
from ..sampling.image_prompt import OPTIONS_KEY, ImagePrompt, transformer_options

NODE = "Inspect IPAdapter"
ORDER, MUTE = "order", "mute"
LARGEST_FACTOR = 1e4


class InspectIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InspectIPAdapter",
            display_name=NODE,
            category="ipadapter/inspect",
            search_aliases=["reweight", "mute", "list adapters", "who patched"],
            description=(
                "Lists the adapters applied to a model and the patches of other packs on its "
                "attention; changes weights without encoding anything again."
            ),
            inputs=[
                io.Model.Input("model", tooltip="The model to inspect."),
                io.String.Input(
                    "changes",
                    default="",
                    multiline=True,
                    tooltip=(
                        "Changes, by number of the adapter: '1: 0.5' multiplies the weight of "
                        "the first by 0.5; '2: mute' switches the second off; 'order: 2 1' puts "
                        "the second first. Empty: nothing is changed."
                    ),
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The model with the changes."),
                io.String.Output(
                    "report",
                    tooltip="The applied adapters and the patches of other packs, one line each.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: ModelPatcher, changes: str) -> io.NodeOutput:
        options = transformer_options(model)
        prompts = apply_changes(options.get(OPTIONS_KEY, ()), changes)
        if changes.strip():
            model = model.clone()  # pyright: ignore[reportUnknownMemberType]
            options = transformer_options(model)
            if OPTIONS_KEY in options:
                options[OPTIONS_KEY] = prompts
        report_lines = [f"{number}. {describe(prompt)}" for number, prompt in enumerate(prompts, 1)]
        report_lines = report_lines or ["No adapter of this pack is applied to the model."]
        report = "\n".join(report_lines + other_patches(options))
        return io.NodeOutput(model, report, ui=shown_texts(report))


def apply_changes(prompts: tuple[ImagePrompt, ...], text: str) -> tuple[ImagePrompt, ...]:
    """The prompts after the changes. Raises ValueError with the entry that is wrong."""
    prompt_order = list(range(1, len(prompts) + 1))
    weight_factors = dict.fromkeys(prompt_order, 1.0)
    for entry_number, entry in entries(text):
        try:
            adapter_numbers, factor = _parse_change(entry)
        except ValueError:
            raise ValueError(
                f"{NODE}'s 'changes' has '{printable(entry)}' at entry {entry_number}: write a "
                "number and a factor like 1: 0.5, or 1: mute, or order: 2 1."
            ) from None
        is_repeated = len(set(adapter_numbers)) < len(adapter_numbers)
        if is_repeated or not set(adapter_numbers) <= set(weight_factors):
            raise ValueError(
                f"{NODE}'s 'changes' has '{printable(entry)}' at entry {entry_number}, but there "
                f"are only the adapters 1 to {len(prompts)}."
            )
        if factor is None:
            later_numbers = [number for number in prompt_order if number not in adapter_numbers]
            prompt_order = adapter_numbers + later_numbers
        else:
            weight_factors[adapter_numbers[0]] = factor
    return tuple(_times(prompts[number - 1], weight_factors[number]) for number in prompt_order)


def _parse_change(entry: str) -> tuple[list[int], float | None]:
    """`2: 0.5` -> [2] and its factor; `order: 2 1` -> [2, 1] and None."""
    name, _, change_value = (field.strip() for field in entry.partition(":"))
    if name == ORDER:
        return [int(number) for number in change_value.split()], None
    factor = 0.0 if change_value == MUTE else float(change_value)
    if abs(factor) > LARGEST_FACTOR or isnan(factor):
        raise ValueError
    return [int(name)], factor


def _times(prompt: ImagePrompt, factor: float) -> ImagePrompt:
    return prompt if factor == 1 else prompt.times(factor)


def describe(prompt: ImagePrompt) -> str:
    """One adapter in one line."""
    settings, keys_values = prompt.settings, prompt.keys.values
    facts = [
        f"{prompt.keys.name}: weight {settings.weight:g}",
        f"from {settings.start_at:g} to {settings.end_at:g}",
    ]
    if settings.weight_map is not None:
        facts.append(_describe_map(prompt))
    if prompt.on_negative:
        facts.append("in the negative conditioning")
    if keys_values.frames > 1:
        facts.append(f"{keys_values.frames} references, one for each image")
    if prompt.mask is not None:
        count, height, width = prompt.mask.shape
        facts.append(f"{count} mask{'s' * (count > 1)} of {width} x {height}")
    facts.append(settings.scaling)
    if settings.keep_prompt:
        facts.append(f"keeps the prompt by {settings.keep_prompt:g}")
    return ", ".join([*facts, f"{keys_values.bytes / 1e6:.1f} MB"])


def _describe_map(prompt: ImagePrompt) -> str:
    layer_weights = list(zip(*(part.layer_weights for part in prompt.ranges), strict=True))
    all_weights = [weight for block_weights in layer_weights for weight in block_weights]
    return (
        f"a map at {sum(map(any, layer_weights))} of {len(layer_weights)} layers, "
        f"{min(all_weights):g} to {max(all_weights):g}"
    )


def other_patches(options: Mapping[str, Any]) -> list[str]:
    """The patches of other packs on the model's attention."""
    patch_lines: list[str] = []
    for kind, replacements in options.get("patches_replace", {}).items():
        patch_lines += [
            f"{kind} replaced at {count} layers by {owner}"
            for owner, count in _count_owners(list(replacements.values()))
        ]
    for kind, patches in options.get("patches", {}).items():
        patch_lines += [
            f"{kind} by {owner}, {count} times" for owner, count in _count_owners(patches)
        ]
    if OVERRIDE in options:
        patch_lines.append(f"attention overridden by {_owner(options[OVERRIDE])}")
    return patch_lines


def _count_owners(patches: Sequence[object]) -> list[tuple[str, int]]:
    return list(Counter(map(_owner, patches)).items())


def _owner(patch: object) -> str:
    definition = patch if hasattr(patch, "__qualname__") else type(patch)
    module, name = (getattr(definition, key, "?") for key in ("__module__", "__qualname__"))
    return f"{module}.{name}"
