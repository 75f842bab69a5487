"""Does what Documentation/tutorial.md says, with the sample data, and takes its pictures.

    make tutorial                                   # or: python Testing/tutorial.py FOLDER

Ends with an error where the panel does not say what the tutorial says it does. In the stand-in, so the module Sample Data is
not there: its files are loaded as it would load them.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from panel import LONGEST, look_at, open_window, scroll_to, shoot

NAMES = ("Brain T1 sagittal", "Brain FLAIR axial")
# mm across a view
WIDTH_MM = 145.0


def check(said: bool, what: str) -> None:
    """End if the tutorial would not be true."""
    if not said:
        sys.exit(f"not as the tutorial says: {what}")


def load_samples(host) -> list:
    """As the module Sample Data does with what the module registers."""
    from INRSuperResolutionModule.scene.sampledata import FILES, RESOURCES

    volumes = [host.load_volume(RESOURCES / "SampleData" / file, name) for file, name in zip(FILES, NAMES)]
    for volume in volumes:
        volume.CreateDefaultDisplayNodes()
        display = volume.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0, 270)
    return volumes


def shown_previews() -> list:
    """The volumes that show how far a run is."""
    import slicer

    return [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if n.GetName().endswith("(preview)")]


def run(host, ui, logic, half_way=None):
    """Press Run and wait; `half_way` is called when a preview is there."""
    from scenes import wait

    ui.runButton.click()
    started, (run,) = time.perf_counter(), logic.queue.runs[-1:]
    if half_way is not None:
        wait(host, lambda: run.isEnded or (run.fraction > 0.3 and bool(shown_previews())), LONGEST)
        check(not run.isEnded, "a preview is seen while it works")
        half_way()
    wait(host, lambda: run.isEnded, LONGEST)
    check(run.state.value == "done", run.asText())
    print(f"{run.title}: {time.perf_counter() - started:.0f} s", flush=True)
    return run


def take(host, folder: Path) -> None:
    """The steps, with a picture of each."""
    import slicer
    from qt import Qt
    from scenes import wait

    t1, flair = load_samples(host)
    widget = host.make_panel()
    window = open_window(host, widget)
    ui = widget.ui

    def picture(name: str, dark: bool = False) -> None:
        shoot(host, window, folder / name, shades=(dark,))

    # 1: the scans; FLAIR is chosen, and seen in and across its slices
    ui.inputSelector.setCurrentNode(flair)
    slicer.util.setSliceViewerLayers(background=flair)
    look_at(host, flair, ("Axial", "Coronal"), WIDTH_MM)
    check(ui.methodCombo.currentText.startswith("Recommended: "), "Method is Recommended")
    picture("tutorial-1-loaded")
    # 2: the second contrast
    (row,) = (n for n in range(ui.contrastsList.count) if ui.contrastsList.item(n).text() == t1.GetName())
    ui.contrastsList.item(row).setCheckState(Qt.Checked)
    check(ui.methodCombo.currentText == "Recommended: Multi-contrast INR", "two scans go to Multi-contrast INR")
    wait(host, lambda: "Takes about" in ui.estimateLabel.text, 20)
    picture("tutorial-2-ticked")

    # for one's own scans: what can be told of the slices
    ui.advancedButton.collapsed = False
    scroll_to(host, window, ui.advancedButton)
    check(ui.profileCombo.currentText == "As the header says (recommended)", "Slices are")
    picture("tutorial-6-advanced")
    ui.advancedButton.collapsed = True
    scroll_to(host, window, ui.inputSelector)

    # 3: run
    def half_way() -> None:
        look_at(host, flair, ("Axial", "Coronal"), WIDTH_MM)
        picture("tutorial-3-running")

    done = run(host, ui, widget.logic, half_way)
    check(done.nodes[0].GetName() == f"{flair.GetName()} (Multi-contrast INR, 1 mm)", "what the result is called")
    check(len(done.nodes) == 2, "both contrasts come out")
    # 4: compare
    ui.sideBySideButton.click()
    look_at(host, flair, ("Coronal", "Coronal"), WIDTH_MM)
    check("Agrees with the input" in ui.consistencyLabel.text, "the line above Compare")
    picture("tutorial-4-compared")
    ui.sideBySideButton.click()
    # 5: the other contrast of the same run
    ui.resultSelector.setCurrentNode(done.nodes[1])
    ui.sideBySideButton.click()
    look_at(host, t1, ("Axial", "Axial"), WIDTH_MM)
    picture("tutorial-5-other-contrast")
    ui.sideBySideButton.click()
    widget.cleanup()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    import SlicerHost

    host = SlicerHost.start()
    host.load_module()
    take(host, folder)
    print("the tutorial is as it says", flush=True)


if __name__ == "__main__":
    main()
