"""How a saved workflow writes nodes, widgets and links."""

from collections.abc import Iterator, Mapping
from typing import Any

LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
GROWS = "COMFY_AUTOGROW_V3"  # the type of an input with as many places as are taken


def typed_values(node: dict[str, Any], types: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Widget values by name; a graph saved before a node got its last widgets has fewer."""
    values = node.get("widgets_values")
    if isinstance(values, dict):
        yield from values.items()
        return
    names = [name for name, spec in all_inputs(types) if is_widget(spec)]
    yield from zip(names, values or [], strict=False)


def all_inputs(types: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in ("required", "optional"):
        yield from (types.get(part) or {}).items()


def places(types: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The inputs of a node that gets these values; one that grows has as many places as are taken."""
    for name, spec in all_inputs(types):
        if spec[0] != GROWS:
            yield name, spec
            continue
        ((place,),) = (part.values() for part in spec[1]["template"]["input"].values() if part)
        yield from ((one, place) for one in values if one.startswith(f"{name}."))


def is_widget(spec: Any) -> bool:
    return isinstance(spec[0], list) or spec[0] in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def type_of(spec: Any) -> str:
    return "COMBO" if isinstance(spec[0], list) else spec[0]


def default_of(spec: Any) -> Any:
    options = spec[1] if len(spec) > 1 else {}
    choices = spec[0] if isinstance(spec[0], list) else options.get("options") or [None]
    return options.get("default", choices[0])


def as_list(link: Any) -> list[Any]:
    if isinstance(link, dict):
        return [link.get(key) for key in LINK]
    return list(link)


def as_object(link: list[Any]) -> dict[str, Any]:
    return dict(zip(LINK, link, strict=True))


def last_number(graph: Mapping[str, Any], kind: str) -> int:
    state = graph.get("state") or {}
    known = graph.get(f"last_{kind}_id"), state.get(f"last{kind.capitalize()}Id")
    return max(one for one in (*known, 0) if isinstance(one, int))
