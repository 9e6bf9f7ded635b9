"""Encoded references: saved, loaded, combined and applied."""

import os
from dataclasses import replace

import pytest
import torch
from support.compare import difference
from support.embeds import apply_embeds
from support.tolerance import EFFECT, SAMPLING

from ipadapter_core.adapter.features import Source

pytestmark = pytest.mark.host


@pytest.mark.parametrize("name", ["ip-adapter_sd15", "ip-adapter-plus_sd15"])
def test_saved_and_loaded_embeds_give_the_same_bits_without_encoder(
    nodes_by_id, adapters, models, embeds, sample, own_folders, name
):
    model = models("sd15")
    live = {"embeds_negative": embeds(name, 6)}
    expected = sample(apply_embeds(nodes_by_id, adapters, model, embeds(name), name, **live))
    saved = nodes_by_id["SaveIPAdapterEmbeds"].execute(
        embeds(name), "some/face", embeds(name, 6), torch.rand(1, 50, 70, 3)
    )
    (file,) = saved.ui["text"]
    node = nodes_by_id["LoadIPAdapterEmbeds"]
    assert f"{file} [output]" in node.INPUT_TYPES()["required"]["file"][1]["options"]
    assert node.validate_inputs(f"{file} [output]") is True
    positive, negative = node.execute(f"{file} [output]").args
    result = apply_embeds(nodes_by_id, adapters, model, positive, name, embeds_negative=negative)
    assert torch.equal(sample(result), expected)
    with pytest.raises(ValueError, match=r"needs CLIP ViT-.*'embeds' was encoded by"):
        second = "ip-adapter-plus_sd15" if name == "ip-adapter_sd15" else "ip-adapter_sd15"
        apply_embeds(nodes_by_id, adapters, model, positive, second)


def test_a_second_save_leaves_the_first_file_as_it_is(nodes_by_id, embeds, own_folders):
    """Also where the host takes a name for a free one, as older ones do with a dot behind."""
    saving = nodes_by_id["SaveIPAdapterEmbeds"]
    first, second = (
        saving.execute(embeds(seed=seed), "some/face").ui["text"][0] for seed in (5, 6)
    )
    assert (first, second) == ("some/face_00001_.safetensors", "some/face_00002_.safetensors")


def test_a_second_save_of_the_old_node_leaves_the_first_file(host, own_folders, monkeypatch):
    import folder_paths
    import nodes

    place = str(own_folders / "output"), "face", 1, "", "face"
    monkeypatch.setattr(folder_paths, "get_save_image_path", lambda *_: place)
    for value in (1.0, 2.0):
        node = nodes.NODE_CLASS_MAPPINGS["IPAdapterSaveEmbeds"]()
        node.save(torch.full((1, 1, 8), value), "face")
    saved = [torch.load(own_folders / "output" / f"face_0000{number}.ipadpt") for number in (1, 2)]
    assert [float(tensor.mean()) for tensor in saved] == [1.0, 2.0]


class Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_ipadpt_is_read_and_nothing_in_it_runs(nodes_by_id, own_folders, monkeypatch):
    monkeypatch.chdir(own_folders)
    node, features = nodes_by_id["LoadIPAdapterEmbeds"], torch.randn(2, 1024)
    torch.save(features, own_folders / "input" / "good.ipadpt")
    assert torch.equal(node.execute("good.ipadpt").args[0].single_feature, features)
    torch.save(Evil(), own_folders / "input" / "evil.ipadpt")
    with pytest.raises(ValueError, match=r"'evil.ipadpt' .* never run"):
        node.execute("evil.ipadpt")
    assert not (own_folders / "ran").exists()
    (own_folders / "input" / "cut.ipadpt").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(ValueError, match=r"'cut.ipadpt' is damaged"):
        node.execute("cut.ipadpt")


