"""Graphs that are not as the page writes them never break the upgrade: what cannot be read stays.

IPADAPTER_FUZZ=5000 tries so many mutated graphs of each format instead of a few.
"""

import importlib
import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.support.workflows import make_workflows
from tests.support.workflows.mutations import mutated

pytestmark = pytest.mark.host

GRAPHS = Path(__file__).parent.parent / "data" / "graphs"
COUNT = int(os.environ.get("IPADAPTER_FUZZ", "150"))
MOST_SECONDS = 2
RAW_ERROR_WORDS = ("Error", "argument", "object", "unpack")


@pytest.fixture
def redraw(legacy, every_node):
    workflow = importlib.import_module(f"{legacy.__name__}.upgrade.workflow")
    return lambda graph: workflow.upgraded_workflow(graph, legacy.BY_ID, every_node)


def corpus(*folders):
    paths = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    assert paths
    return [json.loads(path.read_text()) for path in paths]


def check_all(upgrade, graphs):
    source = random.Random(1)
    slowest = 0.0
    for _ in range(COUNT):
        graph = mutated(source.choice(graphs), source)
        start = time.process_time()
        new_graph, report = upgrade(graph)
        slowest = max(slowest, time.process_time() - start)
        json.dumps(new_graph)
        lines = " ".join(change.describe() for change in report)
        assert not [word for word in RAW_ERROR_WORDS if word in lines], lines
    assert slowest < MOST_SECONDS


def test_mutated_workflows_are_upgraded_as_far_as_they_can_be_read(redraw):
    check_all(redraw, corpus(make_workflows.SAVED))


def test_mutated_prompts_are_upgraded_as_far_as_they_can_be_read(upgraded):
    check_all(upgraded, corpus(make_workflows.PROMPTS, make_workflows.SENT))


def test_a_linked_preset_keeps_the_loader_and_nothing_else(redraw, upgraded):
    for name, upgrade in (("linked_preset", redraw), ("linked_preset_prompt", upgraded)):
        _, report = upgrade(json.loads((GRAPHS / f"{name}.json").read_text()))
        loader = next(change for change in report if change.name == "IPAdapter Unified Loader")
        assert loader.is_kept and loader.notes == ["its 'preset' comes from another node"]


@pytest.mark.parametrize("kind", ["ImageBatch", "ImageScale"])
def test_thousands_of_nodes_in_a_row_take_no_longer(upgraded, kind):
    inputs = {"ImageBatch": ("image1", "image2"), "ImageScale": ("image",)}[kind]
    prompt = {"0": {"class_type": "EmptyImage", "inputs": {"batch_size": 1}}}
    for number in range(1, 3001):
        links = {name: [str(number - 1), 0] for name in inputs}
        prompt[str(number)] = {"class_type": kind, "inputs": links}
    last = {"image": ["3000", 0], "sharpening": 0.0}
    prompt["last"] = {"class_type": "IPAdapterTiled", "inputs": last}
    start = time.process_time()
    _, report = upgraded(prompt)
    assert time.process_time() - start < MOST_SECONDS
    assert [change.is_kept for change in report] == [True]


def test_a_circle_of_nodes_stays_a_circle(upgraded):
    loader = {"model": ["2", 0], "preset": "PLUS (high strength)"}
    prompt = {
        id: {"class_type": "IPAdapterUnifiedLoader", "inputs": {**loader, "model": [other, 0]}}
        for id, other in (("1", "2"), ("2", "1"))
    }
    new_prompt, _ = upgraded(prompt)
    assert set(new_prompt) == {"1", "2"}
