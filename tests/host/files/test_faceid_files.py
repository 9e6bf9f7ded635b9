"""FaceID files: LoRAs inside and beside them, and twins by SHA-256, name, and choice."""

import dataclasses
import hashlib

import make_models
import pytest
import torch

pytestmark = pytest.mark.host

FACEID, PLUS = "ip-adapter-faceid_sd15", "ip-adapter-faceid-plusv2_sd15"
UNNORM = "ip-adapter-faceid-portrait_sdxl_unnorm"
V1, V2, PORTRAIT, INSTANTID = "FaceID plus", "FaceID plus v2", "FaceID portrait unnorm", "InstantID"


@pytest.fixture
def opened(folders, nodes_by_id, tiny):
    """Saves an adapter under a name and opens it: the adapter, and what the node shows."""

    def run(published, name, variant="auto", **more):
        base = tiny.SMALL["sdxl" if "sdxl" in published else "sd15"]
        tensors = make_models.adapter_tensors(published, base, **more)
        make_models.save(folders["ipadapter"] / name, tensors)
        output = nodes_by_id["LoadIPAdapter"].execute(name, variant)
        return output.args[0], output.ui["text"]

    return run


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_the_lora_in_a_file_stays_out_of_the_adapter(opened, tiny, name):
    adapter, texts = opened(FACEID, name)
    assert texts[0] == "SD1.5 FaceID, 4 tokens, needs the face recogniser w600k_r50"
    assert "It includes a LoRA." in texts
    state = adapter.patcher.model.state_dict()
    assert state and not [key for key in state if "lora" in key]
    tensors = make_models.adapter_tensors(FACEID, tiny.SMALL["sd15"])
    assert len(adapter.lora) == len(adapter.spec.lora.targets) == 128
    for (attention, projection), pair in adapter.lora.items():
        key = f"ip_adapter.{attention}.to_{projection}_lora"
        assert torch.equal(pair.up, tensors[f"{key}.up.weight"])
        assert torch.equal(pair.down, tensors[f"{key}.down.weight"])


def test_an_adapter_without_a_lora_says_nothing_of_one(opened):
    adapter, texts = opened("ip-adapter-faceid-portrait_sd15", "a.bin")
    assert not adapter.lora and len(texts) == 1


def test_an_adapter_of_identities_alone_needs_no_encoder(opened, nodes_by_id):
    adapter, _ = opened(FACEID, "a.bin")
    output = nodes_by_id["LoadCLIPVision"].execute("auto", adapter)
    assert output.args == (None,)
    (text,) = output.ui["text"]
    assert text == (
        "'a.bin' needs no image encoder, only the face recogniser w600k_r50: nothing is loaded."
    )


@pytest.mark.parametrize(
    ("published", "name", "kind"),
    [
        (PLUS, "ip-adapter-faceid-plusv2_sd15.bin", V2),
        (PLUS, "IP Adapter FaceID-Plus_v2.safetensors", V2),
        (PLUS, "ip-adapter-faceid-plus_sd15.bin", V1),
        (UNNORM, "ip-adapter-faceid-portrait_sdxl_unnorm.bin", PORTRAIT),
        (UNNORM, "instantid/ip-adapter.bin", INSTANTID),
    ],
)
def test_a_name_tells_twins_apart(opened, published, name, kind):
    adapter, texts = opened(published, name)
    assert adapter.spec.kind == kind and not adapter.is_guess
    assert not [text for text in texts if "'variant'" in text]


@pytest.mark.parametrize(
    ("published", "kind", "other"), [(PLUS, V2, V1), (UNNORM, PORTRAIT, INSTANTID)]
)
def test_where_nothing_tells_the_node_says_what_it_might_be(opened, published, kind, other):
    adapter, texts = opened(published, "mine.bin")
    assert adapter.spec.kind == kind and adapter.is_guess
    assert f"may also be of the kind {other}" in texts[-1]
    chosen, texts = opened(published, "mine.bin", variant=other)
    assert chosen.spec.kind == other and not chosen.is_guess
    assert not [text for text in texts if "'variant'" in text]


def test_instantid_is_published_in_float32(opened):
    adapter, _ = opened(UNNORM, "ip-adapter.bin", dtype=torch.float32)
    assert adapter.spec.kind == INSTANTID and not adapter.is_guess


