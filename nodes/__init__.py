"""Every node of the pack, in the order in which a graph uses them."""

from . import folders
from .apply import ApplyIPAdapter
from .embeds import CombineIPAdapterEmbeds, LoadIPAdapterEmbeds, SaveIPAdapterEmbeds
from .face import FaceCrop
from .load import LoadCLIPVision, LoadIPAdapter
from .reference import EncodeIPAdapterReference, IPAdapterNegativeReference
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
]
