"""Every node of the pack, in the order in which a graph uses them."""

from . import folders
from .apply import ApplyIPAdapter, ApplyIPAdapterPatch
from .encode import ApplyIPAdapterEncode, ApplyIPAdapterNothing
from .face import FaceCrop
from .keys import ApplyIPAdapterKeys
from .load import LoadCLIPVision, LoadIPAdapter

folders.register()

NODES = [LoadIPAdapter, LoadCLIPVision, ApplyIPAdapter, FaceCrop]
STEPS = [ApplyIPAdapterEncode, ApplyIPAdapterNothing, ApplyIPAdapterKeys, ApplyIPAdapterPatch]
