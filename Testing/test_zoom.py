"""Sharp zoom on real MRML: frames, what they follow, and what is left behind."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import numpy as np
import pytest
import vtk
from safetensors import safe_open
from scenes import affine_of, small_volume

from INRSuperResolutionLib.image.grid import Grid
from INRSuperResolutionLib.jobs.zoom_worker import encode_on_demand

SIZE = (160, 120)


class Later:
    """The controller's timer, by hand; the worker's news come by the main loop."""

    def __init__(self, host) -> None:
        self._host, self._jobs = host, []

    def __call__(self, milliseconds, function) -> None:
        self._jobs.append((time.perf_counter() + milliseconds / 1000, function))

    def step(self) -> None:
        now = time.perf_counter()
        due = [f for at, f in self._jobs if at <= now]
        self._jobs = [(at, f) for at, f in self._jobs if at > now]
        for function in due:
            function()
        self._host.process_events()

    def until(self, condition, seconds=120.0) -> None:
        end = time.perf_counter() + seconds
        while not condition():
            assert time.perf_counter() < end, "it took too long"
            self.step()
            time.sleep(0.002)

    def rest(self, seconds) -> None:
        end = time.perf_counter() + seconds
        self.until(lambda: time.perf_counter() > end)


@pytest.fixture(scope="module")
def worker(host):
    """One process for all tests: loading PyTorch takes seconds."""
    host.load_module()
    from INRSuperResolutionModule.zoom.source import ZoomWorker

    made = ZoomWorker()
    yield made
    made.close()


@pytest.fixture
def later(host):
    return Later(host)


@pytest.fixture
def zoom(slicer, worker, later):
    from INRSuperResolutionModule.zoom.controller import ZoomController

    made = ZoomController(later, makeWorker=lambda: worker)
    yield made
    made.stop()


@pytest.fixture
def volume(slicer):
    """Axial slices, thick, a little turned; shown in all views."""
    matrix = np.eye(4)
    turn = np.array([[0.995, -0.0998, 0], [0.0998, 0.995, 0], [0, 0, 1]])
    matrix[:3, :3] = turn @ np.diag([-1.0, 1.0, 3.0])
    matrix[:3, 3] = [14.0, -17.0, -9.0]
    node = small_volume(slicer, shape=(7, 34, 28), matrix=matrix)
    for logic in logics(slicer):
        composite = logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(node.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetForegroundOpacity(0.25)
        composite.SetCompositing(0)
        logic.GetSliceNode().SetDimensions(*SIZE, 1)
        logic.FitSliceToAll(*SIZE)
    return node


def logics(slicer):
    manager = slicer.app.layoutManager()
    return [manager.sliceWidget(name).sliceLogic() for name in ("Red", "Yellow", "Green")]


def ids(slicer):
    return sorted(n.GetID() for n in slicer.util.getNodesByClass("vtkMRMLNode"))


def layers(slicer):
    names = ("BackgroundVolumeID", "ForegroundVolumeID", "ForegroundOpacity", "LabelVolumeID", "Compositing")
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {c.GetID(): [getattr(c, f"Get{n}")() for n in names] for c in composites}


def named(zoom, name):
    return next(v for v in zoom.views.values() if v.name == name)


def all_sharp(zoom):
    """Every slice is encoded, and every view shows its full frame."""
    done, of = zoom.progress
    assert zoom.error is None, zoom.error
    return of > 0 and done == of and all(v.isSharp for v in zoom.views.values()) and is_settled(zoom)


def is_settled(zoom):
    """No frame is wanted or on its way."""
    return not any(v.isPending or v.asked for v in zoom.views.values())


def redrawn(zoom, later):
    """What has changed is drawn, in full."""
    later.step()
    later.until(lambda: is_settled(zoom) and all(v.drawnKey == v.key() or not v.isSharp for v in zoom.views.values()))


def switch_on(zoom, later, volume):
    zoom.start(volume)
    later.until(lambda: all_sharp(zoom))


def reference(zoom):
    """The representation whose slices the worker encodes."""
    return encoded_once(str(next(zoom._source._folder.glob("volume.*"))), "nexpr")


encoded_once = functools.lru_cache(1)(encode_on_demand)


def frame_and_truth(slicer, zoom, volume, view):
    """What the view's slice logic makes of the frame, and the function at the pixels of the view; (rows, columns)."""
    frame = slicer.util.arrayFromVolume(view.node)[0]
    affine = affine_of(slicer, view.node)
    grid = Grid((*frame.shape[::-1], 1), affine)
    return frame, reference(zoom).evaluate(grid, [0])[0, ..., 0].T


