"""Small real models and adapters for the host tests, made once."""

import functools
import hashlib
import importlib
import json
import tempfile
from pathlib import Path

import adapter_layouts
import comfy_host
import comfy_server
import make_flux
import make_models
import make_sd3
import pytest
import torch
from support import short_encoders, upgrading
from support.compare import NAMES, SIZE, difference
from support.encoders import SHALLOW_ENCODER, CountingEncoder
from support.graphs import ADAPTERS, serve_from
from support.model_files import save_server_models
from support.plus_formula import PlusSettings, patch_model
from support.tolerance import EFFECT


@pytest.fixture(scope="session")
def tiny(host):
    from support import tiny

    return tiny


@pytest.fixture(scope="session")
def models(tiny):
    """kind -> a small model of the real topology. Tests prove that nothing changes it."""
    return functools.cache(tiny.model)


@pytest.fixture(scope="session")
def adapters(pack, tiny):
    """(published name, seed) -> the adapter as Load IPAdapter opens it, with the small models'
    widths.
    """
    import comfy.ops
    from comfy.model_patcher import CoreModelPatcher

    @functools.lru_cache(maxsize=2)  # the largest has 0.7 GB
    def adapter(name: str, seed: int = 0):
        tensors = tiny.adapter_tensors(name, seed)
        module = pack.nodes.files.load.build(tensors, comfy.ops.manual_cast)
        patcher = CoreModelPatcher(module, torch.device("cpu"), torch.device("cpu"))
        lora = pack.nodes.files.load.read_lora(tensors, module.spec)
        return pack.nodes.sockets.LoadedAdapter(
            name=name, spec=module.spec, patcher=patcher, lora=lora
        ), tensors

    return adapter


@pytest.fixture
def apply(nodes_by_id, adapters, tiny):
    """(model, seed, settings) -> the model with a reference of that seed on it."""

    def run(model, kind="sd15", seed=5, name=None, count=1, **settings):
        adapter, _ = adapters(name or NAMES[kind])
        inputs = {
            "clip_vision_output": tiny.features(seed, count),
            "clip_vision_output_negative": tiny.features(seed + 1),
            "weight": 0.7,
        }
        return nodes_by_id["ApplyIPAdapter"].execute(model, adapter, **inputs | settings).args[0]

    return run


@pytest.fixture(scope="session")
def legacy(pack):
    return importlib.import_module(f"{pack.__name__}.nodes.legacy")


@pytest.fixture
def run_old(nodes_by_id):
    """Calls an old node as other packs do: id, inputs by name -> its outputs."""

    def run(node_id, **inputs):
        node = nodes_by_id[node_id]()
        return getattr(node, node.FUNCTION)(**inputs)

    return run


@pytest.fixture
def old_graphs(nodes_by_id):
    """(model, behaviour) -> the model behind IPAdapter Old Graphs."""
    node = nodes_by_id["IPAdapterOldGraphs"]
    return lambda model, behaviour: node.execute(model, behaviour).args[0]


@pytest.fixture
def by_formula(adapters):
    """(model, kind, positive, negative, settings) -> the model with IPAdapter_plus's formulas on
    it.
    """

    def run(model, kind, positive, negative, name=None, middle=False, **settings):
        adapter, tensors = adapters(name or NAMES[kind])
        tokens = tuple(adapter.patcher.model.project(side) for side in (positive, negative))
        return patch_model(model, kind, tensors, PlusSettings(tokens, **settings), middle)

    return run


@pytest.fixture(scope="session")
def upgraded(legacy):
    """A prompt with old nodes -> one with new nodes, and the report."""
    module = importlib.import_module(f"{legacy.__name__}.upgrade.prompt")
    return lambda prompt: module.upgraded(prompt, legacy.BY_ID)


@pytest.fixture(scope="session")
def every_node(nodes_by_id):
    """With the host's further nodes that upgraded graphs use."""
    options = {
        "nodes_images": {
            "ImageFromBatch": "ImageFromBatch",
            "RepeatImageBatch": "RepeatImageBatch",
        },
        "nodes_mask": {"ImageCompositeMasked": "ImageCompositeMasked"},
        "nodes_primitive": {"PrimitiveInt": "Int", "PrimitiveStringMultiline": "StringMultiline"},
    }
    result = {
        id: getattr(importlib.import_module(f"comfy_extras.{module}"), name)
        for module, names in options.items()
        for id, name in names.items()
    }
    return {**nodes_by_id, **result}


@pytest.fixture
def run_prompt(every_node, adapters, shallow):
    """(prompt, link) -> that output, called node by node; encoders are the shallow one."""
    return lambda prompt, link: upgrading.run(prompt, link, every_node, adapters, shallow)


