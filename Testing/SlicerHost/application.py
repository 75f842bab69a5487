"""`slicer.app`, `slicer.modules`, and the scene with the logics of Slicer's own modules."""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from . import mainloop
from .strict import connect, hold_to_the_rules, outward

REPOSITORY = Path(__file__).resolve().parents[2]
LOGICS = ("Volumes", "Segmentations", "SubjectHierarchy", "Sequences", "Markups", "Plots", "Tables", "Texts")


class Application:
    """What the module asks of `slicer.app`."""

    connect = connect

    def __init__(self, host: Host) -> None:
        self._host = host
        self.aboutToQuit = host.qt_application.aboutToQuit
        self._isTesting = True
        self.temporaryPath = tempfile.gettempdir()
        self.applicationName, self.applicationVersion = "SlicerHost", "5.12"
        self.slicerHome = sys.prefix

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def layoutManager(self) -> Any:
        """None where Slicer was started without its main window."""
        return self._host.layout_manager if self._host.has_main_window else None

    def applicationLogic(self) -> Any:
        return self._host.logic

    def testingEnabled(self) -> bool:
        """As Slicer with ``--testing``, unless a test says otherwise."""
        return self._isTesting

    def setOverrideCursor(self, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def pauseRender(self) -> None:
        pass

    def resumeRender(self) -> None:
        pass

    def clipboard(self) -> Any:
        return outward(QtWidgets.QApplication.clipboard())


hold_to_the_rules(Application, "qSlicerApplication")


class Host:
    """The running stand-in; there is one in a process, because Slicer's names are global."""

    def __init__(self) -> None:
        self.has_main_window = True
        self.qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["SlicerHost"])
        QtWidgets.QApplication.setStyle("fusion")
        self.scene = slicer.mrmlScene = slicer.vtkMRMLScene()
        cache, data_io = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        cache.SetRemoteCacheDirectory(tempfile.mkdtemp(prefix="slicerhost-"))
        cache.SetMRMLScene(self.scene)
        data_io.SetCacheManager(cache)
        self.scene.SetCacheManager(cache)
        self.scene.SetDataIOManager(data_io)
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.SetMRMLScene(self.scene)
        self.logic.SetTemporaryPath(tempfile.gettempdir())
        self.logics: dict[str, Any] = {}
        self._add_logic("Colors", slicer.vtkSlicerColorLogic).AddDefaultColorNodes()
        self.logic.SetColorLogic(self.logics["Colors"])
        for name in LOGICS:
            cls = getattr(slicer, f"vtkSlicer{name}Logic", None) or getattr(slicer, f"vtkSlicer{name}ModuleLogic")
            self._add_logic(name, getattr(slicer, f"vtkSlicer{name}ModuleLogic") if name == "Segmentations" else cls)
        from . import qtnames

        qtnames.install()
        from . import mrmlwidgets, packages, scripted

        scripted.install()
        packages.install()
        # in Slicer, the plugins of the subject hierarchy do this
        self.scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, add_hierarchy_item)
        self.layout_manager = mrmlwidgets.LayoutManager(self.logic, self.scene)
        slicer.app = Application(self)
        slicer.modules = types.SimpleNamespace()
        for name, logic in self.logics.items():
            setattr(slicer.modules, name.lower(), types.SimpleNamespace(logic=lambda made=logic: made))

    def _add_logic(self, name: str, cls: type) -> Any:
        logic = cls()
        logic.SetMRMLApplicationLogic(self.logic)
        self.logic.SetModuleLogic(name, logic)
        logic.SetMRMLScene(self.scene)
        self.logics[name] = logic
        return logic

    def load_volume(self, path: Any, name: str) -> Any:
        """As `slicer.util.loadVolume`, which needs the application."""
        node = self.logics["Volumes"].AddArchetypeVolume(str(path), name, 0)
        if node is None:
            raise RuntimeError(f"Slicer cannot read {path}")
        return node

    def load_module(self) -> Any:
        """Import the module as Slicer does: by its file, from its own folder."""
        folder = str(REPOSITORY / "INRSuperResolution")
        if folder not in sys.path:
            sys.path.insert(0, folder)
        return importlib.import_module("INRSuperResolution")

    def make_panel(self) -> Any:
        """The module's widget, set up, entered."""
        module = self.load_module()
        parent = sys.modules["qt"].QWidget()
        sys.modules["qt"].QVBoxLayout(parent)
        parent.reload = lambda: self._fill(parent)  # as qSlicerScriptedLoadableModuleWidget
        shown = types.SimpleNamespace(path=module.__file__, widgetRepresentation=lambda: parent)
        slicer.modules.inrsuperresolution = shown
        return self._fill(parent)

    def _fill(self, parent: Any) -> Any:
        widget = sys.modules["INRSuperResolution"].INRSuperResolutionWidget(parent)
        widget.setup()
        widget.enter()
        slicer.modules.INRSuperResolutionWidget = widget
        return widget

    def process_events(self, seconds: float = 0.0) -> None:
        """Let Qt work for some time."""
        loop = QtCore.QEventLoop()
        QtCore.QTimer.singleShot(int(1000 * seconds), loop.quit)
        mainloop.run(loop)


@vtk.calldata_type(vtk.VTK_OBJECT)
def add_hierarchy_item(scene: Any, event: Any, node: Any) -> None:
    """An item in the subject hierarchy for each node that the user can see."""
    if node.IsA("vtkMRMLStorableNode") and not node.GetHideFromEditors() and not node.IsA("vtkMRMLColorNode"):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


_host: Host | None = None


# what the process ends with; pytest's hook in conftest.py sets it
exit_code = 0


@atexit.register
def leave_at_once() -> None:
    """Skip Python's own taking apart: there, VTK and Qt call into what is left of each other (seen as a crash)."""
    if _host is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def start() -> Host:
    """The host of this process."""
    global _host
    _host = _host or Host()
    return _host