def tilt(node, *angles):
    matrix = vtk.vtkTransform()
    matrix.SetMatrix(node.GetSliceToRAS())
    for turn, angle in zip((matrix.RotateX, matrix.RotateY, matrix.RotateZ), angles):
        turn(angle)
    node.GetSliceToRAS().DeepCopy(matrix.GetMatrix())
    node.UpdateMatrices()


def zoom_in(node, factor):
    x, y, z = node.GetFieldOfView()
    node.SetFieldOfView(x / factor, y / factor, z)


# ---- frames ----------------------------------------------------------------------------------------


def test_frames_are_the_function_at_the_pixels(slicer, zoom, later, volume):
    tilt(named_logic(slicer, "Green").GetSliceNode(), 21, 34, 8)
    # the plane of the slices itself
    axes = affine_of(slicer, volume)[:3, :3]
    node = named_logic(slicer, "Red").GetSliceNode()
    normal, right = np.cross(axes[:, 0], axes[:, 1]), axes[:, 0]
    centre = affine_of(slicer, volume) @ [14, 17, 3.4, 1]
    node.SetSliceToRASByNTP(*normal, *right, *centre[:3], 0)
    switch_on(zoom, later, volume)
    for factor in (1, 3, 2):
        for view in zoom.views.values():
            zoom_in(view.sliceNode, factor)
        redrawn(zoom, later)
        for view in zoom.views.values():
            frame, truth = frame_and_truth(slicer, zoom, volume, view)
            np.testing.assert_allclose(
                frame, truth, rtol=0, atol=1e-4 * np.ptp(slicer.util.arrayFromVolume(volume)), err_msg=view.name
            )
            place = (
                view.pixelToWorld() @ np.r_[np.linalg.solve(view.pixelToWorld(), affine_of(slicer, view.node))[:, 3]]
            )
            np.testing.assert_allclose(place, affine_of(slicer, view.node)[:, 3], atol=1e-9)


def named_logic(slicer, name):
    return slicer.app.layoutManager().sliceWidget(name).sliceLogic()


def test_slicer_shows_the_frame_pixel_by_pixel(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    logic = named_logic(slicer, "Yellow")
    zoom_in(logic.GetSliceNode(), 4)
    redrawn(zoom, later)
    logic.GetImageDataConnection().GetProducer().Update()
    view = named(zoom, "Yellow")
    reslice = logic.GetForegroundLayer().GetReslice()
    reslice.Update()
    shown = vtk.util.numpy_support.vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars())
    frame = slicer.util.arrayFromVolume(view.node)[0]
    assert frame.shape == SIZE[::-1]  # zoomed in, the volume fills the view
    np.testing.assert_allclose(shown.reshape(frame.shape), frame, rtol=0, atol=1e-4)


def test_frames_stand_where_a_transform_has_put_the_volume(slicer, zoom, later, volume):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkTransform()
    matrix.Translate(3, -2, 5)
    matrix.RotateX(12)
    transform.SetMatrixTransformToParent(matrix.GetMatrix())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    switch_on(zoom, later, volume)
    to_local = np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix.GetMatrix()))
    for view in zoom.views.values():
        frame = slicer.util.arrayFromVolume(view.node)[0]
        grid = Grid((*frame.shape[::-1], 1), to_local @ affine_of(slicer, view.node))
        truth = reference(zoom).evaluate(grid, [0])[0, ..., 0].T
        np.testing.assert_allclose(frame, truth, rtol=0, atol=1e-4 * np.ptp(slicer.util.arrayFromVolume(volume)))
    # the transform moves: so do the frames
    before = slicer.util.arrayFromVolume(named(zoom, "Red").node).copy()
    matrix.Translate(2, 1, 0)
    transform.SetMatrixTransformToParent(matrix.GetMatrix())
    redrawn(zoom, later)
    after = slicer.util.arrayFromVolume(named(zoom, "Red").node)
    assert before.shape != after.shape or np.abs(before - after).max() > 1