@pytest.fixture
def check(every_node, run_prompt, legacy, upgraded, sample, record_property):
    """The upgraded graph has no old node and gives the same picture; -> its prompt, and the
    report.
    """
    understood = importlib.import_module(f"{legacy.__name__}.reading.prompts").read_prompt

    def check(old_prompt, last, kind="sd15", **settings):
        new_prompt, report = upgraded(old_prompt.prompt)
        lines = [change.describe() for change in report]
        assert not [each for each in lines if " stays" in each], lines
        for node in new_prompt.values():
            if node["class_type"] != "@":
                needed = every_node[node["class_type"]].INPUT_TYPES()["required"]
                assert set(needed) <= {name.partition(".")[0] for name in node["inputs"]}, node
        installed = understood(old_prompt.prompt, legacy.BY_ID, legacy.BY_ID, {})
        before, after = (run_prompt(prompt, last) for prompt in (installed, new_prompt))
        settings = {"steps": 2, "batch": 2} | settings
        first, second = (sample(model, kind, **settings) for model in (before, after))
        plain = sample(old_prompt.prompt["1"]["inputs"]["what"], kind, **settings)
        record_property("apart", difference(second, first))
        assert difference(second, first) < upgrading.SAME
        assert difference(first, plain) > EFFECT
        return new_prompt, lines

    return check


@pytest.fixture
def own_folders(host, monkeypatch, tmp_path):
    """Input, output and temporary folder of the test's own."""
    import folder_paths

    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


@pytest.fixture
def tower(tiny, models):
    from comfy.model_patcher import CoreModelPatcher

    cpu = torch.device("cpu")
    return CountingEncoder(tiny, CoreModelPatcher(torch.nn.Linear(1, 1), cpu, cpu))


@pytest.fixture
def sample(tiny):
    """Denoises with the host's KSampler at the odd size."""

    def run(model, kind="sd15", prompt=None, **settings):
        return tiny.sample(model, prompt or tiny.text(kind), **{"size": SIZE, **settings})

    return run


@pytest.fixture(scope="session")
def model_folder(host):
    """Model files with random weights, made once and kept in the cache."""
    modules = (adapter_layouts, make_models, make_flux, make_sd3, short_encoders)
    sources = [Path(module.__file__).read_text() for module in modules]
    recipe = "".join((*sources, repr(ADAPTERS)))
    folder = comfy_host.CACHE / f"test-models-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if not folder.exists():
        part = Path(tempfile.mkdtemp(prefix="making-", dir=comfy_host.CACHE))
        save_server_models(part)
        comfy_host.publish(part, folder)
    return folder


@pytest.fixture(scope="session")
def server(model_folder, tmp_path_factory):
    """A running ComfyUI with the pack and the counting pack, CPU only."""
    work = tmp_path_factory.mktemp("server")
    flags = serve_from(model_folder, work)
    with comfy_server.Server(comfy_host.prepare(), work, *flags) as server:
        yield server


@pytest.fixture(scope="session")
def shallow(host, tmp_path_factory):
    """The host's own encoder class at the widths of ViT-H, two layers deep, with random weights."""
    import comfy.clip_vision

    path = tmp_path_factory.mktemp("encoder") / "config.json"  # older hosts want a file
    path.write_text(json.dumps(SHALLOW_ENCODER))
    encoder = comfy.clip_vision.ClipVisionModel(str(path))
    make_models.fill(encoder.model, make_models.generator("old encoder", 1))
    encoder.model.float()
    return encoder


@pytest.fixture
def steps(host, monkeypatch):
    """What the host's progress bar was told: (done, of how many)."""
    import comfy.utils

    reports = []
    hook = lambda value, total, *_, **__: reports.append((value, total))  # noqa: E731
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_INTERVAL", 0.0, raising=False)
    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_PERCENT", 0.0, raising=False)
    return reports


@pytest.fixture(scope="module")
def chromium():
    """A headless browser for the tests of one file."""
    from playwright.sync_api import sync_playwright
    from support.page import launch

    with sync_playwright() as playwright:
        try:
            started = launch(playwright)
        except RuntimeError as reason:
            pytest.skip(str(reason))
        yield started
        started.close()


@pytest.fixture(scope="module", params=["classic", "vue"])
def opened(request, chromium, server):
    """The host's page in each of its renderers."""
    from support.page import Page

    page = Page(chromium, server, VueNodes_Enabled=request.param == "vue")
    yield page
    page.page.close()


@pytest.fixture
def page(opened):
    yield opened
    assert (opened.errors, opened.refused) == ([], [])


@pytest.fixture
def embeds(pack, adapters):
    """(name, seed, count) -> references as Encode IPAdapter Reference gives them."""

    def run(name="ip-adapter_sd15", seed=5, count=1, **options):
        spec = adapters(name)[0].spec
        width = spec.clip_input.width
        shape = (count, width) if spec.clip_input.name == "image_embeds" else (count, 257, width)
        features = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
        return pack.nodes.sockets.References.of(features, spec.clip_input.name, **options)

    return run


@pytest.fixture
def encode(pack):
    return pack.nodes.references.encode
