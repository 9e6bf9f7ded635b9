#!/usr/bin/env python3
"""Write `locales/en` from the nodes and the web extension, and say what the other languages lack or have too much.

Run it after a change of a node's words: tests/host/test_locales.py holds `en` equal to the nodes and `zh` complete.
Deprecated nodes are left out: what they say stays in their schemas. Options of lists are not translated by the host.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import comfy_host

FOLDER = comfy_host.PACK / "locales"
WHOLE = ("en", "zh")  # the others may leave texts out, which are English then
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
    """What the editors say, as far as it is written out there."""
    files = (path.read_text("utf-8") for path in (comfy_host.PACK / "web").glob("*.js"))
    found = SAID.findall("\n".join(text for text in files if "'./editor.js'" in text))
    return {one or other for one, other in found}


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
        command = [str(host.python), __file__]
        sys.exit(
            subprocess.run(command, env={**os.environ, "IPADAPTER_LOCALES_AGAIN": "1"}).returncode
        )
    texts = node_texts(pack_infos())
    write("en", "nodeDefs", texts)
    main_texts = read("en", "main")
    words = {**main_texts.get("ipadapter", {}), **{one: one for one in sorted(said())}}
    write("en", "main", {**main_texts, "ipadapter": words})
    for folder in sorted(FOLDER.iterdir()):
        for name in ("nodeDefs", "main"):
            wanted, there = set(places(read("en", name))), set(places(read(folder.name, name)))
            for sign, some in (("lacks", wanted - there), ("has too much", there - wanted)):
                if some and (sign != "lacks" or folder.name in WHOLE):
                    print(
                        f"{folder.name}/{name}.json {sign}: {sorted('.'.join(one) for one in some)}"
                    )


if __name__ == "__main__":
    main()
