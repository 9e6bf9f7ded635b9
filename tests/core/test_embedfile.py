"""Embeds files: what is written is read, and the three older contents of .ipadpt are understood."""

import pytest
import torch

from ipadapter_core.adapter.features import EMBEDS, HIDDEN
from ipadapter_core.messages import Predicate
from ipadapter_core.references.embeds import References
from ipadapter_core.references.embeds_file import from_file, from_ipadpt, to_file


def some(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("feature", "shape"), [(EMBEDS, (2, 1024)), (HIDDEN, (2, 257, 1280))])
def test_what_is_saved_is_read_bit_for_bit(feature, shape):
    positive = References(
        features={feature: some(*shape)},
        weights=(1.0, 0.3),
        method="slerp",
        projected=True,
        notes={"picture": "ab12"},
    )
    unconditional = References.of(some(*shape, seed=2)[:1], feature)
    tensors, metadata = to_file(
        positive, unconditional, "9.9.9", torch.zeros(3, 4, 3, dtype=torch.uint8)
    )
    assert metadata["encoder"] == "CLIP ViT-H/14"
    assert metadata["pack"] == "9.9.9"
    assert metadata["width"] == str(shape[-1])
    result, negative = from_file(tensors, metadata)
    assert torch.equal(result.single_feature, positive.single_feature)
    assert result.settings == positive.settings
    assert result.notes == positive.notes
    assert torch.equal(negative.single_feature, unconditional.single_feature)


def test_a_silent_negative_stays_silent():
    recorded = References.of(some(1, 1024), EMBEDS)
    silent = References.of(some(1, 1024), EMBEDS, silent=True)
    _, negative = from_file(*to_file(recorded, silent, "1"))
    assert negative.silent


POSITIVE, NEGATIVE = some(3, 1024), some(3, 1024, seed=2)
PATCHES, NO_PATCHES = some(1, 257, 1280), some(1, 257, 1280, seed=2)


@pytest.mark.parametrize(
    ("content", "feature", "expected", "expected_negative"),
    [
        (POSITIVE, EMBEDS, POSITIVE, None),
        (POSITIVE.half(), EMBEDS, POSITIVE.half().float(), None),
        (PATCHES, HIDDEN, PATCHES, None),
        (torch.stack((POSITIVE, NEGATIVE)), EMBEDS, POSITIVE, NEGATIVE),
        (torch.stack((PATCHES, NO_PATCHES)), HIDDEN, PATCHES, NO_PATCHES),
        ([torch.stack((NEGATIVE, POSITIVE))], EMBEDS, POSITIVE, NEGATIVE),
        ([torch.cat((NEGATIVE[:1], POSITIVE[:1]))[:, None]], EMBEDS, POSITIVE[:1], NEGATIVE[:1]),
        ([torch.cat((NO_PATCHES, PATCHES))[:, None]], HIDDEN, PATCHES, NO_PATCHES),
    ],
    ids=[
        "plain",
        "half",
        "patches",
        "stacked",
        "stacked patches",
        "list",
        "list 2",
        "list patches",
    ],
)
def test_every_ipadpt_in_circulation_is_read(content, feature, expected, expected_negative):
    result, negative = from_ipadpt(content)
    assert list(result.features) == [feature]
    assert torch.equal(result.single_feature, expected)
    assert (negative is None) == (expected_negative is None)
    assert expected_negative is None or torch.equal(negative.single_feature, expected_negative)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "holds a dict"),
        ([], "holds no tensor"),
        (torch.zeros(0, 1024), "empty"),
        (torch.full((1, 1024), torch.nan), "NaN"),
        (torch.zeros(5), "not the output of an image encoder"),
        (torch.ones(1, 1024, dtype=torch.int64), "not numbers"),
    ],
)
def test_what_is_no_embeds_is_refused(content, words):
    with pytest.raises(ValueError, match=words):
        from_ipadpt(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "no embeds of this pack"),
        ({"feature": "x"}, "not the output of an image encoder"),
        ({"weights": "[1, 2]"}, "2 weights for 1 references"),
        ({"weights": "{"}, "cannot be read"),
        ({"method": "sum"}, "unknown method 'sum'"),
    ],
)
def test_metadata_is_checked(change, words):
    tensors, metadata = to_file(References.of(some(1, 1024), EMBEDS), None, "1")
    with pytest.raises(ValueError, match=words):
        from_file(tensors, metadata | change)


def test_several_features_of_a_reference_are_read_bit_for_bit():
    """As an adapter takes them that reads embeds and patches."""
    positive = References({EMBEDS: some(2, 1024), HIDDEN: some(2, 257, 1280)}, (1.0, 0.3))
    negative = References.of(some(1, 1024, seed=2), EMBEDS)
    negative = References({**negative.features, HIDDEN: some(1, 257, 1280, seed=3)}, (1.0,))
    tensors, metadata = to_file(positive, negative, "1")
    assert metadata["version"] == "2" and metadata["feature"] == EMBEDS
    for stored, read in zip((positive, negative), from_file(tensors, metadata), strict=True):
        assert list(read.features) == [EMBEDS, HIDDEN] and read.settings == stored.settings
        for name, tensor in stored.features.items():
            assert torch.equal(read.features[name], tensor)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"features": "[]"}, "list of features cannot be read"),
        ({"features": "{"}, "list of features cannot be read"),
        ({"features": '["image_embeds", "a"]'}, "holds no embeds of this pack"),
    ],
)
def test_damaged_metadata_of_several_features_is_told(change, sentence):
    positive = References({EMBEDS: some(2, 1024), HIDDEN: some(2, 257, 1280)}, (1.0, 0.3))
    tensors, metadata = to_file(positive, None, "1")
    with pytest.raises(Predicate, match=sentence):
        from_file(tensors, {**metadata, **change})


def test_features_of_different_numbers_of_references_are_told():
    tensors, metadata = to_file(
        References({EMBEDS: some(2, 1024), HIDDEN: some(2, 257, 1280)}, (1.0, 0.3)), None, "1"
    )
    tensors[f"positive.{HIDDEN}"] = some(3, 257, 1280)
    with pytest.raises(Predicate, match="different numbers of references"):
        from_file(tensors, metadata)
