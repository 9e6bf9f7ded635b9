"""Regions, embeds, inspection and attention maps in the host's sampler and as files."""

import os
from dataclasses import replace

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, SAMPLING

pytestmark = pytest.mark.host


@pytest.fixture
def embeds(pack, adapters):
    """(name, seed, count) -> references as Encode IPAdapter Reference gives them."""

    def run(name="ip-adapter_sd15", seed=5, count=1, **more):
        spec = adapters(name)[0].spec
        width = spec.clip_input.width
        shape = (count, width) if spec.clip_input.name == "image_embeds" else (count, 257, width)
        features = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
        return pack.nodes.sockets.References.of(features, spec.clip_input.name, **more)

    return run


@pytest.fixture
def folders_of_its_own(host, tmp_path, monkeypatch):
    import folder_paths

    for kind in ("input", "output", "temp"):
        (tmp_path / kind).mkdir()
        monkeypatch.setattr(folder_paths, f"{kind}_directory", str(tmp_path / kind))
    return tmp_path


def apply_embeds(nodes_by_id, adapters, model, positive, name="ip-adapter_sd15", **settings):
    adapter, _ = adapters(name)
    return (
        nodes_by_id["ApplyIPAdapter"].execute(model, adapter, embeds=positive, **settings).args[0]
    )


def region(nodes_by_id, adapters, positive, mask=None, name="ip-adapter_sd15", weight=0.7, **more):
    adapter, _ = adapters(name)
    node = nodes_by_id["IPAdapterRegion"]
    return node.execute(adapter, weight, 0.0, 1.0, "crop", mask=mask, embeds=positive, **more).args[
        0
    ]


def regions(nodes_by_id, model, given, feather=0, overlap="normalised"):
    named = {f"region{number}": one for number, one in enumerate(given)}
    return nodes_by_id["ApplyIPAdapterRegions"].execute(model, named, feather, overlap).args[0]


@pytest.fixture
def halves():
    left = torch.zeros(1, 30, 40)
    left[:, :, :17] = 1
    return left, 1 - left


@pytest.mark.parametrize("feather", [0, 5])
def test_regions_that_partition_the_picture_with_one_reference_are_no_mask(
    nodes_by_id, adapters, models, embeds, sample, halves, feather
):
    model, positive = models("sd15"), embeds()
    parts = [region(nodes_by_id, adapters, positive, mask) for mask in halves]
    whole = apply_embeds(nodes_by_id, adapters, model, positive, weight=0.7)
    found = sample(regions(nodes_by_id, model, parts, feather))
    assert difference(found, sample(whole)) < SAMPLING


def test_each_region_has_its_own_adapter_weight_and_reference(
    nodes_by_id, adapters, models, embeds, sample, halves
):
    model = models("sd15")
    plus = "ip-adapter-plus_sd15"
    parts = [
        region(nodes_by_id, adapters, embeds(seed=5), halves[0], weight=0.4),
        region(
            nodes_by_id,
            adapters,
            embeds(plus, 6),
            halves[1],
            plus,
            embeds_negative=embeds(plus, 7),
        ),
    ]
    first = apply_embeds(
        nodes_by_id, adapters, model, embeds(seed=5), weight=0.4, attn_mask=halves[0]
    )
    both = apply_embeds(
        nodes_by_id,
        adapters,
        first,
        embeds(plus, 6),
        plus,
        weight=0.7,
        attn_mask=halves[1],
        embeds_negative=embeds(plus, 7),
    )
    assert difference(sample(regions(nodes_by_id, model, parts)), sample(both)) < SAMPLING


def test_outside_of_every_region_the_first_layer_is_untouched(
    nodes_by_id, adapters, models, embeds, tiny
):
    model, mask = models("sd15"), torch.zeros(1, 26, 18)
    mask[:, :12, :7] = 1
    part = region(nodes_by_id, adapters, embeds(), mask)
    seen = []
    for one in (model, regions(nodes_by_id, model, [part], feather=3)):
        watched = one.clone()
        outputs = []
        watched.set_model_attn2_output_patch(
            lambda out, extra, outputs=outputs: outputs.append(out.clone()) or out
        )
        tiny.sample(watched, tiny.text("sd15"), size=(26, 18), steps=1)
        seen.append(outputs[0].unflatten(1, (26, 18)))
    differs = (seen[0] != seen[1]).any(-1).any(0)
    assert not differs[13:].any()
    assert not differs[:, 8:].any()
    assert differs[:9, :4].all()


