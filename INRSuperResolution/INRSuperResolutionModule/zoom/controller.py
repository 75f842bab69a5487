"""Sharp zoom: what a slice view shows of a volume, redrawn from its explicit function at the view's own pixels.

Works on MRML only. Every slice view whose background is the volume gets a hidden volume node as its
foreground, which holds the function's values at the view's pixels. The worker draws them, one at a time for each view;
what has moved since is asked for when the last one has come. While the view moves, frames that take long are drawn with
a quarter of the pixels, and in full when it rests. Turned off, everything is as before.
"""

import itertools
import shutil
import time

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from ..runs import dependencies, messages
from ..runs.outputs import writeRepresentation
from ..runs.run import SECONDS_PER_SLICE
from ..runs.transfer import makeTemporaryFolder, write
from ..scene.inputs import InputProblem, affineOf, pixelsAndPlace
from ..scene.results import copyDisplay
from .source import Frame, ZoomSource, ZoomWorker
from .views import Asked, ZoomView, matrixOf, putLayersBack

# frames that take longer are drawn coarser while the view moves
SECONDS_FOR_SMOOTH_MOTION = 0.03
COARSER = 2
# the view rests when nothing has happened for this long
REST_MILLISECONDS = 150
# while slices are encoded one by one, views that show many of them are redrawn this often
SECONDS_BETWEEN_NEWS = 0.5
# of what a worker has opened; never twice the same, so that late news of a controller before is told apart
TOKENS = itertools.count(1)
# an edited volume is sent to the worker when it has not changed for this long
EDIT_MILLISECONDS = 400


