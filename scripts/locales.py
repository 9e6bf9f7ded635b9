#!/usr/bin/env python3
"""Write `locales/en` from nodes, server and web extension; list what other languages lack or have
too much.

Run it after a change of a text: tests/host/test_locales.py holds `en` equal to the sources and `zh`
complete. Deprecated nodes are left out: their texts stay in their schemas. The host does not
translate the options of lists.
"""

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import browser
import comfy_host

FOLDER = comfy_host.PACK / "locales"
FILES = ("nodeDefs", "main", "commands")
COMPLETE = ("en", "zh")  # the others may leave texts out, which are English then
IN_HOST = "IPADAPTER_LOCALES_IN_HOST"  # set where this script runs with the host's Python
WEB = comfy_host.PACK / "web"
PACKAGES = ("ipadapter_core", "nodes")
MESSAGES = comfy_host.PACK / "ipadapter_core" / "messages.py"  # composes templates of its callers
MESSAGE_CLASSES = {"Message", "Predicate"}  # and those that derive from them
LOGIC = ("weightmap_logic.js", "doctor_logic.js")
LISTED = """
const [map, doctor] = await Promise.all(process.argv.slice(1).map((address) => import(address)))
const names = [map.FAMILIES, map.LAYER_PRESETS, map.CURVE_PRESETS].flatMap(Object.keys)
const purposes = doctor.PURPOSES.map(([, text]) => text)
console.log(JSON.stringify([...names, ...map.EASINGS, ...purposes, ...Object.values(doctor.DOING)]))
"""
Place = tuple[Path, int]  # file and line
SAID = re.compile(r"""\bsay\((?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""")


def node_texts(infos: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """nodeDefs.json in English: node id -> its texts in the page."""
    return {info["name"]: _texts_of(info) for info in infos if not info.get("deprecated")}


def _texts_of(info: dict[str, Any]) -> dict[str, Any]:
    inputs = {
        name.replace(".", "_"): _input_texts(name, spec)
        for group in ("required", "optional")
        for name, spec in (info["input"].get(group) or {}).items()
    }
    texts: dict[str, Any] = {
        "display_name": info["display_name"],
        "description": info["description"],
        "inputs": inputs,
    }
    outputs = zip(info["output_name"], info["output_tooltips"] or (), strict=False)
    output_texts = {
        str(slot): {"name": name, "tooltip": tooltip}
        for slot, (name, tooltip) in enumerate(outputs)
    }
    return {**texts, "outputs": output_texts} if output_texts else texts


def _input_texts(name: str, spec: list[Any]) -> dict[str, str]:
    options = spec[1] if len(spec) > 1 else {}
    return {"name": options.get("display_name") or name, "tooltip": options.get("tooltip", "")}


def page_texts() -> set[str]:
    """The texts of the web extension that are written where they are shown."""
    sources = "\n".join(path.read_text("utf-8") for path in WEB.glob("*.js"))
    return {single or double for single, double in SAID.findall(sources)}


def listed_texts() -> set[str]:
    """Those that it shows out of lists."""
    addresses = ((WEB / name).as_uri() for name in LOGIC)
    command = [str(browser.node()), "--input-type=module", "-e", LISTED, *addresses]
    return set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def message_templates() -> set[str]:
    """The templates of all messages of the server."""
    return {template for _, template in templates_by_call(message_sources()) if template}


def without_template() -> list[Place]:
    """The messages whose template is no literal: nobody could translate them."""
    calls = templates_by_call(message_sources())
    return [place for place, template in calls if template is None and place[0] != MESSAGES]


def message_sources() -> list[Path]:
    folders = (comfy_host.PACK / package for package in PACKAGES)
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def templates_by_call(sources: Iterable[Path]) -> list[tuple[Place, str | None]]:
    """The calls that make messages, with their templates: literals or constants of the file, or
    None.
    """
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sources}
    classes = _message_classes(trees.values())
    return [
        ((path, call.lineno), template)
        for path, tree in trees.items()
        for call, template in _templates_in(tree, classes)
    ]


def _message_classes(trees: Iterable[ast.Module]) -> set[str]:
    """The names of the classes that make messages."""
    bases = {
        node.name: {_name_of(base) for base in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    classes = set(MESSAGE_CLASSES)
    while derived := {name for name, names in bases.items() if names & classes} - classes:
        classes |= derived
    return classes


def _templates_in(tree: ast.Module, classes: set[str]) -> Iterator[tuple[ast.Call, str | None]]:
    constants = {
        statement.targets[0].id: _text_of(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        if _name_of(call.func) in classes:
            template = call.args[0]
            yield call, constants.get(_name_of(template)) or _text_of(template)


def _name_of(node: ast.expr) -> str:
    return getattr(node, "id", "") or getattr(node, "attr", "")


def _text_of(node: ast.expr) -> str | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


def english() -> set[str]:
    """All texts but those of nodes."""
    return page_texts() | listed_texts() | message_templates()


def read(language: str, name: str) -> dict[str, Any]:
    path = FOLDER / language / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write(language: str, name: str, texts: dict[str, Any]) -> None:
    path = FOLDER / language / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(texts, ensure_ascii=False, indent=2) + "\n", "utf-8", newline="\n")


def places(texts: dict[str, Any], parent: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys that lead to each text."""
    for name, content in texts.items():
        if isinstance(content, dict):
            yield from places(content, (*parent, name))
        else:
            yield (*parent, name)


def pack_infos() -> list[dict[str, Any]]:
    """The host's descriptions of the pack's nodes, loaded in this process."""
    sys.path.insert(0, str(comfy_host.prepare_tree()))
    import comfy.options  # noqa: F401 - without it the host would parse this command line
    from comfy.cli_args import args

    args.cpu = True
    import nodes

    asyncio.run(nodes.load_custom_node(str(comfy_host.PACK)))
    pack = sys.modules[str(comfy_host.PACK).replace(".", "_x_")]
    return [node.GET_NODE_INFO_V1() for node in pack.nodes.NODES]


def differences(language: str, name: str) -> Iterator[str]:
    """The keys that a file of a language lacks, if it must be complete, and has too much."""
    english, translated = (set(places(read(folder, name))) for folder in ("en", language))
    missing = english - translated if language in COMPLETE else set()
    for verb, keys in (("lacks", missing), ("has too much", translated - english)):
        if keys:
            yield f"{language}/{name}.json {verb}: {sorted(map('.'.join, keys))}"


def main() -> None:
    if IN_HOST not in os.environ:  # the host's Python has what its modules need
        host = comfy_host.prepare()
        main_texts = read("en", "main")
        texts = {text: text for text in sorted(english())}
        write("en", "main", {**main_texts, "ipadapter": texts})
        command = [str(host.python), __file__]
        sys.exit(subprocess.run(command, env={**os.environ, IN_HOST: "1"}).returncode)
    write("en", "nodeDefs", node_texts(pack_infos()))
    for folder in sorted(FOLDER.iterdir()):
        for name in FILES:
            for line in differences(folder.name, name):
                print(line)


if __name__ == "__main__":
    main()
