"""Writing a file below the host's output folder, or saying in one sentence why not."""

import os
from collections.abc import Callable
from contextlib import suppress

from safetensors import SafetensorError

import folder_paths

from ...ipadapter_core.messages import printable


def write_output(
    filename_prefix: str, ending: str, write: Callable[[str], None], node_name: str
) -> str:
    """Write a file with the next free number; -> its name below the output folder.

    write: what writes to a path. Raises ValueError.
    """
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
    except Exception as error:  # the host raises nothing more exact outside its folder
        raise ValueError(_refusal(filename_prefix, node_name, error)) from None
    # older hosts count only names with a second "_" after the number
    while os.path.exists(path := os.path.join(folder, f"{name}_{counter:05}{ending}")):
        counter += 1
    try:
        write(path)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        with suppress(OSError, ValueError):
            os.unlink(path)
        raise ValueError(_refusal(filename_prefix, node_name, error)) from None
    return os.path.join(subfolder, os.path.basename(path))


def _refusal(filename_prefix: str, node_name: str, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    detail = f" ({reason.lower()})" if reason else ""
    return (
        f"{node_name} could not write '{printable(filename_prefix)}' into ComfyUI's output "
        f"folder{detail}: choose another 'filename_prefix', and check that the folder can be "
        "written to and that its disk has room."
    )
