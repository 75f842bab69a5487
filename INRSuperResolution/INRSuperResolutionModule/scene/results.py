"""Results in the scene: nodes beside their inputs, what they tell of themselves, and what is found by that."""

import json
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from .dicom import tellDicom
from .inputs import InputProblem, Request
from .segmentations import SegmentLook, makeSegmentation

ATTRIBUTE = "INRSuperResolution."
REPRESENTATION_ROLE = "INRSuperResolutionRepresentation"
INPUTS_ROLE = "INRSuperResolutionInputs"
SOURCE_ROLE = "INRSuperResolutionSource"
SEGMENTATION_ROLE = "INRSuperResolutionSegmentation"


@dataclass
class LoadedImage:
    """A result that is read but not yet in the scene."""

    image: vtk.vtkImageData
    affine: np.ndarray
    consistency: float | None


def resultName(source: str, method: str, spacing: list[float]) -> str:
    """As "T1 (Multi-contrast INR, 1.0 mm)"; the finest spacing where they differ."""
    return _("{name} ({method}, {spacing:.2g} mm)").format(name=source, method=method, spacing=min(spacing))


def addResults(
    request: Request,
    loaded: list[LoadedImage],
    report: dict,
    title: str,
    representation,
    labels: LoadedImage | None,
    looks: dict[int, SegmentLook],
):
    """Put the results into the scene; returns the volume nodes, and last the segmentation node if there is one.

    `representation` is a text node that is not in the scene yet, or None.

    The only place that changes the scene, and nothing in it should be able to fail half way: what could fail
    has been read before.
    """
    scene = slicer.mrmlScene
    sources = request.nodes()
    existing = scene.GetNodeByID(request.outputID) if request.outputID else None
    if request.outputID and existing is None:
        raise InputProblem(_("the output volume was deleted"), _("Choose another output and press Run."))
    keeper = None
    if request.representationID is None and representation is not None:
        keeper = addTextNode(_("{name} representation").format(name=sources[0].GetName()), representation)
        keeper.SetAttribute(ATTRIBUTE + "Kind", "representation")
    elif request.representationID:
        keeper = scene.GetNodeByID(request.representationID)
    nodes = []
    for n, (source, image) in enumerate(zip(sources, loaded)):
        spacing = list(np.linalg.norm(image.affine[:3, :3], axis=0))
        node = existing if n == 0 and existing is not None else None
        if node is None:
            node = slicer.vtkMRMLScalarVolumeNode()
            node.SetName(scene.GetUniqueNameByString(resultName(source.GetName(), title, spacing)))
        else:
            node.SetAndObserveTransformNodeID(None)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(image.affine))
        node.SetAndObserveImageData(image.image)
        copyDisplay(source, node)
        # before it enters the scene, because a selector lists the results by their attributes
        tellProvenance(node, request, report, image.consistency)
        if node.GetScene() is None:
            node = scene.AddNode(node)
        placeBeside(source, node)
        # unlike the attributes, references are kept right when a scene is added to another one
        for number, each in enumerate(sources):
            node.SetNthNodeReferenceID(INPUTS_ROLE, number, each.GetID())
        node.SetNodeReferenceID(SOURCE_ROLE, source.GetID())
        if keeper is not None:
            node.SetNodeReferenceID(REPRESENTATION_ROLE, keeper.GetID())
        nodes.append(node)
    if labels is not None:
        made = makeSegmentation(labels.image, labels.affine, report["labels"]["values"], looks)
        spacing = list(np.linalg.norm(labels.affine[:3, :3], axis=0))
        name = _("{name} segmentation").format(name=sources[0].GetName())
        made.SetName(scene.GetUniqueNameByString(resultName(name, title, spacing)))
        made = scene.AddNode(made)
        made.CreateDefaultDisplayNodes()
        made.SetReferenceImageGeometryParameterFromVolumeNode(nodes[0])
        placeBeside(sources[0], made)
        tellProvenance(made, request, report, None)
        nodes[0].SetNodeReferenceID(SEGMENTATION_ROLE, made.GetID())
        nodes.append(made)
    record = addTextNode(_("{name} report").format(name=nodes[0].GetName()), textNode(json.dumps(report, indent=1)))
    record.SetAttribute(ATTRIBUTE + "Kind", "report")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for extra in (record, keeper):
        if (extra is not None and request.representationID is None) or extra is record:
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(extra), hierarchy.GetItemByDataNode(nodes[0]))
    return nodes


def copyDisplay(source, node):
    """Give `node` the window, level and colours that `source` has now; returns the display node."""
    display = node.GetDisplayNode() or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    if source.GetDisplayNode() is not None:
        # else Slicer computes a histogram of the whole volume, and may choose another window than the input's; as
        # one change, or it does so in between
        with slicer.util.NodeModify(display):
            display.CopyContent(source.GetDisplayNode())
            display.SetAutoWindowLevel(False)
    node.SetAndObserveDisplayNodeID(display.GetID())
    return display


def placeBeside(source, node) -> None:
    """In the subject hierarchy, in the folder or study of the input, as another series of that study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(source))
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), parent)
    tellDicom(source, node)


def tellProvenance(node, request: Request, report: dict, consistency: float | None) -> None:
    """How the volume was made, as attributes that are saved with it."""
    told = {
        "Method": report["method"],
        "Preset": report["preset"],
        "Settings": json.dumps(report["settings"]),
        "Seed": str(report["seed"]),
        "Version": report["version"],
        "Mark": report["mark"],
        "Device": report["device"],
        "Weights": json.dumps(report["weights_of_inputs"] or report["weights"]),
        "SliceProfile": json.dumps(report["slice_profile"]),
        "InputIDs": " ".join(request.inputIDs),
        "SegmentationID": request.segmentationID or "",
        "Inputs": json.dumps([i.get("sha256") for i in report["inputs"]]),
        "Consistency": "" if consistency is None else f"{consistency:.1f} dB",
    }
    for name, value in told.items():
        node.SetAttribute(ATTRIBUTE + name, value)
    node.SetDescription(report["mark"])


def addTextNode(name: str, node):
    """Give a text node a name and put it into the scene, where it is saved as a file of its own."""
    node.SetName(name)
    node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeAlways)
    return slicer.mrmlScene.AddNode(node)


def textNode(text: str):
    """A text node that is not in the scene yet."""
    node = slicer.vtkMRMLTextNode()
    node.SetText(text)
    return node


def inputIDsOf(node) -> list[str]:
    """The ids of the volumes that a result was made from; an id may be of a volume that was deleted since."""
    return [node.GetNthNodeReferenceID(INPUTS_ROLE, n) for n in range(node.GetNumberOfNodeReferences(INPUTS_ROLE))]


def sourceOf(node):
    """The input that a result is a finer version of, or None if it was deleted."""
    return node.GetNodeReference(SOURCE_ROLE)


def consistencyOf(node) -> float | None:
    """How well a result agrees with its input (dB), as it was told with it."""
    told = node.GetAttribute(ATTRIBUTE + "Consistency")
    return float(told.split()[0]) if told else None


def markOf(node) -> str:
    """What a node says of how it was made (AI-generated, by what); empty for what was not made here."""
    return node.GetAttribute(ATTRIBUTE + "Mark") or ""


def segmentationWith(node):
    """The segmentation that was made together with a result, or None."""
    return node.GetNodeReference(SEGMENTATION_ROLE)


def representationOf(node):
    """The text node with the representation that a result was sampled from, or None."""
    return node.GetNodeReference(REPRESENTATION_ROLE) if node is not None else None
