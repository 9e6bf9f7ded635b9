"""A prompt that leaves an input out: true defaults are filled in, files are never chosen for it."""

import importlib

import pytest

CHOSEN = ("ipadapter_file", "model_name", "embeds", "preset")


@pytest.fixture
def read(legacy):
    """(id, inputs) -> the inputs as they are understood."""
    prompts = importlib.import_module(f"{legacy.__name__}.reading.prompts")

    def run(node_id, **inputs):
        prompt = {"1": {"class_type": node_id, "inputs": inputs}}
        return prompts.read_prompt(prompt, legacy.BY_ID, {}, {})["1"]["inputs"]

    return run


def test_no_old_node_takes_the_first_file_of_a_folder(legacy, read):
    requests = 0
    for node_id, node in legacy.BY_ID.items():
        required = node.INPUT_TYPES()["required"]
        inputs = read(node_id)
        for name in CHOSEN:
            if node_id == "IPAdapterInsightFaceLoader":
                continue  # whose `model_name` has no effect
            requests += name in required
            assert name not in inputs, node_id
    assert requests >= 6


def test_what_was_added_to_an_old_node_gets_its_default(read):
    inputs = read("IPAdapterAdvanced", weight=0.5)
    assert inputs["weight"] == 0.5 and inputs["end_at"] == 1.0
    assert inputs["combine_embeds"] == "concat" and inputs["embeds_scaling"] == "V only"
