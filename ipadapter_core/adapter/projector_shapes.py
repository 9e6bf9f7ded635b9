"""The shapes of an image projection's tensors."""

import re
from collections.abc import Mapping

from ..messages import Predicate
from .layout import Shape

LAYER_BIAS = re.compile(r"ip_adapter\.\d{1,9}\.to_[kv]_ip\.bias")


class ProjectorShapes:
    """The shapes of an image projection, by key.

    has_biased_layers: whether the layers that take its tokens have a bias.
    """

    def __init__(self, tensor_shapes: Mapping[str, Shape], prefix: str = "image_proj."):
        self.prefix = prefix
        self.has_biased_layers = any(map(LAYER_BIAS.fullmatch, tensor_shapes))
        self.shapes = {
            tensor_key.removeprefix(prefix): tensor_shape
            for tensor_key, tensor_shape in tensor_shapes.items()
            if tensor_key.startswith(prefix)
        }

    def below(self, prefix: str) -> "ProjectorShapes":
        """The shapes of a part of the projection."""
        part_shapes = {self.prefix + key: shape for key, shape in self.shapes.items()}
        return ProjectorShapes(part_shapes, self.prefix + prefix)

    def sizes(self, tensor_key: str, axis_count: int) -> Shape:
        """The shape of a tensor that must be there with so many axes."""
        tensor_shape = self.shapes.get(tensor_key)
        if tensor_shape is None or len(tensor_shape) != axis_count or 0 in tensor_shape:
            raise Predicate(
                "is damaged: 'image_proj.<1>' is <2>",
                self.prefix.removeprefix("image_proj.") + tensor_key,
                tensor_shape if tensor_shape is not None else "missing",
            )
        return tensor_shape
