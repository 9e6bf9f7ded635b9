"""Old nodes that sample nothing: lists of weights, and embeds that become one."""

import pytest
import torch
from support.plus_formula import features
from support.tolerance import ARITHMETIC

pytestmark = pytest.mark.host

TEXT = {"weights": "0.0, 1.0", "frames": 5, "start_frame": 0, "end_frame": 9999}


@pytest.fixture
def faded(run_old):
    """IPAdapter Weights of three pictures that fade into each other."""
    pictures = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, 2, 3)
    frames = {"add_starting_frames": 1, "add_ending_frames": 2}
    settings = {"timing": "linear", "method": "shift batches", **TEXT, **frames}
    return pictures, run_old("IPAdapterWeights", image=pictures, **settings)


def test_lists_of_weights(faded):
    _, (weights, inverted, count, *images, _) = faded
    ramp = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert weights == [0.0, *ramp, *ramp, 1.0, 1.0]
    assert inverted == weights[::-1]
    assert count == 13
    assert images[0][:, 0, 0, 0].tolist() == [0] + [0] * 5 + [1] * 5 + [2] * 2
    assert images[1][:, 0, 0, 0].tolist() == [0] + [1] * 5 + [2] * 5 + [2] * 2


def test_a_strategy_gives_the_same_list_again(run_old, faded):
    pictures, outputs = faded
    again = run_old("IPAdapterWeightsFromStrategy", weights_strategy=outputs[5], image=pictures)
    assert again[0] == outputs[0]


def test_a_strategy_schedules_prompts(run_old, faded):
    _, outputs = faded
    node = "IPAdapterPromptScheduleFromWeightsStrategy"
    (schedule,) = run_old(node, weights_strategy=outputs[5], prompt="a\nb")
    assert schedule == '"0": "a",\n"1": "a",\n"6": "b",\n"11": "b",\n"16": "b",\n'


def test_lists_are_joined(run_old):
    joined = run_old("IPAdapterCombineWeights", weights_1=[0.1, 0.2], weights_2=0.3)
    assert joined == ([0.1, 0.2, 0.3], 3)


def test_a_transition_of_one_frame_ends_with_the_last_weight(run_old):
    settings = {"timing": "linear", "method": "full batch"}
    weights, *_ = run_old("IPAdapterWeights", **settings, **{**TEXT, "frames": 2, "start_frame": 1})
    assert weights == [0.0, 1.0]


EMBEDS = features(1, 1), features(2, 2)
ROWS = torch.cat(EMBEDS)
COMBINED = {
    "concat": ROWS,
    "add": ROWS.sum(0, keepdim=True),
    "subtract": ROWS[:1] - ROWS[1:].mean(0, keepdim=True),
    "average": ROWS.mean(0, keepdim=True),
    "norm average": (ROWS / ROWS.norm(dim=0, keepdim=True)).mean(0, keepdim=True),
    "max": ROWS.amax(0, keepdim=True),
    "min": ROWS.amin(0, keepdim=True),
}


@pytest.mark.parametrize("method", COMBINED)
def test_embeds_are_combined_as_before(run_old, method):
    (combined,) = run_old(
        "IPAdapterCombineEmbeds", embed1=EMBEDS[0], embed3=EMBEDS[1], method=method
    )
    torch.testing.assert_close(combined, COMBINED[method], atol=ARITHMETIC, rtol=0)
