"""Examples and blueprints say which pack and which files they need: the next person's page then
offers them.
"""

import json
from pathlib import Path

import pytest
import stamp_examples

PACK = Path(__file__).parent.parent
PLUS = {
    "name": "ip-adapter-plus_sd15.safetensors",
    "url": "https://huggingface.co/h94/IP-Adapter/resolve/main/models/ip-adapter-plus_sd15.safetensors",
    "hash": "a1c250be40455cc61a43da1201ec3f1edaea71214865fb47f57927e06cbe4996",
    "hash_type": "SHA256",
    "directory": "ipadapter",
}


@pytest.mark.parametrize("path", stamp_examples.graphs(), ids=lambda path: path.stem)
def test_every_graph_is_stamped(path):
    graph = json.loads(path.read_text(encoding="utf-8"))
    again = stamp_examples.stamp(json.loads(path.read_text(encoding="utf-8")))
    assert graph == again, "run scripts/stamp_examples.py"


def test_a_stamp_is_what_the_page_reads():
    path = PACK / "example_workflows" / "23 Image prompt as full nodes.json"
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    (loader,) = (node for node in nodes if node["type"] == "LoadIPAdapter")
    assert loader["widgets_values"] == ["ip-adapter-plus_sd15.safetensors"]
    assert loader["properties"]["models"] == [PLUS]
    assert loader["properties"]["cnr_id"] == "ip-adapter-nodes"
    (sampler,) = (node for node in nodes if node["type"] == "KSampler")
    assert sampler["properties"]["cnr_id"] == "comfy-core"
