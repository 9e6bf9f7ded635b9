"""The pure logic of the web extension: its tests, run by Node.js, and a grammar equal to
Python's.
"""

import json
import subprocess
from pathlib import Path

import browser
import pytest
from support.tolerance import DOUBLE

from ipadapter_core.weights import curves, weight_map

HERE = Path(__file__).parent
LAYERS = [
    ["", 11],
    ["  \n", 16],
    ["1, .5, -2e-1, 3., +4, 5, 6, 7, 8, 9, 10", 11],
    ["1;2\n3,\n4 , 5;\r\n6 7", 7],
    ["3:1, 6:0.5", 11],
    ["10 : -1.5,3:1,\n3:2", 11],
    ["3:x", 11],
    ["1, two, 3", 3],
    ["1,,3", 3],
    ["-1:2", 11],
    ["1:2:3", 11],
    ["0x10, 1", 2],
    [",", 1],
    ["nan, inf", 2],
]
CURVES = [
    "",
    "0:1.0, 0.4:0.6 ease, 1:0",
    "0.2:1 hold;0.5:0.25  ease   in\n0.9:2 ease out",
    "0:0,\n0.5:1 ease in-out,\n1:0 linear",
    "0.5:0, 0.5:1, 0.75:3 hold",
    "0:-1, 1:+.5e1",
    "0:1, 0.5",
    "0:1, 1.5:0",
    "0.5:1, 0.2:0",
    "0:1 sharp",
    "0:1,,1:0",
    "-0.1:1",
    "0:nan",
]
TIMES = [0, 0.1, 0.2, 0.33, 0.5, 0.6, 0.75, 0.9, 1]


def node(*arguments: str) -> str:
    process = subprocess.run([str(browser.node()), *arguments], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_the_logic_passes_its_own_tests():
    node("--test", *(str(path) for path in sorted(HERE.glob("*.test.mjs"))))


@pytest.fixture(scope="module")
def answers():
    questions = {"layers": LAYERS, "curves": CURVES, "boxes": [], "times": TIMES}
    return json.loads(node(str(HERE / "answers.mjs"), json.dumps(questions)))


def or_none(make):
    try:
        return make()
    except ValueError:
        return None


def test_the_editor_reads_layers_as_the_node_does(answers):
    for (text, count), factors in zip(LAYERS, answers["layers"], strict=True):
        blocks = [("input", number) for number in range(count)]
        expected = or_none(lambda t=text, b=blocks: list(weight_map.layer_factors(t, b)))
        assert factors == expected, text
    assert sum(factors is None for factors in answers["layers"]) == 9


def test_the_editor_reads_curves_as_the_node_does(answers):
    for text, factors in zip(CURVES, answers["curves"], strict=True):
        keys = or_none(lambda t=text: curves.parse(t, 1.0))
        expected = keys and [curves.value_at(keys, time) for time in TIMES]
        assert factors == (keys and pytest.approx(expected, abs=DOUBLE)), text
    assert sum(factors is None for factors in answers["curves"]) == 7
