"""The nodes that show what an adapter does: the inspector, attention maps and the grid."""

import pytest
import torch
from support.compare import difference
from support.embeds import apply_embeds
from support.tolerance import SAMPLING

pytestmark = pytest.mark.host


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
        once_applied = apply_embeds(nodes_by_id, adapters, model, embeds(seed=5), weight=first)
        return apply_embeds(nodes_by_id, adapters, once_applied, embeds(seed=6), weight=second)

    inputs = both(0.8, 0.6)
    before = sample(inputs)
    changed, _ = inspected(nodes_by_id, inputs, "1: 0.5, 2: mute")
    assert difference(sample(changed), sample(both(0.4, 0.0))) < SAMPLING
    assert torch.equal(sample(inputs), before)
    rotated, report = inspected(nodes_by_id, inputs, "order: 2 1")
    assert report.index("weight 0.6") < report.index("weight 0.8")
    assert difference(sample(rotated), before) < SAMPLING


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("2: 0.5", "only the adapters 1 to 1"),
        ("1: loud", "'1: loud' at entry 1"),
        ("order: 3", "only"),
        ("1: nan", "'1: nan' at entry 1"),
        ("1: inf", "'1: inf' at entry 1"),
        ("1: -infinity", "'1: -infinity' at entry 1"),
        ("1: 1e300", "'1: 1e300' at entry 1"),
        ("1: 1e5", "'1: 1e5' at entry 1"),
        ("1: " + "9" * 5000, "'1: 9+.*' at entry 1"),
        ("9" * 5000 + ": 0.5", "at entry 1: write a number"),
        (f"{10**18}: 0.5", "only the adapters 1 to 1"),
        ("order: " + "1 " * 3000, "only the adapters 1 to 1"),
        ("nan: 0.5", "'nan: 0.5' at entry 1"),
    ],
)
def test_inspector_says_what_is_wrong(nodes_by_id, adapters, models, embeds, changes, words):
    model = apply_embeds(nodes_by_id, adapters, models("sd15"), embeds())
    with pytest.raises(ValueError, match=words) as error:
        inspected(nodes_by_id, model, changes)
    assert len(str(error.value)) < 400


def test_attention_maps_show_where_the_picture_acted(nodes_by_id, adapters, models, embeds, sample):
    left = torch.zeros(1, 30, 40)
    left[:, :, :17] = 1
    model = apply_embeds(nodes_by_id, adapters, models("sd15"), embeds(), attn_mask=left)
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
    pictures = {"image0": torch.full((2, 40, 60, 3), 0.5), "image1": torch.ones(1, 80, 120, 3)}
    grid = node.execute(pictures, "one\ntwo\nthree", 2).args[0]
    assert grid.shape == (1, 2 * (40 + 22), 120, 3)
    assert grid[0, 30, 10, 0] == pytest.approx(0.5, abs=0.01)
    assert (grid[0, 62 + 30, 10] == 1).all()
    with pytest.raises(ValueError, match="no images"):
        node.execute({}, "", 2)


def test_a_long_label_is_read_whole_beside_its_neighbour(nodes_by_id):
    """Small pictures of adapters with long names: a label was drawn over by the next."""
    name = "ip-adapter-plus-face_sdxl_vit-h.safetensors"
    draw = nodes_by_id["LabelImageGrid"].execute
    single = draw({"image0": torch.ones(1, 40, 600, 3)}, name, 1).args[0]
    is_written = single[0, :22].sum(-1).amax(0) > single[0, 0, 0].sum()
    text_width = int(is_written.nonzero().max()) + 1
    both = draw({"image0": torch.ones(2, 40, 30, 3)}, f"{name}\n{name}", 2).args[0]
    column_width = both.shape[2] // 2
    assert text_width <= column_width < 600
    for x in (0, column_width):
        assert (both[0, :22, x : x + text_width] == single[0, :22, :text_width]).all()
