"""Every source of features: its axes, its encoder, and its way through an embeds file."""

import pytest
import torch

from ipadapter_core.adapter.encoders import EncoderSpec
from ipadapter_core.adapter.features import FeatureSpec, Source, encoder_of
from ipadapter_core.references.embeds import References
from ipadapter_core.references.embeds_file import from_file, to_file

TABLE = {  # shape of two features, their encoder, how it pooled them
    Source.CLIP_EMBEDS: ((2, 1024), "CLIP ViT-H/14", "class token, projected"),
    Source.CLIP_HIDDEN: ((2, 257, 1280), "CLIP ViT-H/14", "none"),
    Source.SIGLIP_POOLED: ((2, 1152), "SigLIP so400m/14-384", "pooling head"),
    Source.FACE_IDENTITY: ((2, 512), None, "none"),
}
ENCODERS = [EncoderSpec.of(32, 1280, 1024, 257), EncoderSpec.of(27, 1152, 0, 729)]


@pytest.mark.parametrize("source", Source)
def test_an_encoder_gives_its_own_features_alone(source):
    shape, encoder, _ = TABLE[source]
    assert source.axes == len(shape)
    assert encoder_of(source, shape) == encoder
    assert source.is_identity == (encoder is None)
    feature = FeatureSpec(
        name=source.value, source=source, width=shape[-1], encoder=encoder or "w600k_r50"
    )
    assert [spec.name for spec in ENCODERS if spec.gives(feature)] == ([encoder] if encoder else [])


@pytest.mark.parametrize("source", Source)
def test_an_embeds_file_names_the_encoder_and_keeps_the_features(source):
    shape, encoder, pooling = TABLE[source]
    features = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    tensors, metadata = to_file(References.of(features, source.value), None, "1")
    assert (metadata["encoder"], metadata["pooling"]) == (encoder or "unknown", pooling)
    positive, _ = from_file(tensors, metadata)
    assert torch.equal(positive.features[source.value], features)
