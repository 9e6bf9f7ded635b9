"""What scripts/gpu-check does with FLUX.1 and SD3.5, here on the CPU at small sizes."""

import gpu_results
import gpu_transformers
import pytest
import torch
from flux_sd3_models import INSTANTX, SD35, SMALL, XLABS
from support.compare import difference
from support.tolerance import EFFECT

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def host_of_flux(pack):
    if problem := pack.nodes.sampling.flux.FluxLayout().host_problem():
        pytest.skip(problem)


def test_steps_of_each_adapter_are_measured(pack, capsys):
    gpu_transformers.measure(pack, "cpu", SMALL, steps=1)
    lines = capsys.readouterr().out.splitlines()
    for name, label in {XLABS: "ours", INSTANTX: "ours", SD35: "ours, timed"}.items():
        own_lines = [line for line in lines if line.startswith(f"{name}, ")]
        for measured in ("plain", "floor", label, f"{label}, mask"):
            (line,) = [line for line in own_lines if f", {measured}: peak" in line]
            assert line.endswith("0 synchronisations in 1 steps")
            assert measured == "plain" or any(f"step, {measured}: " in line for line in own_lines)
    assert sum("new timesteps, step, ours, timed: " in line for line in lines) == 1


def test_small_models_give_results_that_depend_on_the_mask(pack):
    results = gpu_results.transformer_results(pack)
    for name in ("flux XLabs", "flux InstantX", "sd35"):
        whole, masked = results[f"{name} whole"], results[f"{name} masked"]
        assert torch.isfinite(whole).all()
        assert difference(masked, whole) > EFFECT
    assert len(results) == 6
