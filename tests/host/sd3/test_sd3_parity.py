"""Stable Diffusion 3.5 with InstantX's adapter equals diffusers', loaded by its own loader."""

import make_models
import pytest
import torch
from support.compare import difference
from support.tolerance import LARGE_EFFECT, MODEL_CALL

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def transformer(sd3, model, tensors):
    """diffusers' model with the adapter, by its own loader."""
    transformer = sd3.twin(model)
    transformer._load_ip_adapter_weights(make_models.nested(tensors), low_cpu_mem_usage=False)
    for processor in transformer.attn_processors.values():
        processor.scale = sd3.WEIGHT
    return transformer.eval().requires_grad_(False)


def reference(transformer, call, positive, negative):
    """diffusers' output for the rows of a call."""
    x, timesteps, context, y, rows, _ = call
    count = len(x) // len(rows)
    sides = [negative if row == 1 else positive for row in rows]
    return transformer(
        hidden_states=x,
        encoder_hidden_states=context,
        pooled_projections=y,
        timestep=timesteps,
        return_dict=False,
        joint_attention_kwargs={
            "ip_adapter_image_embeds": torch.cat([side.repeat(count, 1, 1) for side in sides])
        },
    )[0]


def assert_same(result, expected):
    assert difference(result, expected) <= MODEL_CALL


def test_output_equals_diffusers(model, apply, model_calls, transformer, sd3):
    plain = [call[-1] for call in model_calls(model)]
    assert plain
    positive = sd3.features(5).penultimate_hidden_states
    for call, without in zip(model_calls(apply(model)), plain, strict=True):
        expected = reference(transformer, call, positive, torch.zeros_like(positive))
        assert_same(call[-1], expected)
        assert difference(call[-1], without) > LARGE_EFFECT


def test_two_references_and_their_negative_stand_side_by_side(
    model, apply, model_calls, transformer, sd3, monkeypatch
):
    positive = sd3.features(5, 2).penultimate_hidden_states
    project = transformer.image_proj.forward

    def project_both(embeds, timestep):
        first, time_embedding = project(embeds[:, 0], timestep)
        second, _ = project(embeds[:, 1], timestep)
        return torch.cat((first, second), 1), time_embedding

    monkeypatch.setattr(transformer.image_proj, "forward", project_both)
    calls = model_calls(apply(model, count=2), batch=2, steps=1)
    assert calls
    for call in calls:
        x, timesteps, context, y, rows, result = call
        sides = [torch.zeros_like(positive) if row == 1 else positive for row in rows]
        embeds = torch.stack([side for side in sides for _ in range(2)])
        expected = transformer(
            hidden_states=x,
            encoder_hidden_states=context,
            pooled_projections=y,
            timestep=timesteps,
            return_dict=False,
            joint_attention_kwargs={"ip_adapter_image_embeds": embeds},
        )[0]
        assert_same(result, expected)