class ZoomController(slicer.util.VTKObservationMixin):
    """Draws one volume sharply in all slice views that show it.

    Parameters
    ----------
    later
        `later(milliseconds, function)` calls the function once, afterwards, from the main loop.
    onChanged
        Called when something to be told has changed (progress, error, on and off).
    makeWorker
        Makes the worker process; a test may give a false one.
    """

    def __init__(self, later, onChanged=lambda: None, makeWorker=ZoomWorker) -> None:
        super().__init__()
        self._later, self._onChanged, self._makeWorker = later, onChanged, makeWorker
        self.volume = None
        self.views: dict[str, ZoomView] = {}
        self._worker = self._source = self._display = self._work = self._problem = None
        self._request: tuple = ()
        self._opacity, self._split = 1.0, 0.0
        self._isScheduled = False
        self._edits = 0
        self._lastNews = 0.0
        self._transform = np.eye(4)

    # ---- on and off ----------------------------------------------------------------------------

    def prepare(self) -> None:
        """Start the worker, which loads PyTorch, so that switching on is quick; call it when that is likely."""
        if self._worker is None and not dependencies.missing(needsTorch=True):
            self._worker = self._makeWorker()
        if self._worker is not None:
            self._worker.onNews = self._takeNews

    @property
    def isOn(self) -> bool:
        return self.volume is not None

    def start(self, volume, weights: str = "auto", representation=None, channel: int = 0) -> None:
        """Switch on for a volume node.

        Parameters
        ----------
        weights
            Of NExpR, by name or a file; or an ``.inr`` file with the function of this volume.
        representation
            A text node with a saved representation to be drawn instead, and `channel` its contrast.

        Raises
        ------
        InputProblem
            If the volume has no image, or a transform that is not linear; or packages are missing.
        """
        self.stop()
        if volume.GetImageData() is None:
            raise InputProblem(_("{name} has no image").format(name=volume.GetName()), _("Choose another volume."))
        transform = volume.GetParentTransformNode()
        if transform is not None and not transform.IsTransformToWorldLinear():
            raise InputProblem(
                _("{name} has a warping transform").format(name=volume.GetName()),
                _("Harden it, or choose another volume."),
            )
        dependencies.ensure(needsTorch=True)
        self.prepare()
        self.volume, self._request = volume, (weights, representation, channel)
        self._observe()
        self._display = slicer.vtkMRMLScalarVolumeDisplayNode()
        self._display.SetSaveWithScene(False)
        self._display.SetHideFromEditors(True)
        self._display = slicer.mrmlScene.AddNode(self._display)
        self._followDisplay()
        self._open()
        self._findViews()
        self._onChanged()

    def stop(self, *_args) -> None:
        """Switch off; the composite nodes and the scene are as before."""
        if not self.isOn:
            return
        self.removeObservers()
        for view in self.views.values():
            view.remove()
        self.views.clear()
        if self._display is not None and self._display.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(self._display)
        self._closeSource()
        self.volume = self._display = self._problem = None
        self._onChanged()

    def close(self) -> None:
        """Switch off, and end the worker."""
        self.stop()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    # ---- what can be told and changed ----------------------------------------------------------

    @property
    def progress(self) -> tuple[int, int]:
        """Slices that are encoded, and how many there are."""
        return (len(self._source.encoded), self._source.slices) if self._source is not None else (0, 0)

    @property
    def error(self) -> tuple[str, str] | None:
        """Message and advice, if it cannot go on."""
        return self._problem or (self._source.error if self._source is not None else None)

    @property
    def opacity(self) -> float:
        return self._opacity

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._opacity = value
        for view in self.views.values():
            view.setOpacity(value)

    @property
    def split(self) -> float:
        """Where the split line is, as a part of the view's width; left of it is the original."""
        return self._split

    @split.setter
    def split(self, value: float) -> None:
        self._split = min(max(value, 0.0), 1.0)
        self._redrawAll()

    def keep(self, viewName: str):
        """What a view shows now, as a volume of its own; None if it shows no frame."""
        view = next((v for v in self.views.values() if v.name == viewName), None)
        if view is None or not view.isSharp:
            return None
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetName(slicer.mrmlScene.GetUniqueNameByString(f"{self.volume.GetName()} {viewName}"))
        image = vtk.vtkImageData()
        image.DeepCopy(view.node.GetImageData())
        matrix = vtk.vtkMatrix4x4()
        view.node.GetIJKToRASMatrix(matrix)
        node.SetIJKToRASMatrix(matrix)
        node.SetAndObserveImageData(image)
        copyDisplay(self.volume, node)
        return slicer.mrmlScene.AddNode(node)

    def saveFunction(self, path: str) -> None:
        """Save the function as an ``.inr`` file, to be opened again by `start`; it is written when all slices are encoded."""
        if self._source is not None:
            self._source.saveTo(path)

    @property
    def saved(self) -> dict | None:
        """What became of it: ``path``, or ``message`` and ``advice``; None while it is not done."""
        return self._source.saved if self._source is not None else None

    # ---- what happens in the scene -------------------------------------------------------------

    def _observe(self) -> None:
        scene = slicer.mrmlScene
        for event, handler in (
            (scene.StartCloseEvent, self.stop),
            (scene.NodeAboutToBeRemovedEvent, self._onNodeRemoved),
            (scene.NodeAddedEvent, self._onNodeAdded),
            (scene.EndImportEvent, self._onEndImport),
        ):
            self.addObserver(scene, event, handler)
        volume = self.volume
        self.addObserver(volume, volume.ImageDataModifiedEvent, self._onEdited)
        self.addObserver(volume, volume.TransformModifiedEvent, self._onMoved)
        self.addObserver(volume, volume.DisplayModifiedEvent, self._followDisplay)

    def _findViews(self) -> None:
        composites = {c.GetLayoutName(): c for c in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            composite = composites.get(node.GetLayoutName())
            if composite is None or node.GetID() in self.views:
                continue
            view = self.views[node.GetID()] = ZoomView(node, composite)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, lambda *_, v=view: self._onViewMoved(v))
            self.addObserver(composite, vtk.vtkCommand.ModifiedEvent, lambda *_, v=view: self._onLayersChanged(v))
            self._mark(view)

    def _onViewMoved(self, view: ZoomView) -> None:
        if view.key() != view.drawnKey:
            view.lastEvent = time.perf_counter()
            self._mark(view)

    def _onLayersChanged(self, view: ZoomView) -> None:
        if view.isChanging or not self.isOn:
            return
        if view.isTakenByOthers():
            view.isStepAside, view.isSharp = True, False
        elif view.compositeNode.GetBackgroundVolumeID() != self.volume.GetID():
            view.hide()
            view.isStepAside = False
        elif not view.isSharp:
            self._mark(view)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, _caller, _event, node) -> None:
        if node.IsA("vtkMRMLSliceNode") or node.IsA("vtkMRMLSliceCompositeNode"):
            self._later(0, self._findViewsIfOn)

    def _findViewsIfOn(self) -> None:
        if self.isOn:
            self._findViews()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, _caller, _event, node) -> None:
        if node is self.volume:
            self.stop()
        elif node is not None:
            for nodeID, view in list(self.views.items()):
                if node is view.sliceNode or node is view.compositeNode:
                    view.remove()
                    del self.views[nodeID]

    def _onEndImport(self, *_args) -> None:
        putLayersBack()
        self._findViews()
        self._redrawAll()

    def _onEdited(self, *_args) -> None:
        """The frames are no longer true: take them away at once, encode again when the edit is done."""
        for view in self.views.values():
            view.hide()
            view.asked = None
        self._closeSource()
        self._edits += 1
        edit = self._edits
        self._later(EDIT_MILLISECONDS, lambda: self._reopen(edit))
        self._onChanged()

    def _reopen(self, edit: int) -> None:
        if self.isOn and edit == self._edits:
            self._open()
            self._redrawAll()

    def _onMoved(self, *_args) -> None:
        self._transform = transformOf(self.volume)
        self._redrawAll()

    def _followDisplay(self, *_args) -> None:
        source = self.volume.GetDisplayNode()
        if source is not None and self._display is not None:
            # as one change: else Slicer computes a histogram of the whole volume in between
            with slicer.util.NodeModify(self._display):
                self._display.CopyContent(source)
                self._display.SetAutoWindowLevel(False)

    # ---- the source ----------------------------------------------------------------------------

    def _open(self) -> None:
        """Hand the volume to the worker, a piece at a time."""
        self._closeSource()
        self._problem = None
        self._work = self._export()
        self._later(0, self._exportSome)

    def _closeSource(self) -> None:
        if self._work is not None:
            self._work.close()
        if self._source is not None:
            self._source.close()
        self._work = self._source = None

    def _export(self):
        weights, representation, channel = self._request
        folder = makeTemporaryFolder()
        try:
            if representation is not None:
                path = folder / "given.inr"
                for _piece in writeRepresentation(representation, path):
                    yield
            else:
                array, _placed = pixelsAndPlace(self.volume)
                for path in write(array, affineOf(self.volume), folder / "volume"):
                    yield
        except BaseException:  # given up, too
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._transform = transformOf(self.volume)
        self._source = ZoomSource(self._worker, next(TOKENS), path, folder, weights, channel)

    def _exportSome(self) -> None:
        until, work = time.perf_counter() + SECONDS_PER_SLICE, self._work
        try:
            while work is not None and time.perf_counter() < until:
                next(work)
        except StopIteration:
            self._work = None
        except Exception as error:
            self._work, self._problem = None, messages.ofException(error)
            self._onChanged()
        if self._work is not None:
            self._later(0, self._exportSome)

    def _takeNews(self) -> None:
        if self._source is None:
            return
        wasOpen, wasSaved = self._source.isOpen, self._source.saved is not None
        changed, frames = self._source.poll()
        for view in list(self.views.values()):
            if view.name in frames:
                self._show(view, frames[view.name])
        if self._source.isOpen and not wasOpen:
            self._redrawAll()
        if self._source.saved is not None and not wasSaved:
            self._onChanged()
        if changed or frames or self.error:
            isDue = time.perf_counter() - self._lastNews > SECONDS_BETWEEN_NEWS or self.progress[0] == self.progress[1]
            for view in self.views.values():
                if view.asked is not None:
                    view.asked.changed |= changed
                view.isStale = view.isStale or bool(changed.intersection(view.slices))
                if view.isStale and (isDue or not view.isSharp or len(view.slices) <= 2):
                    view.forgetDrawn()
                    self._mark(view)
            if isDue:
                self._lastNews = time.perf_counter()
            self._onChanged()
        self._schedule()

    # ---- drawing -------------------------------------------------------------------------------

    def _redrawAll(self) -> None:
        """What the frames were drawn for is no longer so."""
        for view in self.views.values():
            view.forgetDrawn()
            self._mark(view)

    def _mark(self, view: ZoomView) -> None:
        view.isPending = True
        self._schedule()

    def _schedule(self) -> None:
        # a view whose frame is on its way waits for it
        if not self._isScheduled and any(v.isPending and v.asked is None for v in self.views.values()):
            self._isScheduled = True
            self._later(0, self._redraw)

    def _redraw(self) -> None:
        """All that have changed since, once each: what came in between is never drawn."""
        self._isScheduled = False
        if not self.isOn:
            return
        for view in list(self.views.values()):
            if view.isPending and view.asked is None:
                isMoving = time.perf_counter() - view.lastEvent < REST_MILLISECONDS / 1000
                self._ask(view, isCoarse=isMoving and view.seconds > SECONDS_FOR_SMOOTH_MOTION)

    def _ask(self, view: ZoomView, isCoarse: bool) -> None:
        view.isPending = False
        if self._source is None or not self._source.isOpen or not view.shows(self.volume.GetID()):
            return
        key = view.key()
        if key == view.drawnKey:
            return
        part = self._partOf(view, COARSER if isCoarse else 1)
        if part is None:
            view.hide()
            return
        columns, rows, toWorld = part
        view.asked = Asked(key, toWorld, isCoarse, time.perf_counter())
        self._source.requestFrame(view.name, np.linalg.inv(self._transform) @ toWorld, (columns, rows))

    def _show(self, view: ZoomView, frame: Frame) -> None:
        """A frame has come; what was marked meanwhile is asked for next."""
        asked, view.asked = view.asked, None
        if asked is None or not view.shows(self.volume.GetID()):
            return
        view.slices, view.isStale = frame.slices, bool(asked.changed.intersection(frame.slices))
        if frame.values is None:
            view.hide()
            return
        moved = np.eye(4)
        moved[:2, 3] = frame.corner
        view.show(frame.values, asked.toWorld @ moved, self._display, self._opacity)
        view.isSharp = True
        if asked.isCoarse:
            self._later(REST_MILLISECONDS, lambda: self._mark(view))
            return
        view.seconds = time.perf_counter() - asked.when
        view.drawnKey = None if asked.isOutdated else asked.key

    def _partOf(self, view: ZoomView, factor: int):
        """Columns, rows and place of the part of the view that is to be drawn, with 1 / `factor` of its pixels along each axis."""
        width, height = view.size()
        left = round(self._split * width)
        columns, rows = (width - left) // factor, height // factor
        if columns < 1 or rows < 1:
            return None
        place = np.diag([factor, factor, 1.0, 1.0])
        place[0, 3], place[1, 3] = left + (factor - 1) / 2, (factor - 1) / 2
        return columns, rows, view.pixelToWorld() @ place


def transformOf(volume) -> np.ndarray:
    """The transform that a volume is under, as a matrix to the world; linear."""
    matrix = vtk.vtkMatrix4x4()
    transform = volume.GetParentTransformNode()
    if transform is not None:
        transform.GetMatrixTransformToWorld(matrix)
    return matrixOf(matrix)
