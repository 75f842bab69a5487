"""Super-resolution of medical images by implicit neural representations.

The whole library in five lines::

    import INRSuperResolutionLib as inrsr
    t1, flair = inrsr.read("t1.nii.gz"), inrsr.read("flair.nii.gz")
    representation = inrsr.fit("multicontrast", [t1, flair], preset="fast", seed=0)
    sr_t1, sr_flair = representation.sample(inrsr.Grid.like(t1).with_spacing(1.0))
    inrsr.write(sr_t1, "t1_sr.nii.gz")

Importing it imports nothing but itself: each name is looked up when it is first used, so that Slicer can show
the methods before anything is installed.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .errors import Cancelled, InputError, InrsrError, MissingError, OutOfMemory
    from .fitting import fit
    from .image.files import read, write
    from .image.grid import Grid
    from .image.volume import Volume
    from .methods import METHODS
    from .methods import load_representation as load
    from .representation import Representation

_HOMES = {
    "errors": ("Cancelled", "InputError", "InrsrError", "MissingError", "OutOfMemory"),
    "fitting": ("fit",),
    "image.files": ("read", "write"),
    "image.grid": ("Grid",),
    "image.volume": ("Volume",),
    "methods": ("METHODS",),
    "representation": ("Representation",),
}


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module(".methods", __name__).load_representation
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "METHODS", "Cancelled", "Grid", "InputError", "InrsrError", "MissingError", "OutOfMemory",
    "Representation", "Volume", "__version__", "fit", "load", "read", "write",
]  # fmt: skip
