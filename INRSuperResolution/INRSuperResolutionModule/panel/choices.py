"""What the choices in the parameter node mean: the inputs, the method, and the request of a run. No widgets."""

import functools
import json

import numpy as np
from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..runs.sequences import browserOf, sequenceOf
from ..scene.inputs import Request, affineOf
from ..scene.segmentations import isLabelMap

addLibraryToPath()

from INRSuperResolutionLib.auto import Choice, choose  # noqa: E402
from INRSuperResolutionLib.image.grid import Grid  # noqa: E402
from INRSuperResolutionLib.methods import METHODS  # noqa: E402

# where the voxels of a volume lie, in a form that can be looked up: their numbers, and index → RAS mm as bytes
Place = tuple[tuple[int, int, int], bytes]


def placeOf(node) -> Place:
    """Of a volume with an image, its parent transform aside."""
    return node.GetImageData().GetDimensions(), affineOf(node).tobytes()


def gridAt(place: Place) -> Grid:
    """The same as a grid."""
    return Grid(place[0], np.frombuffer(place[1]).reshape(4, 4))


# a redraw of the panel asks some forty times, and a grid costs more than all the rest of it
@functools.lru_cache(maxsize=32)
def chosenFor(scans: tuple[Place, ...], mode: str, size: float, like: Place | None, hasLabels: bool) -> Choice:
    """As the command line's ``auto``; `size` is the spacing or the factor, where the mode has one."""
    grids, wanted = [gridAt(scan) for scan in scans], None
    if mode == "like" and like is not None:
        wanted = gridAt(like)
    elif mode == "spacing":
        wanted = grids[0].with_spacing(size)
    elif mode == "factor":
        wanted = grids[0].scaled(size)
    return choose(grids, wanted, hasLabels)


def takesMore(method) -> bool:
    """Whether a method takes more than one volume."""
    return method.max_inputs is None or method.max_inputs > 1