@pytest.mark.parametrize("name", ["../secret.ipadpt", "none.ipadpt", "picture.png"])
def test_only_embeds_below_input_and_output_are_opened(nodes_by_id, own_folders, name):
    torch.save(torch.randn(1, 8), own_folders / "secret.ipadpt")
    (own_folders / "input" / "picture.png").write_bytes(b"")
    assert "no embeds file" in nodes_by_id["LoadIPAdapterEmbeds"].validate_inputs(name)


def combined(nodes_by_id, references, method, projection="before"):
    by_name = {f"embeds{number}": each for number, each in enumerate(references)}
    return nodes_by_id["CombineIPAdapterEmbeds"].execute(by_name, method, projection).args[0]


def test_combined_embeds_are_one_reference(nodes_by_id, adapters, models, embeds, sample, pack):
    model, three = models("sd15"), [embeds(seed=seed) for seed in (5, 6, 7)]
    mean = torch.cat([each.single_feature for each in three]).mean(0, keepdim=True)
    expected = sample(
        apply_embeds(
            nodes_by_id, adapters, model, pack.nodes.sockets.References.of(mean, "image_embeds")
        )
    )

    def with_(result):
        return sample(apply_embeds(nodes_by_id, adapters, model, result))

    assert difference(with_(combined(nodes_by_id, three, "average")), expected) < SAMPLING
    after = with_(combined(nodes_by_id, three, "average", "after"))
    assert difference(after, expected) > EFFECT
    single = with_(combined(nodes_by_id, three[:1], "concat"))
    assert torch.equal(single, with_(three[0]))


def test_a_weight_of_0_in_concat_gives_the_value_no_say(pack, adapters, embeds):
    core = pack.nodes.apply.keys
    module = adapters("ip-adapter_sd15")[0].patcher.model
    weighted = embeds(count=2)
    weighted = replace(weighted, weights=(1.0, 0.25))
    result, plain = (
        core.image_keys(module, each, embeds(seed=9), torch.float32, "cpu")
        for each in (weighted, embeds(count=2))
    )
    layers = list(zip(result.layers(), plain.layers(), strict=True))
    assert len(layers) == 16
    for (k, v), (key, value) in layers:
        assert torch.equal(k, key)
        torch.testing.assert_close(v[1, 4:], 0.25 * value[1, 4:])
        assert torch.equal(v[:, :4], value[:, :4])


def test_a_silent_negative_is_only_on_the_positive_side(
    nodes_by_id, adapters, models, embeds, sample, pack
):
    model = models("sd15")
    silent = replace(embeds(seed=9), silent=True)
    result = sample(apply_embeds(nodes_by_id, adapters, model, embeds(), embeds_negative=silent))
    plain = sample(apply_embeds(nodes_by_id, adapters, model, embeds()))
    assert difference(result, plain) > EFFECT
    for cfg, same in ((1.0, True), (5.0, False)):
        first = sample(
            apply_embeds(nodes_by_id, adapters, model, embeds(), embeds_negative=silent), cfg=cfg
        )
        second = sample(apply_embeds(nodes_by_id, adapters, model, embeds()), cfg=cfg)
        assert torch.equal(first, second) == same


ENCODED = {  # references that an SD1.5 adapter does not take, and what their encoder is called
    "image_embeds": ((1, 1280), "CLIP ViT-bigG/14 for a base adapter"),
    "penultimate_hidden_states": ((1, 257, 1280), "CLIP ViT-H/14 for a plus or full-face adapter"),
    "siglip_pooled": ((1, 1152), "SigLIP so400m/14-384 for an InstantX adapter"),
    "face_identity": ((1, 512), "a face recogniser alone"),
}


@pytest.mark.parametrize("source", Source)
def test_embeds_of_every_other_source_are_refused_by_their_encoder(pack, adapters, source):
    shape, encoder = ENCODED[source.value]
    references = pack.nodes.sockets.References.of(torch.zeros(shape), source.value)
    adapter = adapters("ip-adapter_sd15")[0]
    with pytest.raises(ValueError, match=rf"needs .*, but 'embeds' was encoded by {encoder}: "):
        pack.nodes.references.pair.references_for(references, adapter, "embeds")
