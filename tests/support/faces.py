"""Inputs of Face Crop, and where the faces of the photographs are."""

FIRST = {
    "x": 0,
    "y": 0,
    "width": 0,
    "height": 0,
    "padding": 0.08,
    "size": 64,
    "border": "black",
    "on_none": "whole image",
}
LEFT, MIDDLE, RIGHT = 225, 817, 1282  # where the three people's faces are


BOX = {"x": 1210, "y": 80, "width": 140, "height": 180, "label": "person", "score": 0.4}


def centres(faces):
    return [[box["x"] + box["width"] / 2 for box in boxes] for boxes in faces["bboxes"]]
