"""The 'box' of a reference: that part alone reaches the encoder; what cannot be a box is said
before anything runs.
"""

import json
import subprocess
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.host

HEIGHT, WIDTH = 40, 56
BOXES = {
    "1, 2, 3, 4": (1, 2, 3, 4),
    "": None,
    "-5;0\n10,\n20": (-5, 0, 10, 20),
    "1, 2, 3": None,
    "1, 2, 0, 4": None,
    "1.5, 2, 3, 4": None,
    "a, b, c, d": None,
}


class Encoder:
    """The host's call, counted: its 'embeds' are the pixels themselves."""

    def __init__(self, patcher):
        self.patcher, self.image_size, self.seen = patcher, 224, []

    def encode_image(self, pictures, crop):
        self.seen.append(pictures)
        return {
            "penultimate_hidden_states": torch.zeros(len(pictures), 2, 3),
            "image_embeds": pictures.flatten(1)[:, :4],
        }


@pytest.fixture
def encoder(host):
    from comfy.model_patcher import CoreModelPatcher

    cpu = torch.device("cpu")
    return Encoder(CoreModelPatcher(torch.nn.Linear(1, 1), cpu, cpu))


@pytest.fixture(autouse=True)
def temp(host, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))


@pytest.fixture
def picture():
    return torch.rand(2, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ("", slice(None), slice(None)),
        (" 5, 3, 20, 30 ", slice(3, 33), slice(5, 25)),
        ("-9;-9\n30;30", slice(0, 21), slice(0, 21)),
        ("50, 30, 500, 500", slice(30, 40), slice(50, 56)),
    ],
)
def test_the_encoder_gets_the_part_in_the_box(pack, encoder, picture, box, rows, columns):
    for _ in range(2):  # the second time it is recalled
        pack.nodes.references.encode.encode_reference(
            encoder, picture, "crop", "image", "A node", box
        )
    (recorded,) = encoder.seen
    assert (recorded == picture[:, rows, columns]).all()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("1, 2, 3", "four whole numbers"),
        ("1, 2, 3.5, 4", "four whole numbers"),
        ("1, 2, three, 4", "has no number at entry 3"),
        ("1, 2, 0, 4", "both must be above 0"),
        ("1, 2, 4, -4", "both must be above 0"),
        ("1e400, 2, 3, 4", "has no number at entry 1"),
    ],
)
def test_what_is_no_box_is_said_before_anything_runs(nodes_by_id, box, words):
    wrong = nodes_by_id["EncodeIPAdapterReference"].validate_inputs(box=box)
    assert "Encode IPAdapter Reference's 'box'" in wrong
    assert words in wrong
    wrong = nodes_by_id["ApplyIPAdapter"].validate_inputs(box=box)
    assert "Apply IPAdapter's 'box'" in wrong


@pytest.mark.parametrize("box", ["", "0, 0, 1, 1", None])
def test_a_box_or_none_and_one_that_comes_over_a_link_pass(nodes_by_id, box):
    assert nodes_by_id["EncodeIPAdapterReference"].validate_inputs(box=box) is True
    assert nodes_by_id["ApplyIPAdapter"].validate_inputs(box=box) is True


def test_a_box_outside_of_the_picture_is_refused(pack, encoder, picture):
    with pytest.raises(ValueError, match="outside the image of 56 x 40 pixels"):
        pack.nodes.references.encode.encode_reference(
            encoder, picture, "crop", "image", "A node", "56, 0, 9, 9"
        )


def test_the_editors_picture_is_small_and_knows_its_true_size(pack, tmp_path, monkeypatch):
    from PIL import Image

    wide = torch.linspace(0, 1, 2000)[None, :, None].expand(500, -1, 3)
    (displayed,) = pack.nodes.drawing.editor_picture(wide)["source"]
    assert (displayed["width"], displayed["height"], displayed["type"]) == (2000, 500, "temp")
    small = Image.open(tmp_path / displayed["filename"])
    assert small.size == (768, 192)
    assert small.getpixel((0, 0))[0] <= 1 and small.getpixel((767, 0))[0] >= 253


@pytest.mark.parametrize(
    ("node", "inputs", "words"),
    [
        ("IPAdapterWeightMap", {"layers": "1, x"}, "IPAdapter Weight Map's 'layers' has no number"),
        (
            "IPAdapterWeightMap",
            {"curve": "0:1, 2:1"},
            "IPAdapter Weight Map's 'curve' has the time 2",
        ),
        (
            "WatchIPAdapterAttention",
            {"layers": "3, b"},
            "Watch IPAdapter Attention's 'layers' has no",
        ),
        (
            "ApplyIPAdapter",
            {"frame_weights": "0:x"},
            "'frame_weights' has no number",
        ),
    ],
)
def test_typed_texts_are_checked_before_anything_runs(nodes_by_id, node, inputs, words):
    assert words in nodes_by_id[node].validate_inputs(**inputs)
    assert nodes_by_id[node].validate_inputs(**dict.fromkeys(inputs)) is True


def test_the_editor_reads_boxes_as_the_node_does(pack):
    import browser

    script = Path(__file__).parent.parent / "web" / "answers.mjs"
    requests = {"layers": [], "curves": [], "times": [], "boxes": [*BOXES]}
    command = [str(browser.node()), str(script), json.dumps(requests)]
    answers = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    result = [box and tuple(box.values()) for box in answers["boxes"]]
    assert result == list(BOXES.values())
    for text, expected in BOXES.items():
        try:
            box = pack.nodes.references.boxes.parse_box(text)
        except ValueError:
            box = None
        assert (box and tuple(box)) == expected


@pytest.mark.parametrize(
    ("node", "wrong", "words", "right"),
    [
        (
            "FaceCrop",
            {"which": "inside the mask"},
            "nothing is connected to 'mask'",
            {"mask": None},
        ),
        ("FaceCrop", {"which": "all", "follow": True}, "keeps to one person", {"follow": False}),
        (
            "FaceCrop",
            {"which": "nearest"},
            "'which' is 'nearest': choose one",
            {"which": "largest"},
        ),
        ("IPAdapterNegativeReference", {"kind": "image"}, "needs an image", {"image": None}),
        ("IPAdapterNegativeReference", {"kind": "dust"}, "'kind' is 'dust'", {"kind": "none"}),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_runs(
    nodes_by_id, node, wrong, words, right
):
    assert words in nodes_by_id[node].validate_inputs(**wrong)
    assert nodes_by_id[node].validate_inputs(**wrong | right) is True
