"""Stand-ins for ScriptedLoadableModule, parameterNodeWrapper and i18n."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import json
import logging
import sys
import types
import typing
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from .mrmlwidgets import qMRMLNodeComboBox


class ScriptedLoadableModule:
    """Describes a module."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    """The panel of a module."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent if parent is not None else qt.QWidget()
        self.layout = self.parent.layout() or qt.QVBoxLayout(self.parent)
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def setup(self) -> None:
        pass

    def enter(self) -> None:
        pass

    def exit(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def resourcePath(self, name: str) -> str:
        return str(Path(sys.modules[self.moduleName].__file__).parent / "Resources" / name)

    def initializeParameterNode(self) -> None:
        pass

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    """The logic of a module; its parameter node is a singleton of the scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node.SetName(self.moduleName)
            node = scene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The self test of a module."""

    def runTest(self) -> None:
        pass

    def delayDisplay(self, message: str, msec: int = 0) -> None:
        logging.info(message)


# ---- parameterNodeWrapper ------------------------------------------------------------------------


@dataclasses.dataclass
class WithinRange:
    """An annotation: the limits of a number, which its widget takes over."""

    minimum: float
    maximum: float


def is_node(hint: Any) -> bool:
    """Whether a type hint is a MRML node class, or a choice of some (as in Slicer: by typing.Union, with None)."""
    if typing.get_origin(hint) is typing.Union:
        return all(is_node(part) or part is type(None) for part in typing.get_args(hint))
    return isinstance(hint, type) and issubclass(hint, slicer.vtkMRMLNode)


def to_text(value: Any) -> str:
    """As saved in the scene; enums by name."""
    return value.name if isinstance(value, enum.Enum) else json.dumps(value)


def from_text(text: str, hint: Any) -> Any:
    """The inverse of `to_text`."""
    return hint[text] if isinstance(hint, type) and issubclass(hint, enum.Enum) else json.loads(text)


class ObservedList(collections.abc.MutableSequence):
    """As Slicer's: a list whose changes go into the parameter node, and which is no `list`."""

    def __init__(self, items: list, save: Callable[[list], None]) -> None:
        self._list, self._save = items, save

    def __repr__(self) -> str:
        return f"ObservedList({self._list})"

    def __eq__(self, other: object) -> bool:
        return self._list == (other._list if isinstance(other, ObservedList) else other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, index: Any) -> Any:
        return self._list[index]

    def __setitem__(self, index: Any, item: Any) -> None:
        self._list[index] = item
        self._save(self._list)

    def __delitem__(self, index: Any) -> None:
        del self._list[index]
        self._save(self._list)

    def insert(self, index: int, value: Any) -> None:
        self._list.insert(index, value)
        self._save(self._list)

    def __add__(self, other: object) -> Any:
        raise NotImplementedError("Adding an ObservedList is not supported. However, += is supported.")

    __radd__ = __mul__ = __rmul__ = __add__


def make_field(name: str, hint: Any, default: Any) -> property:
    """A field of a parameter node: kept in the MRML node as text, or as references to nodes."""
    limits = limits_of(hint)
    hint = typing.get_args(hint)[0] if limits else hint

    def get(self: Any) -> Any:
        node = self.parameterNode
        if is_node(hint):
            return node.GetNodeReference(name)
        if typing.get_origin(hint) is list and is_node(typing.get_args(hint)[0]):
            found = [node.GetNthNodeReference(name, n) for n in range(node.GetNumberOfNodeReferences(name))]
            return ObservedList([n for n in found if n], lambda items: set_(self, items))
        text = node.GetParameter(name)
        return from_text(text, hint) if text else default

    def set_(self: Any, value: Any) -> None:
        node = self.parameterNode
        if is_node(hint):
            node.SetNodeReferenceID(name, value.GetID() if value else None)
            node.Modified()
        elif typing.get_origin(hint) is list and is_node(typing.get_args(hint)[0]):
            node.RemoveNodeReferenceIDs(name)
            for item in value:
                node.AddNodeReferenceID(name, item.GetID())
            node.Modified()
        else:
            if limits and not limits.minimum <= value <= limits.maximum:
                raise ValueError(f"{name} = {value} is outside {limits}")
            node.SetParameter(name, to_text(value))

    return property(get, set_)


def limits_of(hint: Any) -> WithinRange | None:
    """The limits that a type is annotated with."""
    return next((a for a in getattr(hint, "__metadata__", ()) if isinstance(a, WithinRange)), None)


def parameterNodeWrapper(cls: type) -> type:
    """Turns annotated fields into ones kept in a MRML node."""
    hints = typing.get_type_hints(cls, include_extras=True)
    members: dict[str, Any] = {n: make_field(n, h, getattr(cls, n, None)) for n, h in hints.items()}
    members["__annotations__"] = {}

    def keep_node(self: Any, parameterNode: Any) -> None:
        self.parameterNode = parameterNode

    def connectGui(self: Any, gui: Any) -> Any:
        links = []
        for widget in vars(gui).values():
            field = widget.property("SlicerParameterName")
            if field:
                if field not in hints:
                    raise ValueError(f"the panel binds {field!r}, which the parameter node does not have")
                links.append(Link(self, field, widget, limits_of(hints[field])))
        self._links = [*getattr(self, "_links", []), *links]
        tag = self.parameterNode.AddObserver("ModifiedEvent", lambda *_: [link.show() for link in links])
        for link in links:
            link.show()
        return links, tag

    def disconnectGui(self: Any, tag: Any) -> None:
        for link in tag[0]:
            link.cut()
        self.parameterNode.RemoveObserver(tag[1])

    def AddObserver(self: Any, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback)

    members.update(
        __init__=keep_node, connectGui=connectGui, disconnectGui=disconnectGui, AddObserver=AddObserver,
        RemoveObserver=lambda self, tag: self.parameterNode.RemoveObserver(tag),
        GetID=lambda self: self.parameterNode.GetID(),
        __eq__=lambda self, other: getattr(other, "parameterNode", None) is self.parameterNode,
        __hash__=lambda self: hash(self.parameterNode.GetID()),
    )  # fmt: skip
    return type(cls.__name__, (), members)


class Link:
    """Keeps a widget and a field of the parameter node alike."""

    def __init__(self, wrapper: Any, field: str, widget: Any, limits: WithinRange | None) -> None:
        from PySide6 import QtWidgets

        self._wrapper, self._field, self._widget = wrapper, field, widget
        if isinstance(widget, qMRMLNodeComboBox):
            self._signal, self._get, self._set = widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode
        elif isinstance(widget, QtWidgets.QAbstractButton):
            self._signal, self._get, self._set = widget.toggled, lambda: widget.checked, widget.setChecked
        elif isinstance(widget, (QtWidgets.QSpinBox, QtWidgets.QDoubleSpinBox)):
            self._signal, self._get, self._set = widget.valueChanged, lambda: widget.value, widget.setValue
            # as in Slicer: without an annotation, the limits in the UI file are lost
            widest = (-(2**31), 2**31 - 1) if isinstance(widget, QtWidgets.QSpinBox) else (-1e300, 1e300)
            widget.setRange(*((limits.minimum, limits.maximum) if limits else widest))
        elif isinstance(widget, QtWidgets.QLineEdit):
            self._signal, self._get, self._set = widget.textChanged, lambda: widget.text, widget.setText
        else:
            raise ValueError(f"SlicerHost cannot bind a {type(widget).__name__} to {field!r}")
        self._busy = False
        self._signal.connect(self.take)

    def take(self, *_: Any) -> None:
        """Widget → parameter node."""
        if not self._busy and self._get() != getattr(self._wrapper, self._field):
            setattr(self._wrapper, self._field, self._get())

    def show(self) -> None:
        """Parameter node → widget."""
        value = getattr(self._wrapper, self._field)
        if value != self._get():
            self._busy = True
            self._set(value)
            self._busy = False
            if self._get() != value:  # a combo box that must show some node has taken another one
                self.take()

    def cut(self) -> None:
        self._signal.disconnect(self.take)


def install() -> None:
    """Make the imports of a scripted module work."""

    def module(name: str, **members: Any) -> types.ModuleType:
        made = types.ModuleType(name)
        made.__dict__.update(members)
        sys.modules[name] = made
        setattr(slicer, name.partition(".")[2], made)
        return made

    module(
        "slicer.ScriptedLoadableModule",
        ScriptedLoadableModule=ScriptedLoadableModule,
        ScriptedLoadableModuleWidget=ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic=ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest=ScriptedLoadableModuleTest,
    ).__all__ = [n for n in globals() if n.startswith("ScriptedLoadable")]
    module("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
    module("slicer.parameterNodeWrapper", parameterNodeWrapper=parameterNodeWrapper, WithinRange=WithinRange)
