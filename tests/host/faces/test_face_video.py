"""One person through a video."""

import numpy
import pytest
import torch
from support.faces import centres

pytestmark = pytest.mark.host


def moving(portrait, positions):
    """The portrait's head on grey, at (x, y, share of its size) of each frame."""
    frames = []
    for x, y, share in positions:
        head = torch.nn.functional.interpolate(
            portrait[:, 20:290, 150:410].movedim(-1, 1), scale_factor=share, mode="area"
        )[0].movedim(0, -1)
        frame = torch.full((400, 640, 3), 0.5)
        frame[y : y + head.shape[0], x : x + head.shape[1]] = head
        frames.append(frame)
    return torch.stack(frames)


def test_video_keeps_the_person_and_fills_the_gaps(crop, portrait):
    mine = moving(portrait, [(20 + 12 * n, 90, 0.6) for n in range(6)])
    second = moving(portrait, [(440, 100, 0.5 + 0.05 * n) for n in range(6)])
    video = torch.where(mine == 0.5, second, mine)
    video[3] = 0.5  # a cut to grey: nobody
    wandering = crop(video, on_none="skip")
    assert centres(wandering)[5][0] > 400  # the other has become the largest
    remaining = crop(video, which="leftmost", follow=True, on_none="skip")
    xs = [x for frame in centres(remaining) for x in frame]
    assert remaining["picture"] == [0, 1, 2, 4, 5]
    assert numpy.diff(xs[:3]) == pytest.approx([12, 12], abs=4)
    filled = crop(video, which="leftmost", follow=True, fill_gaps=True)
    assert filled["picture"] == list(range(6))
    assert centres(filled)[3][0] == pytest.approx((xs[2] + xs[3]) / 2, abs=2)


def test_smoothing_calms_a_trembling_video(crop, portrait):
    video = moving(portrait, [(150 + 6 * (n % 2), 90, 0.6) for n in range(6)])
    raw = centres(crop(video, follow=True))
    smooth = centres(crop(video, follow=True, smooth=2.0))
    assert abs(smooth[2][0] - smooth[3][0]) < 0.5 * abs(raw[2][0] - raw[3][0])


def test_searching_keeps_no_pictures(pack, portrait):
    """What grows with the number of frames are boxes and landmarks: some numbers each."""
    search, settings = pack.nodes.face.search.search, pack.nodes.face.settings.FaceCropSettings
    results = search(portrait.expand(3, -1, -1, -1), None, None, None, settings(follow=True))
    landmarks = [
        face.landmarks for result in results for face in (*result.faces, *result.chosen_faces)
    ]
    assert len(landmarks) == 6
    assert all(points.untyped_storage().nbytes() < 2000 for points in landmarks)
