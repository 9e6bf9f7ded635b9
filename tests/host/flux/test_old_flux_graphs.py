"""Graphs of x-flux-comfyui and ComfyUI-IPAdapter-Flux: their files, and what their nodes become."""

import make_flux
import make_models
import pytest
from support.saved_graphs import Saved

pytestmark = pytest.mark.host


@pytest.fixture
def flux_files(host, tmp_path, monkeypatch):
    """Adapters of both kinds, in a folder of the test's own."""
    import folder_paths

    folder = [str(tmp_path)], folder_paths.supported_pt_extensions
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "ipadapter", folder)
    monkeypatch.delitem(folder_paths.filename_list_cache, "ipadapter", raising=False)
    make_models.save(tmp_path / "first.safetensors", make_flux.adapter_tensors())
    second = make_flux.adapter_tensors("flux-ip-adapter-v2")
    make_models.save(tmp_path / "second.safetensors", second)
    make_models.save(tmp_path / "third.bin", make_flux.instantx_tensors())
    return tmp_path


@pytest.mark.parametrize(
    ("node_id", "name", "expected"),
    [
        ("LoadFluxIPAdapter", "flux-ip-adapter.safetensors", "first.safetensors"),
        ("LoadFluxIPAdapter", "flux-ip-adapter-v2.safetensors", "second.safetensors"),
        ("LoadFluxIPAdapter", "ip_adapter.safetensors", "first.safetensors"),
        ("LoadFluxIPAdapter", "second.safetensors", "second.safetensors"),
        ("LoadFluxIPAdapter", "third.bin", "first.safetensors"),
        ("IPAdapterFluxLoader", "ip-adapter.bin", "third.bin"),
    ],
)
def test_a_file_is_found_by_what_it_holds(flux_files, legacy, node_id, name, expected):
    (find_adapter, *_) = legacy.BY_ID[node_id].FILES.values()
    assert find_adapter(name) == expected


def test_a_version_that_is_not_here_is_not_replaced_by_the_other(flux_files, legacy):
    (flux_files / "second.safetensors").unlink()
    with pytest.raises(ValueError, match=r"No file 'ip_adapter_v2.* get it from https://"):
        legacy.BY_ID["LoadFluxIPAdapter"].FILES["ipadatper"]("ip_adapter_v2.safetensors")


def test_the_first_name_of_shakker_labs_input_is_understood(legacy):
    node = {"class_type": "IPAdapterFluxLoader", "inputs": {"ipadatper": "ip-adapter.bin"}}
    read = legacy.reading.prompts.read_prompt({"1": node}, legacy.BY_ID, legacy.BY_ID, {})
    assert read["1"]["inputs"]["ipadapter"] == "ip-adapter.bin"


def xlabs_prompt(apply_inputs, kind="ApplyFluxIPAdapter", sampler="XlabsSampler"):
    files = {"ipadatper": "flux-ip-adapter.safetensors", "clip_vision": "model.safetensors"}
    links = {"model": ["m", 0], "ip_adapter_flux": ["l", 0], "image": ["i", 0]}
    return {
        "m": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.safetensors"}},
        "i": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "l": {"class_type": "LoadFluxIPAdapter", "inputs": {**files, "provider": "CPU"}},
        "a": {"class_type": kind, "inputs": links | apply_inputs},
        "s": {"class_type": sampler, "inputs": {"model": ["a", 0]}},
    }


@pytest.fixture
def becomes(upgraded):
    """A prompt -> the new apply node's inputs, all new nodes by class, and the report."""

    def run(prompt):
        new_prompt, report = upgraded(prompt)
        lines = [str(change.describe()) for change in report]
        assert not [line for line in lines if " stays" in line], lines
        nodes = {node["class_type"]: node["inputs"] for node in new_prompt.values()}
        return nodes["ApplyIPAdapter"], nodes, "\n".join(lines)

    return run


