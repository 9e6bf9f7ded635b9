#!/usr/bin/env python3
"""Write `locales/en` from the nodes and the web extension, and say what the other languages lack or have too much.

Run it after a change of a node's words: tests/host/test_locales.py holds `en` equal to the nodes and `zh` complete.
Deprecated nodes are left out: what they say stays in their schemas. Options of lists are not translated by the host.
"""

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import browser
import comfy_host

FOLDER = comfy_host.PACK / "locales"
WHOLE = ("en", "zh")  # the others may leave texts out, which are English then
LOGIC = ("weightmap_logic.js", "doctor_logic.js")
LISTED = """Promise.all(process.argv.slice(1).map((one) => import(one))).then(([map, doctor]) => console.log(JSON.stringify([
    map.FAMILIES, map.LAYER_PRESETS, map.CURVE_PRESETS, map.EASINGS, doctor.PURPOSES.map((one) => one[1]),
    Object.values(doctor.DOING)].flatMap((one) => Array.isArray(one) ? one : Object.keys(one)))))"""
# What the server says in English and the page shows: what these raise, and the texts in these functions.
PLANS = tuple(
    path.relative_to(comfy_host.PACK).as_posix()
    for path in sorted((comfy_host.PACK / "nodes" / "legacy" / "upgrade").glob("p[al]*.py"))
)
RAISES = (
    "ipadapter_core/adapter/checkpoint.py",
    "nodes/files/open_files.py",
    "nodes/doctor",
    *PLANS,
)
SPEAKS = {
    "ipadapter_core/adapter/checkpoint.py": ("describe", "tokens", "encoder"),
    "ipadapter_core/adapter/encoders.py": ("of",),
    "ipadapter_core/doctor/report.py": ("_entry", "_fault_advice", "_place_advice", "_name_advice"),
    "ipadapter_core/doctor/model_table.py": ("size_text",),
    "nodes/doctor/fetch.py": ("_trouble",),
    "nodes/doctor/jobs.py": ("_run",),
    "nodes/doctor/routes.py": ("add",),
    "nodes/doctor/scan.py": ("display", "content", "_found", "_embeds"),
    "nodes/references/embeds.py": ("_shown",),
    "nodes/references/encode.py": ("crop_warning",),
    "nodes/legacy/reading/open_graph.py": ("_replaced",),
    "nodes/legacy/upgrade/parts.py": ("sources", "negative", "mask", "weight_map"),
    "nodes/legacy/upgrade/plans.py": ("_unified", "_nothing"),
    "nodes/legacy/upgrade/upgrade.py": ("describe",),
}
SAID = re.compile(r"""\bsay\((?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""")


def node_texts(infos: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """nodeDefs.json in English: node id -> all that the page shows of it, from what the host tells of nodes."""
    return {info["name"]: _texts(info) for info in infos if not info.get("deprecated")}


def _texts(info: dict[str, Any]) -> dict[str, Any]:
    groups = (info["input"].get(group) or {} for group in ("required", "optional"))
    inputs = {
        name: spec[1] if len(spec) > 1 else {} for group in groups for name, spec in group.items()
    }
    made: dict[str, Any] = {
        "display_name": info["display_name"],
        "description": info["description"],
    }
    made["inputs"] = {
        name.replace(".", "_"): {
            "name": options.get("display_name") or name,
            "tooltip": options.get("tooltip", ""),
        }
        for name, options in inputs.items()
    }
    outputs = zip(info["output_name"], info["output_tooltips"] or (), strict=False)
    named = {
        str(place): {"name": name, "tooltip": tip} for place, (name, tip) in enumerate(outputs)
    }
    return {**made, "outputs": named} if named else made


def said() -> set[str]:
    """What the web extension says, as far as it is written out there."""
    files = (path.read_text("utf-8") for path in (comfy_host.PACK / "web").glob("*.js"))
    return {one or other for one, other in SAID.findall("\n".join(files))}


def listed() -> set[str]:
    """What it says out of lists."""
    logic = ((comfy_host.PACK / "web" / name).as_uri() for name in LOGIC)
    command = [str(browser.node()), "-e", LISTED, *logic]
    return set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def spoken() -> set[str]:
    """What the server says in English and the page translates, with <1>, <2>, ... for what it fills in."""
    found: set[str] = set()
    for name in sorted({*RAISES, *SPEAKS}):
        path = comfy_host.PACK / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            tree = ast.parse(file.read_text("utf-8"))
            parts = [one for one in ast.walk(tree) if name in RAISES and _is_raised(one)]
            named = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef))
            parts += [one for one in named if one.name in SPEAKS.get(name, ())]
            constants = {one.targets[0].id: one.value.value for one in tree.body if _is_text(one)}
            found |= {text for part in parts for text in _texts_in(part, constants)}
    return found