def test_a_choice_does_not_change_other_files(opened):
    adapter, _ = opened(FACEID, "a.bin", variant=V1)
    assert adapter.spec.kind == "FaceID"


def test_the_sha256_of_a_published_file_counts_more_than_its_name(
    opened, folders, pack, monkeypatch
):
    twins = pack.nodes.files.twins
    name = "ip-adapter-faceid-plusv2_sd15.bin"
    opened(PLUS, name)
    path = folders["ipadapter"] / name
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = [
        dataclasses.replace(row, size=status.st_size, size_is_exact=True, sha256=digest)
        for row in twins.load()
        if row.name == "ip-adapter-faceid-plus_sd15.bin"
    ]
    assert len(rows) == 1
    monkeypatch.setattr(twins, "load", lambda: rows)
    adapter, _ = opened(PLUS, name)
    assert adapter.spec.kind == V1
    chosen, _ = opened(PLUS, name, variant=V2)
    assert chosen.spec.kind == V2


def test_a_lora_that_is_no_numbers_is_damage(folders, load, tiny):
    tensors = make_models.adapter_tensors(FACEID, tiny.SMALL["sd15"])
    key = "ip_adapter.3.to_k_lora.up.weight"
    tensors[key] = tensors[key].to(torch.complex64)
    make_models.save(folders["ipadapter"] / "a.bin", tensors)
    with pytest.raises(ValueError, match=r"The adapter file 'a.bin'"):
        load("a.bin")


@pytest.fixture
def lora_folder(folders, tmp_path, monkeypatch):
    """An empty folder of LoRAs, and what saves the LoRA of an adapter there."""
    import comfy.lora
    import folder_paths

    (tmp_path / "loras").mkdir()
    where = ([str(tmp_path / "loras")], folder_paths.supported_pt_extensions)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", where)
    folder_paths.filename_list_cache.clear()

    def save(name, model, seed=1):
        source, tensors = make_models.generator("lora", seed), {}
        weights = model.model.state_dict()
        for key, weight in comfy.lora.model_lora_keys_unet(model.model, {}).items():
            if key.startswith("lora_unet_") and ("_attn1_to_" in key or "_attn2_to_" in key):
                rows, columns = weights[weight].shape
                for part, shape in (("down", (128, columns)), ("up", (rows, 128))):
                    tensors[f"{key}.lora_{part}.weight"] = torch.randn(shape, generator=source)
                tensors[f"{key}.alpha"] = torch.tensor(128.0)
        make_models.save(tmp_path / "loras" / name, tensors)
        return tensors

    yield save
    folder_paths.filename_list_cache.clear()


@pytest.fixture
def add_lora(pack):
    import importlib

    return importlib.import_module(f"{pack.__name__}.nodes.apply.lora").add_lora


def test_a_lora_of_its_own_serves_where_the_adapter_has_none(lora_folder, opened, models, add_lora):
    import comfy.sd

    model = models("sd15")
    adapter, _ = opened(FACEID, "a.bin")
    bare = dataclasses.replace(adapter, lora={})
    patched, (note,) = add_lora(model, bare, 1.0)
    assert patched is model
    assert "was trained with a LoRA, which is neither in its file nor in models/loras" in note
    tensors = lora_folder("mine.safetensors", model)
    lora_folder("faceid plusv2.safetensors", model, seed=2)  # of another adapter
    patched, notes = add_lora(model, bare, 0.7)
    expected, _ = comfy.sd.load_lora_for_models(model, None, tensors, 0.7, 0)
    assert not notes and len(patched.patches) == 128
    for name, ((strength, patch, *_),) in patched.patches.items():
        ((expected_strength, expected_patch, *_),) = expected.patches[name]
        assert strength == expected_strength
        for value, expected_value in zip(
            patch.weights[:2], expected_patch.weights[:2], strict=True
        ):
            assert torch.equal(value, expected_value)
    again, notes = add_lora(patched, bare, 0.7)
    assert again is patched and not notes
    loaded, (note,) = add_lora(expected, bare, 0.7)
    assert loaded is expected and "is already applied to this model with strength 0.7" in note
