"""IPAdapter References: the same as one Encode IPAdapter Reference for each picture, combined."""

import pytest
import torch

pytestmark = pytest.mark.host
WEIGHTS = (1.0, 0.5, 1.0)


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(3)
    sizes = ((1, 40, 40), (2, 30, 50), (1, 64, 32))
    return [torch.rand(*size, 3, generator=generator) for size in sizes]


@pytest.fixture
def references(nodes_by_id, adapters, tower):
    def run(pictures, weights="", method="concat", name="ip-adapter_sd15", encoder=tower):
        images = {f"image{number}": picture for number, picture in enumerate(pictures)}
        node = nodes_by_id["IPAdapterReferences"]
        return node.execute(adapters(name)[0], images, weights, method, encoder).args

    return run


@pytest.mark.parametrize("method", ["concat", "weighted"])
@pytest.mark.parametrize("name", ["ip-adapter-plus_sd15", "ip-adapter_sd15"])
def test_it_is_encode_and_combine_in_one(
    nodes_by_id, adapters, shallow, pictures, references, method, name
):
    encode, combine = (
        nodes_by_id[node] for node in ("EncodeIPAdapterReference", "CombineIPAdapterEmbeds")
    )
    encoded = [
        encode.execute(adapters(name)[0], shallow, picture, weight, "crop").args
        for picture, weight in zip(pictures, WEIGHTS, strict=True)
    ]
    parts = {f"embeds{number}": part for number, (part, _) in enumerate(encoded)}
    expected = combine.execute(parts, method, "before").args[0]
    embeds, negative = references(pictures, "1, 0.5", method, name, shallow)
    assert embeds.settings == expected.settings
    assert embeds.weights == (1.0, 0.5, 0.5, 1.0)
    for feature, tensor in expected.features.items():
        assert torch.equal(embeds.features[feature], tensor)
    for feature, tensor in encoded[0][1].features.items():
        assert torch.equal(negative.features[feature], tensor)


def test_another_weight_encodes_nothing_again(tower, pictures, references):
    references(pictures, "1, 0.5")
    runs = tower.runs
    assert runs
    references(pictures, "0.2, 0.7, 0.1")
    assert tower.runs == runs


def test_wrong_weights_and_no_picture_are_said(pictures, references):
    with pytest.raises(ValueError, match="'weights' has 4 numbers for 3 images"):
        references(pictures, "1, 1, 1, 1")
    with pytest.raises(ValueError, match="has no image: connect at least one to 'image0'"):
        references([])
    with pytest.raises(ValueError, match="IPAdapter References's 'weights' has"):
        references(pictures, "1, x")
