"""Protobuf messages written by hand: files that no library would write."""

import struct


def varint(number):
    number %= 2**64
    text = b""
    while number > 127:
        text += bytes([number & 127 | 128])
        number >>= 7
    return text + bytes([number])


def field(number, value):
    """A whole number, a float, a text, bytes, or a list of whole numbers packed into one field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, list):
        value = b"".join(map(varint, value))
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def tensor(name, shape, data, dtype=1):
    """An ONNX TensorProto with raw data."""
    return message(*((1, side) for side in shape), (2, dtype), (8, name), (9, data))


def model(*graph_fields):
    """An ONNX ModelProto: its format's version, who wrote it, the graph."""
    return message((1, 7), (2, "tests"), (7, message(*graph_fields)))
