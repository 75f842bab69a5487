"""One run and the queue of them: export → worker → import, in pieces that never hold the panel up."""

import contextlib
import enum
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..scene.dicom import sliceThickness
from ..scene.inputs import InputProblem, Request, inputArrays, pixelsAndPlace
from ..scene.results import LoadedImage, addResults
from ..scene.segmentations import SegmentLook, isLabelMap, labelMapOf, looksByLabel, looksOf, looksOfLabelMap
from . import messages
from .outputs import loadImages, loadSegmentation, readRepresentation, writeRepresentation
from .process import WorkerProcess
from .transfer import NiftiReader, makeTemporaryFolder, write

addLibraryToPath()

# the panel must answer within 50 ms
SECONDS_PER_SLICE = 0.015
LOG_LINES = 1000
# what a piece of work yields before a piece that takes long itself
NEW_TURN = object()


class State(enum.Enum):
    """Where a run is."""

    QUEUED = "queued"
    EXPORTING = "exporting"
    WORKING = "working"
    IMPORTING = "importing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (State.DONE, State.FAILED, State.CANCELLED)


class Run:
    """What is known of one run; changed by the queue only."""

    def __init__(self, request: Request, title: str) -> None:
        self.request, self.title = request, title
        self.state = State.QUEUED
        self.stage, self.fraction, self.secondsLeft = "", 0.0, None
        self.message = self.advice = ""
        self.warnings: list[str] = []
        self.log: list[str] = []
        self.metrics: list[tuple[float, dict]] = []
        self.preview: LoadedImage | None = None
        self.report: dict = {}
        self.nodes: list = []
        self.loaded: list = []
        self.fileNames: dict[str, str] = {}
        """The name of the node that each file for the worker was made from."""
        self.looks: dict[int, SegmentLook] = {}
        """What the labels are called and look like, as they were when the run started."""
        self.folder: Path | None = None
        self.started = 0.0
        self.secondsToFirstEvent: float | None = None
        self.onFinished: Callable[[Run], None] | None = None
        self.sequence = None
        """The runs of a whole sequence (a `SequenceRuns`) that this is one of."""

    @property
    def isEnded(self) -> bool:
        return self.state in ENDED

    def asText(self) -> str:
        """For "Copy report": everything that helps to find out what happened."""
        from INRSuperResolutionLib import __version__

        parts = [
            f"INRSuperResolution {__version__}, Slicer {slicer.app.applicationVersion}",
            f"state: {self.state.value} {self.stage}",
            f"message: {self.message} {self.advice}",
            *(f"warning: {w}" for w in self.warnings),
            f"request: {self.request}",
            f"report: {json.dumps(self.report)}",
            "log:",
            *self.log,
        ]
        return "\n".join(parts)


