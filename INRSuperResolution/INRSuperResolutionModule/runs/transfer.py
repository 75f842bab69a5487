"""Volumes to files and back, a piece at a time so that the panel stays responsive.

Uncompressed, because a worker on the same machine reads them at once: a volume of 512 × 512 × 300 voxels takes
well under a second. NRRD keeps the geometry in full precision but no sheared axes; NIfTI keeps those.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from ..library import addLibraryToPath

addLibraryToPath()

from INRSuperResolutionLib.image.itk_header import THICKNESS_KEY  # noqa: E402

# about 5 ms of copying on an ordinary disk
CHUNK_BYTES = 4 << 20
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
NRRD_TYPES = {
    "int8": "signed char", "uint8": "unsigned char", "int16": "short", "uint16": "unsigned short", "int32": "int",
    "uint32": "unsigned int", "int64": "longlong", "uint64": "ulonglong", "float32": "float", "float64": "double",
}  # fmt: skip


def makeTemporaryFolder() -> Path:
    """Short and ASCII, because some libraries cannot read other paths."""
    parent = slicer.app.temporaryPath
    return Path(tempfile.mkdtemp(prefix="inrsr-", dir=parent if parent.isascii() else None))


def isSheared(affine: np.ndarray) -> bool:
    """Whether the voxel axes are not at right angles, as with a tilted gantry."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return not np.allclose(axes.T @ axes, np.eye(3), atol=1e-5)


def write(array: np.ndarray, affine: np.ndarray, stem: Path, thickness: float | None = None) -> Iterator[Path]:
    """Write `array` (k, j, i) to a file called `stem` plus an ending; yields the path after every piece.

    `thickness` of the slices along k, in mm, where a header tells it; a sheared volume cannot keep it.
    """
    if np.dtype(array.dtype).name not in NRRD_TYPES:
        array = array.astype(np.float32)
    path, header = _nifti(array, affine, stem) if isSheared(affine) else _nrrd(array, affine, stem, thickness)
    data = np.ascontiguousarray(array)
    with open(path, "wb") as file:
        file.write(header)
        pieces = memoryview(data).cast("B")
        for start in range(0, len(pieces), CHUNK_BYTES):
            file.write(pieces[start : start + CHUNK_BYTES])
            yield path


def _nrrd(array: np.ndarray, affine: np.ndarray, stem: Path, thickness: float | None) -> tuple[Path, bytes]:
    def vector(values: np.ndarray) -> str:
        return "(" + ",".join(repr(float(v)) for v in values) + ")"

    lps = RAS_TO_LPS @ affine[:3, :]
    lines = [
        "NRRD0004",
        f"type: {NRRD_TYPES[array.dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in array.shape[::-1]),
        "space directions: " + " ".join(vector(lps[:, n]) for n in range(3)),
        "kinds: domain domain domain",
        f"endian: {'big' if array.dtype.newbyteorder('=').byteorder == '>' else 'little'}",
        "encoding: raw",
        f"space origin: {vector(lps[:, 3])}",
        *([] if thickness is None else [f"{THICKNESS_KEY}:={thickness!r}"]),
    ]
    return stem.with_suffix(".nrrd"), ("\n".join(lines) + "\n\n").encode("ascii")


NIFTI_TYPES = {
    "uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "int8": 256, "uint16": 512, "uint32": 768,
    "int64": 1024, "uint64": 1280,
}  # fmt: skip
NIFTI_NAMES = {code: name for name, code in NIFTI_TYPES.items()}
NIFTI_HEADER = np.dtype(
    {
        "names": ["size", "dim", "datatype", "bitpix", "pixdim", "offset", "slope", "inter", "units", "qform", "sform",
                  "affine", "magic"],
        "formats": ["<i4", ("<i2", 8), "<i2", "<i2", ("<f4", 8), "<f4", "<f4", "<f4", "u1", "<i2", "<i2",
                    ("<f4", (3, 4)), "S4"],
        "offsets": [0, 40, 70, 72, 76, 108, 112, 116, 123, 252, 254, 280, 344],
        "itemsize": 352,
    }
)  # fmt: skip


def _nifti(array: np.ndarray, affine: np.ndarray, stem: Path) -> tuple[Path, bytes]:
    header = np.zeros((), NIFTI_HEADER)
    header["size"], header["offset"], header["magic"] = 348, 352, b"n+1"
    header["dim"] = [3, *array.shape[::-1], 1, 1, 1, 1]
    header["datatype"], header["bitpix"] = NIFTI_TYPES[array.dtype.name], 8 * array.dtype.itemsize
    header["pixdim"] = [1, *np.linalg.norm(affine[:3, :3], axis=0), 0, 0, 0, 0]
    header["slope"], header["units"], header["sform"], header["affine"] = 1, 2, 1, affine[:3]
    return stem.with_suffix(".nii"), header.tobytes()


class NiftiReader:
    """Reads an uncompressed NIfTI file that the worker wrote into memory that is given.

    Raises
    ------
    ValueError
        If the file is no such file, or is cut short.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        with open(path, "rb") as file:
            start = file.read(NIFTI_HEADER.itemsize)
        if len(start) < NIFTI_HEADER.itemsize or start[344:347] != b"n+1":
            raise ValueError(f"{path.name} is no NIfTI file")
        header = np.frombuffer(start, NIFTI_HEADER)[0]
        self.shape = tuple(int(n) for n in header["dim"][1:4])
        self.dtype = np.dtype(NIFTI_NAMES[int(header["datatype"])])
        self.affine = np.eye(4)
        """Index → RAS mm, in the single precision of the header."""
        self.affine[:3] = header["affine"]
        self._offset = int(header["offset"])
        if path.stat().st_size < self._offset + self.dtype.itemsize * int(np.prod(self.shape)):
            raise ValueError(f"{path.name} is cut short")

    def readImage(self) -> Iterator[vtk.vtkImageData]:
        """The image, without its place in the patient; complete with the last piece."""
        scalars = vtk.vtkDataArray.CreateDataArray(get_vtk_array_type(self.dtype))
        scalars.SetNumberOfTuples(int(np.prod(self.shape)))
        image = vtk.vtkImageData()
        image.SetDimensions(*self.shape)
        image.GetPointData().SetScalars(scalars)
        for _ in self.readInto(vtk_to_numpy(scalars)):
            yield image

    def readInto(self, array: np.ndarray) -> Iterator[None]:
        """Fill `array` (contiguous, of this type and size), a piece at a time."""
        target = memoryview(array).cast("B")
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            for start in range(0, len(target), CHUNK_BYTES):
                file.readinto(target[start : start + CHUNK_BYTES])
                yield