def test_the_split_line_leaves_the_left_to_the_original(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    view = named(zoom, "Red")
    zoom_in(view.sliceNode, 4)
    zoom.split = 0.25
    redrawn(zoom, later)
    assert slicer.util.arrayFromVolume(view.node).shape == (1, SIZE[1], SIZE[0] * 3 // 4)
    first = np.linalg.solve(view.pixelToWorld(), affine_of(slicer, view.node)[:, 3])
    np.testing.assert_allclose(first[:2], [SIZE[0] / 4, 0], atol=1e-6)
    zoom.split = 1.0
    redrawn(zoom, later)
    assert view.compositeNode.GetForegroundVolumeID() is None


# ---- redraw policy ---------------------------------------------------------------------------------


def test_many_moves_make_one_frame(slicer, zoom, later, volume, monkeypatch):
    switch_on(zoom, later, volume)
    asked, request = [], zoom._source.requestFrame
    monkeypatch.setattr(zoom._source, "requestFrame", lambda *a: asked.append(a) or request(*a))
    view = named(zoom, "Red")
    node, view.seconds = view.sliceNode, 0.0  # as on a machine that is not busy
    for _ in range(20):
        zoom_in(node, 1.02)
    assert not asked
    later.step()
    assert len(asked) == 1
    for _ in range(20):  # while that one is on its way
        zoom_in(node, 1.02)
    view.seconds = 0.0
    redrawn(zoom, later)
    assert len(asked) <= 3


def test_what_changes_while_a_frame_is_on_its_way_is_drawn_next(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    view = named(zoom, "Red")
    zoom_in(view.sliceNode, 4)
    zoom._redraw()
    assert view.asked is not None
    zoom.split = 0.5
    redrawn(zoom, later)
    assert slicer.util.arrayFromVolume(view.node).shape == (1, SIZE[1], SIZE[0] // 2)


def test_frames_leave_no_files(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    zoom_in(named(zoom, "Red").sliceNode, 2)
    redrawn(zoom, later)
    assert not list(zoom._source._folder.glob("frame-*"))


def test_slow_frames_are_coarse_while_the_view_moves(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    view = named(zoom, "Red")
    zoom_in(view.sliceNode, 4)
    later.until(lambda: view.drawnKey == view.key())
    full = slicer.util.arrayFromVolume(view.node).shape
    view.seconds = 1.0
    zoom_in(view.sliceNode, 1.1)
    later.step()
    later.until(lambda: view.asked is None)
    coarse = slicer.util.arrayFromVolume(view.node)
    assert coarse.shape[1:] == tuple(n // 2 for n in full[1:])
    frame, truth = frame_and_truth(slicer, zoom, volume, view)
    np.testing.assert_allclose(frame, truth, rtol=0, atol=1e-4 * np.ptp(truth))  # fewer pixels, but the true ones
    later.until(lambda: view.drawnKey == view.key())
    assert slicer.util.arrayFromVolume(view.node).shape == full


def test_display_follows_the_volume(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(71, 33)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeRed")
    shown = named(zoom, "Red").node.GetDisplayNode()
    assert (shown.GetWindow(), shown.GetLevel()) == (71, 33)
    assert shown.GetColorNodeID() == display.GetColorNodeID()


def test_an_edit_takes_the_frames_away_and_encodes_again(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    view = named(zoom, "Red")
    before = slicer.util.arrayFromVolume(view.node).copy()
    slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume)[:, ::-1] + 50)
    assert view.compositeNode.GetForegroundVolumeID() is None
    later.until(lambda: zoom._source is not None and all_sharp(zoom))
    after = slicer.util.arrayFromVolume(view.node)
    assert np.abs(after - before).max() > 40
    frame, truth = frame_and_truth(slicer, zoom, volume, view)
    np.testing.assert_allclose(frame, truth, rtol=0, atol=1e-4 * np.ptp(truth))


# ---- nothing is left -------------------------------------------------------------------------------


def test_on_off_on(slicer, zoom, later, volume):
    other = small_volume(slicer, name="overlay")
    composite = named_logic(slicer, "Yellow").GetSliceCompositeNode()
    composite.SetForegroundVolumeID(other.GetID())
    composite.SetForegroundOpacity(0.4)
    composite.SetCompositing(2)
    nodes, before = ids(slicer), layers(slicer)
    for _ in range(2):
        switch_on(zoom, later, volume)
        assert layers(slicer) != before
        hidden = [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if n not in (volume, other)]
        assert len(hidden) == 3
        assert all(n.GetHideFromEditors() and not n.GetSaveWithScene() for n in hidden)
        zoom.stop()
        assert ids(slicer) == nodes
        assert layers(slicer) == before
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_saving_and_loading(slicer, zoom, later, volume, tmp_path_factory):
    """No frame is saved; what the view showed before it is."""
    other = small_volume(slicer, name="overlay")
    composite = named_logic(slicer, "Yellow").GetSliceCompositeNode()
    composite.SetForegroundVolumeID(other.GetID())
    before = layers(slicer)
    switch_on(zoom, later, volume)
    path = str(tmp_path_factory.mktemp("saved") / "scene.mrml")
    slicer.mrmlScene.SetURL(path)
    slicer.mrmlScene.Commit(path)
    assert "Sharp zoom" not in Path(path).read_text("utf-8")  # the name of the frames' nodes
    slicer.mrmlScene.Clear()
    assert not zoom.isOn
    slicer.mrmlScene.Connect()
    from INRSuperResolutionModule.zoom.views import putLayersBack

    putLayersBack()
    assert layers(slicer) == before
    for c in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert c.GetAttribute("INRSuperResolution.LayersBefore") is None


def test_closing_the_scene(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    slicer.mrmlScene.Clear()
    assert not zoom.isOn
    assert not slicer.util.getNodesByClass("vtkMRMLVolumeNode")
    later.rest(0.3)


def test_deleting_the_volume(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    slicer.mrmlScene.RemoveNode(volume)
    assert not zoom.isOn
    assert not slicer.util.getNodesByClass("vtkMRMLVolumeNode")


def test_another_choice_of_foreground_stands(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    other = small_volume(slicer, name="overlay")
    view = named(zoom, "Green")
    view.compositeNode.SetForegroundVolumeID(other.GetID())
    zoom_in(view.sliceNode, 2)
    redrawn(zoom, later)
    assert view.compositeNode.GetForegroundVolumeID() == other.GetID()
    zoom.stop()
    assert view.compositeNode.GetForegroundVolumeID() == other.GetID()


def test_views_that_show_something_else_are_left_alone(slicer, zoom, later, volume):
    other = small_volume(slicer, name="other")
    composite = named_logic(slicer, "Red").GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(other.GetID())
    zoom.start(volume)
    later.until(lambda: named(zoom, "Yellow").isSharp)
    assert composite.GetForegroundVolumeID() is None
    composite.SetBackgroundVolumeID(volume.GetID())
    later.until(lambda: named(zoom, "Red").isSharp)
    composite.SetBackgroundVolumeID(other.GetID())
    assert composite.GetForegroundVolumeID() is None


def test_views_that_come_and_go(slicer, zoom, later, volume, host):
    """A layout with one more view, in a group of its own; linked or not makes no difference."""
    switch_on(zoom, later, volume)
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(host.logic)
    logic.SetMRMLScene(slicer.mrmlScene)
    node = logic.AddSliceNode("Extra")
    node.SetViewGroup(1)
    composite = logic.GetSliceCompositeNode()
    composite.SetLinkedControl(True)
    composite.SetBackgroundVolumeID(volume.GetID())
    node.SetDimensions(*SIZE, 1)
    logic.FitSliceToAll(*SIZE)
    later.until(lambda: node.GetID() in zoom.views and zoom.views[node.GetID()].isSharp)
    slicer.mrmlScene.RemoveNode(composite)
    slicer.mrmlScene.RemoveNode(node)
    assert node.GetID() not in zoom.views
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 4


def test_a_view_is_kept_as_a_volume(slicer, zoom, later, volume):
    switch_on(zoom, later, volume)
    view = named(zoom, "Red")
    kept = zoom.keep("Red")
    assert not kept.GetHideFromEditors()
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(kept), slicer.util.arrayFromVolume(view.node))
    np.testing.assert_allclose(affine_of(slicer, kept), affine_of(slicer, view.node))
    zoom.stop()
    assert kept.GetScene() is not None


# ---- other sources ---------------------------------------------------------------------------------


def test_a_saved_representation_is_drawn(slicer, zoom, later, volume, tmp_path_factory):
    """Anything that is saved can be the source; the worker draws what has no coefficients."""
    from INRSuperResolutionModule.runs.outputs import readRepresentation
    from INRSuperResolutionModule.scene.results import addTextNode

    import INRSuperResolutionLib as inrsr

    array, affine = slicer.util.arrayFromVolume(volume).T, affine_of(slicer, volume)
    made = inrsr.fit("cubic", [inrsr.Volume(array, affine, name="T1")])
    path = tmp_path_factory.mktemp("saved") / "a.inr"
    made.save(path)
    keeper = addTextNode("saved", list(readRepresentation(path))[-1])
    zoom.start(volume, representation=keeper)
    view = named(zoom, "Red")
    later.until(lambda: all(v.isSharp for v in zoom.views.values()))
    frame = slicer.util.arrayFromVolume(view.node)[0]
    truth = made.evaluate(Grid((*frame.shape[::-1], 1), affine_of(slicer, view.node)), [0])[0, ..., 0].T
    np.testing.assert_allclose(frame, truth, rtol=0, atol=1e-5 * np.ptp(array))


def test_a_function_is_saved_and_drawn_again(slicer, zoom, later, volume, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "a.inr"
    switch_on(zoom, later, volume)
    before = slicer.util.arrayFromVolume(named(zoom, "Red").node).copy()
    zoom.saveFunction(str(path))
    later.until(lambda: zoom.saved is not None)
    assert zoom.saved["path"] == str(path)
    assert sum("code." in name for name in safe_open(path, "numpy").keys()) == 7, "every slice is in the file"  # noqa: SIM118
    zoom.start(volume, weights=str(path))
    later.until(lambda: all_sharp(zoom))
    np.testing.assert_allclose(slicer.util.arrayFromVolume(named(zoom, "Red").node), before, rtol=0, atol=1e-3)
    # an edited volume is another image
    slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume)[:, ::-1].copy())
    later.until(lambda: zoom.error is not None)
    assert "holds no function of this image" in zoom.error[0]
    assert not any(v.isSharp for v in zoom.views.values())


def test_a_file_that_cannot_be_written_is_told(slicer, zoom, later, volume, tmp_path_factory):
    switch_on(zoom, later, volume)
    zoom.saveFunction(str(tmp_path_factory.mktemp("saved") / "absent" / "a.inr"))
    later.until(lambda: zoom.saved is not None)
    assert "absent" in zoom.saved["message"]
    assert all_sharp(zoom), "the views go on"


def test_what_cannot_be_opened_is_told(slicer, zoom, later, volume):
    zoom.start(volume, weights="no-such-weights")
    later.until(lambda: zoom.error is not None)
    assert "no-such-weights" in zoom.error[0]
    zoom.stop()
    switch_on(zoom, later, volume)
