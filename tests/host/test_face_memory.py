"""What Face Crop holds while it works through a video."""

from pathlib import Path

import counters
import numpy
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.host

NUMBERS = 10_000  # bytes a frame may leave: boxes and landmarks; its pixels are 460,800
FACES = Path(__file__).parent.parent / "data" / "faces"


@pytest.fixture
def video(host, tmp_path, monkeypatch):
    """number of frames -> a head that wanders over grey, [B, 160, 240, 3]."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    with Image.open(FACES / "one_portrait.jpg") as picture:
        head = picture.convert("RGB").crop((150, 20, 410, 290)).resize((104, 108))
    head = torch.from_numpy(numpy.array(head)).float() / 255

    def frames(count):
        result = torch.full((count, 160, 240, 3), 0.5)
        for number in range(count):
            result[number, 20:128, 4 * number : 4 * number + 104] = head
        return result

    return frames


def test_looking_through_many_frames_holds_as_much_as_through_few(pack, video):
    settings = pack.nodes.face.settings.FaceCropSettings(follow=True, fill_gaps=True, smooth=1.0)
    in_use = {}
    for count in (2, 10):
        pictures = video(count)
        with counters.Peak() as peak:
            results = pack.nodes.face.search.search(pictures, None, None, None, settings)
        assert all(result.chosen_faces for result in results)
        in_use[count] = peak.most
    assert in_use[2] > 1e6  # the looks were seen
    assert in_use[10] - in_use[2] < 8 * NUMBERS


def test_cutting_many_frames_holds_what_is_handed_on_and_no_more(nodes_by_id, video):
    """With boxes that are given, so that the looks do not hide what the rest needs."""
    box = {"x": 10, "y": 20, "width": 60, "height": 80}
    first = {"x": 0, "y": 0, "width": 0, "height": 0, "padding": 0.08, "size": 64}
    in_use = {}
    for count in (2, 10):
        pictures, boxes = video(count), [[box] for _ in range(count)]
        with counters.Peak() as peak:
            crops, masks, _, _, previews, numbers = (
                nodes_by_id["FaceCrop"]
                .execute(
                    pictures, bboxes=boxes, border="black", on_none="error", align="none", **first
                )
                .args
            )
        assert numbers == list(range(count))
        in_use[count] = peak.most - sum(each.nbytes for each in (crops, masks, previews))
    assert in_use[2] > 0
    assert in_use[10] - in_use[2] < 8 * NUMBERS
