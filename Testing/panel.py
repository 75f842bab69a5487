"""`make panel`: the module in a window with sample data; `make screenshots`: the pictures of the README."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DEMO = Path("demo")
WINDOW = (1360, 760)
PANEL_WIDTH = 430
# what the pictures show: mm from the middle of the head (R, A, S), and mm across a view
OFF_CENTRE = (0.0, 0.0, 0.0)
WIDTH_MM = 120.0
# of the result, mm
SPACING = 0.8
# between the shades of grey in the files: what keeps them small, and no eye sees
GREY_STEP = 5
# seconds that anything may take on a slow machine
LONGEST = 3600.0


def open_window(host, widget):
    """The panel on the left, two slice views on the right, as in Slicer."""
    from PySide6 import QtWidgets

    window = QtWidgets.QSplitter()
    window.setWindowTitle("Thick-Slice Super-Resolution in SlicerHost (not Slicer: a stand-in for trying the panel)")
    scroll = QtWidgets.QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QtWidgets.QFrame.NoFrame)
    scroll.setWidget(widget.parent)
    scroll.setMinimumWidth(PANEL_WIDTH)
    window.addWidget(scroll)
    window.addWidget(host.layout_manager.board)
    window.resize(*WINDOW)
    window.setSizes([PANEL_WIDTH, WINDOW[0] - PANEL_WIDTH])
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


def load_samples(host) -> list:
    """Two thick-slice contrasts of one patient, axial: a clinical scan, else the demo's; none where neither is there."""
    for folder, names in ((DATA, ("clinical01_t2", "clinical01_flair")), (DEMO, ("t2_thick", "t1_thick"))):
        files = [folder / f"{name}.nii.gz" for name in names]
        if all(file.is_file() for file in files):
            volumes = [host.load_volume(f, f.name.split(".")[0].split("_")[folder == DATA].upper()) for f in files]
            for volume in volumes:
                window_to_the_brain(volume)
            return volumes
    return []


def window_to_the_brain(volume) -> None:
    """Black and white as the tissue in the middle of the head needs them; the fat of the scalp is brighter by far."""
    import slicer

    array = slicer.util.arrayFromVolume(volume)
    middle = array[tuple(slice(n // 3, n - n // 3) for n in array.shape)]
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    low, high = np.percentile(middle, (0.5, 99))
    display.SetWindowLevelMinMax(float(low), float(high + 0.1 * (high - low)))


def look_at(host, volume, orientations: tuple[str, str], width: float = WIDTH_MM) -> None:
    """Both views on the middle of a volume, `width` mm across: so near that the brain fills them."""
    import slicer

    bounds = np.zeros(6)
    volume.GetRASBounds(bounds)
    centre = bounds.reshape(3, 2).mean(axis=1) + OFF_CENTRE
    for name, orientation in zip(("Red", "Yellow"), orientations):
        node = host.layout_manager.sliceWidget(name).mrmlSliceNode()
        columns, rows, _ = node.GetDimensions()
        node.SetOrientation(orientation)
        node.SetFieldOfView(width, width * rows / columns, 1)
        node.JumpSliceByCentering(*centre)
    slicer.app.processEvents()


def is_settled(host, window) -> bool:
    """Whether all that was asked for (texts, palette, layout) has been done: another turn moves no widget."""
    from PySide6 import QtWidgets

    def places():
        return [QtWidgets.QWidget.geometry(widget) for widget in window.findChildren(QtWidgets.QWidget)]

    before = places()
    host.qt_application.sendPostedEvents()
    host.qt_application.processEvents()
    return places() == before


def scroll_to(host, window, widget) -> None:
    """Move the panel so that a section is seen whole, if it fits."""
    area = window.widget(0)
    host.process_events(0.05)
    area.ensureWidgetVisible(widget, 0, 0)


def shoot(host, window, path: Path, shades: tuple[bool, ...] = (False, True)) -> None:
    """The window as it is now, in light and dark (`shades`: whether dark)."""
    from PIL import Image
    from PySide6 import QtCore, QtGui
    from scenes import wait

    for dark in shades:
        set_dark(host.qt_application, dark)
        wait(host, lambda: is_settled(host, window))
        host.layout_manager.draw()
        grabbed = window.grab().toImage().convertToFormat(QtGui.QImage.Format_RGB888)
        buffer = QtCore.QBuffer()
        buffer.open(QtCore.QIODevice.WriteOnly)
        grabbed.save(buffer, "PNG")
        image = Image.open(io.BytesIO(bytes(buffer.data()))).convert("RGB")
        coarse = image.point(lambda shade: round(shade / GREY_STEP) * GREY_STEP)
        coarse.quantize(256, dither=Image.Dither.NONE).save(
            path.with_name(f"{path.name}-{'dark' if dark else 'light'}.png"), optimize=True
        )
    set_dark(host.qt_application, False)


def take_screenshots(host, widget, window, options) -> None:
    """Idle, running with preview, finished with comparison, error; light and dark."""
    import slicer
    from scenes import wait

    volumes = [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if not n.GetHideFromEditors()]
    if not volumes:
        sys.exit("there are no volumes to show: run make demo first")
    folder = options.screenshots
    folder.mkdir(parents=True, exist_ok=True)
    ui, p = widget.ui, widget._parameterNode
    first = slicer.util.getNode(options.volume) if options.volume else volumes[0]
    red = host.layout_manager.sliceWidget("Red").mrmlSliceCompositeNode()

    def background() -> str:
        return slicer.mrmlScene.GetNodeByID(red.GetBackgroundVolumeID()).GetName()

    slicer.util.setSliceViewerLayers(background=first)
    p.inputVolume, p.method, p.settings = first, options.method, options.settings
    p.outputMode, p.spacing = "spacing", SPACING
    look_at(host, first, ("Axial", "Coronal"))
    shoot(host, window, folder / "idle")
    ui.runButton.click()
    run = widget.logic.queue.runs[-1]

    def is_half_way() -> bool:
        """A preview is seen; what is trained ahead has none, but is seen to work."""
        return background().endswith("(preview)") or (run.stage == "sample" and run.fraction > 0.3)

    wait(host, lambda: run.isEnded or is_half_way(), LONGEST)
    if run.isEnded:
        sys.exit(f"the run ended too soon:\n{run.asText()}")
    look_at(host, first, ("Axial", "Coronal"))
    shoot(host, window, folder / "running")
    wait(host, lambda: run.isEnded, LONGEST)
    ui.sideBySideButton.click()
    look_at(host, first, ("Coronal", "Coronal"))
    shoot(host, window, folder / "finished")
    ui.sideBySideButton.click()
    # more voxels than any memory holds
    p.spacing, p.method = 0.1, "linear"
    ui.runButton.click()
    wait(host, lambda: widget.logic.queue.active is None, LONGEST)
    look_at(host, first, ("Axial", "Coronal"))
    shoot(host, window, folder / "error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="render off screen into a folder, and end")
    parser.add_argument("--volume", help="the name of the one that the pictures show; the first if left out")
    parser.add_argument("--method", default="", help="the recommended one if left out")
    parser.add_argument("--settings", default="{}", help="of the method, as JSON")
    options = parser.parse_args()
    if options.screenshots:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import SlicerHost

    host = SlicerHost.start()
    host.load_module()
    load_samples(host)
    widget = host.make_panel()
    window = open_window(host, widget)
    if options.screenshots:
        take_screenshots(host, widget, window, options)
        widget.cleanup()
        return
    host.qt_application.aboutToQuit.connect(widget.cleanup)
    host.qt_application.exec()


if __name__ == "__main__":
    main()