def test_tiles_of_a_picture_are_encoded_once(nodes_by_id, adapters, tower, folders_of_its_own):
    adapter, picture = adapters("ip-adapter_sd15")[0], torch.rand(1, 60, 150, 3)

    def tiles(image, weight, short_side=1):
        before = tower.runs
        node = nodes_by_id["IPAdapterTiles"]
        (one, two, *_), cut, _ = node.execute(
            adapter, weight, 0.0, 1.0, "crop", tower, image, short_side
        ).args
        assert torch.equal(cut[0], image[0, :, :60])
        assert (one.settings.weight, two.settings.weight) == (weight, weight)
        return tower.runs - before

    assert [tiles(picture, weight) for weight in (0.7, 0.3)] == [1, 0]
    assert tiles(picture.clone(), 0.3) == 1


@pytest.mark.parametrize("name", ["ip-adapter_sd15", "ip-adapter-plus_sd15"])
def test_saved_and_loaded_embeds_give_the_same_bits_without_encoder(
    nodes_by_id, adapters, models, embeds, sample, folders_of_its_own, name
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
    found = apply_embeds(nodes_by_id, adapters, model, positive, name, embeds_negative=negative)
    assert torch.equal(sample(found), expected)
    with pytest.raises(ValueError, match=r"needs CLIP ViT-.*'embeds' was encoded by"):
        other = "ip-adapter-plus_sd15" if name == "ip-adapter_sd15" else "ip-adapter_sd15"
        apply_embeds(nodes_by_id, adapters, model, positive, other)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_ipadpt_is_read_and_nothing_in_it_runs(nodes_by_id, folders_of_its_own, monkeypatch):
    monkeypatch.chdir(folders_of_its_own)
    node, features = nodes_by_id["LoadIPAdapterEmbeds"], torch.randn(2, 1024)
    torch.save(features, folders_of_its_own / "input" / "good.ipadpt")
    assert torch.equal(node.execute("good.ipadpt").args[0].single_feature, features)
    torch.save(Evil(), folders_of_its_own / "input" / "evil.ipadpt")
    with pytest.raises(ValueError, match=r"'evil.ipadpt' .* never run"):
        node.execute("evil.ipadpt")
    assert not (folders_of_its_own / "ran").exists()
    (folders_of_its_own / "input" / "cut.ipadpt").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(ValueError, match=r"'cut.ipadpt' is damaged"):
        node.execute("cut.ipadpt")


@pytest.mark.parametrize("name", ["../secret.ipadpt", "none.ipadpt", "picture.png"])
def test_only_embeds_below_input_and_output_are_opened(nodes_by_id, folders_of_its_own, name):
    torch.save(torch.randn(1, 8), folders_of_its_own / "secret.ipadpt")
    (folders_of_its_own / "input" / "picture.png").write_bytes(b"")
    assert "no embeds file" in nodes_by_id["LoadIPAdapterEmbeds"].validate_inputs(name)


def combined(nodes_by_id, given, method, projection="before"):
    named = {f"embeds{number}": one for number, one in enumerate(given)}
    return nodes_by_id["CombineIPAdapterEmbeds"].execute(named, method, projection).args[0]


def test_combined_embeds_are_one_reference(nodes_by_id, adapters, models, embeds, sample, pack):
    model, three = models("sd15"), [embeds(seed=seed) for seed in (5, 6, 7)]
    mean = torch.cat([one.single_feature for one in three]).mean(0, keepdim=True)
    expected = sample(
        apply_embeds(
            nodes_by_id, adapters, model, pack.nodes.sockets.References.of(mean, "image_embeds")
        )
    )

    def with_(made):
        return sample(apply_embeds(nodes_by_id, adapters, model, made))

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
    made, plain = (
        core.image_keys(module, one, embeds(seed=9), torch.float32, "cpu")
        for one in (weighted, embeds(count=2))
    )
    for (k, v), (key, value) in zip(made.layers(), plain.layers(), strict=True):
        assert torch.equal(k, key)
        torch.testing.assert_close(v[1, 4:], 0.25 * value[1, 4:])
        assert torch.equal(v[:, :4], value[:, :4])


def test_a_silent_negative_is_only_on_the_positive_side(
    nodes_by_id, adapters, models, embeds, sample, pack
):
    model = models("sd15")
    silent = replace(embeds(seed=9), silent=True)
    found = sample(apply_embeds(nodes_by_id, adapters, model, embeds(), embeds_negative=silent))
    plain = sample(apply_embeds(nodes_by_id, adapters, model, embeds()))
    assert difference(found, plain) > EFFECT
    for cfg, same in ((1.0, True), (5.0, False)):
        one = sample(
            apply_embeds(nodes_by_id, adapters, model, embeds(), embeds_negative=silent), cfg=cfg
        )
        other = sample(apply_embeds(nodes_by_id, adapters, model, embeds()), cfg=cfg)
        assert torch.equal(one, other) == same


def inspected(nodes_by_id, model, changes=""):
    return nodes_by_id["InspectIPAdapter"].execute(model, changes).args


def test_inspector_lists_and_changes_nothing(nodes_by_id, adapters, models, embeds):
    model = apply_embeds(
        nodes_by_id,
        adapters,
        models("sd15"),
        embeds(),
        weight=0.7,
        end_at=0.5,
        attn_mask=torch.ones(2, 30, 40),
    )
    model.set_model_attn2_patch(lambda n, context, value, extra: (n, context, value))
    same, report = inspected(nodes_by_id, model)
    assert same is model
    assert "1. ip-adapter_sd15: weight 0.7, from 0 to 0.5, 2 masks of 40 x 30, V only" in report
    assert "attn2_patch by" in report
    _, nothing = inspected(nodes_by_id, models("sd15"))
    assert "No adapter of this pack" in nothing


def test_inspector_changes_weights_mutes_and_reorders(
    nodes_by_id, adapters, models, embeds, sample
):
    model = models("sd15")

    def both(first, second):
        one = apply_embeds(nodes_by_id, adapters, model, embeds(seed=5), weight=first)
        return apply_embeds(nodes_by_id, adapters, one, embeds(seed=6), weight=second)

    given = both(0.8, 0.6)
    before = sample(given)
    changed, _ = inspected(nodes_by_id, given, "1: 0.5, 2: mute")
    assert difference(sample(changed), sample(both(0.4, 0.0))) < SAMPLING
    assert torch.equal(sample(given), before)
    turned, report = inspected(nodes_by_id, given, "order: 2 1")
    assert report.index("weight 0.6") < report.index("weight 0.8")
    assert difference(sample(turned), before) < SAMPLING


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("2: 0.5", "only the adapters 1 to 1"),
        ("1: loud", "'1: loud' at entry 1"),
        ("order: 3", "only"),
    ],
)
def test_inspector_says_what_is_wrong(nodes_by_id, adapters, models, embeds, changes, words):
    model = apply_embeds(nodes_by_id, adapters, models("sd15"), embeds())
    with pytest.raises(ValueError, match=words):
        inspected(nodes_by_id, model, changes)


