"""Files of a finished run → memory. Everything is read, a piece at a time, before anything enters the scene."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..scene.results import LoadedImage, textNode
from .transfer import NiftiReader

# a text node in the scene holds the representation; beyond this, saving the scene would take too long
LARGEST_REPRESENTATION = 256 << 20
# bytes that are turned to text at once: some 2 ms, and a multiple of 3, so that the texts of pieces join
CODE_BYTES = 3 << 18


def loadImages(report: dict) -> Iterator[list[LoadedImage]]:
    """Read the results of a report, a piece at a time; the list is complete with the last piece.

    Raises
    ------
    ValueError
        If a file is not what the report tells: success is exit code 0 and a valid file.
    """
    loaded: list[LoadedImage] = []
    agreement = report["consistency_db"] or [None] * len(report["outputs"])
    for output, consistency in zip(report["outputs"], agreement):
        reader = NiftiReader(Path(output["path"]))
        if list(reader.shape) != list(output["shape"]):
            raise ValueError(f"{Path(output['path']).name} has another size than the report tells")
        for image in reader.readImage():
            yield loaded
        loaded.append(LoadedImage(image, np.array(output["affine"]), consistency))
    yield loaded


def loadSegmentation(path: Path, report: dict) -> Iterator[LoadedImage]:
    """Read the super-resolved label map, a piece at a time; it has the grid of the first result.

    Raises
    ------
    ValueError
        If the file is not what the report tells.
    """
    reader, first = NiftiReader(path), report["outputs"][0]
    if list(reader.shape) != list(first["shape"]):
        raise ValueError(f"{path.name} has another size than the report tells")
    for image in reader.readImage():
        yield LoadedImage(image, np.array(first["affine"]), None)


def readRepresentation(path: Path | None) -> Iterator:
    """A text node, not yet in the scene, with the file; complete with the last piece.

    None if there is no file, or it is too large for a scene.
    """
    if path is None or not path.is_file() or path.stat().st_size > LARGEST_REPRESENTATION:
        yield None
        return
    pieces = []
    with open(path, "rb") as file:
        while block := file.read(CODE_BYTES):
            pieces.append(base64.b64encode(block).decode("ascii"))
            yield None
    text = "".join(pieces)
    yield None
    yield textNode(text)


def writeRepresentation(node, path: Path) -> Iterator[None]:
    """The inverse of `readRepresentation`, a piece at a time."""
    text = node.GetText()
    yield
    step = CODE_BYTES // 3 * 4
    with open(path, "wb") as file:
        for start in range(0, len(text), step):
            file.write(base64.b64decode(text[start : start + step]))
            yield
