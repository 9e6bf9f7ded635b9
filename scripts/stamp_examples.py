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

from ipadapter_core.table import load  # noqa: E402


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
    ours, table = our_nodes(), {row.name: row for row in load()}
    inner = workflow.get("definitions", {}).get("subgraphs", [])
    for node in (node for graph in (workflow, *inner) for node in graph["nodes"]):
        if node["type"] not in ours:
            continue
        own = {key: one for key, one in node.get("properties", {}).items() if key != "models"}
        node["properties"] = own | {"cnr_id": project("name"), "ver": project("version")}
        values = node.get("widgets_values") or []
        named = [one for one in values if isinstance(one, str) and one in table]
        if named:
            node["properties"]["models"] = [entry(table[name]) for name in named]
    return workflow


def entry(row) -> dict[str, str]:
    found = {"url": row.link, "hash": row.sha256, "hash_type": "SHA256", "directory": row.folder}
    return {"name": row.name, **found}


if __name__ == "__main__":
    for path in graphs():
        stamped = stamp(json.loads(path.read_text(encoding="utf-8")))
        path.write_text(json.dumps(stamped, indent=1) + "\n", encoding="utf-8")
