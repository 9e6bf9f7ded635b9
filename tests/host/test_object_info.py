"""What users and saved graphs rely on, as it was recorded: nodes, routes and their answers, texts,
upgraded graphs.

`IPADAPTER_RECORD=1` writes the recordings again, after a change that is meant.
"""

import asyncio
import hashlib
import importlib
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import make_models
import pytest
from adapter_layouts import Base
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

pytestmark = pytest.mark.host

PACK = Path(__file__).parents[2]
RECORDINGS = PACK / "tests" / "data"
SAVED = sorted((PACK / "tests" / "workflows" / "saved").glob("*.json"))
RENEW = "if this is meant, IPADAPTER_RECORD=1 records it again"
SAMPLE = "v2_simple"  # the graph whose answers are kept whole; of the others their digests
# what GET /object_info tells of a node; the rest is the host's and changes with it
FIELDS = (
    "name",
    "display_name",
    "description",
    "category",
    "search_aliases",
    "deprecated",
    "experimental",
    "output_node",
    "is_input_list",
    "input_order",
    "input",
    "output",
    "output_is_list",
    "output_name",
    "output_tooltips",
)
HOST_LISTS = {"sampler_name", "scheduler"}
V1_FIELDS = {
    "description": "DESCRIPTION",
    "category": "CATEGORY",
    "deprecated": "DEPRECATED",
    "experimental": "EXPERIMENTAL",
    "output_node": "OUTPUT_NODE",
    "is_input_list": "INPUT_IS_LIST",
    "output": "RETURN_TYPES",
    "output_is_list": "OUTPUT_IS_LIST",
    "output_name": "RETURN_NAMES",
    "output_tooltips": "OUTPUT_TOOLTIPS",
    "search_aliases": "SEARCH_ALIASES",
}
HOST_NODES = {
    "nodes_images": {"ImageFromBatch": "ImageFromBatch", "RepeatImageBatch": "RepeatImageBatch"},
    "nodes_primitive": {"PrimitiveInt": "Int", "PrimitiveStringMultiline": "StringMultiline"},
}


def as_english(data):
    """An answer with every sentence in English, also where the page gets a template and its
    values.
    """
    if isinstance(data, list):
        return [as_english(value) for value in data]
    if not isinstance(data, dict):
        return data
    if set(data) == {"text", "values"}:
        values = [as_english(value) for value in data["values"]]
        return re.sub(r"<(\d+)>", lambda mark: str(values[int(mark[1]) - 1]), data["text"])
    return {key: as_english(value) for key, value in data.items()}


def anonymous(text):
    """Without what differs from machine to machine and from release to release."""
    machine = r"Python [\d.]+, torch [\w.+]+, \w+"
    text = re.sub(machine, "Python 3, torch 2, Linux", text)
    text = re.sub(r"ip-adapter-nodes [\d.]+, ComfyUI [\d.]+", "ip-adapter-nodes 0, ComfyUI 0", text)
    return re.sub(r'"ver": "[\d.]+"', '"ver": "0"', text)


def compare(name, content):
    """Equal to the recording of that name, entry by entry."""
    path = RECORDINGS / f"{name}.json"
    content = as_english(json.loads(anonymous(json.dumps(content))))
    if os.environ.get("IPADAPTER_RECORD"):
        text = json.dumps(content, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", "utf-8", newline="\n")
    recorded = json.loads(path.read_text("utf-8"))
    assert recorded
    assert list(content) == list(recorded), RENEW
    for key, value in recorded.items():
        assert content[key] == value, f"{key}: {RENEW}"


@pytest.fixture
def no_files(host, own_folders, tmp_path, monkeypatch):
    """Folders of the host with nothing in them, so that lists of files are the same on every
    machine.
    """
    import folder_paths

    folders = {
        kind: ([str(tmp_path / "models" / kind)], extensions)
        for kind, (_, extensions) in folder_paths.folder_names_and_paths.items()
    }
    for (folder,), _ in folders.values():
        Path(folder).mkdir(parents=True)
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folders)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path


@pytest.fixture
def own_nodes(pack):
    """Every node class that the pack hands to the host."""
    return asyncio.run(pack.IPAdapterExtension().get_node_list())


