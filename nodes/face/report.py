"""The notes of a run, for the node and the log: faces found, taken, missed or in doubt."""

import logging
from collections.abc import Callable

from ...ipadapter_core.messages import Message
from .search import PictureFaces
from .settings import BY_SIZE, ERROR, INSIDE, NODE, SKIP, WHOLE, FaceCropSettings

log = logging.getLogger("ipadapter")


def report_faces(faces_by_picture: list[PictureFaces], settings: FaceCropSettings) -> list[Message]:
    """Raises ValueError for a picture without a face, if the user asked for that."""
    picture_count = len(faces_by_picture)
    notes = [_count_faces(faces_by_picture, settings)]
    missing = _list_numbers(faces_by_picture, lambda faces: not faces.chosen_faces)
    if missing:
        note = _missing_note(missing, picture_count, settings)
        log.warning("%s", note)
        notes.append(note)
    doubtful = _list_numbers(faces_by_picture, _is_doubtful)
    if doubtful:
        note = Message(
            "the face in image <1> of <2> is uncertain: look at its 'preview'",
            doubtful,
            picture_count,
        )
        log.warning("%s: %s.", NODE, note)
        notes.append(note)
    return notes


def _count_faces(faces_by_picture: list[PictureFaces], settings: FaceCropSettings) -> Message:
    faces = [face for picture_faces in faces_by_picture for face in picture_faces.faces]
    taken_count = sum(len(picture_faces.chosen_faces) for picture_faces in faces_by_picture)
    if faces and not any(face.is_detected for face in faces):
        return Message("faces from the inputs: <1>, used: <2>", len(faces), taken_count)
    return Message("faces found: <1>, used: <2> (<3>)", len(faces), taken_count, settings.which)


def _missing_note(numbers: str, picture_count: int, settings: FaceCropSettings) -> Message:
    sought = {
        INSIDE: Message("no face inside the mask"),
        BY_SIZE: Message("fewer than <1> faces", settings.number),
    }.get(settings.which, Message("no face"))
    reason = Message("<1> finds <2> in image <3> of <4>", NODE, sought, numbers, picture_count)
    if settings.on_none == ERROR:
        raise ValueError(
            f"{reason}: type 'width' and 'height', connect a mask of the face, lower "
            f"'threshold', or set 'on_none' to '{WHOLE}' or '{SKIP}'."
        )
    if settings.on_none == SKIP:
        return Message("<1>: it is left out.", reason)
    return Message("<1>: the centre square of the whole image is used.", reason)


def _is_doubtful(picture_faces: PictureFaces) -> bool:
    return any(not face.is_sure for face in picture_faces.chosen_faces)


def _list_numbers(
    faces_by_picture: list[PictureFaces], is_listed: Callable[[PictureFaces], bool]
) -> str:
    return ", ".join(
        str(number)
        for number, picture_faces in enumerate(faces_by_picture, 1)
        if is_listed(picture_faces)
    )
