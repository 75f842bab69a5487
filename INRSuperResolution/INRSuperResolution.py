"""The Slicer module INRSuperResolution; its parts are in the package INRSuperResolutionModule."""

import sys
from pathlib import Path
from typing import Annotated, ClassVar, Union

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# beside this file in the source tree and when installed; Slicer adds it only for modules that it loads itself
if str(Path(__file__).resolve().parent) not in sys.path:
    sys.path.append(str(Path(__file__).resolve().parent))

from INRSuperResolutionModule.panel.many import ManySection
from INRSuperResolutionModule.panel.panel import Panel
from INRSuperResolutionModule.runs import dependencies
from INRSuperResolutionModule.runs.process import WorkerProcess
from INRSuperResolutionModule.runs.run import Run, RunQueue, State
from INRSuperResolutionModule.runs.sequences import SequenceRuns
from INRSuperResolutionModule.scene.dicom import filesOf, sourceInstanceUIDs
from INRSuperResolutionModule.scene.inputs import InputProblem, Request
from INRSuperResolutionModule.scene.results import inputIDsOf, representationOf, segmentationWith
from INRSuperResolutionModule.scene.sampledata import registerSampleData
from INRSuperResolutionModule.scene.segmentations import isLabelMap
from INRSuperResolutionModule.study.section import StudySection
from INRSuperResolutionModule.zoom.panel import ZoomPanel

from INRSuperResolutionLib.methods import METHODS


class INRSuperResolution(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Thick-Slice Super-Resolution")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Filtering")]
        parent.dependencies = []
        parent.contributors = ["INRSuperResolution contributors"]
        parent.helpText = _(
            "Sharpens MR and CT scans with thick slices: makes thin, isotropic slices of them, which can be reformatted in "
            "any plane (super-resolution). It learns from the scan itself, from further contrasts of the patient (T1, T2, "
            "FLAIR …), or uses small networks trained ahead. Nothing is sent anywhere. For research use only."
            "<p>Choose a volume, tick further contrasts of the same patient if there are any, and press Run. "
            "To try it: module Sample Data, Brain MR with thick slices."
        )
        parent.acknowledgementText = _(
            "Multi-contrast INR: J. McGinnis et al., Single-subject Multi-contrast MRI Super-resolution via Implicit "
            "Neural Representations, MICCAI 2023, doi:10.1007/978-3-031-43993-3_17."
            "<br>SeCo-INR: M. Ekanayake et al., SeCo-INR: Semantically Conditioned Implicit Neural Representations for "
            "Improved Medical Image Super-Resolution, WACV 2025."
        )
        # the module Sample Data is not there before
        slicer.app.connect("startupCompleted()", registerSampleData)


@parameterNodeWrapper
class INRSuperResolutionParameterNode:
    """All choices of the panel; saved with the scene. Fields may be added, never renamed."""

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    furtherContrasts: list[slicer.vtkMRMLScalarVolumeNode]
    # Slicer's wrapper knows a choice of node classes by typing.Union with None only
    segmentation: Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007
    region: slicer.vtkMRMLMarkupsROINode
    likeVolume: slicer.vtkMRMLScalarVolumeNode
    outputVolume: slicer.vtkMRMLScalarVolumeNode
    result: slicer.vtkMRMLScalarVolumeNode
    """The result to compare and to sample again."""
    method: str = ""
    preset: str = ""
    settings: str = "{}"
    outputMode: str = "isotropic"
    # the wrapper takes the limits of a bound box from here, and sets none otherwise
    spacing: Annotated[float, WithinRange(0.1, 20.0)] = 1.0
    factor: Annotated[float, WithinRange(1.0, 16.0)] = 2.0
    segmentationOutput: str = "auto"
    """yes, no, or auto: when a segmentation is given."""
    device: str = "auto"
    sliceProfile: str = "auto"
    sliceThickness: Annotated[float, WithinRange(0.0, 100.0)] = 0.0
    """In mm; 0 for what the header tells."""
    register: bool = False
    wholeSequence: bool = False
    """All time points, if the volume is one of a sequence."""
    seed: Annotated[int, WithinRange(0, 999999)] = 0
    limitMinutes: Annotated[float, WithinRange(0.0, 600.0)] = 0.0


class INRSuperResolutionWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Ties panel, logic, parameter node and scene together."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self.panel = None
        self._parameterNode = self._parameterNodeGuiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.uiWidget = slicer.util.loadUI(self.resourcePath("UI/INRSuperResolution.ui"))
        self.layout.addWidget(self.uiWidget)
        self.ui = slicer.util.childWidgetVariables(self.uiWidget)
        # a layout is no widget, so the line above does not find it
        self.ui.settingsForm = self.ui.settingsWidget.layout()
        for selector in (
            self.ui.inputSelector, self.ui.segmentationSelector, self.ui.regionSelector, self.ui.likeSelector,
            self.ui.outputSelector, self.ui.resultSelector, self.ui.zoomSelector,
        ):  # fmt: skip
            selector.setMRMLScene(slicer.mrmlScene)
        self.ui.resultSelector.addAttribute("vtkMRMLScalarVolumeNode", "INRSuperResolution.Method")
        self.logic = INRSuperResolutionLogic()
        self.panel = Panel(self.ui, self.logic)
        self.zoomPanel = ZoomPanel(self.ui)
        sections = self.uiWidget.layout()
        self.studySection = StudySection(sections, sections.indexOf(self.ui.logButton))
        self.manySection = ManySection(sections, sections.indexOf(self.ui.logButton), self.panel.choices, self.logic)
        self.logic.listeners.append(self.panel.run.onRunChanged)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self.panel.refreshSoon)
        self.initializeParameterNode()

    def cleanup(self):
        """The module is closed or reloaded, or Slicer quits."""
        self.manySection.stop()
        self.logic.close()
        self.panel.cleanUp()
        self.panel.result.marks.show(False)
        self.zoomPanel.close()
        self.studySection.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        # a comparison that goes on in another module would only puzzle; a run goes on
        self.panel.cleanUp()
        self.studySection.stop()

    def onReload(self):
        """Slicer's button Reload executes this file anew; its parts are to be read anew, too.

        Forgotten, not `importlib.reload`: that would have to know which part imports which, else a name imported
        from a part that is reloaded later would stay the old one.
        """
        for name in [n for n in sys.modules if n.partition(".")[0] == "INRSuperResolutionModule"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        self.panel.cleanUp()
        self.panel.result.marks.show(False)
        self.studySection.stop()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        self.initializeParameterNode()

    def initializeParameterNode(self):
        node = INRSuperResolutionParameterNode(self.logic.getParameterNode())
        if node.inputVolume is None:
            # a label map volume is of that class, too
            volumes = (v for v in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if not isLabelMap(v))
            volume = next(volumes, None)
            if volume is not None and not volume.GetHideFromEditors():
                node.inputVolume = volume
        self.setParameterNode(node)

    def setParameterNode(self, node):
        """Show another parameter node, or none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode.parameterNode, "ModifiedEvent", self.panel.refresh)
        self._parameterNode = node
        if node is not None:
            self._parameterNodeGuiTag = node.connectGui(self.ui)
            self.addObserver(node.parameterNode, "ModifiedEvent", self.panel.refresh)
        self.panel.setParameters(node)


class INRSuperResolutionLogic(ScriptedLoadableModuleLogic, VTKObservationMixin):
    """Runs from Python, with or without the panel.

    Example::

        logic = INRSuperResolutionLogic()
        t1, flair = logic.process([t1Node, flairNode], "multicontrast", spacing=1.0)
        t1, tissues = logic.process(t1Node, "seco", segmentation=tissuesNode)
    """

    def __init__(self, makeProcess=WorkerProcess):
        ScriptedLoadableModuleLogic.__init__(self)
        VTKObservationMixin.__init__(self)
        self.listeners = []
        self.queue = RunQueue(self._tellListeners, makeProcess)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneClose)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._onNodeRemoved)
        slicer.app.connect("aboutToQuit()", self.queue.shutDown)

    def start(self, request: Request, onFinished=None) -> Run:
        """Start a run, or queue it behind others; returns at once. Call from the main thread.

        Raises
        ------
        InputProblem
            If packages are missing that the user does not want installed, or that cannot be.
        """
        # what is there already is written without PyTorch, whatever made it
        dependencies.ensure(METHODS[request.method].needs_torch and not request.dicomFolder)
        return self._add(request, onFinished)

    def _add(self, request: Request, onFinished=None) -> Run:
        return self.queue.add(request, METHODS[request.method].title, onFinished)

    def resample(self, result, onFinished=None, **grid) -> Run:
        """Sample the representation that `result` came from on another grid, without a second fit.

        `grid` is one of spacing, scale (lists) and likeID, and may name a device. If a segmentation was made
        together with the result, so it is again.
        """
        keeper = representationOf(result)
        if keeper is None:
            raise ValueError(f"{result.GetName()} has no representation in the scene")
        segmentation = segmentationWith(result)
        request = Request(
            inputIDs=inputIDsOf(result),
            method=result.GetAttribute("INRSuperResolution.Method"),
            representationID=keeper.GetID(),
            segmentationID=segmentation.GetID() if segmentation is not None else None,
            segmentationOutput=segmentation is not None,
            **grid,
        )
        return self.start(request, onFinished)

    def writeDicom(self, result, folder: str, onFinished=None) -> Run:
        """Write a result as a derived DICOM series of its patient and study, as the command line does.

        Parameters
        ----------
        result
            A volume that this module has made from a volume of Slicer's DICOM database.
        folder
            A new folder whose name ends in ``.dcm``; one with a series that was written here is replaced.

        Raises
        ------
        InputProblem
            If the result was not made from DICOM, or the files are not in the database any more.
        """
        request = Request(
            inputIDs=[result.GetID()],
            method=result.GetAttribute("INRSuperResolution.Method"),
            dicomFolder=folder,
            dicomFiles=filesOf(sourceInstanceUIDs(result), result.GetName()),
        )
        return self.start(request, onFinished)

    def process(self, inputs, method: str, *, segmentation=None, **choices):
        """Do one run and wait for it, with the application alive; returns the result nodes.

        They are a volume for each input, and last the super-resolved segmentation if there is one.

        Parameters
        ----------
        inputs
            A volume node, or a list of them (contrasts of one patient).
        segmentation
            A segmentation or label map volume node of the input, for a method that it guides; a super-resolved one
            comes with the result, unless `segmentationOutput` is False.
        choices
            Further fields of a `Request`; `spacing` and `scale` may be one number.

        Raises
        ------
        RuntimeError
            With message and advice, if the run cannot start, fails or is cancelled.
        """
        nodes = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        for name in ("spacing", "scale"):
            if isinstance(choices.get(name), (int, float)):
                choices[name] = [float(choices[name])]
        if segmentation is not None:
            choices = {"segmentationID": segmentation.GetID(), "segmentationOutput": True, **choices}
        request = Request(inputIDs=[node.GetID() for node in nodes], method=method, **choices)
        loop = qt.QEventLoop()
        run = self.start(request, lambda _run: loop.quit())
        if not run.isEnded:
            loop.exec_()
        if run.state is not State.DONE:
            raise RuntimeError(f"{run.message} {run.advice}".strip())
        return run.nodes

    def startSequence(self, request: Request, onFinished=None) -> SequenceRuns:
        """Start a run for every item of a sequence, the first input of `request`; returns at once.

        The scene changes only when all have succeeded; if one fails or is cancelled, the others are stopped.
        """
        dependencies.ensure(METHODS[request.method].needs_torch)
        return SequenceRuns(self._add, self.queue.cancel, request, METHODS[request.method].title, onFinished)

    def processSequence(self, sequence, method: str, *, segmentation=None, **choices):
        """As `process` for every volume of a sequence node, one after the other; returns the new sequence node.

        A segmentation guides every frame alike; none comes out.
        """
        if segmentation is not None:
            choices["segmentationID"] = segmentation.GetID()
        loop = qt.QEventLoop()
        request = Request(inputIDs=[sequence.GetID()], method=method, **choices)
        runs = self.startSequence(request, lambda _runs: loop.quit())
        if runs.node is None and runs.failed is None:
            loop.exec_()
        if runs.failed is not None:
            raise RuntimeError(f"{runs.failed.message} {runs.failed.advice}".strip())
        return runs.node

    def close(self):
        """End all runs and stop listening to the scene."""
        self.queue.shutDown()
        self.removeObservers()

    def _tellListeners(self, run):
        for listener in self.listeners:
            listener(run)

    def _onSceneClose(self, caller, event):
        self.queue.cancelAll(_("The scene was closed, so the run was stopped."))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, caller, event, node):
        reason = _("{name} was deleted, so the run was stopped.").format(name=node.GetName())
        self.queue.cancelRunsOf(node.GetID(), reason)


class INRSuperResolutionTest(ScriptedLoadableModuleTest):
    """The self test; runs in Slicer's self-test runner, its CTest entry and SlicerHost alike.

    The CTest entry collects the methods `test_…` as unittest does, the self-test runner calls `runTest`: each must end
    with the marker that CMakeLists.txt asks for, because Slicer ends with 0 also when it has run nothing.
    """

    passed: ClassVar[set[str]] = set()
    names: ClassVar[tuple[str, ...]] = ("test_LinearKeepsGeometry", "test_CancelLeavesTheSceneAsItWas")

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        for name in self.names:
            self.setUp()
            getattr(self, name)()

    def tellPassed(self, name):
        """Print the marker once all tests have passed."""
        self.passed.add(name)
        if self.passed.issuperset(self.names):
            print("INRSuperResolution: self test passed", flush=True)

    def test_LinearKeepsGeometry(self):
        import numpy as np

        volume = slicer.util.addVolumeFromArray(np.random.default_rng(0).random((6, 20, 16), np.float32), name="T1")
        volume.SetSpacing(1.0, 1.0, 4.0)
        logic = INRSuperResolutionLogic()
        (result,) = logic.process(volume, "linear")
        self.assertEqual(result.GetImageData().GetDimensions(), (16, 20, 24))
        self.assertTrue(np.allclose(result.GetSpacing(), 1.0))
        logic.close()
        self.tellPassed("test_LinearKeepsGeometry")

    def test_CancelLeavesTheSceneAsItWas(self):
        import numpy as np

        volume = slicer.util.addVolumeFromArray(np.zeros((6, 20, 16), np.float32), name="T1")
        count = slicer.mrmlScene.GetNumberOfNodes()
        logic = INRSuperResolutionLogic()
        logic.listeners.append(lambda run: run.stage == "read" and logic.queue.cancel(run))
        with self.assertRaisesRegex(RuntimeError, "Cancelled"):
            logic.process(volume, "cubic")
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), count)
        logic.close()
        self.tellPassed("test_CancelLeavesTheSceneAsItWas")


__all__ = [
    "INRSuperResolution", "INRSuperResolutionLogic", "INRSuperResolutionParameterNode", "INRSuperResolutionTest",
    "INRSuperResolutionWidget", "InputProblem", "Request",
]  # fmt: skip
