"""Every node of the pack, in the order in which a graph uses them.

sockets.py what travels between nodes; recall.py results kept on the host's objects; input_checks.py
inputs before a node runs, pictures.py images among them; drawing.py the pictures and notes.py the
texts that nodes show; project.py the pack's name and version; request_body.py what its routes are
asked. files/, face/, references/, apply/, sampling/, inspect/, doctor/ and legacy/ hold the rest.
"""

from .apply.apply import ApplyIPAdapter
from .apply.face_tokens import FaceTokensToControlNet
from .apply.image_prompt_node import ImagePromptNode
from .apply.regions import ApplyIPAdapterRegions, IPAdapterRegion
from .apply.tiles import IPAdapterTiles
from .apply.weights import IPAdapterWeightMap
from .doctor.node import IPAdapterDoctor
from .face.node import FaceCrop
from .files import folders
from .files.node import LoadCLIPVision, LoadIPAdapter
from .input_checks import check_new_node
from .inspect.compare import CompareImagePrompts
from .inspect.grid import LabelImageGrid
from .inspect.inspect_adapters import InspectIPAdapter
from .inspect.watch import ShowIPAdapterAttention, WatchIPAdapterAttention
from .legacy import IPAdapterOldGraphs
from .references.embeds import CombineIPAdapterEmbeds, LoadIPAdapterEmbeds, SaveIPAdapterEmbeds
from .references.identity_node import EncodeFaceIdentity
from .references.negative_reference import IPAdapterNegativeReference
from .references.reference import EncodeIPAdapterReference
from .references.several_references import IPAdapterReferences

folders.register()

NODES = [
    check_new_node(node)
    for node in (
        ImagePromptNode,
        LoadIPAdapter,
        LoadCLIPVision,
        ApplyIPAdapter,
        FaceCrop,
        IPAdapterWeightMap,
        IPAdapterReferences,
        EncodeIPAdapterReference,
        EncodeFaceIdentity,
        FaceTokensToControlNet,
        IPAdapterNegativeReference,
        CombineIPAdapterEmbeds,
        SaveIPAdapterEmbeds,
        LoadIPAdapterEmbeds,
        IPAdapterRegion,
        IPAdapterTiles,
        ApplyIPAdapterRegions,
        InspectIPAdapter,
        WatchIPAdapterAttention,
        ShowIPAdapterAttention,
        CompareImagePrompts,
        LabelImageGrid,
        IPAdapterOldGraphs,
        IPAdapterDoctor,
    )
]
