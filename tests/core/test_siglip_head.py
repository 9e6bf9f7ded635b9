"""SigLIP's pooling head equals that of transformers."""

import pytest
import torch
from support.tolerance import ENCODING
from transformers import SiglipVisionConfig, SiglipVisionModel

from ipadapter_core.references.siglip_head import HEAD_PREFIX, has_head, pool_tokens


@pytest.fixture(scope="module")
def siglip():
    config = SiglipVisionConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=56,
        patch_size=14,
    )
    torch.manual_seed(0)
    return SiglipVisionModel(config).eval()


def file_of(siglip):
    """As published: transformers' own names may lack the outermost one."""
    weights = siglip.state_dict()
    return {f"vision_model.{key.removeprefix('vision_model.')}": weights[key] for key in weights}


def test_the_head_gives_the_pooled_output_of_transformers(siglip):
    pixels = torch.randn(3, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = siglip(pixels)
    weights = file_of(siglip)
    head = {
        key.removeprefix(HEAD_PREFIX): value
        for key, value in weights.items()
        if key.startswith(HEAD_PREFIX)
    }
    result = pool_tokens(expected.last_hidden_state, head, head_count=4)
    assert float(expected.pooler_output.abs().max()) > 0.1
    torch.testing.assert_close(result, expected.pooler_output, atol=ENCODING, rtol=0)


def test_a_file_has_a_head_of_its_own_size(siglip):
    weights = file_of(siglip)
    assert has_head(weights, 64, 16)
    assert not has_head(weights, 64, 729)
    assert not has_head(weights, 1152, 16)
    del weights[f"{HEAD_PREFIX}probe"]
    assert not has_head(weights, 64, 16)
