"""Ids, inputs and outputs of old nodes, row by row as their own packs have them."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

RECORDED = json.loads((Path(__file__).parent.parent / "data" / "old_nodes.json").read_text())
TYPES = {"WT": RECORDED["WEIGHT_TYPES"]}
NODES = RECORDED["nodes"]
UNRECORDED = "tooltip", "multiline"


def plain(specs, recorded_specs):
    """Input -> type or options, and what the widget allows; lists of files are those of this
    machine.
    """
    file_inputs = {name for name, spec in recorded_specs.items() if spec[0] == "files"}
    return {
        name: (
            "files" if name in file_inputs else TYPES.get(str(spec[0]), spec[0]),
            {option: value for option, value in spec[1].items() if option not in UNRECORDED},
        )
        for name, spec in specs.items()
    }


def test_every_old_id_is_recorded(pack):
    assert sorted(NODES) == sorted(pack.nodes.legacy.BY_ID)


@pytest.mark.parametrize("group", ["required", "optional"])
@pytest.mark.parametrize("node_id", NODES)
def test_inputs_are_the_recorded_ones(nodes_by_id, node_id, group):
    recorded_specs = NODES[node_id][group]
    ours = plain(nodes_by_id[node_id].INPUT_TYPES().get(group, {}), recorded_specs)
    recorded = plain(recorded_specs, recorded_specs)
    assert list(ours) == list(recorded)
    assert ours == recorded


@pytest.mark.parametrize("node_id", NODES)
def test_outputs_are_the_recorded_ones(nodes_by_id, node_id):
    node, recorded = nodes_by_id[node_id], NODES[node_id]
    assert list(node.RETURN_TYPES) == recorded["outputs"]
    assert list(getattr(node, "RETURN_NAMES", node.RETURN_TYPES)) == recorded["names"]
    assert recorded["function"] == node.FUNCTION
    assert callable(getattr(node, node.FUNCTION))
    assert node.DEPRECATED


def test_ids_that_another_pack_has_are_its_own(pack):
    legacy = pack.nodes.legacy

    class Foreign:
        pass

    registry = {"IPAdapterAdvanced": Foreign, "KSampler": Foreign}
    assert legacy.claimed_ids(registry) == ["IPAdapterAdvanced"]
    free_ids = [node.NODE_ID for node in legacy.free_nodes(registry)]
    assert free_ids == [node_id for node_id in legacy.BY_ID if node_id != "IPAdapterAdvanced"]
