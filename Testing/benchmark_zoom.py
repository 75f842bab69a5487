"""How fast sharp zoom is, on Slicer's real slice logics without a window.

    python Testing/benchmark_zoom.py VOLUME… [--steps 200] [--memory-steps 2000] [--without-numba]

In each orientation the view zooms and pans; timed are, for the same view and in turns, Slicer's own linear
reslice and blend of two volumes (the volume and a copy of it) and sharp zoom (the frame at full resolution, drawn by
the worker and shown, and Slicer's reslice and blend of it), from the slice node's change to the blended image. Told is
the time on a core, of this process's main thread and all of the worker's, with one thread for VTK: so a busy machine
changes little, and both are measured alike. What two cores can do at once is counted one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import slicer  # noqa: E402
import SlicerHost  # noqa: E402
import vtk  # noqa: E402
from owntime import STATISTICS  # noqa: E402
from PySide6 import QtCore  # noqa: E402

SIZE = (1024, 768)
TILT = (33, 24, 10)
# steps of a session: zoom in, move about, zoom out
CYCLE = 40
DEEPEST = 8.0


def computed() -> float:
    """Seconds on a core, of this thread and all of the worker's: what a step takes where cores are free, or less."""
    files = [STATISTICS, *(f for worker in WORKERS for f in Path(f"/proc/{worker}/task").glob("*/schedstat"))]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


# its process id, where there is one
WORKERS: list[int] = []


def until(condition, seconds=1800.0) -> float:
    """Let the main loop run until `condition()`; how long that was computed."""
    start, end = computed(), time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > end:
            raise SystemExit("it took too long")
        QtCore.QCoreApplication.processEvents(QtCore.QEventLoop.WaitForMoreEvents)
    return computed() - start


def memory() -> int:
    """Memory of this process that is not mapped files, in bytes."""
    with open("/proc/self/status", encoding="ascii") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return 1024 * int(fields["RssAnon"].split()[0])


def set_view(node, orientation, volume, logic) -> None:
    """Orientation (axial and sagittal: the volume's own planes) and a field of view that fits the volume."""
    node.SetOrientation("Axial" if orientation == "oblique" else orientation.capitalize())
    node.SetDimensions(*SIZE, 1)
    if orientation != "oblique":
        node.RotateToVolumePlane(volume)
    logic.FitSliceToAll(*SIZE)
    if orientation == "oblique":
        turn = vtk.vtkTransform()
        turn.SetMatrix(node.GetSliceToRAS())
        for rotate, angle in zip((turn.RotateX, turn.RotateY, turn.RotateZ), TILT):
            rotate(angle)
        node.GetSliceToRAS().DeepCopy(turn.GetMatrix())
        node.UpdateMatrices()


def moves(node, steps):
    """Changes of a slice node: a cycle of zooming in, panning, zooming out, over and over."""
    whole = node.GetFieldOfView()
    for n in range(steps):
        part = n % CYCLE / CYCLE
        if part < 1 / 3:
            zoom = DEEPEST ** (3 * part)
        elif part < 2 / 3:
            zoom = DEEPEST
        else:
            zoom = DEEPEST ** (3 - 3 * part)
        angle = 6 * np.pi * part
        shift = 0.02 * whole[1] * np.array([np.cos(angle), np.sin(angle), 0])

        def change(zoom=zoom, shift=shift):
            with slicer.util.NodeModify(node):
                node.SetXYZOrigin(*shift)
                node.SetFieldOfView(whole[0] / zoom, whole[1] / zoom, whole[2])

        yield zoom, change


def blended(logic) -> None:
    logic.GetImageDataConnection().GetProducer().Update()


def timed(function) -> float:
    start = computed()
    function()
    return computed() - start


def is_drawn(view) -> bool:
    """Whether the frame of the place where the view is now is shown, in full."""
    return view.drawnKey == view.key() and view.asked is None


def sharp_step(view, change, logic) -> tuple[float, float]:
    """Seconds of computing until the frame is shown, and until Slicer has blended it."""
    view.seconds = 0.0  # always in full
    start = computed()
    change()
    until(lambda: is_drawn(view) or not view.isSharp)
    shown = computed() - start
    blended(logic)
    return shown, computed() - start


