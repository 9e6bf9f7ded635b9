"""Image Prompt: what it decides, and the same result as the full nodes over HTTP."""

import pytest
from adapter_layouts import Base
from make_models import adapter_tensors
from support.graphs import failure, graph, node, pictures

pytestmark = pytest.mark.host
SMALL = Base(768, (8,) * 16)
PUBLISHED = [
    "ip-adapter_sd15",
    "ip-adapter-plus_sd15",
    "ip-adapter-plus-face_sd15",
    "ip-adapter-full-face_sd15",
    "ip-adapter-faceid_sd15",
    "ip-adapter-faceid-plusv2_sd15",
]


@pytest.fixture(scope="module")
def table(pack):
    return pack.ipadapter_core.doctor.model_table.load()


@pytest.fixture(scope="module")
def installed(pack, table):
    """Published name -> that adapter as the node finds it, with its encoder or without."""
    read_spec = pack.ipadapter_core.adapter.checkpoint.read_spec
    specs = {name: read_spec(adapter_tensors(name, SMALL)) for name in PUBLISHED}
    specs["ip_plus_composition_sd15"] = specs["ip-adapter-plus_sd15"]
    rows = {row.name.rpartition(".")[0]: row for row in table}

    def run(*names, has_encoder=True):
        kind = pack.nodes.apply.plan.InstalledAdapter
        return [kind(name, specs[name], has_encoder, rows[name]) for name in names]

    return run


@pytest.fixture(scope="module")
def decide(pack, table):
    module = pack.nodes.apply.plan

    def run(adapters, task, strength="balanced"):
        request = module.Request(task, strength, module.Strength(0.33, 0.1, 0.9))
        plan = module.plan_inputs(request, "SD1.5", adapters, table, lambda *_: [])
        return plan.ipadapter_file, plan.task, tuple(plan.strength)

    return run


@pytest.mark.parametrize(
    ("task", "adapter", "layer_task", "strength"),
    [
        ("whole image", "ip-adapter-plus_sd15", "whole image", (0.7, 0, 1)),
        ("style", "ip-adapter-plus_sd15", "style", (1.0, 0, 1)),
        ("composition", "ip_plus_composition_sd15", "whole image", (1.0, 0, 0.7)),
        ("style and composition", "ip-adapter-plus_sd15", "style and composition", (1.0, 0, 1)),
        ("subject", "ip-adapter-plus_sd15", "subject", (1.0, 0, 1)),
        ("face", "ip-adapter-plus-face_sd15", "whole image", (0.7, 0, 1)),
        ("face identity", "ip-adapter-faceid-plusv2_sd15", "whole image", (0.8, 0, 1)),
    ],
)
def test_each_task_has_its_adapter_layers_and_strength(
    installed, decide, task, adapter, layer_task, strength
):
    adapters = installed(*PUBLISHED, "ip_plus_composition_sd15")
    assert decide(adapters, task) == (adapter, layer_task, strength)
    assert decide(adapters[::-1], task) == (adapter, layer_task, strength)
    assert decide(adapters, task, "custom")[2] == (0.33, 0.1, 0.9)
    weights = [decide(adapters, task, name)[2][0] for name in ("subtle", "balanced", "strong")]
    assert weights == sorted(set(weights))


def test_without_the_best_adapter_the_next_one_is_taken(installed, decide):
    base = installed("ip-adapter_sd15")
    assert decide(base, "composition") == ("ip-adapter_sd15", "composition", (1.2, 0, 0.7))
    assert decide(base, "whole image", "subtle") == (
        "ip-adapter_sd15",
        "whole image",
        (0.48, 0, 0.8),
    )
    plus = installed("ip-adapter-plus_sd15", has_encoder=False)
    assert decide(base + plus, "style")[0] == "ip-adapter_sd15"


def test_what_is_missing_is_said_with_its_link_and_folder(installed, decide):
    base = installed("ip-adapter_sd15")
    site = "https://huggingface.co/"
    with pytest.raises(
        ValueError,
        match="no adapter for the task 'face' and SD1.5 in models/ipadapter; 'ip-adapter_sd15' is "
        "for the task 'whole image'; the published one is ip-adapter-plus-face_sd15.safetensors "
        rf"\({site}\S+\): put it there, or download it with",
    ):
        decide(base, "face")
    with pytest.raises(
        ValueError,
        match="uses 'ip-adapter_sd15', which needs CLIP ViT-H/14, but that is not in "
        rf"models/clip_vision: put CLIP-ViT-H\S+ \({site}\S+\) there",
    ):
        decide(installed("ip-adapter_sd15", has_encoder=False), "style")


def image_prompt(**settings):
    """The graph of the full nodes with Image Prompt in their place."""
    prompt = graph("sub folder/b.bin")
    del prompt["adapter"], prompt["encoder"]
    links = {"model": ["ckpt", 0], "image": ["picture", 0]}
    words = {"task": "whole image", "strength": "balanced"}
    prompt["apply"] = node("ImagePrompt", **links | words | settings)
    return prompt


@pytest.mark.http
@pytest.mark.parametrize(
    ("settings", "adapter", "full"),
    [
        ({"strength": "subtle"}, "sub folder/b.bin", {"weight": 0.4, "end_at": 0.8}),
        ({"task": "style"}, "sub folder/b.bin", {"weight": 1.0, "task": "style"}),
        ({"task": "face"}, "c.safetensors", {"weight": 0.7}),
    ],
    ids=["whole image", "style", "face"],
)
def test_the_full_nodes_give_the_same(server, settings, adapter, full):
    entry = server.run(image_prompt(**settings))
    (result,) = pictures(server, entry)
    (expected,) = pictures(server, server.run(graph(adapter, **full)))
    assert (result == expected).all()
    texts = entry["outputs"]["apply"]["text"]
    assert any(text.startswith("some/model.safetensors: a vision encoder") for text in texts)
    assert any(text.startswith(f"{adapter}: SD1.5 ") for text in texts)
    assert pictures(server, entry, "apply")[0].shape == (224, 224, 3)


@pytest.mark.http
def test_a_new_strength_encodes_and_opens_nothing_again(server):
    (first,) = pictures(server, server.run(image_prompt()))
    before = server.get("/test/encoder_runs")
    mask = {"mask": node("SolidMask", value=0.5, width=40, height=24)}
    changes = ({"strength": "strong"}, {"task": "style"}, {"attn_mask": ["mask", 0]})
    for change in changes:
        prompt = image_prompt(**change) | (mask if "attn_mask" in change else {})
        (result,) = pictures(server, server.run(prompt))
        assert (result != first).any()
    assert server.get("/test/encoder_runs") == before


@pytest.mark.http
def test_a_missing_adapter_is_said_with_its_link(server):
    node_type, message = failure(server.run(image_prompt(task="face identity")))
    assert node_type == "ImagePrompt"
    assert "no adapter for the task 'face identity' and SD1.5 in models/ipadapter" in message
    assert "https://huggingface.co/h94/IP-Adapter-FaceID/" in message
