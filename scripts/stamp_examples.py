#!/usr/bin/env python3
"""Write into every example and blueprint which pack it needs and where to get its model files.

As web/stamp.js does with graphs saved in the browser. Run it after a new example or version.
"""

import json
import re
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parent.parent
sys.path.append(str(PACK))

from ipadapter_core.doctor.model_table import ModelFile, load  # noqa: E402

FINDERS = ("ImagePrompt", "CompareImagePrompts")  # nodes that find their files
BASES = {"v1-5-pruned-emaonly-fp16.safetensors": "SD1.5"}  # checkpoint -> the table's base


def checkpoints(node: dict) -> list[str]:
    return node["widgets_values"] if node["type"] == "CheckpointLoaderSimple" else []


def project(field: str) -> str:
    text = (PACK / "pyproject.toml").read_text()
    return re.search(rf'^{field} = "(.*)"$', text, re.M)[1]


def our_nodes() -> set[str]:
    sources = (path.read_text() for path in (PACK / "nodes").rglob("*.py"))
    return {name for text in sources for name in re.findall(r'node_id="(\w+)"', text)}


def graphs() -> list[Path]:
    folders = (PACK / name for name in ("example_workflows", "subgraphs"))
    return sorted(path for folder in folders for path in folder.glob("*.json"))


def stamp(workflow: dict) -> dict:
    """The same workflow, with the properties of our nodes complete."""
    subgraphs = workflow.get("definitions", {}).get("subgraphs", [])
    for graph in (workflow, *subgraphs):
        stamp_nodes(graph["nodes"])
    return workflow


def stamp_nodes(nodes: list[dict]) -> None:
    ours, table = our_nodes(), {row.name: row for row in load()}
    adapters = [node["widgets_values"][0] for node in nodes if node["type"] == "LoadIPAdapter"]
    base_model = next((BASES.get(value) for node in nodes for value in checkpoints(node)), None)
    for node in nodes:
        if node["type"] not in ours:
            continue
        properties = {**node.get("properties", {}), "cnr_id": project("name")}
        properties["ver"] = project("version")
        properties.pop("models", None)
        files = [entry(row) for row in files_of(node, adapters, table, base_model)]
        if files:
            properties["models"] = files
        node["properties"] = properties


def files_of(
    node: dict, adapters: list[str], table: dict[str, ModelFile], base_model: str | None
) -> list[ModelFile]:
    """The published files that a node needs; of a node that finds its own, the first to get."""
    if node["type"] in FINDERS and base_model:
        return first_files(table, base_model)
    values = list(node.get("widgets_values") or [])
    files = [table[value] for value in values if isinstance(value, str) and value in table]
    if values[:1] == ["auto"] and node["type"] == "LoadCLIPVision":
        (encoder,) = {table[name].encoder for name in adapters}  # all adapters need the same one
        files += encoders(table, encoder)
    return files


def first_files(table: dict[str, ModelFile], base_model: str) -> list[ModelFile]:
    """The adapter to start with, for the look of an image, and its encoder."""
    wanted = base_model, "look", True
    (adapter,) = (row for row in table.values() if (row.base, row.purpose, row.first) == wanted)
    return [adapter, *encoders(table, adapter.encoder)]


def encoders(table: dict[str, ModelFile], encoder: str) -> list[ModelFile]:
    return [row for row in table.values() if (row.kind, row.encoder) == ("encoder", encoder)]


def entry(row: ModelFile) -> dict[str, str]:
    checksum = {"hash": row.sha256, "hash_type": "SHA256"} if row.sha256 else {}
    return {"name": row.name, "url": row.link, **checksum, "directory": row.folder}


if __name__ == "__main__":
    for path in graphs():
        workflow = stamp(json.loads(path.read_text(encoding="utf-8")))
        path.write_text(json.dumps(workflow, indent=1) + "\n", encoding="utf-8")
