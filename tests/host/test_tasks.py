"""Tasks of Apply IPAdapter: one word in place of a weight map."""

import pytest
import torch
from support.compare import NAMES, difference
from support.tolerance import EFFECT

pytestmark = pytest.mark.host
TAKES = {
    "style": "style",
    "composition": "layout",
    "style and composition": "style and layout",
    "subject": "subject",
}


@pytest.fixture
def weight_map(nodes_by_id):
    def run(model, take, **settings):
        settings = {"amount": 1.0, "second_amount": 1.0} | settings
        return nodes_by_id["IPAdapterWeightMap"].execute(model, take, **settings).args[0]

    return run


@pytest.fixture
def prompts_on(pack):
    """The timestep ranges of every applied adapter of a model."""
    module = pack.nodes.sampling.image_prompt

    def run(model):
        prompts = module.transformer_options(model)[module.OPTIONS_KEY]
        return [(prompt.ranges, prompt.on_negative) for prompt in prompts]

    return run


@pytest.mark.parametrize("kind", NAMES)
def test_a_task_is_the_weight_map_of_that_kind(models, apply, prompts_on, weight_map, kind):
    model = models(kind)
    whole_image = prompts_on(apply(model, kind))
    assert prompts_on(apply(model, kind, task="whole image")) == whole_image
    for task, take in TAKES.items():
        by_task = prompts_on(apply(model, kind, task=task))
        assert by_task == prompts_on(apply(model, kind, weight_map=weight_map(model, take)))
        assert by_task != whole_image


def test_a_task_multiplies_a_connected_map(models, apply, sample, weight_map):
    model = models("sd15")
    curve = weight_map(model, "balanced", curve="0:1, 1:0")
    both = weight_map(model, "style", curve="0:1, 1:0")
    by_task = sample(apply(model, task="style", weight_map=curve))
    assert torch.equal(by_task, sample(apply(model, weight_map=both)))
    assert difference(by_task, sample(apply(model, weight_map=curve))) > EFFECT


def test_a_model_of_unknown_blocks_has_no_tasks_but_the_whole_image(pack):
    tasks, blocks = pack.nodes.apply.tasks, (("double", 0), ("double", 1))
    assert tasks.task_map(blocks, "whole image", "Node") is None
    with pytest.raises(ValueError, match="Node's 'task' is 'style', but it is not known which"):
        tasks.task_map(blocks, "style", "Node")
