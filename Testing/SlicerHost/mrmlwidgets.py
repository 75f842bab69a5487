"""Stand-ins for the qMRML widgets of the panel, and for slice views drawn by the real slice logics."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

from .qtnames import OURS, QUiLoader
from .strict import connect, hold_to_the_rules

SCENE_EVENTS = (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent)


class qMRMLWidget(OURS["QWidget"]):
    """The root of a UI file; it does nothing that the module needs."""


class qMRMLNodeComboBox(OURS["QWidget"]):
    """Lists the nodes of some classes; a widget that holds a combo box, and is none."""

    currentNodeChanged = QtCore.Signal("QVariant")
    connect = connect

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QComboBox(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self.setFocusProxy(self._box)
        self._types, self._none, self._none_display, self._children = [], False, "None", True
        self._scene, self._current, self._filling = None, "", False
        self.addEnabled = self.removeEnabled = self.renameEnabled = False
        self.showHidden = self.selectNodeUponCreation = False
        self._attributes: dict[str, str] = {}
        self._box.currentIndexChanged.connect(self._picked)

    def _get_types(self) -> list[str]:
        return self._types

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _get_none(self) -> bool:
        return self._none

    def _set_none(self, enabled: bool) -> None:
        self._none = enabled
        self._fill()

    def _get_display(self) -> str:
        return self._none_display

    def _set_display(self, text: str) -> None:
        self._none_display = text
        self._fill()

    def _get_children(self) -> bool:
        return self._children

    def _set_children(self, shown: bool) -> None:
        self._children = shown
        self._fill()

    sizeAdjustPolicy = QtCore.Property(
        QtWidgets.QComboBox.SizeAdjustPolicy,
        lambda self: self._box.sizeAdjustPolicy(),
        lambda self, policy: self._box.setSizeAdjustPolicy(policy),
    )
    nodeTypes = QtCore.Property("QStringList", _get_types, _set_types)
    noneEnabled = QtCore.Property(bool, _get_none, _set_none)
    noneDisplay = QtCore.Property(str, _get_display, _set_display)
    showChildNodeTypes = QtCore.Property(bool, _get_children, _set_children)

    def addAttribute(self, node_type: str, name: str) -> None:
        """List only nodes of that class that have the attribute, whatever its value."""
        self._attributes[node_type] = name
        self._fill()

    def _fits(self, node: Any) -> bool:
        name = self._attributes.get(node.GetClassName())
        return name is None or node.GetAttribute(name) is not None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        for event in SCENE_EVENTS:
            tag = scene.AddObserver(event, lambda *_: self._fill())
            self.destroyed.connect(lambda *_, tag=tag: scene.RemoveObserver(tag))
        self._fill()

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node else "")

    def nodeCount(self) -> int:
        return self._box.count() - (1 if self._none else 0)

    def setCurrentNodeID(self, node_id: str | None) -> None:
        known = {self._box.itemData(n) for n in range(self._box.count())}
        wanted = node_id if node_id in known else ""
        if wanted == self._current:
            return
        self._current = wanted
        self._fill()
        self.currentNodeChanged.emit(self.currentNode())

    def _picked(self, index: int) -> None:
        if not self._filling:
            self.setCurrentNodeID(self._box.itemData(index) or "")

    def _fill(self) -> None:
        if self._scene is None:
            return
        self._filling = True
        self._box.clear()
        if self._none:
            self._box.addItem(self._none_display, "")
        nodes = [n for t in self._types for n in slicer.util.getNodesByClass(t, self._scene)]
        for node in nodes:
            exact = self.showChildNodeTypes or node.GetClassName() in self._types
            if exact and not node.GetHideFromEditors() and self._fits(node):
                self._box.addItem(node.GetName(), node.GetID())
        place = self._box.findData(self._current)
        gone = place < 0 and self._current
        if place < 0:
            # as in Slicer: without "none", the first node is chosen by itself
            self._current = "" if self._none or not self._box.count() else self._box.itemData(0)
            place, changed = 0, bool(self._current or gone)
        else:
            changed = False
        self._box.setCurrentIndex(place)
        self._filling = False
        if changed:
            self.currentNodeChanged.emit(self.currentNode())


hold_to_the_rules(qMRMLWidget, "qMRMLWidget")
hold_to_the_rules(qMRMLNodeComboBox, "qMRMLNodeComboBox")
QUiLoader.extra.update(qMRMLWidget=qMRMLWidget, qMRMLNodeComboBox=qMRMLNodeComboBox)


class View:
    """What a slice widget gives as its view: the texts at its corners and edges."""

    def __init__(self, widget: SliceView) -> None:
        self._widget = widget
        self._annotation = vtk.vtkCornerAnnotation()

    def cornerAnnotation(self) -> Any:
        return self._annotation

    def scheduleRender(self) -> None:
        self._widget.draw()


hold_to_the_rules(View, "qMRMLSliceView")


class SliceView(QtWidgets.QLabel):
    """A slice widget: draws the image that the real slice logic blends."""

    def __init__(self, logic: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic = logic
        self.setMinimumSize(240, 240)
        self.setAlignment(QtCore.Qt.AlignCenter)
        self.setAutoFillBackground(True)
        palette = self.palette()
        palette.setColor(QtGui.QPalette.Window, QtGui.QColor("black"))
        palette.setColor(QtGui.QPalette.WindowText, QtGui.QColor("white"))
        self.setPalette(palette)
        self._drawing = False
        self._view = View(self)

    def sliceView(self) -> View:
        return self._view

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._logic.GetSliceNode().SetDimensions(max(self.width(), 2), max(self.height(), 2), 1)
        self._logic.FitSliceToAll()
        self.draw()

    def draw(self) -> None:
        """Reslice and show."""
        blend = self._logic.GetBlend()
        composite = self._logic.GetSliceCompositeNode()
        if not (composite.GetBackgroundVolumeID() or composite.GetForegroundVolumeID()):
            self.clear()
            return
        self._logic.UpdatePipeline()
        blend.Update()
        image = blend.GetOutput()
        width, height, _ = image.GetDimensions()
        scalars = image.GetPointData().GetScalars()
        if scalars is None or width < 2:
            return
        pixels = vtk_to_numpy(scalars).reshape(height, width, -1)[::-1, :, :3].copy()
        shown = QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()
        names = [
            slicer.mrmlScene.GetNodeByID(i).GetName()
            for i in (composite.GetForegroundVolumeID() if composite.GetForegroundOpacity() else None,
                      composite.GetBackgroundVolumeID())
            if i and slicer.mrmlScene.GetNodeByID(i)
        ]  # fmt: skip
        painter = QtGui.QPainter(shown)
        painter.setPen(QtGui.QColor("white"))
        painter.drawText(8, height - 8, names[0] if names else "")
        edge = self._view.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge) or ""
        painter.drawText(0, 4, width, 40, QtCore.Qt.AlignHCenter, edge)
        painter.end()
        self.setPixmap(QtGui.QPixmap.fromImage(shown))


hold_to_the_rules(SliceView, "qMRMLSliceWidget")


class LayoutManager(QtCore.QObject):
    """Slice views by name; a layout only tells which of them are seen."""

    SHOWN: ClassVar = {
        slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView: ("Red", "Yellow"),
        slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView: ("Red",),
    }

    def __init__(self, application_logic: Any, scene: Any) -> None:
        super().__init__()
        self._logics = vtk.vtkCollection()
        self._views: dict[str, SliceView] = {}
        self._layout = slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
        self.board = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(self.board)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for name in ("Red", "Yellow", "Green"):
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(application_logic)
            logic.SetMRMLScene(scene)
            node = logic.AddSliceNode(name)
            # views and their nodes outlive a scene that is closed
            for singleton in (node, logic.GetSliceCompositeNode()):
                singleton.SetSaveWithScene(True)
            node.SetOrientation({"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}[name])
            self._logics.AddItem(logic)
            self._views[name] = SliceView(logic)
            row.addWidget(self._views[name])
        application_logic.SetSliceLogics(self._logics)
        self.setLayout(self._layout)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.draw)

    def draw(self) -> None:
        """Draw the views that are seen."""
        for view in self._views.values():
            if view.isVisible():
                view.draw()

    def draw_regularly(self) -> None:
        """Draw five times a second, as a window does."""
        self._timer.start(200)

    def node(self) -> Any:
        """The real layout node, in which Slicer's own logics change the layout, too."""
        found = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if found is None:
            found = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLayoutNode")
            for layout in self.SHOWN:
                found.AddLayoutDescription(layout, "<layout/>")
            found.SetViewArrangement(self._layout)
        return found

    @property
    def layout(self) -> int:
        self._layout = self.node().GetViewArrangement()
        return self._layout

    def setLayout(self, layout: int) -> None:
        self._layout = layout
        self.node().SetViewArrangement(layout)
        for name, view in self._views.items():
            view.setVisible(name in self.SHOWN.get(layout, self._views))

    def sliceViewNames(self) -> list[str]:
        return list(self._views)

    def sliceWidget(self, name: str) -> SliceView:
        return self._views[name]

    def mrmlSliceLogics(self) -> Any:
        return self._logics


hold_to_the_rules(LayoutManager, "qSlicerLayoutManager")