def _is_raised(node: ast.AST) -> bool:
    """Whether a node makes an error, or a note on a changed graph."""
    names = ("ValueError", "Predicate", "Message", "Kept", "append")
    return isinstance(node, ast.Call) and bool(
        {getattr(node.func, "id", ""), getattr(node.func, "attr", "")} & set(names)
    )


def _is_text(node: ast.AST) -> bool:
    """Whether a statement gives a name to a text."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _texts_in(node: ast.AST, constants: dict[str, str]) -> Iterator[str]:
    """The sentences and phrases below a node, docstrings and texts for the log aside."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.JoinedStr | ast.Constant):
        text = _marked(node, constants)
        if " " in text.strip() and re.search("[a-z]{2}", text) and "%s" not in text:
            yield text
        return
    for one in ast.iter_child_nodes(node):
        yield from _texts_in(one, constants)


def _marked(node: ast.JoinedStr | ast.Constant, constants: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    text, count = "", 0
    for part in node.values:
        known = constants.get(getattr(getattr(part, "value", None), "id", ""))
        if isinstance(part, ast.Constant):
            text += part.value
        elif known:
            text += known
        else:
            count += 1
            text += f"<{count}>"
    return text


def read(language: str, name: str) -> dict[str, Any]:
    path = FOLDER / language / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write(language: str, name: str, texts: dict[str, Any]) -> None:
    path = FOLDER / language / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(texts, ensure_ascii=False, indent=2) + "\n", "utf-8", newline="\n")


def places(texts: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where every text is."""
    for name, one in texts.items():
        yield from places(one, (*at, name)) if isinstance(one, dict) else iter([(*at, name)])


def pack_infos() -> list[dict[str, Any]]:
    """What the host tells of the pack's nodes, loaded in this process."""
    sys.path.insert(0, str(comfy_host.prepare_tree()))
    import comfy.options  # noqa: F401 - without it the host would parse this command line
    from comfy.cli_args import args

    args.cpu = True
    import nodes

    asyncio.run(nodes.load_custom_node(str(comfy_host.PACK)))
    pack = sys.modules[str(comfy_host.PACK).replace(".", "_x_")]
    return [node.GET_NODE_INFO_V1() for node in pack.nodes.NODES]


def main() -> None:
    host = comfy_host.prepare()
    if not os.environ.get("IPADAPTER_LOCALES_AGAIN"):  # the host's Python has what its modules need
        words = sorted(said() | listed() | spoken())
        write("en", "main", {**read("en", "main"), "ipadapter": {one: one for one in words}})
        command = [str(host.python), __file__]
        sys.exit(
            subprocess.run(command, env={**os.environ, "IPADAPTER_LOCALES_AGAIN": "1"}).returncode
        )
    texts = node_texts(pack_infos())
    write("en", "nodeDefs", texts)
    for folder in sorted(FOLDER.iterdir()):
        for name in ("nodeDefs", "main", "commands"):
            wanted, there = set(places(read("en", name))), set(places(read(folder.name, name)))
            for sign, some in (("lacks", wanted - there), ("has too much", there - wanted)):
                if some and (sign != "lacks" or folder.name in WHOLE):
                    print(
                        f"{folder.name}/{name}.json {sign}: {sorted('.'.join(one) for one in some)}"
                    )


if __name__ == "__main__":
    main()
