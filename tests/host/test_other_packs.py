"""Another pack has some of the old ids: its nodes stay, in both orders of loading, and the log says
so once.
"""

import asyncio
import logging
from types import SimpleNamespace

import comfy_host
import pytest
from aiohttp import web

pytestmark = pytest.mark.host

OTHER = """
class Other:
    RETURN_TYPES, FUNCTION = ("MODEL",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        inputs = {"model": ("MODEL",), "clip_vision": ("CLIP_VISION",), "model_name": (["a"],)}
        return {"required": inputs}

    def run(self, **inputs):
        return (inputs["model"],)

IDS = ("IPAdapter", "IPAdapterAdvanced", "PrepImageForClipVision")
NODE_CLASS_MAPPINGS = {id: Other for id in IDS}
"""
IDS = ["IPAdapter", "IPAdapterAdvanced", "PrepImageForClipVision"]


@pytest.fixture
def registered(host, pack):
    """The host's table of nodes, put back afterwards."""
    tables = (host.NODE_CLASS_MAPPINGS, host.NODE_DISPLAY_NAME_MAPPINGS)
    before = [dict(table) for table in tables]
    yield host.NODE_CLASS_MAPPINGS
    for table, remaining in zip(tables, before, strict=True):
        table.clear()
        table.update(remaining)


@pytest.fixture
def load(host, tmp_path):
    """Loads a pack as the host does: `other`, or this one once more under another name."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "__init__.py").write_text(OTHER)
    again = tmp_path / "again"
    again.symlink_to(comfy_host.PACK, target_is_directory=True)
    return lambda name: asyncio.run(host.load_custom_node(str(tmp_path / name)))


@pytest.fixture
def server():
    """What the pack asks of the host's server."""
    handlers, started = [], []
    return SimpleNamespace(
        handlers=handlers,
        add_on_prompt_handler=handlers.append,
        routes=web.RouteTableDef(),
        app=SimpleNamespace(on_startup=started),
    )


def owner(kind):
    return kind.__module__.split(".")[0].rsplit("/", 1)[-1]


def test_a_pack_loaded_before_keeps_its_nodes(registered, load):
    for id in [id for id in registered if id.startswith(("IPA", "Prep"))]:
        del registered[id]
    assert load("other")
    assert load("again")
    assert [owner(registered[id]) for id in IDS] == ["other"] * 3
    assert owner(registered["IPAdapterBatch"]) == "again"
    assert owner(registered["IPAdapterLaksjdjf"]) == "again"


def test_a_pack_loaded_afterwards_keeps_its_nodes(registered, load):
    assert load("other")
    assert [owner(registered[id]) for id in IDS] == ["other"] * 3


def test_the_log_says_once_whose_nodes_they_are(pack, registered, load, server, caplog):
    pack.listen(server, registered)
    assert load("other")
    with caplog.at_level(logging.INFO, "ipadapter"):
        for say in server.app.on_startup:
            asyncio.run(say(None))
    assert caplog.messages == [
        "Another pack provides IPAdapter, IPAdapterAdvanced, PrepImageForClipVision: its "
        "nodes are used, not those of ip-adapter-nodes."
    ]


def test_prompts_for_the_other_packs_nodes_stay_as_they_are(pack, registered, load, server):
    pack.listen(server, registered)
    assert load("other")
    theirs = {"clip_vision": ["1", 0], "model_name": "a"}
    prompt = {
        "2": {"class_type": "IPAdapter", "inputs": theirs},
        "3": {"class_type": "PrepImageForClipVision", "inputs": {"add_weight": True}},
        "4": {"class_type": "IPAdapterEncoder", "inputs": {"image_1": ["1", 0]}},
    }
    (handler,) = server.handlers
    result = handler({"prompt": prompt})["prompt"]
    assert result["2"] == prompt["2"]
    assert result["3"]["class_type"] == "PrepImageWithWeight"  # theirs has no such input
    assert result["4"]["class_type"] == "IPAdapterEncodeImages"
