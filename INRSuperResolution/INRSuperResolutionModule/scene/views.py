"""What the slice views show, remembered and restored."""

import slicer

LAYERS = ("BackgroundVolumeID", "ForegroundVolumeID", "LabelVolumeID", "ForegroundOpacity", "LabelOpacity")


class ViewsAsTheyWere:
    """Remembers the layers, orientation and linking of every slice view, and the layout."""

    def __init__(self) -> None:
        manager = slicer.app.layoutManager()
        self._layout = manager.layout if manager is not None else None
        self._layers = {}
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            values = {name: getattr(composite, f"Get{name}")() for name in (*LAYERS, "LinkedControl")}
            self._layers[composite.GetID()] = values
        self._orientations = {
            node.GetID(): node.GetOrientation() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")
        }

    def restore(self) -> None:
        """Put back what still exists."""
        scene = slicer.mrmlScene
        manager = slicer.app.layoutManager()
        if manager is not None and manager.layout != self._layout:
            manager.setLayout(self._layout)
        for nodeID, values in self._layers.items():
            composite = scene.GetNodeByID(nodeID)
            if composite is None:
                continue
            for name, value in values.items():
                isGone = name.endswith("VolumeID") and value and scene.GetNodeByID(value) is None
                getattr(composite, f"Set{name}")(None if isGone else value)
        for nodeID, orientation in self._orientations.items():
            node = scene.GetNodeByID(nodeID)
            if node is not None and orientation != node.GetOrientation():
                node.SetOrientation(orientation)
