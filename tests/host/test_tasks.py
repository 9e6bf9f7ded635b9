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


FLUX = (("double", 0), ("double", 1))
DEMO = (("input", 1), ("middle", 0), ("output", 0), ("output", 1))  # has a block of SD1.5's style
KOALA = (("input", 3), ("input", 5), *(("output", number) for number in range(4)))


@pytest.fixture
def adapter(pack):
    def named(**layers_by_task):
        loaded = pack.nodes.sockets.LoadedAdapter
        return loaded("a.safetensors", None, None, layers_by_task=layers_by_task)

    return named


@pytest.mark.parametrize("blocks", [FLUX, DEMO, KOALA])
@pytest.mark.parametrize("task", TAKES)
def test_a_model_of_unknown_blocks_has_no_tasks_but_the_whole_image(pack, adapter, blocks, task):
    tasks = pack.nodes.apply.tasks
    assert tasks.task_map(blocks, "whole image", adapter(), "Node") is None
    with pytest.raises(ValueError, match=f"Node's 'task' is '{task}', but it is not known which"):
        tasks.task_map(blocks, task, adapter(), "Node")


def test_an_adapter_file_names_the_blocks_of_its_model_by_task(pack, adapter):
    task_map = pack.nodes.apply.tasks.task_map
    named = adapter(style="2:1, 3:0.5", composition="input 1:1")
    assert task_map(DEMO, "style", named, "Node").positive[0] == (0, 0, 1, 0.5)
    assert task_map(DEMO, "composition", named, "Node").positive[0] == (1, 0, 0, 0)
    assert task_map(DEMO, "style and composition", named, "Node").positive[0] == (1, 0, 1, 0.5)
    with pytest.raises(ValueError, match="Node's 'task' is 'subject', but it is not known which"):
        task_map(DEMO, "subject", named, "Node")
    with pytest.raises(ValueError, match="Node's 'task' is 'style and composition', but it is not"):
        task_map(DEMO, "style and composition", adapter(style="3:1"), "Node")


def test_blocks_that_an_adapter_file_names_wrongly_are_refused(pack, adapter):
    sentence = "In the metadata of the adapter file 'a.safetensors', 'layers' has the unknown block"
    with pytest.raises(ValueError, match=sentence):
        pack.nodes.apply.tasks.task_map(DEMO, "style", adapter(style="9:1"), "Node")
