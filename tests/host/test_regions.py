"""Regions and tiles in the host's sampler."""

import pytest
import torch
from support.compare import difference
from support.embeds import apply_embeds
from support.tolerance import SAMPLING

pytestmark = pytest.mark.host


def region(*args, **options):
    return region_output(*args, **options).args[0]


def region_output(
    nodes_by_id, adapters, positive, mask=None, name="ip-adapter_sd15", weight=0.7, **options
):
    adapter, _ = adapters(name)
    node = nodes_by_id["IPAdapterRegion"]
    return node.execute(adapter, weight, 0.0, 1.0, "crop", mask=mask, embeds=positive, **options)


def regions(nodes_by_id, model, areas, feather=0, overlap="normalised"):
    by_name = {f"region{number}": each for number, each in enumerate(areas)}
    return nodes_by_id["ApplyIPAdapterRegions"].execute(model, by_name, feather, overlap).args[0]


@pytest.fixture
def halves():
    left = torch.zeros(1, 30, 40)
    left[:, :, :17] = 1
    return left, 1 - left


@pytest.mark.parametrize("feather", [0, 5])
def test_regions_that_partition_the_picture_with_one_reference_are_no_mask(
    nodes_by_id, adapters, models, embeds, sample, halves, feather
):
    model, positive = models("sd15"), embeds()
    parts = [region(nodes_by_id, adapters, positive, mask) for mask in halves]
    complete = apply_embeds(nodes_by_id, adapters, model, positive, weight=0.7)
    result = sample(regions(nodes_by_id, model, parts, feather))
    assert difference(result, sample(complete)) < SAMPLING


def test_each_region_has_its_own_adapter_weight_and_reference(
    nodes_by_id, adapters, models, embeds, sample, halves
):
    model = models("sd15")
    plus = "ip-adapter-plus_sd15"
    parts = [
        region(nodes_by_id, adapters, embeds(seed=5), halves[0], weight=0.4),
        region(
            nodes_by_id,
            adapters,
            embeds(plus, 6),
            halves[1],
            plus,
            embeds_negative=embeds(plus, 7),
        ),
    ]
    first = apply_embeds(
        nodes_by_id, adapters, model, embeds(seed=5), weight=0.4, attn_mask=halves[0]
    )
    pair = apply_embeds(
        nodes_by_id,
        adapters,
        first,
        embeds(plus, 6),
        plus,
        weight=0.7,
        attn_mask=halves[1],
        embeds_negative=embeds(plus, 7),
    )
    assert difference(sample(regions(nodes_by_id, model, parts)), sample(pair)) < SAMPLING


def test_outside_of_every_region_the_first_layer_is_untouched(
    nodes_by_id, adapters, models, embeds, tiny
):
    model, mask = models("sd15"), torch.zeros(1, 26, 18)
    mask[:, :12, :7] = 1
    part = region(nodes_by_id, adapters, embeds(), mask)
    recorded = []
    for each in (model, regions(nodes_by_id, model, [part], feather=3)):
        watched = each.clone()
        outputs = []
        watched.set_model_attn2_output_patch(
            lambda out, extra, outputs=outputs: outputs.append(out.clone()) or out
        )
        tiny.sample(watched, tiny.text("sd15"), size=(26, 18), steps=1)
        recorded.append(outputs[0].unflatten(1, (26, 18)))
    differs = (recorded[0] != recorded[1]).any(-1).any(0)
    assert not differs[13:].any()
    assert not differs[:, 8:].any()
    assert differs[:9, :4].all()


def test_tiles_of_a_picture_are_encoded_once(nodes_by_id, adapters, tower, own_folders):
    adapter, picture = adapters("ip-adapter_sd15")[0], torch.rand(1, 60, 150, 3)

    def tiles(image, weight, short_side=1):
        before = tower.runs
        node = nodes_by_id["IPAdapterTiles"]
        (first_region, two, *_), cut, _ = node.execute(
            adapter, weight, 0.0, 1.0, "crop", tower, image, short_side
        ).args
        assert torch.equal(cut[0], image[0, :, :60])
        assert (first_region.settings.weight, two.settings.weight) == (weight, weight)
        return tower.runs - before

    assert [tiles(picture, weight) for weight in (0.7, 0.3)] == [1, 0]
    assert tiles(picture.clone(), 0.3) == 1


