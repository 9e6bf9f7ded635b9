"""Noise pictures: seeded, bounded, and without effect at strength 0."""

import pytest
import torch

from ipadapter_core.references.noise import NOISES, noisy

PICTURE = torch.rand(1, 13, 17, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", NOISES)
def test_the_same_seed_gives_the_same_noise_and_leaves_the_global_generator(kind):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, same, second = (noisy(PICTURE, kind, 0.5, seed) for seed in (4, 4, 5))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, same)
    assert not torch.equal(first, second)
    assert first.shape == PICTURE.shape
    assert 0 <= first.min() <= first.max() <= 1


@pytest.mark.parametrize("kind", ["fade", "dissolve", "gaussian"])
def test_strength_0_is_the_picture(kind):
    assert torch.equal(noisy(PICTURE, kind, 0.0, 4), PICTURE)


def test_full_strength_forgets_the_picture():
    for kind in ("fade", "dissolve"):
        assert torch.equal(noisy(PICTURE, kind, 1.0, 4), noisy(1 - PICTURE, kind, 1.0, 4))


def test_blur_keeps_a_flat_picture():
    flat = torch.full((1, 9, 11, 3), 0.25)
    torch.testing.assert_close(noisy(flat, "fade", 0.0, 0, blur_radius=4), flat)
