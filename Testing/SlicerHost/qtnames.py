"""The modules `qt` and `ctk` in PythonQt's manner, made of PySide6.

PythonQt gives properties as attributes (``button.enabled = False``, ``box.currentIndex``) and connects signals
by their text (``button.connect("clicked(bool)", f)``). Each class here is a subclass of the PySide6 class with
that added; setters (``setText``) stay, as in PythonQt. What else the module may do with them says :mod:`strict`.
"""

from __future__ import annotations

import sys
import types
from inspect import getattr_static
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import mainloop
from .strict import MEMBERS, WrappedClass, connect, hold_to_the_rules, is_held, plain_class

# C++ calls these itself: a Python attribute of that name would be taken for an override
VIRTUAL = {"sizeHint", "minimumSizeHint"}
# there is a static function of the same name
STATIC = {"singleShot"}


def as_attribute(cls: type, meta: QtCore.QMetaProperty) -> property | None:
    """The Qt property as a Python one; None where the class has no getter for it."""
    name = meta.name()
    capital = name[0].upper() + name[1:]
    # static look-ups: PySide's own miscount references (seen with 6.12 on Python 3.11)
    getters = [g for g in (name, f"is{capital}", f"has{capital}") if callable(getattr_static(cls, g, None))]
    if not getters or name in VIRTUAL | STATIC or (cls is QtWidgets.QProgressBar and name == "text"):
        return None
    getter = getattr(cls, getters[0])
    setter = getattr(cls, f"set{capital}") if getattr_static(cls, f"set{capital}", None) else None
    return property(lambda self: getter(self), None if setter is None else lambda self, value: setter(self, value))


def in_pythonqt_manner(cls: type) -> type:
    """A subclass of a PySide6 class whose properties are attributes."""
    members: dict[str, Any] = {"connect": connect}
    meta = cls.staticMetaObject
    for n in range(meta.propertyCount()):
        attribute = as_attribute(cls, meta.property(n))
        if attribute is not None:
            members[meta.property(n).name()] = attribute
    members["name"] = members.get("objectName")
    members["className"] = lambda self: cls.__name__
    if cls is QtWidgets.QPlainTextEdit:
        members["plainText"] = property(cls.toPlainText, cls.setPlainText)
    return hold_to_the_rules(type(cls.__name__, (cls,), members), cls.__name__)


# the classes of objects that the module makes or is given
CLASSES = (
    "QTimer", "QProcess", "QEventLoop", "QAction", "QWidget", "QFrame", "QLabel", "QPushButton", "QToolButton", "QCheckBox",
    "QRadioButton", "QComboBox", "QSpinBox", "QDoubleSpinBox", "QLineEdit", "QPlainTextEdit", "QProgressBar", "QListWidget",
    "QMenu", "QSlider", "QHBoxLayout", "QVBoxLayout", "QFormLayout", "QGridLayout", "QSettings", "QGroupBox", "QScrollArea", "QShortcut",
    "QTableWidget",
)  # fmt: skip
OURS: dict[str, type] = {
    name: in_pythonqt_manner(
        next(getattr(library, name) for library in (QtCore, QtGui, QtWidgets) if hasattr(library, name))
    )
    for name in CLASSES
}


OURS["QEventLoop"].exec_ = lambda self: mainloop.run(self)


class QUiLoader(QtUiTools.QUiLoader):
    """Makes the classes of this file, and the stand-ins that are registered in `extra`."""

    extra: ClassVar[dict[str, type]] = {}

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        cls = self.extra.get(class_name) or OURS.get(class_name)
        if cls is None:
            raise RuntimeError(f"the UI file names {class_name}, which SlicerHost does not stand in for")
        widget = cls(parent)
        widget.setObjectName(name)
        self._kept = [*getattr(self, "_kept", []), widget]
        return widget

    def load(self, file: Any) -> Any:
        widget = super().load(file)
        widget._kept = self._kept  # else Python forgets what our classes have added
        for made in self._kept:
            if isinstance(made, ctkCollapsibleButton):  # its contents are made after its properties are set
                made.collapsed = made.collapsed
        return widget


class ctkCollapsibleButton(OURS["QWidget"]):
    """A heading that shows or hides what is in it."""

    contentsCollapsed = QtCore.Signal(bool)
    connect = connect  # a class with signals of its own gets PySide6's again

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._heading = QtWidgets.QToolButton(self)
        self._heading.setAutoRaise(True)
        self._heading.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._heading.setArrowType(QtCore.Qt.DownArrow)
        font = self._heading.font()
        font.setBold(True)
        self._heading.setFont(font)
        self._heading.move(4, 1)
        self._heading.clicked.connect(lambda: self._set_collapsed(not self._collapsed))
        self._collapsed = False
        self.setContentsMargins(0, 22, 0, 0)

    def _get_text(self) -> str:
        return self._heading.text()

    def _set_text(self, text: str) -> None:
        self._heading.setText(text)
        self._heading.adjustSize()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def _set_collapsed(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        self._heading.setArrowType(QtCore.Qt.RightArrow if collapsed else QtCore.Qt.DownArrow)
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if child is not self._heading:
                child.setVisible(not collapsed)
        self.setMaximumHeight(26 if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    text = QtCore.Property(str, _get_text, _set_text)
    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)


hold_to_the_rules(ctkCollapsibleButton, "ctkCollapsibleButton")


class Names(types.ModuleType):
    """A module that has the classes that PythonQt wraps; the others only for Slicer's own Python code."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if is_held():
            raise AttributeError(f"{name} is not among the classes that are known: run Testing/slicer_members.py")
        cls = QUiLoader if name == "QUiLoader" else plain_class(name)
        if cls is None:
            raise AttributeError(name)
        return cls


def install() -> None:
    """Make `import qt` and `import ctk` work."""
    qt, ctk = Names("qt"), Names("ctk")
    for name in MEMBERS:
        cls = OURS.get(name) or plain_class(name)
        if name.startswith("Q") and cls is not None:
            setattr(qt, name, WrappedClass(name, cls))
    ctk.ctkCollapsibleButton = WrappedClass("ctkCollapsibleButton", ctkCollapsibleButton)
    QUiLoader.extra["ctkCollapsibleButton"] = ctkCollapsibleButton
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