def node_info(node):
    """What the host's server tells the page of a node class."""
    if hasattr(node, "GET_NODE_INFO_V1"):
        info = node.GET_NODE_INFO_V1()
    else:
        info = {field: getattr(node, name, None) for field, name in V1_FIELDS.items()}
        schema = node.GET_SCHEMA()
        info |= {"name": schema.node_id, "display_name": schema.display_name}
        info["input"] = node.INPUT_TYPES()
        info["input_order"] = {group: list(inputs) for group, inputs in info["input"].items()}
    for name in HOST_LISTS & set(info["input"].get("required", ())):
        info["input"]["required"][name][1].pop("options")
    return {field: info.get(field) for field in FIELDS}


def test_the_nodes_are_as_recorded(own_nodes, no_files):
    compare("object_info", {info["name"]: info for info in map(node_info, own_nodes)})


def places(texts, path=""):
    """The path of every text in a file of a language."""
    for key, value in texts.items():
        local = f"{path}/{key}"
        if isinstance(value, dict):
            yield from places(value, local)
        else:
            yield local


def test_the_texts_to_translate_are_those_recorded():
    english = {
        path.stem: sorted(places(json.loads(path.read_text("utf-8"))))
        for path in sorted((PACK / "locales" / "en").glob("*.json"))
        if path.stem != "main"  # sentences, which test_locales.py holds equal to the code's
    }
    compare("locale_keys", english)


@pytest.fixture
def ask(host, pack, no_files, monkeypatch):
    """Puts requests to the pack's routes; -> the routes, and the status and JSON of each answer."""
    for module, names in HOST_NODES.items():
        for node_id, name in names.items():
            node = getattr(importlib.import_module(f"comfy_extras.{module}"), name)
            monkeypatch.setitem(host.NODE_CLASS_MAPPINGS, node_id, node)
    routes = web.RouteTableDef()
    server = SimpleNamespace(
        routes=routes,
        app=SimpleNamespace(on_startup=[]),
        add_on_prompt_handler=lambda handler: None,
    )
    running = SimpleNamespace(PromptServer=SimpleNamespace(instance=server))
    monkeypatch.setitem(sys.modules, "server", running)
    asyncio.run(pack.IPAdapterExtension().on_load())
    app = web.Application()
    app.add_routes(routes)

    async def answers(requests):
        async with TestClient(TestServer(app)) as client:
            for method, path, body in requests:
                reply = await client.request(method, path, json=body)
                yield reply.status, await reply.json()

    async def gather(requests):
        return [answer async for answer in answers(requests)]

    def run(*requests):
        return [f"{route.method} {route.path}" for route in routes], asyncio.run(gather(requests))

    return run


def test_the_routes_and_their_answers_are_as_recorded(ask, no_files):
    tensors = make_models.adapter_tensors("ip-adapter_sd15", Base(768, (8,) * 16))
    make_models.save(no_files / "models" / "ipadapter" / "mine.safetensors", tensors)
    misplaced = no_files / "models" / "loras" / "ip-adapter-plus_sd15.safetensors"
    make_models.save(misplaced, tensors)
    graph = json.loads((SAVED[0].parent / f"{SAMPLE}.json").read_text("utf-8"))
    requests = [
        ("GET", "/ipadapternodes/doctor", None),
        ("GET", "/ipadapternodes/stamps", None),
        ("GET", "/ipadapternodes/download", None),
        ("POST", "/ipadapternodes/download", {"name": "no such file"}),
        ("POST", "/ipadapternodes/cancel", {}),
        ("POST", "/ipadapternodes/upgrade", {"workflow": graph}),
        ("POST", "/ipadapternodes/upgrade", {"workflow": graph, "only": []}),
        ("POST", "/ipadapternodes/upgrade", {"workflow": []}),
        ("POST", "/ipadapternodes/opened", {"workflow": graph}),
        ("POST", "/ipadapternodes/opened", {}),
    ]
    routes, answers = ask(*requests)
    by_name = {
        f"{number} {method} {path}": answer
        for number, ((method, path, _), answer) in enumerate(zip(requests, answers, strict=True))
    }
    compare("routes", {"routes": routes, **by_name})


def test_saved_graphs_open_and_become_new_ones_as_recorded(ask):
    graphs = [json.loads(path.read_text("utf-8")) for path in SAVED]
    routes = ("upgrade", "opened")
    requests = [
        ("POST", f"/ipadapternodes/{route}", {"workflow": graph})
        for graph in graphs
        for route in routes
    ]
    _, answers = ask(*requests)
    names = [f"{path.stem} {route}" for path in SAVED for route in routes]
    remaining = {}
    for name, (status, answer) in zip(names, answers, strict=True):
        report = answer.pop("report")
        digest = hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).hexdigest()
        remaining[name] = {"status": status, "sha256": digest, "report": report}
    compare("upgraded_graphs", remaining)
