"""FLUX.1 with XLabs' adapters equals diffusers, loaded from the same files by its own loader."""

import make_flux
import pytest
from support.compare import difference
from support.tolerance import FLUX

pytestmark = pytest.mark.host
WEIGHT = 0.8  # of `apply_flux`


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_output_equals_diffusers(flux, model, apply_flux, flux_calls, xlabs, tiny, cfg):
    transformer = flux.twin(model)
    flux.load_adapters(transformer, [xlabs[1]], WEIGHT)
    sides = tuple(tiny.features(seed, projection=768).image_embeds for seed in (6, 5))
    for call in flux_calls(apply_flux(model), batch=2, cfg=cfg):
        assert difference(call.out, flux.diffusers_output(transformer, call, [sides])) <= FLUX


def test_several_adapters_act_as_in_diffusers(
    flux, model, apply_flux, flux_calls, xlabs, load_file, tiny
):
    second = load_file(make_flux.adapter_tensors(seed=1), "second")
    transformer = flux.twin(model)
    flux.load_adapters(transformer, [xlabs[1], second[1]], WEIGHT)
    changed = apply_flux(apply_flux(model), seed=8, adapter=second[0])
    sides = [
        tuple(tiny.features(seed + role, projection=768).image_embeds for role in (1, 0))
        for seed in (5, 8)
    ]
    for call in flux_calls(changed, cfg=3.0):
        assert difference(call.out, flux.diffusers_output(transformer, call, sides)) <= FLUX