class Choices:
    """Reads the parameter node, which is None while the scene is closed."""

    def __init__(self) -> None:
        self.parameters = None

    def inputs(self) -> list:
        """The chosen volumes; the first is the main one."""
        # Slicer keeps read values, so a list may still hold a node that was deleted
        nodes = [self.parameters.inputVolume, *self.parameters.furtherContrasts]
        first, *rest = [n if n is not None and n.GetScene() is not None else None for n in nodes]
        return [first, *(n for n in rest if n is not None and n is not first)] if first is not None else []

    def sequence(self):
        """The sequence that is to be restored whole; None for a single volume."""
        return sequenceOf(self.parameters.inputVolume) if self.parameters.wholeSequence and self.inputs() else None

    def recommended(self) -> Choice:
        """The method for these scans and what is wanted of them, as the command line's ``auto`` chooses it."""
        scans = tuple(placeOf(node) for node in self.inputs() if node.GetImageData() is not None)
        if not scans:
            return Choice("combined", "")
        return self.methodFor(scans, self.parameters.segmentation is not None)

    def methodFor(self, scans: tuple[Place, ...], hasLabels: bool) -> Choice:
        """The method for other scans, with what is wanted of these."""
        p = self.parameters
        mode, like = p.outputMode, p.likeVolume
        size = {"spacing": p.spacing, "factor": p.factor}.get(mode, 0.0)
        place = placeOf(like) if mode == "like" and like and like.GetImageData() is not None else None
        return chosenFor(scans, mode, size, place, hasLabels)

    def methodName(self) -> str:
        """The chosen method; the recommended one if none was chosen."""
        name = self.parameters.method
        return name if name in METHODS else self.recommended().method

    def preset(self) -> str:
        """The chosen preset; the first one of the method if it does not have that."""
        presets = METHODS[self.methodName()].presets
        return self.parameters.preset if self.parameters.preset in presets else next(iter(presets))

    def changes(self) -> dict:
        """What differs from the preset; changes of another method's settings do not count."""
        known = METHODS[self.methodName()].presets[self.preset()].__dataclass_fields__
        return {n: v for n, v in json.loads(self.parameters.settings or "{}").items() if n in known}

    def usedInputs(self) -> list:
        """The inputs that the method uses: a method for one volume leaves further contrasts alone."""
        method = METHODS[self.methodName()]
        return self.inputs()[: method.max_inputs]

    def segmentation(self):
        """The chosen segmentation; None if there is none, or the method takes none."""
        return self.parameters.segmentation if METHODS[self.methodName()].takes_labels else None

    def wantsSegmentation(self) -> bool:
        """Whether a super-resolved segmentation is wanted: as chosen, else if one is given."""
        choice = self.parameters.segmentationOutput
        isWanted = self.segmentation() is not None if choice == "auto" else choice == "yes"
        return METHODS[self.methodName()].takes_labels and isWanted and self.sequence() is None

    def result(self):
        """The result that is chosen, of this session or of a saved scene."""
        node = self.parameters.result if self.parameters is not None else None
        return node if node is not None and node.GetScene() is not None else None

    def problem(self) -> str:
        """Why the run cannot start; empty if it can."""
        p = self.parameters
        inputs = self.inputs()
        if not inputs:
            return _(
                "Load a volume and choose it under Inputs. To try it: Brain MR with thick slices, in the module Sample Data."
            )
        method = METHODS[self.methodName()]
        if len(inputs) < method.min_inputs:
            return _("{title} needs at least {n} scans of the patient: tick further contrasts, or choose another method.")\
                .format(title=method.title, n=method.min_inputs)  # fmt: skip
        for node in inputs:
            if node.GetImageData() is None:
                return _("{name} has no image.").format(name=node.GetName())
        if p.outputMode == "like" and p.likeVolume is None:
            return _("Choose the volume whose voxels the result should have, under Output.")
        segmentation = self.segmentation()
        if segmentation is not None and not isLabelMap(segmentation) and \
                segmentation.GetSegmentation().GetNumberOfSegments() == 0:  # fmt: skip
            return _("{name} has no segments.").format(name=segmentation.GetName())
        if p.outputVolume is not None and p.outputVolume in inputs:
            return _("The output is one of the inputs, which would be overwritten: choose another.")
        try:
            settings = method.settings(self.preset(), self.changes())
        except ValueError as error:
            return str(error)
        if self.wantsSegmentation() and not settings.semantics:
            return _("Without semantics there is no segmentation: tick Semantics under Advanced, or untick the "
                     "super-resolved segmentation.")  # fmt: skip
        return ""

    def request(self) -> Request:
        """The choices as a request."""
        p, segmentation, sequence = self.parameters, self.segmentation(), self.sequence()
        inputs = self.usedInputs()
        if sequence is not None:
            # contrasts that are played along with it go in time point by time point, others with every one
            browser = browserOf(inputs[0])
            inputs = [sequenceOf(n) if browserOf(n) is browser else n for n in inputs]
        return Request(
            inputIDs=[node.GetID() for node in inputs],
            method=self.methodName(),
            preset=self.preset(),
            settings=self.changes(),
            spacing=[p.spacing] if p.outputMode == "spacing" else None,
            scale=[p.factor] if p.outputMode == "factor" else None,
            likeID=p.likeVolume.GetID() if p.outputMode == "like" and p.likeVolume else None,
            segmentationID=segmentation.GetID() if segmentation is not None else None,
            segmentationOutput=self.wantsSegmentation(),
            roiID=p.region.GetID() if p.region else None,
            outputID=p.outputVolume.GetID() if p.outputVolume and sequence is None else None,
            sliceProfile=p.sliceProfile,
            # points have no thickness
            sliceThickness=p.sliceThickness or None if p.sliceProfile != "none" else None,
            register=p.register and len(self.usedInputs()) > 1,
            device=p.device,
            seed=p.seed,
            maxSeconds=60 * p.limitMinutes or None,
        )
