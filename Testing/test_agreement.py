"""The warning of results that do not agree with their input."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import phantom

from INRSuperResolutionLib.evaluation.agreement import LOW_CONSISTENCY_DB, agreements
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.progress import Progress


def told_of(volumes, results, **made):
    events = []
    slices = [{"axis": v.slice_axis, "slice_thickness": v.slice_thickness} for v in volumes]
    provenance = {"registered_affines": None, "slice_profile": ["none"] * len(volumes), "slices": slices, **made}
    figures = agreements(volumes, results, provenance, Progress(events.append))
    return figures, [e["message"] for e in events if e["event"] == "warning"]


def test_only_a_result_that_disagrees_is_warned_of():
    good, bad = phantom(name="good"), phantom(seed=1, name="bad")
    wrong = bad.replace(data=bad.data[::-1])
    figures, warnings = told_of([good, bad], [good, wrong])
    assert figures[0] > LOW_CONSISTENCY_DB > figures[1]
    (warning,) = warnings
    assert "bad" in warning and f"{figures[1]:.1f} dB" in warning


def test_a_result_is_compared_where_its_input_was_registered_to():
    volume = phantom((16, 15, 9))
    moved = volume.affine.copy()
    moved[:3, 3] += [3, -2, 1]
    result = volume.replace(affine=moved)
    figures, warnings = told_of([volume], [result], registered_affines=[moved.tolist()])
    assert figures[0] > 100 and warnings == []
    figures, warnings = told_of([volume], [result])
    assert figures[0] < LOW_CONSISTENCY_DB and len(warnings) == 1


def test_kspace_inputs_are_compared_in_kspace():
    volume = phantom((16, 15, 4), np.diag([1, 1, 4, 1.0]))
    fine = resample(volume, volume.grid.scaled((2, 2, 1)))
    figures = [told_of([volume], [fine], kspace_inputs=[flag])[0][0] for flag in (True, False)]
    assert figures[0] != pytest.approx(figures[1], abs=0.1)
    # where the result is no finer, k-space tells nothing
    assert told_of([volume], [volume], kspace_inputs=[True]) == ([None], [])
