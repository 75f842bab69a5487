"""A sequence of volumes (time points): one run for each, into a new sequence that plays along with it."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..scene.results import copyDisplay, resultName, tellProvenance
from .run import State


def sequenceOf(volume):
    """The sequence that a volume in the scene shows one item of, or None."""
    browser = browserOf(volume)
    return browser.GetSequenceNode(volume) if browser is not None else None


def browserOf(volume):
    """The sequence browser that fills a volume in the scene, or None."""
    if volume is None or volume.GetScene() is None:
        return None
    return slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(volume)


def proxyOf(node):
    """The volume in the scene for a volume or a sequence node; None for a sequence that no browser shows."""
    if node is None or not node.IsA("vtkMRMLSequenceNode"):
        return node
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(node)
    return browser.GetProxyNode(node) if browser is not None else None


class SequenceRuns:
    """The runs of all items of a sequence, which succeed together or not at all.

    Parameters
    ----------
    start
        Starts a run: (request, onFinished) → Run.
    cancel
        Cancels a run: (run, reason).
    request
        Its first input is the sequence node.
    title
        The method's, for the name of the result.
    onFinished
        Called with this once all runs have ended.
    """

    def __init__(self, start, cancel, request, title: str, onFinished=None) -> None:
        self._cancel, self._title, self._onFinished = cancel, title, onFinished
        self._request = request
        self.node = None
        """The new sequence, after success."""
        self.runs = []
        self._count = slicer.mrmlScene.GetNodeByID(request.inputIDs[0]).GetNumberOfDataNodes()
        for frame in range(self._count):
            run = start(request.replace(frame=frame, outputID=None, segmentationOutput=False), self._onRunEnded)
            run.sequence = self
            self.runs.append(run)
            if self.failed is not None:  # some failures come at once
                break

    @property
    def failed(self):
        """The run that tells best what went wrong; None if nothing did."""
        bad = [r for r in self.runs if r.state in (State.FAILED, State.CANCELLED)]
        return next((r for r in bad if r.state is State.FAILED), bad[0] if bad else None)

    def position(self, run) -> tuple[int, int]:
        """Which of how many time points a run is, counted from 1."""
        return run.request.frame + 1, self._count

    def _onRunEnded(self, run) -> None:
        if run.state is not State.DONE:
            for other in self.runs:
                self._cancel(other, run.message)
        isOver = all(r.isEnded for r in self.runs) and (len(self.runs) == self._count or self.failed is not None)
        if isOver and self.node is None:
            if self.failed is None:
                self.node = self._makeNode()
            if self._onFinished is not None:
                self._onFinished(self)

    def _makeNode(self):
        source = slicer.mrmlScene.GetNodeByID(self._request.inputIDs[0])
        made = makeSequence(source, self.runs, self._title)
        figures = [r.loaded[0].consistency for r in self.runs if r.loaded[0].consistency is not None]
        tellProvenance(made, self._request, self.runs[0].report, min(figures, default=None))
        showBeside(source, made)
        return made


def makeSequence(source, runs, title: str):
    """A sequence node with the results of the runs of all frames of `source`, at the same index values."""
    spacing = list(np.linalg.norm(runs[0].loaded[0].affine[:3, :3], axis=0))
    made = slicer.vtkMRMLSequenceNode()
    made.SetName(slicer.mrmlScene.GetUniqueNameByString(resultName(source.GetName(), title, spacing)))
    for name in ("IndexName", "IndexUnit", "IndexType"):
        getattr(made, f"Set{name}")(getattr(source, f"Get{name}")())
    for frame, run in enumerate(runs):
        image = run.loaded[0]
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(source.GetNthDataNode(frame).GetName())
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(image.affine))
        volume.SetAndObserveImageData(image.image)
        made.SetDataNodeAtValue(volume, source.GetNthIndexValue(frame))
    return slicer.mrmlScene.AddNode(made)


def showBeside(source, made) -> None:
    """Let the browser that plays `source` play `made` as well, looking alike; without a browser, nothing."""
    logic = slicer.modules.sequences.logic()
    browser = logic.GetFirstBrowserNodeForSequenceNode(source)
    if browser is None:
        return
    browser.AddSynchronizedSequenceNode(made)
    logic.UpdateProxyNodesFromSequences(browser)
    before, after = browser.GetProxyNode(source), browser.GetProxyNode(made)
    if before is not None and after is not None:
        copyDisplay(before, after)
        after.SetAndObserveTransformNodeID(before.GetTransformNodeID())


def timePoint(run) -> str:
    """As "time point 3 of 20: "; empty for a run that is not one of a sequence."""
    if run.sequence is None:
        return ""
    n, count = run.sequence.position(run)
    return _("time point {n} of {count}: ").format(n=n, count=count)
