"""`scripts/demo --serve`: templates that run with the demo's model at the first click."""

import demo_templates
import pytest
import sheet
from support.graphs import pictures
from support.page import Page
from workflow import to_prompt

pytestmark = pytest.mark.http


@pytest.fixture(scope="module")
def demo_server(tmp_path_factory):
    with demo_templates.running_server(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(scope="module")
def object_info(demo_server):
    return demo_server.get("/object_info")


def test_the_page_opens_on_a_graph_whose_run_button_makes_a_picture(demo_server, chromium):
    page = Page(chromium, demo_server, address=demo_templates.address(demo_server))
    page.page.wait_for_function("() => app.graph._nodes.length > 5")
    page.page.get_by_test_id("queue-button").click()
    page.page.wait_for_function(
        """() => app.graph._nodes.some(({ id, type }) =>
          type === 'SaveImage' && app.nodeOutputs[id]?.images?.length === 1)""",
        timeout=120_000,
    )
    assert page.run("() => app.graph._nodes.filter(({ has_errors }) => has_errors).length") == 0
    assert (page.errors, page.refused) == ([], [])
    page.page.close()


def test_the_host_takes_every_template_of_the_demo(demo_server, object_info):
    """The first of them runs above; the others do not start, an encoder takes long on a CPU."""
    embeds = demo_server.work / "output" / "embeds" / "reference_00001_.safetensors"
    embeds.parent.mkdir()
    embeds.touch()
    names = list(demo_templates.served())
    assert names
    for name in names:
        graph = demo_templates.template(demo_server, name)
        prompt = to_prompt(graph, object_info)
        latents = [node for node in prompt.values() if node["class_type"] == "EmptyLatentImage"]
        assert all(latent["inputs"]["width"] <= 64 for latent in latents)  # as it was trained
        demo_server.queue(prompt)  # raises if it is refused
        demo_server.post("/queue", {"clear": True})
        demo_server.post("/interrupt", {})


GROW = ("03 Style and layout", "05 Save embeds", "16 Animation frames", "21 Check your files")


@pytest.mark.parametrize("renderer", [False, True], ids=["classic", "Nodes 2.0"])
def test_the_nodes_of_a_template_lie_apart_when_opened_and_after_a_run(
    demo_server, chromium, renderer
):
    demo_server.free()
    page = Page(chromium, demo_server, VueNodes_Enabled=renderer)
    for name in demo_templates.names():
        graph = demo_templates.template(demo_server, name)
        page.run("graph => app.loadGraphData(graph, true, true, null, {})", graph)
        assert (name, page.overlaps()) == (name, [])
        if renderer and name in GROW:  # by what their nodes say and show
            assert page.queue()[0] == "execution_success"
            page.page.wait_for_timeout(1000)  # images load
            assert (name, page.overlaps()) == (name, [])
    assert (page.errors, page.refused) == ([], [])
    page.page.close()


def test_a_task_of_image_prompt_is_what_the_demos_layers_learned(demo_server):
    """The adapter's file says which they are."""
    demo_server.free()
    graph = sheet.Graph(seed=sheet.SEED)
    graph.begin()
    loaded = {"model": graph.model, "image": graph.load("reference-1.png")}
    shown = []
    for task, layers in {"style": sheet.STYLE, "composition": sheet.LAYOUT}.items():
        custom = {"task": task, "strength": "custom", "weight": 1.0}
        shown.append(graph.picture(graph.add("ImagePrompt", **loaded, **custom)))
        apply = {"ipadapter": graph.adapter, "weight": 1.0, "start_at": 0.0, "end_at": 1.0}
        apply["weight_map"] = graph.only(layers)
        shown.append(graph.picture(graph.add("ApplyIPAdapter", **loaded, **apply)))
    whole_image = {"task": "whole image", "strength": "custom", "weight": 1.0}
    shown.append(graph.picture(graph.add("ImagePrompt", **loaded, **whole_image)))
    entry = demo_server.run(graph.nodes)
    style, style_map, composition, composition_map, whole = (
        pictures(demo_server, entry, key)[0] for key in shown
    )
    assert (style == style_map).all() and (composition == composition_map).all()
    assert (style != whole).mean() > 0.2 and (composition != style).mean() > 0.2


@pytest.mark.parametrize("name", demo_templates.NOT_SERVED)
def test_the_other_templates_name_the_files_they_need(demo_server, name):
    graph = demo_templates.template(demo_server, name)
    note = graph["nodes"][-1]
    assert note["type"] == "MarkdownNote"
    assert demo_templates.NOT_SERVED[name] in note["widgets_values"][0]
