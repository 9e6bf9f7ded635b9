"""A saved workflow becomes an API prompt, with the host's own description of its nodes."""

from collections.abc import Iterator, Mapping
from typing import Any

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def to_prompt(workflow: dict, object_info: dict) -> dict[str, dict]:
    """The API prompt of a saved workflow without subgraphs and virtual nodes.

    workflow: as the browser saves it; object_info: what the host answers to /object_info.
    """
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in ("Note", "MarkdownNote"):
            continue
        inputs = widget_values(node, object_info[node["type"]])
        linked = {
            entry["name"]: sources[entry["link"]] for entry in node["inputs"] if entry["link"]
        }
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs | linked}
    return prompt


def widget_values(node: dict, info: dict) -> dict[str, Any]:
    """Input name -> saved value.

    A graph saved before a node got its last widgets has fewer values: those keep their defaults, as
    in the browser.
    """
    saved_values = node.get("widgets_values") or []
    places = widget_places(info)
    return {name: saved_values[place] for name, place in places if place < len(saved_values)}


def set_widgets(node: dict, info: dict, values: Mapping[str, Any]) -> None:
    """Write values by input name into a saved node; those it was saved without stay out."""
    for name, place in widget_places(info):
        if name in values and place < len(node["widgets_values"]):
            node["widgets_values"][place] = values[name]


def widget_places(info: dict) -> list[tuple[str, int]]:
    """(input name, index among the saved values); the browser saves some widgets of its own
    between them.
    """
    places: list[tuple[str, int]] = []
    next_place = 0
    for name, kind, options in input_specs(info):
        if is_widget(kind, options):
            places.append((name, next_place))
            next_place += 1 + extra_widgets(name, options)
    return places


def input_specs(info: dict) -> Iterator[tuple[str, Any, dict]]:
    """(name, kind, options) of every input of a node, in order."""
    for group in ("required", "optional"):
        for name, spec in (info["input"].get(group) or {}).items():
            yield name, spec[0], spec[1] if len(spec) > 1 else {}


def is_widget(kind: Any, options: dict) -> bool:
    return not options.get("forceInput") and (isinstance(kind, list) or kind in WIDGETS)


def extra_widgets(name: str, options: dict) -> int:
    """How many widgets of the browser's own follow: what happens to a seed after a run, an upload
    button.
    """
    has_control = options.get("control_after_generate") or name in ("seed", "noise_seed")
    return bool(has_control) + bool(options.get("image_upload"))
