"""Draws Resources/Screenshots/zoom.png: a lesion and a cortical fold at 1×, 4× and 8×, as Slicer interpolates and sharp.

python Testing/zoom_pictures.py FOLDER_WITH_THE_VOLUMES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import slicer  # noqa: E402
import SlicerHost  # noqa: E402
from benchmark_zoom import blended, until  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

SIDE = 320
GAP = 4
# pixels of the screen to a voxel at 1×
PIXELS = SIDE / 182
FOLD = (52.0, 92.0, 66.0)


def picture(logic) -> np.ndarray:
    """What the view shows."""
    blended(logic)
    image = logic.GetImageDataConnection().GetProducer().GetOutputDataObject(0)
    columns, rows, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[::-1, :, :3]


def main() -> None:
    """Draw the picture."""
    folder = Path(sys.argv[1])
    host = SlicerHost.start()
    host.load_module()
    from INRSuperResolutionModule.zoom.controller import ZoomController
    from INRSuperResolutionModule.zoom.panel import later

    lesions = slicer.util.arrayFromVolume(host.load_volume(folder / "ms19_lesions.nii.gz", "lesions"))
    labels, count = ndimage.label(lesions > 0)
    sizes = ndimage.sum_labels(lesions > 0, labels, range(1, count + 1))
    # one of middling size, through its middle slice
    chosen = int(np.argsort(sizes)[int(0.9 * count)]) + 1
    lesion = np.array(ndimage.center_of_mass(labels == chosen))[::-1]
    rows = []
    for name, place in (("ms19_flair", lesion), ("ms19_t2", np.array(FOLD))):
        volume = host.load_volume(folder / f"{name}.nii.gz", name)
        volume.CreateDefaultDisplayNodes()
        display = volume.GetDisplayNode()
        array = slicer.util.arrayFromVolume(volume)
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0, float(np.percentile(array, 99.7)))
        logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        node = logic.GetSliceNode()
        node.SetOrientation("Axial")
        node.SetDimensions(SIDE, SIDE, 1)
        world = slicer.util.arrayFromVTKMatrix(volume_matrix(volume)) @ np.r_[place.round(), 1]
        zoom = ZoomController(later)
        row = []
        for factor in (1, 4, 8):
            node.SetFieldOfView(SIDE / PIXELS / factor, SIDE / PIXELS / factor, 1)
            node.JumpSliceByCentering(*world[:3])
            row.append((picture(logic).copy(), f"{factor}x, linear"))
            zoom.start(volume)
            view = next(v for v in zoom.views.values() if v.name == "Red")
            until(lambda v=view, z=zoom: v.isSharp or z.error)
            row.append((picture(logic).copy(), f"{factor}x, sharp"))
            zoom.stop()
        zoom.close()
        rows.append(row)
    width, height = len(rows[0]) * (SIDE + GAP) - GAP, len(rows) * (SIDE + GAP) - GAP
    board = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(board)
    for r, row in enumerate(rows):
        for c, (pixels, title) in enumerate(row):
            corner = (c * (SIDE + GAP), r * (SIDE + GAP))
            board.paste(Image.fromarray(pixels), corner)
            draw.text((corner[0] + 8, corner[1] + 6), title, fill="yellow", font_size=18)
    board.save(HERE.parent / "Resources" / "Screenshots" / "zoom.png", optimize=True)


def volume_matrix(volume):
    """Voxel → RAS."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


if __name__ == "__main__":
    main()
