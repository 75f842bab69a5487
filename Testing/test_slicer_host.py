"""The stand-in for Slicer refuses what Slicer refuses."""

from __future__ import annotations

import threading
import time

import pytest
import slicer_members
from packaging.requirements import Requirement


@pytest.fixture
def held(slicer):
    """Runs a program as if it were the module's own code."""
    import qt

    def run(program: str, **names) -> dict:
        scope = {"__name__": "INRSuperResolution", "qt": qt, "slicer": slicer, **names}
        exec(program, scope)
        return scope

    return run


@pytest.fixture
def selector(slicer):
    from SlicerHost.mrmlwidgets import qMRMLNodeComboBox

    made = qMRMLNodeComboBox()
    made.setMRMLScene(slicer.mrmlScene)
    yield made
    made.deleteLater()


def test_the_list_of_members_is_complete(host):
    from SlicerHost.strict import MEMBERS

    assert set(slicer_members.wanted()) <= set(MEMBERS), "run Testing/slicer_members.py"


def test_signatures_as_meta_objects_have_them():
    assert slicer_members.signatures("f", "vtkMRMLNode* node") == ["f(vtkMRMLNode*)"]
    assert slicer_members.signatures("f", "const QString& text, int n = 1") == ["f(QString,int)", "f(QString)"]
    assert slicer_members.signatures("f", "QMap<int, bool> all, unsigned int") == ["f(QMap<int,bool>,unsigned int)"]


@pytest.mark.parametrize(
    "wrong",
    [
        "qt.QPushButton().connect('clicked(int)', print)",
        "qt.QPushButton().connect('pressed(bool)', print)",
        "qt.QPushButton().connect('clicked()', lambda a: None)",
        "qt.QPushButton('x', parent=None)",
        "qt.QTimer().start(msec=3)",
        "qt.QTimer().singleShot = True",
        "qt.QLabel().colour = 'red'",
        "qt.QLabel().setText = None",
        "qt.QWidget().isVisibleToAll()",
        "qt.QNoSuchThing()",
        "qt.Signal(int)",
        "selector.count",
        "selector.currentText",
        "selector.addItem('a')",
        "selector.connect('currentNodeChanged(vtkMRMLVolumeNode*)', print)",
        "path, kind = qt.QFileDialog.getOpenFileName(None, 'a', '', 'b')",
        "slicer.app.mainWindow()",
        "slicer.app.layoutManager().views",
        "slicer.app.layoutManager().setLayout(layout=3)",
        "slicer.app.connect('aboutToQuit(int)', print)",
    ],
)
def test_what_slicer_refuses_is_refused(held, selector, wrong):
    with pytest.raises((AttributeError, TypeError, ValueError)):
        held(wrong, selector=selector)


def test_what_slicer_allows_goes_through(held, selector):
    told = held(
        """
heard = []
button, timer, box = qt.QPushButton("x"), qt.QTimer(), qt.QComboBox()
button.connect("clicked()", lambda: heard.append("none"))
button.connect("clicked(bool)", lambda *a: heard.append(len(a)))
button.connect("clicked(bool)", lambda: heard.append("fewer"))
button.click()
timer.interval, button.enabled = 5, False
box.addItem("a", 3)
found = (box.currentText, box.itemData(0), timer.interval, button.text, selector.currentNode())
kind = isinstance(button, qt.QPushButton), isinstance(box, qt.QPushButton), qt.QProcess.NormalExit is not None
item = qt.QListWidgetItem("b")
item.setData(qt.Qt.UserRole, "c")
data = item.text(), item.data(qt.Qt.UserRole)
""",
        selector=selector,
    )
    assert told["heard"] == ["none", 1, "fewer"]
    assert told["found"] == ("a", 3, 5, "x", None)
    assert told["kind"] == (True, False, True) and told["data"] == ("b", "c")


def test_what_is_raised_in_a_slot_is_printed_and_goes_no_further(host, held, raised_in_slots):
    held("button = qt.QPushButton()\nbutton.connect('clicked()', lambda: 1 / 0)\nbutton.click()")
    held("qt.QTimer.singleShot(0, lambda: {}['a'])")
    host.process_events(0.02)
    assert [type(e) for e in raised_in_slots] == [ZeroDivisionError, KeyError]
    raised_in_slots.clear()


def test_threads_stand_still_while_the_main_loop_waits(host):
    from SlicerHost import mainloop

    if mainloop.holding_exec() is None:
        pytest.skip("Qt's library has another name for QEventLoop::exec here")
    steps, is_over = [], threading.Event()

    def work():
        while not is_over.is_set():
            steps.append(1)
            time.sleep(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    before = len(steps)
    host.process_events(0.3)
    during = len(steps) - before
    is_over.set()
    thread.join()
    assert during < 20, "without the lock there would be some 300"


def test_lists_of_nodes_are_no_lists(slicer, panel):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "a")
    panel._parameterNode.furtherContrasts = [node]
    found = panel._parameterNode.furtherContrasts
    assert not isinstance(found, list) and found == [node]
    with pytest.raises(NotImplementedError):
        found + [node]  # noqa: RUF005
    found.append(node)
    assert len(panel._parameterNode.furtherContrasts) == 2


def test_packages_answer_as_slicers_do(slicer, machine):
    import subprocess

    from slicer import packaging

    machine.missing.add("nibabel")
    wanted = [Requirement("nibabel>=5.1")]
    packaging.pip_ensure(wanted)
    assert not machine.requests, "with --testing it installs nothing"
    slicer.app._isTesting = False
    try:
        machine.agrees = False
        with pytest.raises(RuntimeError, match="declined"):
            packaging.pip_ensure(wanted)
        machine.agrees, machine.online = True, False
        with pytest.raises(subprocess.CalledProcessError):
            packaging.pip_ensure(wanted)
        machine.online = True
        packaging.pip_ensure(wanted)
        assert not machine.missing
    finally:
        slicer.app._isTesting = True
