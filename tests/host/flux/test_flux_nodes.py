"""The nodes around Apply IPAdapter on FLUX.1: watch, inspector and regions."""

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, FLUX

pytestmark = pytest.mark.host


@pytest.fixture
def both_kinds(model, apply_flux, apply_instantx):
    pooled = torch.randn(1, 1152, generator=torch.Generator().manual_seed(3))
    return apply_instantx(apply_flux(model), pooled)


@pytest.mark.parametrize(("number", "token_count"), [(1, 4), (2, 8)])
def test_a_watch_sees_the_image_alone_and_changes_nothing(
    flux, both_kinds, nodes_by_id, number, token_count
):
    node = nodes_by_id["WatchIPAdapterAttention"]
    watched, watch = node.execute(both_kinds, number, 0.0, 1.0, "").args
    assert torch.equal(flux.sample(watched), flux.sample(both_kinds))
    strength, *shares = watch.maps[0]
    assert len(shares) == token_count
    assert float(strength.max()) > 0
    torch.testing.assert_close(sum(shares), torch.ones_like(strength))


def test_the_inspector_weakens_adapters_of_both_kinds(flux, model, both_kinds, nodes_by_id):
    node = nodes_by_id["InspectIPAdapter"]
    muted, report = node.execute(both_kinds, "1: mute, 2: mute").args
    assert torch.equal(flux.sample(muted), flux.sample(model))
    assert "1. first.safetensors: weight 0, from 0 to 1, V only" in report
    assert "2. instantx.safetensors" in report


def test_regions_act_where_they_are(model, nodes_by_id, xlabs, embeds_of, second_block_input):
    halves = torch.zeros(2, 1, 4, 3)
    halves[0, :, :2], halves[1, :, 2:] = 1, 1
    node, regions = nodes_by_id["IPAdapterRegion"], {}
    for number, half in enumerate(halves):
        inputs = {"embeds": embeds_of(5 + number), "embeds_negative": embeds_of(0), "mask": half}
        output = node.execute(xlabs[0], weight=1.0, start_at=0.0, end_at=1.0, fit="crop", **inputs)
        regions[f"region{number}"] = output.args[0]
    apply = nodes_by_id["ApplyIPAdapterRegions"]
    both = second_block_input(apply.execute(model, regions, 0, "normalised").args[0])
    single = {"region0": regions["region0"]}
    first = second_block_input(apply.execute(model, single, 0, "normalised").args[0])
    torch.testing.assert_close(both[:, :6], first[:, :6], atol=FLUX, rtol=0)
    assert difference(both[:, 6:], first[:, 6:]) > EFFECT


@pytest.fixture
def embeds_of(pack):
    def run(seed):
        features = torch.randn(1, 768, generator=torch.Generator().manual_seed(seed))
        return pack.nodes.sockets.References.of(features, "image_embeds")

    return run
