"""Old embeds become the new ones: the same picture, whole chains or nothing."""

import pytest
import torch
from support.compare import difference
from support.tolerance import SAMPLING
from support.upgrading import BASE, PLUS, XL, XL_PLUS, OldGraph, picture

pytestmark = pytest.mark.host
ADAPTERS = [("sd15", BASE), ("sd15", PLUS), ("sdxl", XL), ("sdxl", XL_PLUS)]
SETTINGS = {"weight": 0.8, "weight_type": "ease out", "start_at": 0.0, "end_at": 0.9}


def encoded(graph, image, weight=1.0):
    """Both outputs of the encoder of pictures."""
    link = graph.add(
        "IPAdapterEncoder",
        ipadapter=graph.adapter,
        clip_vision=graph.clip_vision,
        image=image,
        weight=weight,
    )
    return link, [link[0], 1]


@pytest.mark.parametrize(("kind", "file"), ADAPTERS)
@pytest.mark.parametrize("weight", [1.0, 0.6])
def test_a_reference_encoded_and_applied(models, shallow, check, kind, file, weight):
    graph = OldGraph(models(kind), shallow, file)
    positive, negative = encoded(graph, graph.constant(picture(1, 2)), weight)
    pair = {"pos_embed": positive, "neg_embed": negative}
    last = graph.add("IPAdapterEmbeds", **graph.all, **pair, **SETTINGS, embeds_scaling="K+V")
    check(graph, last, kind)


@pytest.mark.parametrize("file", [BASE, PLUS])
def test_without_a_negative_side_the_black_picture_is_there(models, shallow, check, file):
    graph = OldGraph(models("sd15"), shallow, file)
    recorded, _ = encoded(graph, graph.constant(picture(1)), 0.5)
    last = graph.add("IPAdapterEmbeds", **graph.all, pos_embed=recorded, **SETTINGS)
    check(graph, last)


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize(
    "method", ["concat", "add", "subtract", "average", "norm average", "max", "min"]
)
def test_references_combined(models, shallow, check, file, method):
    """Two encoders with their weights, combined on both sides, behind one of the new or old
    nodes.
    """
    graph = OldGraph(models("sd15"), shallow, file)
    first = encoded(graph, graph.constant(picture(1)), 0.7)
    second = encoded(graph, graph.constant(picture(2, 2)), 1.3)
    positive, negative = (
        graph.add("IPAdapterCombineEmbeds", embed1=each, embed2=another, method=method)
        for each, another in zip(first, second, strict=True)
    )
    pair = {"pos_embed": positive, "neg_embed": negative}
    masked = {"attn_mask": graph.constant(torch.rand(1, 31, 47))}
    last = graph.add("IPAdapterEmbeds", **graph.all, **pair, **SETTINGS, **masked)
    check(graph, last, size=(24, 16))


def test_combined_twice_and_against_another_picture(models, shallow, check):
    graph = OldGraph(models("sd15"), shallow, PLUS)
    pictures = [
        encoded(graph, graph.constant(picture(n)), w)[0] for n, w in ((1, 0.7), (2, 1), (3, 1.2))
    ]
    inner = graph.add(
        "IPAdapterCombineEmbeds", embed1=pictures[0], embed2=pictures[1], method="average"
    )
    outer = graph.add("IPAdapterCombineEmbeds", embed1=inner, embed3=pictures[2], method="concat")
    noise = graph.add("EmptyImage", width=40, height=30, batch_size=1, color=0x808080)
    against, _ = encoded(graph, noise, 0.9)
    last = graph.add("IPAdapterEmbeds", **graph.all, pos_embed=outer, neg_embed=against, **SETTINGS)
    check(graph, last)


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize("method", ["concat", "average"])
def test_a_reference_for_each_picture(models, shallow, check, file, method):
    graph = OldGraph(models("sd15"), shallow, file)
    first, second = (encoded(graph, graph.constant(picture(n)), 0.8 + 0.1 * n) for n in (1, 2))
    positive, negative = (
        graph.add("IPAdapterCombineEmbeds", embed1=a, embed2=b, method=method)
        for a, b in zip(first, second, strict=True)
    )
    pair = {"pos_embed": positive, "neg_embed": negative}
    last = graph.add("IPAdapterEmbedsBatch", **graph.all, **pair, **SETTINGS)
    check(graph, last, batch=3)


