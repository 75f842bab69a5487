"""A form for the settings of a method, generated from their dataclass."""

import ast
import dataclasses
import inspect
import itertools
import typing

import qt
from slicer.i18n import tr as _


def descriptions(cls: type) -> dict[str, str]:
    """The line of documentation below each field of a dataclass, inherited ones too."""
    told = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            body = ast.parse(inspect.cleandoc(inspect.getsource(base))).body[0].body
        except (OSError, SyntaxError):
            continue
        for field, after in itertools.pairwise(body):
            isText = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isText:
                told[field.target.id] = " ".join(str(after.value.value).replace("`", "").split())
    return told


def readableName(name: str) -> str:
    """As "Learning rate" for ``learning_rate``."""
    return name.replace("_", " ").capitalize()


class SettingsForm:
    """Fills a QFormLayout with one row for each setting.

    Parameters
    ----------
    onChanged
        Called after the user has changed a value.
    """

    def __init__(self, layout, onChanged) -> None:
        self._layout, self._onChanged = layout, onChanged
        self._defaults: dict = {}
        self._widgets: dict = {}
        self._shown = None
        self._isFilling = False

    def show(self, settings, changes: dict) -> None:
        """Show the settings of a preset with the user's changes."""
        key = (type(settings), settings)
        if key != self._shown:
            self._build(settings)
            self._shown = key
        self._isFilling = True
        for name, widget in self._widgets.items():
            self._put(widget, changes.get(name, self._defaults[name]))
        self._isFilling = False

    def changes(self) -> dict:
        """The values that differ from the preset."""
        now = {name: self._value(name) for name in self._widgets}
        return {name: value for name, value in now.items() if value != self._defaults[name]}

    def _build(self, settings) -> None:
        while self._layout.rowCount():
            self._layout.removeRow(0)
        self._widgets = {}
        self._defaults = dataclasses.asdict(settings)
        hints = typing.get_type_hints(type(settings))
        told = descriptions(type(settings))
        for name, value in self._defaults.items():
            widget = self._make(hints[name], value)
            widget.toolTip = told.get(name, "")
            widget.objectName = f"setting_{name}"
            label = qt.QLabel(readableName(name))
            label.toolTip = widget.toolTip
            self._layout.addRow(label, withBrowseButton(widget, self._tell) if name == "weights" else widget)
            self._widgets[name] = widget

    def _make(self, hint, value):
        if hint is bool:
            widget = qt.QCheckBox()
            widget.connect("toggled(bool)", self._tell)
        elif hint is int:
            widget = qt.QSpinBox()
            widget.setRange(-(2**31), 2**31 - 1)
            widget.connect("valueChanged(int)", self._tell)
        else:
            # numbers over many powers of ten, as learning rates, are easier to type than to step
            widget = qt.QLineEdit()
            widget.connect("editingFinished()", self._tell)
        return widget

    def _put(self, widget, value) -> None:
        if isinstance(widget, qt.QCheckBox):
            widget.checked = value
        elif isinstance(widget, qt.QSpinBox):
            widget.value = value
        else:
            widget.text = f"{value:g}" if isinstance(value, float) else str(value)

    def _value(self, name: str):
        widget, default = self._widgets[name], self._defaults[name]
        if isinstance(widget, qt.QCheckBox):
            return widget.checked
        if isinstance(widget, qt.QSpinBox):
            return widget.value
        if not isinstance(default, float):
            return widget.text
        try:
            # a decimal comma is what many keyboards give
            typed = float(widget.text.replace(",", "."))
        except ValueError:
            return default
        return default if f"{default:g}" == widget.text else typed

    def _tell(self, *_args) -> None:
        if not self._isFilling:
            self._onChanged()


def withBrowseButton(edit, onChosen):
    """A row with the line edit and a button that puts the path of a weights file into it."""
    row, button = qt.QWidget(), qt.QToolButton()
    layout = qt.QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    button.text = "…"
    button.toolTip = _("Choose a file with weights of your own.")

    def browse(*_args) -> None:
        path = qt.QFileDialog.getOpenFileName(row, _("Weights"), "", _("Weights (*.safetensors)"))
        if path:
            edit.text = path
            onChosen()

    button.connect("clicked(bool)", browse)
    layout.addWidget(edit)
    layout.addWidget(button)
    return row
