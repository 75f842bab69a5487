"""Super-resolution of medical images by implicit neural representations.

The whole library in five lines::

    import INRSuperResolutionLib as inrsr
    t1, flair = inrsr.read("t1.nii.gz"), inrsr.read("flair.nii.gz")
    representation = inrsr.fit("multicontrast", [t1, flair], preset="fast", seed=0)
    sr_t1, sr_flair = representation.sample(inrsr.Grid.like(t1).with_spacing(1.0))
    inrsr.write(sr_t1, "t1_sr.nii.gz")

Importing it does not import torch.
"""

__version__ = "0.1.0"

from .errors import Cancelled, InputError, InrsrError, MissingError, OutOfMemory
from .grid import Grid
from .methods import METHODS
from .methods import load_representation as load
from .representation import Representation
from .run import fit
from .volume import Volume
from .volume_io import read, write

__all__ = [
    "METHODS", "Cancelled", "Grid", "InputError", "InrsrError", "MissingError", "OutOfMemory",
    "Representation", "Volume", "__version__", "fit", "load", "read", "write",
]  # fmt: skip
