"""Inspect IPAdapter: what hangs on a model, by number; each can be weakened, muted or moved."""

from collections import Counter

from comfy_api.latest import io

from ...ipadapter_core.weights.curves import entries
from ..notes import shown_texts
from ..sampling.image_prompt import KEY, ImagePrompt

NODE = "Inspect IPAdapter"
ORDER, MUTE = "order", "mute"


class InspectIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InspectIPAdapter",
            display_name=NODE,
            category="ipadapter/inspect",
            search_aliases=["reweight", "mute", "list adapters", "who patched"],
            description="Lists the adapters on a model and what other packs have put on its attention; changes weights without encoding anything again.",
            inputs=[
                io.Model.Input("model", tooltip="The model to look at."),
                io.String.Input(
                    "changes",
                    default="",
                    multiline=True,
                    tooltip="By number: 1: 0.5 multiplies its weight, 2: mute takes it off, order: 2 1 puts the second first. Empty: nothing is changed.",
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The model with the changes."),
                io.String.Output("report", tooltip="What hangs on it, one line each."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model, changes):
        options = model.model_options["transformer_options"]
        prompts = changed(options.get(KEY, ()), changes)
        if changes.strip():
            model = model.clone()
            options = model.model_options["transformer_options"]
            if KEY in options:
                options[KEY] = prompts
        lines = [f"{n}. {describe(one)}" for n, one in enumerate(prompts, 1)]
        lines = lines or ["No adapter of this pack is on the model."]
        report = "\n".join(lines + others(options))
        return io.NodeOutput(model, report, ui=shown_texts(report))


def changed(prompts: tuple[ImagePrompt, ...], text: str) -> tuple[ImagePrompt, ...]:
    """The prompts after the changes. Raises ValueError with the entry that is wrong."""
    factors, order = (
        dict.fromkeys(range(1, len(prompts) + 1), 1.0),
        list(range(1, len(prompts) + 1)),
    )
    for number, entry in entries(text):
        name, _, value = (part.strip() for part in entry.partition(":"))
        try:
            if name == ORDER:
                wanted = [int(one) for one in value.split()]
                order = wanted + [one for one in order if one not in wanted]
                known = len(set(wanted)) == len(wanted) and all(one in factors for one in wanted)
            else:
                known = int(name) in factors
                factors[int(name)] = 0.0 if value == MUTE else float(value)
        except ValueError:
            raise ValueError(
                f"{NODE}'s 'changes' has '{entry}' at entry {number}: write a number and a factor like 1: 0.5, or 1: mute, or order: 2 1."
            ) from None
        if not known:
            raise ValueError(
                f"{NODE}'s 'changes' has '{entry}' at entry {number}, but there are only the adapters 1 to {len(prompts)}."
            )
    return tuple(
        prompts[one - 1] if factors[one] == 1 else prompts[one - 1].times(factors[one])
        for one in order
    )


def describe(prompt: ImagePrompt) -> str:
    """One adapter in one line."""
    settings, weights = prompt.settings, [w for piece in prompt.pieces for w in piece.weights]
    values = prompt.keys.values
    parts = [
        f"{prompt.keys.name}: weight {settings.weight:g}",
        f"from {settings.start_at:g} to {settings.end_at:g}",
    ]
    if settings.weight_map is not None:
        layers = sum(
            any(p.weights[n] for p in prompt.pieces) for n in range(len(prompt.keys.layers))
        )
        parts.append(
            f"a map at {layers} of {len(prompt.keys.layers)} layers, {min(weights):g} to {max(weights):g}"
        )
    if prompt.against:
        parts.append("on the negative side")
    if values.frames > 1:
        parts.append(f"{values.frames} references, one for each picture")
    if prompt.mask is not None:
        count, height, width = prompt.mask.shape
        parts.append(f"{count} mask{'s' * (count > 1)} of {width} x {height}")
    parts.append(settings.scaling)
    if settings.keep_prompt:
        parts.append(f"keeps the prompt by {settings.keep_prompt:g}")
    return ", ".join([*parts, f"{values.bytes / 1e6:.1f} MB"])


def others(options: dict) -> list[str]:
    """What other packs have put on the attention of the model."""
    lines = []
    for kind, patches in options.get("patches_replace", {}).items():
        owners = Counter(_owner(patch) for patch in patches.values())
        lines += [
            f"{kind} replaced at {count} layers by {owner}" for owner, count in owners.items()
        ]
    for kind, patches in options.get("patches", {}).items():
        owners = Counter(map(_owner, patches))
        lines += [f"{kind} by {owner}, {count} times" for owner, count in owners.items()]
    if "optimized_attention_override" in options:
        lines.append(f"attention overridden by {_owner(options['optimized_attention_override'])}")
    return lines


def _owner(patch: object) -> str:
    named = patch if hasattr(patch, "__qualname__") else type(patch)
    return f"{getattr(named, '__module__', '?')}.{getattr(named, '__qualname__', '?')}"
