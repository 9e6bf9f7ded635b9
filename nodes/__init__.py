"""Every node of the pack, in the order in which a graph uses them."""

from . import folders
from .apply import ApplyIPAdapter
from .doctor.node import IPAdapterDoctor
from .embeds import CombineIPAdapterEmbeds, LoadIPAdapterEmbeds, SaveIPAdapterEmbeds
from .face import FaceCrop
from .grid import LabelImageGrid
from .inspect import InspectIPAdapter
from .legacy import IPAdapterOldGraphs
from .load import LoadCLIPVision, LoadIPAdapter
from .reference import EncodeIPAdapterReference, IPAdapterNegativeReference
from .regions import ApplyIPAdapterRegions, IPAdapterRegion, IPAdapterTiles
from .watch import ShowIPAdapterAttention, WatchIPAdapterAttention
from .weights import IPAdapterWeightMap

folders.register()

NODES = [
    LoadIPAdapter,
    LoadCLIPVision,
    ApplyIPAdapter,
    FaceCrop,
    IPAdapterWeightMap,
    EncodeIPAdapterReference,
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
    LabelImageGrid,
    IPAdapterOldGraphs,
    IPAdapterDoctor,
]
