"""The nodes around Apply IPAdapter on SD3.5: watch, attention maps and inspector."""

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, SAMPLING

pytestmark = pytest.mark.host


@pytest.fixture
def watch(nodes_by_id):
    def run(model, layers=""):
        return nodes_by_id["WatchIPAdapterAttention"].execute(model, 1, 0.0, 1.0, layers).args

    return run


def test_a_watch_sees_the_references_tokens_and_changes_nothing(
    model, apply, sd3, watch, nodes_by_id
):
    patched = apply(model)
    watched, recorded = watch(patched)
    assert torch.equal(sd3.sample(watched), sd3.sample(patched))
    strength, *shares = recorded.maps[0]
    assert len(shares) == 64
    assert float(strength.min()) > 0
    torch.testing.assert_close(sum(shares), torch.ones_like(strength))
    show = nodes_by_id["ShowIPAdapterAttention"]
    assert show.execute(recorded, torch.rand(1, 40, 60, 3), 2).args[0].shape == (3, 40, 60, 3)


def test_a_watch_looks_at_its_blocks_and_sees_masks(model, apply, sd3, watch):
    left = torch.zeros(1, 4, 6)
    left[:, :, :3] = 1
    maps = []
    for layers in ("0", "1"):
        watched, recorded = watch(apply(model, attn_mask=left), layers)
        sd3.sample(watched)
        maps.append(recorded.maps[0])
        columns = recorded.maps[0, 0].mean(0)
        assert columns[: len(columns) // 3].min() > 0
        assert not columns[2 * len(columns) // 3 :].any()
    assert difference(*maps) > EFFECT
    with pytest.raises(ValueError, match=f"no block {sd3.BLOCKS}"):
        watch(apply(model), str(sd3.BLOCKS))


def test_the_inspector_lists_weakens_mutes_and_reorders(model, apply, sd3, nodes_by_id):
    node, both = nodes_by_id["InspectIPAdapter"], apply(apply(model, seed=8, weight=0.4))
    same, report = node.execute(both, "").args
    assert same is both
    assert "1. sd3.bin: weight 0.4, from 0 to 1" in report
    assert "2. sd3.bin: weight 0.7, from 0 to 1" in report
    muted, _ = node.execute(both, "1: mute, 2: mute").args
    assert torch.equal(sd3.sample(muted), sd3.sample(model))
    weaker, _ = node.execute(both, "1: 0.5, 2: mute").args
    assert difference(sd3.sample(weaker), sd3.sample(apply(model, seed=8, weight=0.2))) < SAMPLING
    rotated, report = node.execute(both, "order: 2 1").args
    assert report.index("weight 0.7") < report.index("weight 0.4")
    assert difference(sd3.sample(rotated), sd3.sample(both)) < SAMPLING
