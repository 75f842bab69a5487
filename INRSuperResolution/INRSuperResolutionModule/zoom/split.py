"""The line in the slice views between the original and the sharp image; it can be dragged.

On VTK only: an actor in a view's renderer, and observers on its interactor. Without views there are no lines.
"""

import slicer
import vtk

# how near to the line the mouse takes hold of it, in pixels
REACH = 6
COLOUR = (1.0, 0.8, 0.2)
# before the slice view's own interaction
PRIORITY = 10.0


class SplitLine:
    """The line of one view.

    Parameters
    ----------
    renderer, interactor
        Of the view.
    moveTo
        Called with the line's new place, as a part of the view's width.
    """

    def __init__(self, renderer, interactor, moveTo) -> None:
        self._renderer, self._interactor, self._moveTo = renderer, interactor, moveTo
        self.place = 0.0
        self.isHeld = False
        self._line = vtk.vtkLineSource()
        coordinate = vtk.vtkCoordinate()
        coordinate.SetCoordinateSystemToNormalizedViewport()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputConnection(self._line.GetOutputPort())
        mapper.SetTransformCoordinate(coordinate)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(*COLOUR)
        renderer.AddViewProp(self._actor)
        handlers = {
            "LeftButtonPressEvent": self._press,
            "MouseMoveEvent": self._move,
            "LeftButtonReleaseEvent": self._release,
        }
        self._tags = {n: interactor.AddObserver(n, handler, PRIORITY) for n, handler in handlers.items()}

    def show(self, place: float) -> None:
        """Draw it there; not at all at the very edge."""
        self.place = place
        self._line.SetPoint1(place, 0, 0)
        self._line.SetPoint2(place, 1, 0)
        self._actor.SetVisibility(0 < place < 1)
        self._interactor.Render()

    def remove(self) -> None:
        """Leave the view as it was."""
        for tag in self._tags.values():
            self._interactor.RemoveObserver(tag)
        self._renderer.RemoveViewProp(self._actor)
        self._interactor.Render()

    def _position(self) -> tuple[float, float]:
        return self._interactor.GetEventPosition()[0], max(self._interactor.GetSize()[0], 1)

    def _press(self, *_args) -> None:
        x, width = self._position()
        if 0 < self.place < 1 and abs(x - self.place * width) <= REACH:
            self.isHeld = True
            self._abort("LeftButtonPressEvent")

    def _move(self, *_args) -> None:
        if self.isHeld:
            x, width = self._position()
            self._moveTo(min(max(x / width, 0.0), 1.0))
            self._abort("MouseMoveEvent")

    def _release(self, *_args) -> None:
        if self.isHeld:
            self.isHeld = False
            self._abort("LeftButtonReleaseEvent")

    def _abort(self, event: str) -> None:
        """The view itself is not to act on it."""
        self._interactor.GetCommand(self._tags[event]).SetAbortFlag(1)


class SplitLines:
    """The lines of all views, at one place.

    Parameters
    ----------
    controller
        Has the place as its `split`.
    onDragged
        Called when a line was dragged.
    """

    def __init__(self, controller, onDragged) -> None:
        self._controller, self._onDragged = controller, onDragged
        self._lines: dict[str, SplitLine] = {}

    def show(self) -> None:
        """Where the controller says, in every view that is sharp."""
        manager = slicer.app.layoutManager()
        for view in self._controller.views.values():
            widget = manager.sliceWidget(view.name) if manager is not None else None
            sliceView = widget.sliceView() if widget is not None else None
            # the views of the stand-in for Slicer have no window of VTK
            if hasattr(sliceView, "renderWindow") and view.name not in self._lines:
                renderer = sliceView.renderWindow().GetRenderers().GetItemAsObject(0)
                self._lines[view.name] = SplitLine(renderer, sliceView.interactor(), self._moveTo)
        for line in self._lines.values():
            line.show(self._controller.split)

    def remove(self) -> None:
        """From all views."""
        for line in self._lines.values():
            line.remove()
        self._lines.clear()

    def _moveTo(self, place: float) -> None:
        self._controller.split = place
        self.show()
        self._onDragged()