class RunQueue:
    """Does runs one after the other.

    Parameters
    ----------
    notify
        Called with a run whenever something about it has changed.
    makeProcess
        Makes the worker process; a test may give a false one.
    """

    def __init__(self, notify: Callable[[Run], None], makeProcess=WorkerProcess) -> None:
        self._notify, self._makeProcess = notify, makeProcess
        self.runs: list[Run] = []
        self.active: Run | None = None
        self._process = None
        self._work: Iterator | None = None
        self._error: dict | None = None
        self._cancelReason: str | None = None
        self._timer = qt.QTimer()
        self._timer.interval = 0
        self._timer.connect("timeout()", self._doSomeWork)

    # ---- what the outside asks for -------------------------------------------------------------

    def add(self, request: Request, title: str, onFinished=None) -> Run:
        """Queue a run; it starts at once if none is active."""
        run = Run(request, title)
        run.onFinished = onFinished
        self.runs.append(run)
        self._notify(run)
        if self.active is None:
            self._startNext()
        return run

    def cancel(self, run: Run, reason: str = "") -> None:
        """Stop a run; the scene and the temporary folder will be as before it."""
        if run.isEnded or (run is self.active and self._cancelReason is not None):
            return
        if run is not self.active:
            run.message = reason or _("Cancelled.")
            self._end(run, State.CANCELLED)
            return
        self._cancelReason = reason or _("Cancelled.")
        if run.state is State.WORKING:
            run.stage = "cancel"
            self._process.cancel()
            self._notify(run)
        elif run.nodes:  # they are in the scene already
            self._finishActive(State.DONE, _("Done."))
        else:
            self._finishActive(State.CANCELLED, self._cancelReason)

    def cancelAll(self, reason: str = "") -> None:
        """Stop everything: the scene is closed, or the application quits."""
        for run in [r for r in self.runs if not r.isEnded and r is not self.active]:
            self.cancel(run, reason)
        if self.active is not None:
            self.cancel(self.active, reason)

    def cancelRunsOf(self, nodeID: str, reason: str) -> None:
        """Stop the runs that need a node which is about to be deleted."""
        for run in [r for r in self.runs if not r.isEnded]:
            request = run.request
            if nodeID in neededNodes(request):
                self.cancel(run, reason)

    def shutDown(self) -> None:
        """The application quits: end the worker now and leave no files."""
        active, process = self.active, self._process
        self.cancelAll(_("Slicer was closed."))
        if process is not None and active is not None and not active.isEnded:
            process.kill()
            process.waitForFinished(2000)
        if active is not None and active.folder is not None:
            shutil.rmtree(active.folder, ignore_errors=True)

    # ---- the three parts of a run --------------------------------------------------------------

    def _startNext(self) -> None:
        run = next((r for r in self.runs if r.state is State.QUEUED), None)
        if run is None:
            return
        self.active, self._error, self._cancelReason = run, None, None
        run.state, run.stage, run.started = State.EXPORTING, "export", time.perf_counter()
        self._do(self._export(run))
        self._notify(run)

    def _export(self, run: Run) -> Iterator:
        request = run.request
        run.folder = folder = makeTemporaryFolder()
        (folder / "previews").mkdir()
        paths, labels = [], None
        if request.representationID:
            keeper = slicer.mrmlScene.GetNodeByID(request.representationID)
            request.nodes()
            if keeper is None:
                raise InputProblem(_("the representation was deleted"), _("Run the method again."))
            if request.segmentationID:
                run.looks = looksByLabel(segmentationOf(request))
            for _piece in writeRepresentation(keeper, folder / "input.inr"):
                yield
            paths.append(str(folder / "input.inr"))
        else:
            arrays = inputArrays(request)
            for n, (array, affine) in enumerate(arrays):
                run.fileNames[f"input{n}"] = request.nodes()[n].GetName()
                thickness = sliceThickness(request.nodes()[n], affine)
                for path in write(array, affine, folder / f"input{n}", thickness):
                    yield
                paths.append(str(path))
            if request.segmentationID:
                labels = yield from self._exportSegmentation(run, *arrays[0])
        like = None
        if request.likeID:
            like = yield from self._exportGrid(request.likeID, folder)
        yield NEW_TURN
        self._job = makeJob(request, paths, labels, like, folder)
        self._job.write(folder / "job.json")
        yield NEW_TURN
        run.state, run.stage = State.WORKING, "start"
        self._process = self._makeProcess(self._onEvent, self._onLog, self._onWorkerFinished)
        self._process.start(str(folder / "job.json"))
        self._notify(run)

    def _exportSegmentation(self, run: Run, array, affine) -> Iterator:
        """The label map for the worker: a segmentation on the grid of the first input, a label map volume as it is."""
        node = segmentationOf(run.request)
        run.fileNames["labelmap"] = node.GetName()
        if isLabelMap(node):
            labels, affine = pixelsAndPlace(node)
        else:
            run.looks = looksOf(node)
            for labels, overlap in labelMapOf(node, array.shape, affine):
                yield
            if not labels.any():
                raise InputProblem(
                    _("no segment of {name} lies in {volume}").format(
                        name=node.GetName(), volume=run.fileNames["input0"]
                    ),
                    _(
                        "Check that both show the same region, or choose no segmentation: then tissue classes are found."
                    ),
                )
            if overlap:
                run.warnings.append(
                    _("Segments of {name} overlap; there, the one that is later in the list counts.").format(
                        name=node.GetName()
                    )
                )
        for path in write(labels, affine, run.folder / "labelmap"):
            yield
        return str(path)

    def _exportGrid(self, nodeID: str, folder: Path) -> Iterator:
        node = slicer.mrmlScene.GetNodeByID(nodeID)
        if node is None:
            raise InputProblem(_("the volume to match was deleted"), _("Choose another one and press Run."))
        for path in write(*pixelsAndPlace(node), folder / "like"):
            yield
        return str(path)

    def _onEvent(self, event: dict) -> None:
        run = self.active
        if run.secondsToFirstEvent is None:
            run.secondsToFirstEvent = time.perf_counter() - run.started
        kind = event["event"]
        if kind == "progress":
            run.stage, run.fraction = event["stage"], event["fraction"]
            run.secondsLeft = event.get("seconds_left")
            if event.get("metrics"):
                run.metrics.append((time.perf_counter() - run.started, event["metrics"]))
        elif kind == "preview":
            if self._work is None:  # else the last one is still being read
                self._do(self._readPreview(run, Path(event["path"])))
        elif kind == "warning":
            run.warnings.append(messages.withNodeNames(event["message"], run.fileNames))
        elif kind == "result":
            run.report = event["report"]
        elif kind == "error":
            self._error = event
        self._notify(run)

    def _readPreview(self, run: Run, path: Path) -> Iterator:
        try:
            reader = NiftiReader(path)
            for image in reader.readImage():
                yield
        except (OSError, ValueError):
            return  # a preview is not worth failing for
        run.preview = LoadedImage(image, reader.affine, None)
        self._notify(run)

    def _onLog(self, line: str) -> None:
        self.active.log.append(line)
        del self.active.log[:-LOG_LINES]

    def _onWorkerFinished(self, code: int | None) -> None:
        self._process = None
        run = self.active
        if self._cancelReason is not None:
            self._finishActive(State.CANCELLED, self._cancelReason)
        elif code == 0 and run.report:
            run.state, run.stage = State.IMPORTING, "import"
            self._do(self._import(run))
            self._notify(run)
        elif self._error is not None:
            message = messages.withNodeNames(self._error["message"], run.fileNames)
            self._finishActive(State.FAILED, message, messages.inSlicerWords(self._error.get("advice", "")))
        else:
            self._finishActive(State.FAILED, *messages.ofDeath(code))

    def _import(self, run: Run) -> Iterator:
        if run.request.dicomFolder:
            (written,) = run.report["outputs"]
            self._finishActive(
                State.DONE,
                _(
                    "{n} DICOM images are in {folder}. Import them with the module Add DICOM Data to see them in Slicer."
                ).format(n=written["images"], folder=written["path"]),
            )
            return
        loaded = []
        for loaded in loadImages(run.report):
            yield
        if run.request.frame is not None:
            run.loaded = loaded  # whoever asked for the frames puts them together
            self._finishActive(State.DONE, _("Done."))
            return
        for representation in readRepresentation(Path(self._job.representation) if self._job.representation else None):
            yield
        labels = None
        if self._job.labels_output:
            for labels in loadSegmentation(Path(self._job.labels_output), run.report):
                yield
            self._findLooks(run)
        # all is read; a large file takes a while to delete
        for path in [p for p in run.folder.rglob("*") if p.is_file()]:
            with contextlib.suppress(OSError):  # the folder is removed at the end, too
                path.unlink()
            yield
        yield NEW_TURN
        run.nodes = addResults(run.request, loaded, run.report, run.title, representation, labels, run.looks)
        yield NEW_TURN
        self._finishActive(State.DONE, _("Done."))

    def _findLooks(self, run: Run) -> None:
        """A label map volume may have more colours than labels, which the worker tells."""
        node = segmentationOf(run.request) if run.request.segmentationID else None
        if node is not None and isLabelMap(node):
            run.looks = looksOfLabelMap(node, run.report["labels"]["values"])

    # ---- small steps, and the end --------------------------------------------------------------

    def _do(self, work: Iterator) -> None:
        self._work = work
        self._timer.start()

    def _doSomeWork(self) -> None:
        until = time.perf_counter() + SECONDS_PER_SLICE
        work = self._work
        try:
            while work is not None and time.perf_counter() < until:
                if next(work) is NEW_TURN:
                    break
                work = self._work
        except StopIteration:
            if self._work is work:
                self._stopWork()
        except Exception as error:
            self._stopWork()
            self._finishActive(State.FAILED, *messages.ofException(error))

    def _stopWork(self) -> None:
        self._timer.stop()
        self._work = None

    def _finishActive(self, state: State, message: str, advice: str = "") -> None:
        run = self.active
        self._stopWork()
        self.active = None
        run.message, run.advice = message, advice
        if run.folder is not None:
            shutil.rmtree(run.folder, ignore_errors=True)
        self._end(run, state)
        if self.active is None:
            self._startNext()

    def _end(self, run: Run, state: State) -> None:
        run.state, run.stage, run.secondsLeft = state, "", None
        self._notify(run)
        if run.onFinished is not None:
            run.onFinished(run)


