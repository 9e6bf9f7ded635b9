"""Every node of the pack, in the order in which a graph uses them."""

from .face import FaceCrop

NODES = [FaceCrop]