def test_attention_maps_show_where_the_picture_acted(
    nodes_by_id, adapters, models, embeds, sample, halves
):
    model = apply_embeds(nodes_by_id, adapters, models("sd15"), embeds(), attn_mask=halves[0])
    watched, watch = nodes_by_id["WatchIPAdapterAttention"].execute(model, 1, 0.0, 0.6, "1, 9").args
    show = nodes_by_id["ShowIPAdapterAttention"]
    with pytest.raises(ValueError, match="nothing to show"):
        show.execute(watch, torch.zeros(1, 8, 8, 3), 2)
    assert torch.equal(sample(watched), sample(model))
    acted, *tokens = watch.maps[0]
    assert len(tokens) == 4
    torch.testing.assert_close(sum(tokens), torch.ones_like(acted))
    columns = acted.mean(0)
    assert columns[: len(columns) // 3].min() > 0
    assert not columns[len(columns) // 2 :].any()
    maps = show.execute(watch, torch.rand(1, 52, 36, 3), 2).args[0]
    assert maps.shape == (3, 52, 36, 3)
    with pytest.raises(ValueError, match="no block 16"):
        nodes_by_id["WatchIPAdapterAttention"].execute(model, 1, 0.0, 1.0, "16")


def test_grid_has_a_label_above_each_picture(nodes_by_id):
    node = nodes_by_id["LabelImageGrid"]
    pictures = {"image0": torch.full((2, 40, 30, 3), 0.5), "image1": torch.ones(1, 80, 60, 3)}
    grid = node.execute(pictures, "one\ntwo\nthree", 2).args[0]
    assert grid.shape == (1, 2 * (40 + 22), 60, 3)
    assert grid[0, 30, 10, 0] == pytest.approx(0.5, abs=0.01)
    assert (grid[0, 62 + 30, 10] == 1).all()
    with pytest.raises(ValueError, match="no pictures"):
        node.execute({}, "", 2)
