"""Every control says what it does and is reached by the keyboard; every text can be translated, by Slicer's rules."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[1] / "INRSuperResolution"
UI = MODULE / "Resources" / "UI" / "INRSuperResolution.ui"
# containers and plain texts; all else is a control
NO_CONTROLS = {"qMRMLWidget", "QWidget", "QLabel"}
# how Slicer's Utilities/Scripts/update_translations.py finds texts in Python files
SLICER_FINDS = (r'([^_])_\((\s*?".+?"\s*?)\)', r"([^_])_\((\s*?'.+?'\s*?)\)")
SENTENCE = re.compile(r"[A-Za-z]{2,} [a-z(]")
# what looks like a sentence and is none, or is not shown: file formats, code for a process, what the worker says
NOT_SHOWN = {
    "transfer.py": "_nrrd NRRD_TYPES",
    "process.py": "BOOTSTRAP",
    "dependencies.py": "CHECK",
    "messages.py": "inSlicerWords withNodeNames",
    "INRSuperResolution.py": "INRSuperResolution tellPassed",
    "dicom.py": "tellDicom",
}


def controls() -> dict[str, ElementTree.Element]:
    widgets = ElementTree.parse(UI).getroot().iter("widget")
    return {w.get("name"): w for w in widgets if w.get("class") not in NO_CONTROLS}


def properties(widget: ElementTree.Element) -> dict[str, str]:
    return {p.get("name"): "".join(p.itertext()).strip() for p in widget.findall("property")}


def test_every_control_has_a_tool_tip():
    found = controls()
    assert len(found) > 40
    assert [name for name, widget in found.items() if not properties(widget).get("toolTip")] == []


def test_every_control_has_a_name():
    """A text of its own or a label that is tied to it: what a screen reader reads out."""
    labels = {properties(w).get("buddy") for w in ElementTree.parse(UI).getroot().iter("widget")}
    alone = {"QListWidget queueList", "qMRMLNodeComboBox resultSelector", "QPlainTextEdit logText"}
    unnamed = {
        f"{widget.get('class')} {name}"
        for name, widget in controls().items()
        if not properties(widget).get("text") and name not in labels and widget.get("class") != "QProgressBar"
    }
    assert unnamed == alone, "they stand in a section that says what they are"


def test_settings_of_every_method_have_tool_tips(slicer, panel):
    from scenes import small_volume

    from INRSuperResolutionLib.methods import METHODS

    small_volume(slicer)
    panel.enter()
    for name in METHODS:
        panel._parameterNode.method = name
        for setting, widget in panel.panel.options.settingsForm._widgets.items():
            assert widget.toolTip, f"{name}: {setting}"


def test_the_tabulator_goes_down_the_panel(host, slicer, panel):
    """Each control that can be used is reached, in the order in which they are seen."""
    from PySide6 import QtCore, QtWidgets
    from scenes import small_volume

    small_volume(slicer), small_volume(slicer, "FLAIR")
    panel.enter()
    panel.parent.show()
    for name in ("advancedButton", "zoomButton", "logButton"):
        getattr(panel.ui, name).collapsed = False
    host.process_events(0.05)
    by_widget = {getattr(panel.ui, name): name for name in controls() if hasattr(panel.ui, name)}
    reached, widget = [], panel.parent
    while True:
        widget = QtWidgets.QWidget.nextInFocusChain(widget)
        if widget is panel.parent:
            break
        if not QtWidgets.QWidget.focusPolicy(widget) & QtCore.Qt.TabFocus or not QtWidgets.QWidget.isVisible(widget):
            continue
        owner = widget  # a node selector is a widget with a combo box in it
        while owner is not None and owner not in by_widget:
            owner = QtWidgets.QWidget.parentWidget(owner)
        if owner is widget or type(owner).__name__ == "qMRMLNodeComboBox":
            reached.append(owner)
    usable = {
        name
        for widget, name in by_widget.items()
        if QtWidgets.QWidget.isVisible(widget)
        and not isinstance(widget, QtWidgets.QProgressBar)
        and not name.endswith("Button" if type(widget).__name__ == "ctkCollapsibleButton" else "\0")
    }
    assert usable <= {by_widget[w] for w in reached}
    heights = [QtWidgets.QWidget.mapTo(w, panel.parent, QtCore.QPoint(0, 0)).y() for w in reached]
    # the heads of the sections may be drawn by a control inside them
    assert heights == sorted(heights)


# ---- translation ---------------------------------------------------------------------------------


def files() -> list[Path]:
    return sorted(MODULE.rglob("*.py"))


def texts(path: Path) -> Iterator[tuple[ast.Constant, list[ast.AST]]]:
    """The texts of a file, docstrings aside, with what they stand in, from the inside."""
    tree = ast.parse(path.read_text("utf-8"))
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not isinstance(parents[node], ast.Expr):
            around, at = [], node
            while at in parents:
                at = parents[at]
                around.append(at)
            yield node, around


def is_translated(around: list[ast.AST]) -> bool:
    names = {"_", "translate"}
    return isinstance(around[0], ast.Call) and getattr(around[0].func, "id", "") in names


def is_not_shown(path: Path, around: list[ast.AST]) -> bool:
    """In one of the places above, or for a programmer: the text of a ValueError."""
    owners = {getattr(a, "name", "") for a in around}
    owners |= {t.id for a in around if isinstance(a, ast.Assign) for t in a.targets if isinstance(t, ast.Name)}
    raised = [a.func for a in around if isinstance(a, ast.Call)]
    is_for_programmers = any(getattr(f, "id", "") == "ValueError" for f in raised)
    return is_for_programmers or bool(owners & set(NOT_SHOWN.get(path.name, "").split()))


def untranslated(path: Path) -> list[str]:
    return [
        f"{path.name}:{node.lineno} {node.value!r}"
        for node, around in texts(path)
        if SENTENCE.search(node.value) and not is_translated(around) and not is_not_shown(path, around)
    ]


def test_every_text_can_be_translated():
    assert [told for path in files() for told in untranslated(path)] == []


def test_the_check_sees_a_text_that_cannot_be_translated(tmp_path):
    path = tmp_path / "part.py"
    path.write_text(
        'def show(label):\n    """Not this."""\n    label.text = "Choose a volume first"\n    label.toolTip = _("It is there")\n'
    )
    assert untranslated(path) == ["part.py:3 'Choose a volume first'"]


@pytest.mark.parametrize("path", files(), ids=lambda p: p.stem)
def test_slicer_finds_the_texts(path):
    """`_()` around one literal text, as Slicer's script for translators reads it; blanks are named."""
    source = path.read_text("utf-8")
    wanted = [node.value for node, around in texts(path) if is_translated(around) and around[0].func.id == "_"]
    found = [ast.literal_eval(f"({text})") for rule in SLICER_FINDS for _, text in re.findall(rule, source, re.DOTALL)]
    assert sorted(found) == sorted(wanted)
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "_"]
    assert len(calls) == len(wanted), "_() takes a literal text"
    for text in wanted:
        assert "{}" not in text and not re.search(r"\{\d", text), text
