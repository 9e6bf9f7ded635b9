"""Ids, inputs and outputs of old nodes, row by row as IPAdapter_plus has them."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

RECORDED = json.loads((Path(__file__).parent.parent / "data" / "old_nodes.json").read_text())
TYPES = {"WT": RECORDED["WEIGHT_TYPES"]}
NODES = RECORDED["nodes"]
WITH_FILES = "IPAdapterModelLoader", "IPAdapterLoadEmbeds"  # whose options are lists of files
UNRECORDED = "tooltip", "multiline"


def plain(specs, node_id):
    """Input -> type or options, and what the widget allows; lists of files are those of this
    machine.
    """
    return {
        name: (
            "files" if node_id in WITH_FILES else TYPES.get(str(spec[0]), spec[0]),
            {option: value for option, value in spec[1].items() if option not in UNRECORDED},
        )
        for name, spec in specs.items()
    }


@pytest.mark.parametrize("group", ["required", "optional"])
@pytest.mark.parametrize("node_id", NODES)
def test_inputs_are_the_recorded_ones(nodes_by_id, node_id, group):
    ours = plain(nodes_by_id[node_id].INPUT_TYPES().get(group, {}), node_id)
    recorded = plain(NODES[node_id][group], node_id)
    assert list(ours) == list(recorded)
    if node_id in WITH_FILES:
        assert ours.keys() == recorded.keys()
    else:
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
