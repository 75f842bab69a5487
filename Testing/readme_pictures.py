"""Draws the pictures of the README: a clinical T2 before and after, and two cases in which detail is lost.

    inrsr upscale multicontrast clinical01_t2.nii.gz clinical01_t1.nii.gz clinical01_flair.nii.gz \
        --output t2.nii.gz t1.nii.gz flair.nii.gz --spacing 1
    python Testing/readme_pictures.py FOLDER t2.nii.gz

FOLDER holds clinical01_t2, ms19_flair and ct_chest_lidc0314_D_0.78x0.78x1_crop.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from INRSuperResolutionLib import Volume, fit, read
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.image.interpolate import Sampler
from INRSuperResolutionLib.pictures import figure_of

PICTURES = Path(__file__).resolve().parents[1] / "Resources" / "Screenshots"
INCHES = 2.6
TITLE_INCHES = 0.3
# tip of the arrow, and from where it comes, in voxels
Arrow = tuple[float, float, float, float]


def strip(
    name: str, planes: dict[str, np.ndarray], window: tuple[float, float], dpi: int = 90, aspect: float = 1.0,
    arrow: Arrow | None = None,
) -> None:  # fmt: skip
    """Planes side by side in one window, as `name`; up is the second axis."""
    width, height = next(iter(planes.values())).shape
    inches = INCHES * aspect * height / width
    figure = figure_of(INCHES * len(planes), inches + TITLE_INCHES, facecolor="black")
    figure.set_layout_engine("none")
    room = {"left": 0.0, "right": 1.0, "bottom": 0.0, "top": inches / (inches + TITLE_INCHES), "wspace": 0.02}
    for axes, (title, plane) in zip(figure.subplots(1, len(planes), gridspec_kw=room), planes.items()):
        axes.imshow(plane.T, cmap="gray", vmin=window[0], vmax=window[1], origin="lower",
                    interpolation="nearest", aspect=aspect)  # fmt: skip
        axes.set_title(title, color="white", fontsize=10, pad=4)
        axes.set_axis_off()
        if arrow:
            x, y, dx, dy = arrow
            style = {"color": "yellow", "width": 1, "headwidth": 6, "headlength": 6}
            axes.annotate("", xy=(x, y), xytext=(x + dx, y + dy), arrowprops=style)
    figure.savefig(PICTURES / name, dpi=dpi, facecolor="black")


def clinical(folder: Path, restored: Path) -> None:
    """A coronal plane of axial slices, windowed for the brain."""
    source, result = read(folder / "clinical01_t2.nii.gz"), read(restored)
    shown = {"as acquired": Sampler(source, 0)(result.grid), "linear interpolation": Sampler(source, 1)(result.grid)}
    shown["result"] = result.data
    plane = (slice(36, 170), 115, slice(26, 142))
    strip("clinical-coronal.png", {k: v[plane] for k, v in shown.items()}, (40.0, 900.0), dpi=140)


def cut(volume: Volume, corner: tuple[int, int, int], size: tuple[int, int, int]) -> Volume:
    """A part of the volume, where it was."""
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ corner
    box = tuple(slice(a, a + n) for a, n in zip(corner, size))
    return volume.replace(data=np.ascontiguousarray(volume.data[box]), affine=affine)


def before_and_after(truth: Volume, coarse: Volume, profile: str) -> dict[str, np.ndarray]:
    """The slices as they are, and what CycleINR makes of them."""
    made = [("input", fit("nearest", [coarse], slice_profile="none"))]
    made.append(("result", fit("cycleinr", [coarse], slice_profile=profile)))
    return {**{name: r.sample(truth.grid)[0].data for name, r in made}, "truth": truth.data}


def lesion(folder: Path) -> None:
    """A lesion that lies half in one slice of 6 mm, half in the next."""
    truth = cut(read(folder / "ms19_flair.nii.gz"), (81, 109, 62), (72, 72, 72))
    shown = before_and_after(truth, degrade(truth, "area", (1, 1, 6)), "boxcar")
    shown = {"input, slices of 6 mm" if k == "input" else k: v[2:66, 36, 4:68] for k, v in shown.items()}
    strip(
        "wrong-lesion.png", shown, (0.0, float(np.percentile(truth.data[truth.data > 0], 99.7))), arrow=(36, 31, 9, -5)
    )


def vessels(folder: Path) -> None:
    """Every fifth slice of a chest CT: vessels and a fissure between the slices."""
    volume = read(folder / "ct_chest_lidc0314_D_0.78x0.78x1_crop.nii.gz")
    corner = (volume.shape[0] // 2 - 120, volume.shape[1] // 2 - 60, volume.shape[2] // 2 - 40)
    truth = cut(volume, corner, (96, 96, 81))
    shown = before_and_after(truth, degrade(truth, "interval", (1, 1, 5)), "none")
    shown = {"input, every 5th slice" if k == "input" else k: v[:, 38] for k, v in shown.items()}
    strip("wrong-vessels.png", shown, (-1100.0, 200.0), aspect=1 / truth.spacing[0], arrow=(25, 25, 4, 14))


if __name__ == "__main__":
    clinical(Path(sys.argv[1]), Path(sys.argv[2]))
    lesion(Path(sys.argv[1]))
    vessels(Path(sys.argv[1]))
