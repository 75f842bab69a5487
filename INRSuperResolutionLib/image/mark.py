"""What a file says of how it came to be: made by a network, or interpolated."""

from __future__ import annotations

from .. import __version__

AI = "AI-generated, research use"
INTERPOLATED = "Interpolated, not AI, research use"
# methods that guess nothing: all others have learned, from other patients or from this one
INTERPOLATIONS = ("nearest", "linear", "cubic", "sinc")
# in the header of NRRD and MetaImage
KEY = "inrsr_mark"
# bytes of NIfTI's field for a description, without the last one
LONGEST = 79


def mark_of(method: str) -> str:
    """The mark of a result, with method and version."""
    return f"{INTERPOLATED if method in INTERPOLATIONS else AI}: {method}, inrsr {__version__}"


def mark_in(text: str) -> str:
    """The text of a header if it is such a mark, else nothing."""
    return text if text.startswith((AI, INTERPOLATED)) else ""
