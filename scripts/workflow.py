"""A saved workflow becomes an API prompt, with the host's own description of its nodes."""

from itertools import islice
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
    """Input name -> saved value; the browser saves some widgets of its own between them.

    A graph saved before a node got its last widgets has fewer values: those keep their defaults, as in the browser.
    """
    values, found = iter(node.get("widgets_values") or []), {}
    for group in ("required", "optional"):
        for name, spec in (info["input"].get(group) or {}).items():
            kind, options = spec[0], (spec[1] if len(spec) > 1 else {})
            if options.get("forceInput") or not (isinstance(kind, list) or kind in WIDGETS):
                continue
            for value in islice(values, 1):
                found[name] = value
            if options.get("control_after_generate") or name in ("seed", "noise_seed"):
                next(values, None)  # what happens to the seed after a run
            if options.get("image_upload"):
                next(values, None)  # the upload button
    return found
