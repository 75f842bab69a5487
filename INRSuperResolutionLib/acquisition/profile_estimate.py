"""The slice profile and thickness that an image itself shows.

Anatomy looks alike in all directions, so what is fine in the plane of the slices, blurred by the right profile, is as
smooth as what is seen across them; ESPRESO (Han et al. 2023) matches patches to find it. Here second-order statistics
are matched, which takes no training: the variogram γ(h) = ½ E[(f(x + h) − f(x))²] along an in-plane axis becomes,
averaged by a kernel with the autocorrelation K, γ_K(h) = (K∗γ)(h) − (K∗γ)(0). Of the variogram across the slices, the
ratio γ(2d) / γ(d) at their distance d is compared, as it does not depend on contrast. f is the difference of pixels
side by side along the other in-plane axis: such fine detail differs less between directions than whole organs do.

Blur of the same standard deviation looks the same: a boxcar is told from a Gaussian by what is usual only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..image.intensity import foreground
from ..image.volume import Volume
from .forward_model import SliceProfile

# thicknesses that are compared, in distances of the slices
WIDTHS = np.concatenate([[0.0], np.arange(0.3, 2.01, 0.1)])
CANDIDATES = np.arange(0.4, 1.81, 0.02)
# how often scans are so: parts of all, and the spread of the logarithm of thickness over distance
USUAL = {"none": 0.05, "boxcar": 0.55, "gaussian": 0.4}
USUAL_SPREAD = 0.3
# how exactly the statistics tell the width at best, and when the directions differ too much to tell anything
BEST_ERROR, WORST_ERROR = 0.08, 0.3
# a ratio that changes less than this with the width (per distance) tells nothing
FLAT = 0.15
# fewer slices, or pixels for each distance of the slices, tell nothing
FEWEST_SLICES, FEWEST_PIXELS = 8, 1.5
# an estimate that is less likely than this to be right by a fifth is not told as one …
SURE = 0.7
# … and below this not used either
USABLE = 0.4
TOLERANCE = 0.2
# real scans look averaged over 0.6 to 1.1 distances (24 seen); those of a Gaussian one distance wide, over 1.1 to 1.6
BLURRED = 1.12
# pixels between those that are subtracted
APART = (1, 2)
MOST_VALUES = 400_000


@dataclass(frozen=True)
class ProfileEstimate:
    """What an image shows of its slices.

    Parameters
    ----------
    profile
        A kind of :class:`SliceProfile`; None where the image does not tell.
    width
        The slice thickness in distances of the slices.
    sure
        How likely it is that the thickness is right by a fifth, 0 to 1.
    reason
        What keeps it from being sure; empty where it is.
    """

    profile: str | None
    width: float
    sure: float
    reason: str = ""

    @property
    def tells(self) -> bool:
        """Whether the thickness is likely to be right."""
        return self.profile is not None and self.sure >= SURE


def estimate_profile(volume: Volume, axis: int, width: float | None = None) -> ProfileEstimate:
    """What `volume` shows of the slices across `axis`; `width` is their thickness in distances, where it is known."""
    seen = _examine(volume, axis)
    return seen if isinstance(seen, ProfileEstimate) else _likeliest(*seen, width)


def are_blurred(volume: Volume, axis: int) -> bool:
    """Whether the image shows its slices clearly smoother than averages over their distance, as by a Gaussian profile."""
    seen = _examine(volume, axis)
    return not isinstance(seen, ProfileEstimate) and seen[0]["boxcar"] > BLURRED


def _examine(volume: Volume, axis: int) -> ProfileEstimate | tuple[dict[str, float], float]:
    """The width that each kind of profile needs to explain the image, and its error; or why it tells nothing."""
    ratios = [volume.spacing[axis] / volume.spacing[a] for a in range(3) if a != axis]
    if volume.slice_positions is not None:
        return ProfileEstimate(None, 1.0, 0.0, "the slices are unevenly spaced")
    if min(ratios) < FEWEST_PIXELS:
        return ProfileEstimate(None, 1.0, 0.0, "the slices are hardly thicker than the pixels")
    plane = [n for a, n in enumerate(volume.shape) if a != axis]
    if volume.shape[axis] < FEWEST_SLICES or min(n / r for n, r in zip(plane, ratios)) < FEWEST_SLICES:
        return ProfileEstimate(None, 1.0, 0.0, "there are too few slices or pixels")
    found = _widths(volume, axis)
    if found is None:
        return ProfileEstimate(None, 1.0, 0.0, "there is too little fine detail")
    by_kind = {kind: float(found[kind].mean()) for kind in found}
    directions = found["boxcar"].mean(axis=1)
    # the two in-plane directions differ as much as the one across may differ from their mean
    error = float(np.sqrt(BEST_ERROR**2 + 0.75 * (directions[0] - directions[1]) ** 2))
    if error > WORST_ERROR:
        return ProfileEstimate(None, 1.0, 0.0, "fine detail differs between the directions")
    return by_kind, error


def _likeliest(by_kind: dict[str, float], error: float, width: float | None) -> ProfileEstimate:
    """From the width that each kind of profile needs to explain the image, and its error for a boxcar."""
    kinds, widths, weights = ["none"], [0.0], [USUAL["none"] * np.exp(-0.5 * (by_kind["boxcar"] / error) ** 2)]
    candidates = CANDIDATES if width is None else np.array([width])
    usual = np.exp(-0.5 * (np.log(candidates) / USUAL_SPREAD) ** 2) if width is None else np.ones(1)
    for kind, needed in by_kind.items():
        own_error = error * needed / max(by_kind["boxcar"], 1e-6) if needed > 0 else error
        seen = USUAL[kind] * usual / usual.sum() * np.exp(-0.5 * ((candidates - needed) / own_error) ** 2)
        kinds += [kind] * len(candidates)
        widths += candidates.tolist()
        weights += seen.tolist()
    total = np.array(weights) / sum(weights)
    wide, named = np.array(widths), np.array(kinds)
    shares = {kind: float(total[named == kind].sum()) for kind in USUAL}
    kind = max(shares, key=lambda k: shares[k])
    if kind == "none":
        return ProfileEstimate("none", 0.0, shares[kind])
    best = float(np.average(wide[named == kind], weights=total[named == kind]))
    near = (named != "none") & (np.abs(wide / best - 1) <= TOLERANCE)
    sure = float(total[near].sum()) if width is None else shares[kind]
    other = "gaussian" if kind == "boxcar" else "boxcar"
    reason = ""
    if sure < SURE:
        reason = (
            f"a {kind} of {best:.2g} distances and a {other} of {by_kind[other]:.2g} look alike"
            if width is None and shares[other] > 0.2
            else "several explain it as well"
        )
    if sure < USABLE:
        return ProfileEstimate(None, 1.0, sure, reason)
    return ProfileEstimate(kind, best, sure, reason)


def _widths(volume: Volume, axis: int) -> dict[str, np.ndarray] | None:
    """The width that each profile needs, float64 (directions, spacings of the difference); None if nothing tells it."""
    data = np.moveaxis(volume.data, axis, 2)
    inside = np.moveaxis(foreground(volume.data), axis, 2)
    spacing = np.delete(volume.spacing, axis)
    found: dict[str, list[list[float]]] = {"boxcar": [], "gaussian": []}
    for along in (0, 1):
        ratio = volume.spacing[axis] / spacing[along]
        rows, seen = (np.moveaxis(d, 1 - along, 0) for d in (data, inside))  # (other, along, slices)
        for kind in found:
            found[kind].append([])
        for apart in APART:
            detail, used = rows[apart:] - rows[:-apart], seen[apart:] | seen[:-apart]
            full = np.flatnonzero(used.any(axis=(1, 2)))
            if len(full) == 0:
                return None
            chosen = full[:: max(1, int(used[full].sum() / MOST_VALUES))]
            detail, used = detail[chosen], used[chosen]
            across = variogram(detail, used, 2, np.array([1, 2]))
            lags = np.arange(1, int(np.ceil((2 + WIDTHS[-1]) * ratio)) + 1)
            lags = lags[lags < detail.shape[1] // 2]
            fine = variogram(detail, used, 1, lags)
            if not (across > 0).all() or not (fine > 0).all():
                return None
            for kind in found:
                seen_at = [_ratio(fine, ratio, SliceProfile(kind if w else "none"), w) for w in WIDTHS]
                told = np.maximum.accumulate(seen_at)
                if (told[-1] - told[0]) / WIDTHS[-1] < FLAT:
                    return None
                found[kind][-1].append(float(np.interp(np.log(across[1] / across[0]), told, WIDTHS)))
    return {kind: np.array(values) for kind, values in found.items()}


def variogram(data: np.ndarray, used: np.ndarray, axis: int, lags: np.ndarray) -> np.ndarray:
    """½ E[(f(x + lag) − f(x))²] along `axis` over pairs of which one is `used`, float64, (lags,)."""
    data, used = np.moveaxis(data, axis, 0), np.moveaxis(used, axis, 0)
    # the same for all lags: how full the field of view is must not count
    count = max(1, int(used.sum()))
    values = []
    for lag in lags:
        difference = (data[lag:] - data[:-lag])[used[lag:] | used[:-lag]]
        share = len(data) / (len(data) - lag)
        values.append(0.5 * share * float(np.dot(difference, difference)) / count)
    return np.array(values)


def _ratio(fine: np.ndarray, ratio: float, profile: SliceProfile, width: float) -> float:
    """log γ_K(2d) / γ_K(d), of slices `ratio` pixels apart, from the variogram at lags of 1, 2, 3 … pixels."""
    steps = 20
    kernel = profile.kernel(1 / (steps * max(width, 0.05)))
    autocorrelation = np.convolve(kernel, kernel[::-1])
    offsets = (np.arange(len(autocorrelation)) - len(autocorrelation) // 2) / steps * ratio
    known = np.arange(len(fine) + 1), np.concatenate([[0.0], fine])
    at = [autocorrelation @ np.interp(np.abs(offsets + lag * ratio), *known) for lag in (0, 1, 2)]
    return float(np.log((at[2] - at[0]) / (at[1] - at[0])))