def test_a_box_is_the_mask_of_its_part(nodes_by_id, adapters, embeds):
    def mask_of(mask=None, box=""):
        return region(nodes_by_id, adapters, embeds(), mask, region_box=box)[0].mask

    assert mask_of() is None
    left = mask_of(box="0, 0, 42, 100")
    assert left[:, :, : int(left.shape[2] * 0.42)].all() and left.mean() == pytest.approx(0.42)
    mask = torch.rand(2, 30, 50, generator=torch.Generator().manual_seed(0)) + 0.5
    both = mask_of(mask.clamp(max=1), "20, 50, 60, 80")  # over the lower border
    expected = torch.zeros_like(mask)
    expected[:, 15:, 10:40] = mask.clamp(max=1)[:, 15:, 10:40]
    assert torch.equal(both, expected)


@pytest.mark.parametrize(
    "box", ["100, 0, 5, 5", "0, 0, 0, 5", "1, 2, 3", "nan, 0, 1, 1", "0.5,0,1,1"]
)
def test_a_box_outside_of_the_image_or_of_other_numbers_is_refused(
    nodes_by_id, adapters, embeds, box
):
    with pytest.raises(ValueError, match="IPAdapter Region's 'region_box'"):
        region(nodes_by_id, adapters, embeds(), region_box=box)


@pytest.mark.parametrize(
    ("node_id", "input_name"), [("ApplyIPAdapter", "attn_mask"), ("IPAdapterRegion", "mask")]
)
def test_a_mask_of_zeros_is_said_on_the_node(
    models, adapters, embeds, nodes_by_id, node_id, input_name
):
    adapter, _ = adapters("ip-adapter_sd15")
    common = {"ipadapter": adapter, "weight": 1.0, "embeds": embeds(), "fit": "crop"}
    inputs = {
        "ApplyIPAdapter": {"model": models("sd15")},
        "IPAdapterRegion": {"start_at": 0.0, "end_at": 1.0},
    }[node_id]
    notes = {}
    for value in (0.0, 1.0):
        mask = {input_name: torch.full((1, 4, 4), value)}
        output = nodes_by_id[node_id].execute(**common, **inputs, **mask)
        notes[value] = (output.ui or {}).get("text", ())
    black = f"'{input_name}' is black everywhere: the reference has no effect."
    assert (black in notes[0.0], black in notes[1.0]) == (True, False)


def test_a_box_beside_its_mask_is_said_without_blaming_the_mask(nodes_by_id, adapters, embeds):
    mask = torch.zeros(1, 8, 8)
    mask[:, :, :4] = 1.0
    notes = {}
    for box in ("50, 0, 50, 100", "25, 0, 50, 100", ""):
        display = region_output(nodes_by_id, adapters, embeds(), mask, region_box=box).ui
        notes[box] = (display or {}).get("text", ())
    no_overlap = "'mask' and 'region_box' do not overlap: the reference has no effect."
    assert notes == {"50, 0, 50, 100": (no_overlap,), "25, 0, 50, 100": (), "": ()}


def test_a_range_that_ends_before_it_starts_is_said_of_its_node(
    nodes_by_id, adapters, models, embeds, tower, own_folders, caplog
):
    adapter, model, moments = adapters("ip-adapter_sd15")[0], models("sd15"), (0.8, 0.2)
    part, tiles = (
        nodes_by_id["IPAdapterRegion"].execute(adapter, 1.0, *moments, "crop", embeds=embeds()),
        nodes_by_id["IPAdapterTiles"].execute(
            adapter, 1.0, *moments, "crop", tower, torch.rand(1, 60, 60, 3), 1
        ),
    )
    regions(nodes_by_id, model, [part.args[0], tiles.args[0]])
    end = {"start_at": moments[0], "end_at": moments[1]}
    nodes_by_id["ApplyIPAdapter"].execute(model, adapter, embeds=embeds(), **end)
    warnings = [record.getMessage() for record in caplog.records if record.name == "ipadapter"]
    assert warnings == [
        f"{name}'s 'start_at' (0.8) is after its 'end_at' (0.2): the reference has no effect."
        for name in ("IPAdapter Region", "IPAdapter Tiles", "Apply IPAdapter")
    ]
