"""A sequence of volumes (time points), one run for each, into a new sequence."""

import numpy as np
import slicer

from .results import resultName


def makeSequence(source, runs, title: str):
    """A sequence node with the results of the runs of all frames of `source`, at the same index values."""
    spacing = list(np.linalg.norm(runs[0].loaded[0].affine[:3, :3], axis=0))
    made = slicer.vtkMRMLSequenceNode()
    made.SetName(slicer.mrmlScene.GetUniqueNameByString(resultName(source.GetName(), title, spacing)))
    for name in ("IndexName", "IndexUnit", "IndexType"):
        getattr(made, f"Set{name}")(getattr(source, f"Get{name}")())
    for frame, run in enumerate(runs):
        image = run.loaded[0]
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(source.GetNthDataNode(frame).GetName())
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(image.affine))
        volume.SetAndObserveImageData(image.image)
        made.SetDataNodeAtValue(volume, source.GetNthIndexValue(frame))
    return slicer.mrmlScene.AddNode(made)
