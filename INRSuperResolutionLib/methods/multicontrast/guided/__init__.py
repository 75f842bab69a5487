"""Self-supervised guided restoration: the patient's own sharp planes teach what thick slices miss.

A function that is fitted to the acquired samples alone has no reason to be right between them. But a
scan that misses one direction is sharp along the two others, so there the answer is known: cut the
scan into thick slices along a sharp axis as its real slices cut it, and learn to predict what was
lost, guided by the other contrasts. Applied along the axis that is really missing, this gives for
every contrast c the continuous function

    f_c(x) = spline_c(x) + r_c(x),

where the residual r_c is a small stencil of convolutions, of a fixed step in mm, around x, and the
spline gives back through the slice profile what r_c leaves of the samples: so f_c agrees with them.
The inputs of r_c (splines of all contrasts, and where x lies within its slice) are defined
everywhere, so r_c is too; on a lattice that has the stencil's step it is computed as a convolution. The first and last
convolution are a contrast's own,
those between are shared: the split heads of the multi-contrast INR (McGinnis et al. 2023) over one
shared representation of the patient.
"""

from __future__ import annotations

from .fit import fit_guided
from .representation import GuidedRepresentation

__all__ = ["GuidedRepresentation", "fit_guided"]
