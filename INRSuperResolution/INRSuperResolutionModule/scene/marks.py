"""At the upper edge of every slice view that shows a result: that it was made, by what, and that it is for research."""

import slicer
import vtk

from .results import markOf

# Slicer's own texts about a slice take the corners, not the edges
PLACE = vtk.vtkCornerAnnotation.UpperEdge


class ViewMarks:
    """Writes the marks while it is on; `show(False)` takes them and all observers away."""

    def __init__(self) -> None:
        self._observed = []  # composite nodes, with the tag of the observer
        self._views = []  # slice views that were written to

    def show(self, on: bool) -> None:
        """Write the marks, and follow what the views show; or stop. Views of a new layout are found by calling it again."""
        for composite, tag in self._observed:
            composite.RemoveObserver(tag)
        self._observed = []
        for view in [] if on else self._views:
            write(view, "")
        self._views = []
        manager = slicer.app.layoutManager()
        if not on or manager is None:
            return
        for name in manager.sliceViewNames():
            widget = manager.sliceWidget(name)
            composite, view = widget.sliceLogic().GetSliceCompositeNode(), widget.sliceView()

            def update(*_args, composite=composite, view=view) -> None:
                write(view, marksIn(composite))

            self._observed.append((composite, composite.AddObserver(vtk.vtkCommand.ModifiedEvent, update)))
            self._views.append(view)
            update()


def marksIn(composite) -> str:
    """The marks of the volumes that a view shows, one a line."""
    shown = [composite.GetBackgroundVolumeID()]
    if composite.GetForegroundOpacity() > 0:
        shown.append(composite.GetForegroundVolumeID())
    nodes = [slicer.mrmlScene.GetNodeByID(i) for i in shown if i]
    marks = [markOf(node) for node in nodes if node is not None]
    return "\n".join(dict.fromkeys(m for m in marks if m))


def write(view, text: str) -> None:
    """Write a text to the upper edge of a view."""
    annotation = view.cornerAnnotation()
    if (annotation.GetText(PLACE) or "") != text:
        annotation.SetText(PLACE, text)
        view.scheduleRender()