def measure(volume, orientation, steps, zoom, logics) -> dict:
    """One session; seconds of each step, ours and Slicer's own."""
    ours, own = logics
    for logic in logics:
        set_view(logic.GetSliceNode(), orientation, volume, logic)
    view = next(v for v in zoom.views.values() if v.sliceNode is ours.GetSliceNode())
    until(lambda: is_drawn(view) and not missing(zoom, view))
    taken, errors = {"slicer": [], "frame": [], "sharp": []}, []
    for n, ((_, change), (_, same)) in enumerate(
        zip(moves(ours.GetSliceNode(), steps), moves(own.GetSliceNode(), steps))
    ):
        taken["slicer"].append(timed(lambda same=same: (same(), blended(own))))
        frame, sharp = sharp_step(view, change, ours)
        taken["frame"].append(frame)
        taken["sharp"].append(sharp)
        if n % (CYCLE // 2 + 3) == 0:
            errors.append(error_of(view, zoom))
    told = {"orientation": orientation, "error_of_range": max(errors)}
    for name, seconds in taken.items():
        told[f"{name}_fps"] = 1 / float(np.mean(seconds))
        told[f"{name}_ms"] = 1e3 * float(np.median(seconds))
        told[f"{name}_p95_ms"] = 1e3 * float(np.percentile(seconds, 95))
    return told


def missing(zoom, view) -> set:
    return set(view.slices) - zoom._source.encoded


def error_of(view, zoom, every=37) -> float:
    """Largest difference of a frame from the direct sum at some of its pixels, as a part of the volume's range."""
    from INRSuperResolutionLib.image.grid import Grid
    from INRSuperResolutionLib.jobs.zoom_worker import encode_on_demand

    frame = slicer.util.arrayFromVolume(view.node)[0]
    matrix = vtk.vtkMatrix4x4()
    view.node.GetIJKToRASMatrix(matrix)
    affine = slicer.util.arrayFromVTKMatrix(matrix)
    place = affine @ np.diag([every, every, 1, 1])
    picked = frame[::every, ::every]
    if zoom not in REFERENCES:
        REFERENCES[zoom] = encode_on_demand(str(next(zoom._source._folder.glob("volume.*"))), "nexpr")
    values = REFERENCES[zoom].evaluate(Grid((*picked.shape[::-1], 1), place), [0])[0, ..., 0].T
    return float(np.abs(values - picked).max() / np.ptp(slicer.util.arrayFromVolume(zoom.volume)))


REFERENCES: dict = {}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("volumes", nargs="+")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--memory-steps", type=int, default=0)
    parser.add_argument("--orientations", nargs="*", default=["axial", "sagittal", "coronal", "oblique"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-numba", action="store_true", help="as on a machine that does not have it")
    options = parser.parse_args()
    if options.without_numba:
        folder = tempfile.mkdtemp()
        Path(folder, "numba.py").write_text("raise ImportError('left out')\n")
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    vtk.vtkMultiThreader.SetGlobalMaximumNumberOfThreads(1)
    vtk.vtkSMPTools.Initialize(1)
    host = SlicerHost.start()
    host.load_module()
    from INRSuperResolutionModule.zoom.controller import ZoomController
    from INRSuperResolutionModule.zoom.panel import later

    rows = []
    for path in options.volumes:
        slicer.mrmlScene.Clear()
        volume = host.load_volume(path, Path(path).name.split(".")[0])
        volume.CreateDefaultDisplayNodes()
        copy = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, volume, "copy")
        logics = [slicer.app.layoutManager().sliceWidget(n).sliceLogic() for n in ("Red", "Yellow")]
        for logic in logics:
            composite = logic.GetSliceCompositeNode()
            composite.SetForegroundVolumeID(None)
            composite.SetBackgroundVolumeID(volume.GetID())
            set_view(logic.GetSliceNode(), "axial", volume, logic)
        own = logics[1].GetSliceCompositeNode()
        own.SetBackgroundVolumeID(copy.GetID())
        own.SetForegroundVolumeID(volume.GetID())
        own.SetForegroundOpacity(1.0)
        zoom = ZoomController(later)
        zoom.prepare()
        WORKERS[:] = [zoom._worker._process.processId()]
        cold = until(lambda z=zoom: any(z._worker.events()) or z._worker.isReady)
        rested = -1.0
        while computed() - rested > 0.1:  # it still loads what oblique planes need
            rested = computed()
            host.process_events(3)
        started = computed()
        zoom.start(volume)
        view = next(v for v in zoom.views.values() if v.name == "Red")
        until(lambda z=zoom, v=view: v.isSharp or z.error)
        first = computed() - started
        blended(logics[0])
        print(
            f"{volume.GetName()}: worker ready in {cold:.2f} s, first sharp frame after {first:.2f} s of computing",
            flush=True,
        )
        if not options.orientations:
            zoom.close()
            continue
        # while the worker encodes the rest, the view is moved; then again without it
        busy = [sharp_step(view, c, logics[0])[1] for _, c in moves(view.sliceNode, CYCLE)]
        encoded = zoom.progress
        all_encoded = until(lambda z=zoom: z.error or (z.progress[1] and z.progress[0] == z.progress[1]))
        idle = [sharp_step(view, c, logics[0])[1] for _, c in moves(view.sliceNode, CYCLE)]
        print(
            f"  a redraw while slices are encoded ({encoded[0]} of {encoded[1]}) {1e3 * np.median(busy):.1f} ms, "
            f"afterwards {1e3 * np.median(idle):.1f} ms; all slices after {all_encoded:.0f} s more",
            flush=True,
        )
        print("  orientation    Slicer: fps median  95 % | sharp: fps median  95 % | error of the range", flush=True)
        for orientation in options.orientations:
            row = {"volume": volume.GetName(), **measure(volume, orientation, options.steps, zoom, logics)}
            rows.append({**row, "first_s": first, "busy_ms": 1e3 * np.median(busy), "idle_ms": 1e3 * np.median(idle)})
            print(
                "  {orientation:12} {slicer_fps:10.0f} {slicer_ms:6.1f} {slicer_p95_ms:5.1f} | {sharp_fps:9.0f} "
                "{sharp_ms:6.1f} {sharp_p95_ms:5.1f} | {error_of_range:.1e}".format(**row),
                flush=True,
            )
        if options.memory_steps:
            sizes = []
            for n, (_, change) in enumerate(moves(view.sliceNode, options.memory_steps)):
                sharp_step(view, change, logics[0])
                if n % (options.memory_steps // 4) == CYCLE or n == options.memory_steps - 1:
                    sizes.append(memory() / 2**20)
            print("  memory over", options.memory_steps, "steps, MB:", " ".join(f"{s:.0f}" for s in sizes))
        zoom.close()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
