#!/usr/bin/env python3
"""Write into every example and blueprint which pack it needs and where its model files are to be had.

As web/stamp.js does it with graphs saved in the browser. Run it after a new example, and after a new version.
"""

import json
import re
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parent.parent
sys.path.append(str(PACK))

from ipadapter_core.doctor.model_table import load  # noqa: E402


def project(field: str) -> str:
    text = (PACK / "pyproject.toml").read_text()
    return re.search(rf'^{field} = "(.*)"$', text, re.M)[1]


def our_nodes() -> set[str]:
    sources = (path.read_text() for path in (PACK / "nodes").rglob("*.py"))
    return {name for text in sources for name in re.findall(r'node_id="(\w+)"', text)}


def graphs() -> list[Path]:
    return sorted(
        one for f in ("example_workflows", "subgraphs") for one in (PACK / f).glob("*.json")
    )


def stamp(workflow: dict) -> dict:
    """The same workflow, with the properties of our nodes complete."""
    inner = workflow.get("definitions", {}).get("subgraphs", [])
    for graph in (workflow, *inner):
        stamp_nodes(graph["nodes"])
    return workflow


def stamp_nodes(nodes: list[dict]) -> None:
    ours, table = our_nodes(), {row.name: row for row in load()}
    adapters = [one["widgets_values"][0] for one in nodes if one["type"] == "LoadIPAdapter"]
    for node in (node for node in nodes if node["type"] in ours):
        own = {key: one for key, one in node.get("properties", {}).items() if key != "models"}
        node["properties"] = own | {"cnr_id": project("name"), "ver": project("version")}
        values = list(node.get("widgets_values") or [])
        if (
            values[:1] == ["auto"] and node["type"] == "LoadCLIPVision"
        ):  # all adapters want the same
            (needed,) = {table[name].encoder for name in adapters}
            values += [r.name for r in table.values() if (r.kind, r.encoder) == ("encoder", needed)]
        named = [one for one in values if isinstance(one, str) and one in table]
        if named:
            node["properties"]["models"] = [entry(table[name]) for name in named]


def entry(row) -> dict[str, str]:
    found = {"url": row.link, "hash": row.sha256, "hash_type": "SHA256", "directory": row.folder}
    return {"name": row.name, **found}


if __name__ == "__main__":
    for path in graphs():
        stamped = stamp(json.loads(path.read_text(encoding="utf-8")))
        path.write_text(json.dumps(stamped, indent=1) + "\n", encoding="utf-8")