def neededNodes(request: Request) -> list:
    """The ids (or None) of the nodes without which a run cannot go on."""
    others = (request.likeID, request.outputID, request.segmentationID, request.representationID)
    return [*request.inputIDs, *others]


def segmentationOf(request: Request):
    """The chosen segmentation; raises InputProblem if it is gone."""
    node = slicer.mrmlScene.GetNodeByID(request.segmentationID)
    if node is None:
        raise InputProblem(_("the segmentation was deleted"), _("Choose another one, or none, and press Run."))
    return node


def makeJob(request: Request, paths: list[str], labels: str | None, like: str | None, folder: Path):
    """The job file's content for a request whose inputs are at `paths` and whose label map is at `labels`."""
    from INRSuperResolutionLib.jobs.job import Job
    from INRSuperResolutionLib.methods import METHODS

    isSample = request.representationID is not None
    outputs = [str(folder / f"output{n}.nii") for n in range(len(request.inputIDs))]
    grid = {"like": like, "spacing": request.spacing, "scale": request.scale}
    common = {"outputs": outputs, "device": request.device, "run_id": uuid.uuid4().hex[:12], **grid}
    if request.segmentationOutput:
        common["labels_output"] = str(folder / "segmentation.nii")
    if request.dicomFolder:
        made = {"inputs": paths, "outputs": [request.dicomFolder], "run_id": common["run_id"]}
        return Job(task="derive", method=request.method, dicom_files=request.dicomFiles, **made)
    if isSample:
        return Job(task="sample", inputs=paths, **common)
    # an interpolation is as quick to do again as to load
    keeps = METHODS[request.method].needs_torch
    found = ["auto"] if METHODS[request.method].takes_labels else None
    return Job(
        task="upscale",
        method=request.method,
        inputs=paths,
        preset=request.preset,
        settings=request.settings,
        labels=[labels] if labels else found,
        slice_profile=request.sliceProfile,
        slice_thickness=[request.sliceThickness] if request.sliceThickness else None,
        register=request.register,
        seed=request.seed,
        max_seconds=request.maxSeconds,
        representation=str(folder / "result.inr") if keeps else None,
        preview_folder=str(folder / "previews") if keeps else None,
        **common,
    )
