"""The example and the blueprint of two people, as the host serves them: they parse, and they
run."""

import json
import shutil
from pathlib import Path

import pytest
from support.graphs import links_within, node, one_step, pictures, prompt_of
from workflow import to_prompt

pytestmark = pytest.mark.http

PACK = Path(__file__).parent.parent.parent
EXAMPLE = PACK / "example_workflows" / "02 Two people.json"
BLUEPRINT = PACK / "subgraphs" / "Two People.json"
PEOPLE = "three_people.jpg"


@pytest.fixture(scope="module")
def host_with_people(server):
    shutil.copy(PACK / "tests" / "data" / "faces" / PEOPLE, server.work / "input")
    return server


def small(prompt):
    """With the test's small models and picture."""
    for prompt_node in prompt.values():
        inputs = prompt_node["inputs"]
        inputs |= {
            "CheckpointLoaderSimple": {"ckpt_name": "sd15.safetensors"},
            "LoadIPAdapter": {"ipadapter_file": "sd15 base.safetensors"},
            "LoadImage": {"image": PEOPLE},
            "ImageScaleToTotalPixels": {"megapixels": 0.02},
            "KSampler": {"steps": 2},
        }.get(prompt_node["class_type"], {})
    return prompt


def by_title(workflow, title):
    return next(str(node["id"]) for node in workflow["nodes"] if node.get("title") == title)


def test_example_runs_and_finds_the_left_and_the_right_person(host_with_people):
    workflow = json.loads(EXAMPLE.read_text())
    prompt = to_prompt(workflow, host_with_people.get("/object_info"))
    entry = host_with_people.run(small(prompt))
    save = next(str(node["id"]) for node in workflow["nodes"] if node["type"] == "SaveImage")
    (result,) = pictures(host_with_people, entry, save)
    assert result.shape[2] == 3
    crops = [
        pictures(host_with_people, entry, by_title(workflow, f"Where the {side} face is"))[0]
        for side in ("left", "right")
    ]
    assert (crops[0] != crops[1]).mean() > 0.9


def test_example_names_the_widgets_of_the_node_as_it_is(host_with_people):
    """All of them, in order, each with its own default, but for the choice of the face."""
    workflow = json.loads(EXAMPLE.read_text())
    groups = host_with_people.get("/object_info")["FaceCrop"]["input"]
    defaults = {
        name: spec[1]["default"]
        for group in ("required", "optional")
        for name, spec in groups[group].items()
        if "default" in spec[1] and not spec[1].get("forceInput")
    }
    crop_nodes = [node for node in workflow["nodes"] if node["type"] == "FaceCrop"]
    assert len(crop_nodes) == 4
    for crop_node in crop_nodes:
        values = dict(zip(defaults, crop_node["widgets_values"], strict=True))
        assert values | {"which": "largest"} == defaults


def test_blueprint_is_one_subgraph_and_runs(host_with_people):
    complete = json.loads(BLUEPRINT.read_text())
    (root,) = complete["nodes"]
    (graph,) = complete["definitions"]["subgraphs"]
    assert root["type"] == graph["id"]
    for kind in ("inputs", "outputs"):
        names = [[socket["name"] for socket in owner[kind]] for owner in (root, graph)]
        assert names[0] == names[1]
    outer = {
        "model": node("CheckpointLoaderSimple", ckpt_name=""),
        "ipadapter": node("LoadIPAdapter", ipadapter_file=""),
        "clip_vision": node("LoadCLIPVision", clip_name="auto", ipadapter=["ipadapter", 0]),
        "image": node("LoadImage", image=""),
    }
    outer |= {name: outer["image"] for name in ("left_reference", "right_reference")}
    links = links_within(graph)
    inner = prompt_of(graph["nodes"], links, host_with_people.get("/object_info"))
    model, *previews = (links[output["linkIds"][0]] for output in graph["outputs"])
    displayed = one_step(model)
    for number, (source, slot) in enumerate(previews):
        # a name of its own: what an earlier prompt showed, older hosts do not list again
        save = {"filename_prefix": f"blueprint {number}"}
        displayed[f"preview {number}"] = node("SaveImage", images=[str(source), slot], **save)
    entry = host_with_people.run(small(outer | inner | displayed))
    assert pictures(host_with_people, entry)[0].shape == (64, 64, 3)
    assert pictures(host_with_people, entry, "preview 1")[0].shape == (281, 768, 3)


def test_the_host_offers_the_example_and_the_blueprint(host_with_people):
    templates = host_with_people.get("/workflow_templates")
    assert any(EXAMPLE.stem in names for names in templates.values())
    blueprints = host_with_people.get("/global_subgraphs").values()
    assert any(BLUEPRINT.stem in blueprint["name"] for blueprint in blueprints)