@pytest.mark.parametrize("file", [BASE, PLUS])
def test_embeds_of_a_file(models, shallow, check, own_folders, run_prompt, upgraded, file):
    """Files of IPAdapter_plus, one side and both, and what the new node saves in place of the old
    one.
    """
    graph = OldGraph(models("sd15"), shallow, file)
    positive, negative = encoded(graph, graph.constant(picture(1, 2)), 0.7)
    sides = [run_prompt(graph.prompt, link) for link in (positive, negative)]
    torch.save(sides[0], own_folders / "input" / "one.ipadpt")
    torch.save(
        torch.stack((sides[0], sides[1][:1].expand_as(sides[0]))),
        own_folders / "input" / "both.ipadpt",
    )
    for name in ("one", "both"):
        loading = OldGraph(models("sd15"), shallow, file)
        loaded = loading.add("IPAdapterLoadEmbeds", embeds=f"{name}.ipadpt")
        last = loading.add("IPAdapterEmbeds", **loading.all, pos_embed=loaded, **SETTINGS)
        check(loading, last)
        if name == "one" and file == PLUS:
            continue  # the old node then needs an installed encoder
        first = {name: loading.all[name] for name in ("model", "ipadapter")}
        last = loading.add("IPAdapterApplyEncoded", **first, embeds=loaded, weight=0.7)
        check(loading, last)
    saving = graph.add("IPAdapterSaveEmbeds", embeds=positive, filename_prefix="mine")
    new_prompt, _ = upgraded(graph.prompt)
    assert new_prompt[saving[0]]["class_type"] == "SaveIPAdapterEmbeds"
    with pytest.raises(IndexError):  # it gives nothing, and has saved its file
        run_prompt(new_prompt, saving)
    (output,) = (own_folders / "output").glob("mine*.safetensors")
    output.rename(own_folders / "input" / "mine.safetensors")
    for loader, name in (
        ("LoadIPAdapterEmbeds", "mine.safetensors"),
        ("LoadIPAdapterEmbeds", "one.ipadpt"),
    ):
        result = run_prompt({"1": {"class_type": loader, "inputs": {"file": name}}}, ["1", 0])
        assert difference(result.single_feature, sides[0]) < SAMPLING and set(result.weights) == {
            1.0
        }


@pytest.mark.parametrize(("file", "plus"), [(BASE, False), (PLUS, True)])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.8, 0.6)])
def test_the_first_encoder_with_several_pictures(models, shallow, check, file, plus, weights):
    """Pictures of different sizes, both sides stacked on one link, and a second encoder behind."""
    graph = OldGraph(models("sd15"), shallow, file)
    image = graph.add("EmptyImage", width=47, height=31, batch_size=1, color=0x4080C0)
    options = {
        "image_2": graph.constant(picture(2, 2, 61, 33)),
        "image_3": graph.constant(picture(3)),
    }
    inputs = {"clip_vision": graph.clip_vision, "ipadapter_plus": plus}
    first = graph.add(
        "IPAdapterEncoder",
        image_1=image,
        weight_1=weights[0],
        weight_2=weights[1],
        weight_3=1.0 if weights[0] == 1 else 0.4,
        **inputs,
        **options,
    )
    for unfold in (False, True):
        alone = {name: graph.all[name] for name in ("model", "ipadapter")}
        last = graph.add(
            "IPAdapterApplyEncoded",
            **alone,
            embeds=first,
            weight=0.7,
            weight_type="channel penalty",
            unfold_batch=unfold,
        )
        check(graph, last)
    second = graph.add(
        "IPAdapterEncoder", image_1=graph.constant(picture(4)), weight_1=0.9, **inputs
    )
    pair = graph.add("IPAdapterBatchEmbeds", embed1=first, embed2=second)
    last = graph.add("IPAdapterApplyEncoded", **alone, embeds=pair, weight=0.7)
    check(graph, last)


def test_a_chain_stays_whole_where_one_part_of_it_stays(models, shallow, upgraded):
    graph = OldGraph(None, shallow, PLUS)
    positive, negative = encoded(graph, graph.constant(picture(1)))
    graph.add("IPAdapterEmbeds", **graph.all, pos_embed=positive, neg_embed=negative, **SETTINGS)
    for stranger in ("SomeoneElsesNode", "IPAdapterEncoder"):
        second = OldGraph(None, shallow, PLUS)
        second.prompt = dict(graph.prompt)
        if stranger == "IPAdapterEncoder":  # masked: it stays, and all that is connected to it
            inputs = {**second.prompt[positive[0]]["inputs"], "mask": ["1", 0]}
            second.prompt[positive[0]] = {"class_type": "IPAdapterEncoder", "inputs": inputs}
        else:
            second.add(stranger, embeds=positive)
        new_prompt, report = upgraded(second.prompt)
        kinds = [node["class_type"] for node in new_prompt.values()]
        assert "IPAdapterEncoder" in kinds and "IPAdapterEmbeds" in kinds
        lines = " ".join(change.describe() for change in report)
        assert "to which it is connected, is not converted" in lines and "Loader" in lines


def test_how_many_negative_references_there_are_must_be_seen(models, shallow, upgraded):
    graph = OldGraph(None, shallow, PLUS)
    recorded, _ = encoded(graph, graph.constant(picture(1, 3)))
    against, _ = encoded(graph, graph.constant(picture(2, 2)))
    graph.add("IPAdapterEmbeds", **graph.all, pos_embed=recorded, neg_embed=against, **SETTINGS)
    _, report = upgraded(graph.prompt)
    assert any("the number of its negative references" in each.describe() for each in report)
