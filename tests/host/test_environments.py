"""Servers with other flags and folders give the ordinary picture, or say in one sentence why not.

Each server starts once: flags and folders that do not hide each other are tried together.
"""

import json
import os
import shlex
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import comfy_host
import comfy_server
import numpy
import pytest
from support.graphs import PORTRAIT, failure, graph, node, pictures

pytestmark = pytest.mark.http

NAMED = "\u6a21\u578b \u043f\u043b\u044e\u0441 \u00e4.bin"  # Chinese, Cyrillic and a umlaut
FOLDER = "Modelle \u00fc \u6a21\u578b"
PUBLISHED = "sub folder/b.bin"
PACKS = Path(__file__).parents[1] / "support" / "packs"
LOCKED = "models", "input", "output"


@pytest.fixture(scope="module")
def folders(model_folder, tmp_path_factory):
    """Model files in several folders with spaces and letters of other languages."""
    root = tmp_path_factory.mktemp(FOLDER)
    for name in ("checkpoints", "clip_vision"):
        shutil.copytree(model_folder / name, root / "models" / "one" / name)
    (root / "models" / "two" / "more adapters").mkdir(parents=True)
    (root / "models" / "two" / "ipadapter").mkdir()
    adapter = root / "models" / "two" / "more adapters" / NAMED
    shutil.copy(model_folder / "ipadapter" / PUBLISHED, adapter)
    shutil.copytree(PACKS / "counting_pack", root / "custom nodes" / "counting_pack")
    (root / "input").mkdir()
    (root / "output").mkdir()
    shutil.copy(PORTRAIT, root / "input")
    first, second = ({"base_path": str(root / "models" / name)} for name in ("one", "two"))
    first |= {"checkpoints": "checkpoints", "clip_vision": "clip_vision"}
    first["custom_nodes"] = str(root / "custom nodes")
    second["ipadapter"] = "ipadapter\nmore adapters\n"
    config = root / "extra paths.yaml"  # JSON is YAML
    config.write_text(json.dumps({"first": first, "second": second}))
    return root


@pytest.fixture(scope="module")
def start(folders):
    """Starts a server on these folders with the given flags; lock: those cannot be written to."""
    config = str(folders / "extra paths.yaml")

    def start(*flags, host=None):
        host = host or comfy_host.prepare()
        flags = ("--extra-model-paths-config", config, *flags)
        return comfy_server.Server(host, folders, *flags)

    return start


def prompt(**settings):
    found = graph(PUBLISHED, **settings)
    found["adapter"]["inputs"]["ipadapter_file"] = NAMED
    return found


@pytest.fixture(scope="module")
def ordinary(server):
    """The picture of an ordinary server."""
    (picture,) = pictures(server, server.run(graph(PUBLISHED)))
    return picture


def check_same(server, ordinary):
    (picture,) = pictures(server, server.run(prompt()))
    assert numpy.array_equal(picture, ordinary)


def test_without_a_cache_for_many_users_and_from_folders_with_other_letters(start, ordinary):
    with start("--cache-none", "--cpu-vae", "--multi-user") as server:
        for _ in range(2):
            check_same(server, ordinary)
        interrupted_beside_another(server, ordinary)


def interrupted_beside_another(server, ordinary):
    """Two prompts wait at once; the first is interrupted while it runs."""
    long_prompt = prompt()
    long_prompt["sample"]["inputs"].update(steps=5000)
    first, second = server.queue(long_prompt), server.queue(prompt())
    deadline = time.monotonic() + 180
    while not server.get("/queue")["queue_running"] and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    server.post("/interrupt", {})
    entries = {}
    while len(entries) < 2 and time.monotonic() < deadline:
        entries |= {key: server.get(f"/history/{key}").get(key) for key in (first, second)}
        entries = {key: entry for key, entry in entries.items() if entry}
        time.sleep(0.2)
    kinds = [kind for kind, _ in entries[first]["status"]["messages"]]
    assert kinds[-1] == "execution_interrupted"
    (picture,) = pictures(server, entries[second])
    assert numpy.array_equal(picture, ordinary)


def test_half_precision_between_nodes_and_models_of_eight_bits_follow_the_picture(start, ordinary):
    """Numbers are rounded otherwise: the picture is nearer to the ordinary one than to the one
    without the adapter.
    """
    flags = ["--fp8_e4m3fn-unet"]
    if "--fp16-intermediates" in (comfy_host.prepare_tree() / "comfy" / "cli_args.py").read_text():
        flags.append("--fp16-intermediates")
    with start(*flags) as server:
        followed, unweighted = (
            pictures(server, server.run(prompt(weight=weight)))[0].astype(float)
            for weight in (1.0, 0.0)
        )
    distance = numpy.abs(followed - ordinary).mean()
    assert distance < numpy.abs(followed - unweighted).mean()


def test_read_only_folders_after_a_restart(start, ordinary, folders):
    """What is only read gives the same picture; what would be written says that it cannot be."""
    with start("--cache-lru", "3", host=locked_host(folders)) as server:
        check_same(server, ordinary)
        (weaker,) = pictures(server, server.run(prompt(weight=0.5)))
        assert not numpy.array_equal(weaker, ordinary)
        saving = {name: prompt()[name] for name in ("picture", "adapter", "encoder")}
        names = {"image": "picture", "ipadapter": "adapter", "clip_vision": "encoder"}
        links = {name: [source, 0] for name, source in names.items()}
        saving["encode"] = node("EncodeIPAdapterReference", **links, weight=1.0, fit="crop")
        saving["save"] = node("SaveIPAdapterEmbeds", embeds=["encode", 0], filename_prefix="a/b")
        kind, message = failure(server.run(saving))
        assert kind == "SaveIPAdapterEmbeds"
        assert message.startswith(
            "Save IPAdapter Embeds could not write 'a/b' into ComfyUI's output"
        )
        assert server.get("/ipadapternodes/doctor")


def locked_host(folders):
    """A host whose Python sees these folders read-only: by their modes, or for root, whom modes do
    not stop, by mounts of its own.
    """
    host = comfy_host.prepare()
    locked = [str(folders / name) for name in LOCKED]
    if os.geteuid():
        for folder in locked:
            os.chmod(folder, 0o555)
        return host
    mounts = "\n".join(
        f"mount --bind {path} {path} && mount -o remount,ro,bind {path} || exit 9"
        for path in map(shlex.quote, locked)
    )
    script = folders / "locked python"
    script.write_text(f'#!/bin/sh\n{mounts}\nexec {shlex.quote(str(host.python))} "$@"\n')
    wrapper = folders / "python"
    wrapper.write_text(f'#!/bin/sh\nexec unshare --mount sh {shlex.quote(str(script))} "$@"\n')
    wrapper.chmod(0o755)
    attempt = subprocess.run([str(wrapper), "-c", "pass"], capture_output=True, text=True)
    if attempt.returncode:
        pytest.skip(f"root cannot be locked out of a folder here: {attempt.stderr.strip()[-200:]}")
    return replace(host, python=wrapper)
