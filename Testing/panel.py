"""`make panel`: the module in a window with sample data; `make screenshots`: the pictures of the README."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WINDOW = (1280, 860)


def open_window(host, widget):
    """The panel on the left, two slice views on the right, as in Slicer."""
    from PySide6 import QtWidgets

    window = QtWidgets.QSplitter()
    window.setWindowTitle("INR Super-Resolution in SlicerHost (not Slicer: a stand-in for trying the panel)")
    scroll = QtWidgets.QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QtWidgets.QFrame.NoFrame)
    scroll.setWidget(widget.parent)
    scroll.setMinimumWidth(430)
    window.addWidget(scroll)
    window.addWidget(host.layout_manager.board)
    window.resize(*WINDOW)
    window.setSizes([430, WINDOW[0] - 430])
    window.show()
    host.layout_manager.draw_regularly()
    return window


def set_dark(application, dark: bool) -> None:
    """A dark or a light palette, as Slicer's two styles."""
    from PySide6.QtGui import QColor, QPalette

    palette = QPalette()
    shades = {
        "Window": ("#efefef", "#353535"), "WindowText": ("#000000", "#ffffff"), "Base": ("#ffffff", "#2a2a2a"),
        "AlternateBase": ("#f5f5f5", "#353535"), "Text": ("#000000", "#ffffff"), "Button": ("#efefef", "#404040"),
        "ButtonText": ("#000000", "#ffffff"), "ToolTipBase": ("#ffffdc", "#404040"),
        "ToolTipText": ("#000000", "#ffffff"), "Highlight": ("#308cc6", "#2a82da"),
    }  # fmt: skip
    for role, colours in shades.items():
        palette.setColor(getattr(QPalette, role), QColor(colours[dark]))
    for role in ("WindowText", "Text", "ButtonText"):
        palette.setColor(QPalette.Disabled, getattr(QPalette, role), QColor("#808080"))
    application.setPalette(palette)


def load_samples(host):
    """Two thick-slice contrasts of one patient."""
    t1 = host.load_volume(DATA / "glioma_t1.nii.gz", "T1")
    flair = host.load_volume(DATA / "glioma_flair.nii.gz", "FLAIR")
    return t1, flair


def wait(host, condition, seconds: float = 500.0) -> None:
    """Let Qt work until `condition()`."""
    import time

    end = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > end:
            raise RuntimeError("it took too long")
        host.process_events(0.05)


def take_screenshots(host, widget, window, folder: Path) -> None:
    """Idle, running with preview, finished with comparison, error; light and dark."""
    import slicer

    folder.mkdir(parents=True, exist_ok=True)
    ui, p = widget.ui, widget._parameterNode

    def shoot(name: str) -> None:
        for dark in (False, True):
            set_dark(host.qt_application, dark)
            host.process_events(0.3)
            window.grab().save(str(folder / f"{name}-{'dark' if dark else 'light'}.png"))
        set_dark(host.qt_application, False)

    t1, flair = (slicer.util.getNode(n) for n in ("T1", "FLAIR"))
    slicer.util.setSliceViewerLayers(background=t1)
    for name in ("Red", "Yellow"):
        logic = host.layout_manager.sliceWidget(name).sliceLogic()
        logic.GetSliceNode().SetOrientation("Axial" if name == "Red" else "Coronal")
        logic.FitSliceToAll()
    p.inputVolume, p.furtherContrasts = t1, [flair]
    shoot("idle")
    # enough for a picture on any machine
    p.settings = json.dumps({"steps": 150, "average_flips": False})
    ui.runButton.click()
    run = widget.logic.queue.runs[-1]
    wait(host, lambda: run.isEnded or (run.preview is not None and run.stage == "fit" and run.fraction > 0.1))
    host.process_events(1.0)
    shoot("running")
    wait(host, lambda: run.isEnded)
    ui.sideBySideButton.click()
    shoot("finished")
    ui.sideBySideButton.click()
    p.outputMode, p.spacing = "spacing", 0.1
    p.limitMinutes = 0.0
    p.method = "linear"
    ui.runButton.click()
    wait(host, lambda: widget.logic.queue.active is None)
    ui.logButton.collapsed = False
    shoot("error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="render off screen into a folder, and end")
    options = parser.parse_args()
    if options.screenshots:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import SlicerHost

    host = SlicerHost.start()
    host.load_module()
    if DATA.is_dir():
        load_samples(host)
    widget = host.make_panel()
    window = open_window(host, widget)
    if options.screenshots:
        take_screenshots(host, widget, window, options.screenshots)
        widget.cleanup()
        return
    host.qt_application.aboutToQuit.connect(widget.cleanup)
    host.qt_application.exec()


main()