def test_xlabs_nodes_become_new_ones(flux_files, becomes):
    applied, nodes, report = becomes(xlabs_prompt({"ip_scale": 0.9}))
    assert nodes["LoadIPAdapter"] == {"ipadapter_file": "first.safetensors"}
    assert (applied["model"], applied["ipadapter"], applied["image"]) == (
        ["m", 0],
        ["l", 0],
        ["i", 0],
    )
    assert (applied["weight"], applied["clip_vision"]) == (0.9, ["a_encoder", 0])
    assert "Xlabs Sampler cannot run it: use KSampler with cfg 1 instead" in report
    _, _, report = becomes(xlabs_prompt({"ip_scale": 0.9}, sampler="KSampler"))
    assert "Xlabs" not in report


def test_the_strengths_of_blocks_become_a_weight_map(flux_files, becomes):
    strengths = {"begin_strength": 0.25, "end_strength": 1.0, "smothing_type": "Linear"}
    applied, nodes, _ = becomes(xlabs_prompt(strengths, "ApplyAdvancedFluxIPAdapter"))
    assert nodes["IPAdapterWeightMap"]["layers"] == "0:0.25, 1:1"
    assert (applied["weight"], applied["combine"]) == (1.0, "average")
    (flux_files / "first.safetensors").unlink()
    _, nodes, _ = becomes(xlabs_prompt(strengths, "ApplyAdvancedFluxIPAdapter"))
    entries = nodes["IPAdapterWeightMap"]["layers"].split(", ")
    assert (len(entries), entries[0], entries[-1]) == (19, "0:0.25", "18:1")


def test_a_mean_over_several_pictures_stays(flux_files, upgraded):
    prompt = xlabs_prompt({"ip_scale": 0.9})
    prompt["i"] = {"class_type": "EmptyImage", "inputs": {"batch_size": 2}}
    _, report = upgraded(prompt)
    assert [change.is_kept for change in report] == [True, True]
    assert "the mean of what each of its images does" in str(report[1].describe())


def test_shakker_labs_nodes_become_new_ones(flux_files, becomes):
    loader = {"ipadapter": "ip-adapter.bin", "clip_vision": "/models/siglip", "provider": "cuda"}
    links = {"model": ["m", 0], "ipadapter_flux": ["l", 0], "image": ["i", 0]}
    prompt = {
        "m": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.safetensors"}},
        "i": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "l": {"class_type": "IPAdapterFluxLoader", "inputs": loader},
        "a": {
            "class_type": "ApplyIPAdapterFlux",
            "inputs": {**links, "weight": 0.7, "start_percent": 0.1, "end_percent": 0.8},
        },
    }
    applied, nodes, _ = becomes(prompt)
    assert nodes["LoadIPAdapter"] == {"ipadapter_file": "third.bin"}
    settings = ("weight", "start_at", "end_at", "fit")
    assert [applied[name] for name in settings] == [0.7, 0.1, 0.8, "stretch"]
    assert applied["image"] == applied["image_negative"] == ["i", 0]
    prompt["i"] = {"class_type": "SomeBatch", "inputs": {}}
    applied, nodes, _ = becomes(prompt)
    assert nodes["ImageFromBatch"] == {"image": ["i", 0], "batch_index": 0, "length": 1}
    assert applied["image"] == applied["image_negative"] == ["a_first", 0]


def test_opening_a_graph_says_what_to_use_for_xlabs_sampler(legacy):
    graph = Saved()
    model = graph.add("UNETLoader", ["MODEL"], ["flux.safetensors", "default"])
    graph.add("XlabsSampler", ["latent"], model=(model, 0))
    open_graph = legacy.reading.open_graph.open_graph
    _, report = open_graph(graph.graph(), legacy.BY_ID, legacy.BY_ID, {})
    assert "use KSampler with cfg 1 instead" in "".join(map(str, report))
    theirs = {id: node for id, node in legacy.BY_ID.items() if "Flux" not in id}
    assert open_graph(graph.graph(), theirs, theirs, {})[1] == []
