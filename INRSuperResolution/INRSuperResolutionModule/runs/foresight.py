"""What a run will take, said before it starts: time, memory, and what to do if that is too much."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..scene.inputs import InputProblem, Request, affineOf, cornersOf, cropToRegion, pixelsAndPlace

addLibraryToPath()

from INRSuperResolutionLib.image.grid import Grid  # noqa: E402
from INRSuperResolutionLib.jobs.estimate import Estimate, estimate  # noqa: E402
from INRSuperResolutionLib.memory import available_memory  # noqa: E402
from INRSuperResolutionLib.methods import METHODS  # noqa: E402

# the rest of the free memory is for Slicer, which will hold the result as well
USABLE = 0.8
# each step of the search for a spacing that fits has a fifth fewer voxels along an axis
COARSER = 1.25
MOST_STEPS = 20


def estimateOf(request: Request, onGPU: bool) -> Estimate | None:
    """Time and memory of a request, from the geometry alone; None if its inputs cannot be used."""
    try:
        grids = gridsOf(request)
    except InputProblem:
        return None
    one = estimate(
        request.method, METHODS[request.method].settings(request.preset, request.settings), grids,
        outputGrids(request, grids), onGPU, request.maxSeconds,
    )  # fmt: skip
    frames = framesOf(request)
    return Estimate(one.seconds and one.seconds * frames, one.memory_bytes)


def framesOf(request: Request) -> int:
    """How many runs a request stands for: one, or one for each item of a sequence."""
    node = slicer.mrmlScene.GetNodeByID(request.inputIDs[0])
    return node.GetNumberOfDataNodes() if node.IsA("vtkMRMLSequenceNode") else 1


def gridsOf(request: Request) -> list[Grid]:
    """The voxels of the inputs, within the region of interest."""
    volumes = [(n, *sizeAndPlace(n)) for n in request.replace(frame=0).nodes()]
    if request.roiID:
        corners = cornersOf(slicer.mrmlScene.GetNodeByID(request.roiID))
        volumes = [(n, *cropToRegion(a, f, corners, n.GetName())) for n, a, f in volumes]
    return [Grid(array.shape[::-1], affine) for _node, array, affine in volumes]


def sizeAndPlace(node) -> tuple[np.ndarray, np.ndarray]:
    """As `pixelsAndPlace`, but of zeros and without resampling by a non-linear transform, which takes long."""
    transform = node.GetParentTransformNode()
    if transform is None or transform.IsTransformToWorldLinear():
        array, affine = pixelsAndPlace(node)
    else:
        array, affine = slicer.util.arrayFromVolume(node), affineOf(node)
    return np.broadcast_to(np.uint8(0), array.shape), affine


def outputGrids(request: Request, grids: list[Grid]) -> list[Grid]:
    """The voxels of the results."""
    if request.likeID:
        array, affine = sizeAndPlace(slicer.mrmlScene.GetNodeByID(request.likeID))
        return [Grid(array.shape[::-1], affine)] * len(grids)
    if request.scale:
        return [g.scaled(request.scale) for g in grids]
    return [g.with_spacing(request.spacing or min(min(g.spacing) for g in grids)) for g in grids]


def memoryWarning(request: Request, guess: Estimate, onGPU: bool) -> str:
    """What to change if a run needs more memory than is free; empty if it does not, or nobody knows."""
    free = available_memory()
    if free is None or guess.memory_bytes <= USABLE * free:
        return ""
    ways = [] if request.roiID else [_("a region of interest, one part after the other")]
    spacing = spacingThatFits(request, USABLE * free, onGPU)
    if spacing is not None:
        ways.append(_("a spacing of {spacing:.2g} mm or coarser").format(spacing=spacing))
    if len(request.inputIDs) > max(1, METHODS[request.method].min_inputs):
        ways.append(_("fewer contrasts"))
    return _("Only {free} are free, so it may fail. Choose {ways}.").format(
        free=gigabytes(free), ways=_(", or ").join(ways or [_("a smaller region of interest")])
    )


def spacingThatFits(request: Request, memory: float, onGPU: bool) -> float | None:
    """A coarser spacing (mm) at which the run needs at most `memory` bytes; None if there is none."""
    try:
        spacing = min(min(g.spacing) for g in outputGrids(request, gridsOf(request)))
    except InputProblem:
        return None
    for _step in range(MOST_STEPS):
        # as it will be said and typed: two digits, rounded up
        spacing = float(f"{spacing * COARSER:.2g}")
        coarser = estimateOf(request.replace(likeID=None, scale=None, spacing=[spacing]), onGPU)
        if coarser is not None and coarser.memory_bytes <= memory:
            return spacing
    return None


def gigabytes(size: float) -> str:
    """Bytes as people say them."""
    return _("{n:.1f} GB").format(n=size / 2**30)
