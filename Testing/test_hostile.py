"""Jobs, settings, weights and functions that are wrong or hostile: 2, 4 or 5 in one line, and nothing touched."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from phantoms import leftovers, phantom
from safetensors.numpy import load_file, save_file
from tinynetworks import random_weights

import INRSuperResolutionLib as inrsr_library
from INRSuperResolutionLib import METHODS, InputError, MissingError, Volume, write
from INRSuperResolutionLib.jobs import worker
from INRSuperResolutionLib.jobs.estimate import Estimate
from INRSuperResolutionLib.jobs.job import Job
from INRSuperResolutionLib.jobs.staging import clear_staging, staging_folders
from INRSuperResolutionLib.methods.pretrained.trained_network import load_network
from INRSuperResolutionLib.methods.pretrained.weights import load_weights
from INRSuperResolutionLib.representation import read_state


@pytest.fixture
def volume(tmp_path):
    write(phantom((16, 14, 5), np.diag([1, 1, 4, 1.0])), tmp_path / "a.nii")
    return tmp_path / "a.nii"


def work(folder, job: dict | str) -> tuple[int, dict]:
    """Exit code and last event of a worker with this job file, in this process."""
    path = folder / "job.json"
    path.write_text(job if isinstance(job, str) else json.dumps(job))
    events: list[dict] = []
    code = worker.work(str(path), events.append, worker.CancelSignal(), lambda: None)
    path.unlink()
    return code, events[-1]


def good(volume, **changes) -> dict:
    job = Job(task="upscale", method="linear", inputs=[str(volume)], outputs=[str(volume.with_name("o.nii"))])
    return {**job.to_dict(), **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": "../../precious"},
        {"run_id": "x/../../precious"},
        {"run_id": "/precious"},
        {"run_id": "a" * 65},
        {"run_id": "a\0b"},
        {"run_id": "."},
        {"outputs": ["o\0.nii"]},
        {"outputs": ["\ud800.nii"]},
        {"outputs": ["a" * 300 + ".nii"]},
        {"inputs": ["a" * 300 + ".nii"]},
        {"inputs": [""]},
        {"mask": "\0"},
        {"like": "b" * 5000},
        {"preview_folder": "\0"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 10**30},
        {"scale": [1e300]},
        {"scale": [1e-300]},
        {"scale": [1e5]},
        {"spacing": [1e-9]},
        {"spacing": [1e9]},
        {"spacing": [10**400]},
        {"spacing": [float("nan")]},
        {"spacing": []},
        {"max_seconds": float("inf")},
        {"max_seconds": 0.0},
        {"threads": -4},
        {"method": "x" * 300},
        {"method": "../linear"},
        {"preset": "\ud800"},
        {"x" * 500: 1},
    ],
)
def test_a_hostile_job_is_refused_and_deletes_nothing(tmp_path, volume, changes):
    precious = tmp_path.parent / "precious"
    precious.mkdir(exist_ok=True)
    (precious / "kept").write_text("kept")
    code, event = work(tmp_path, good(volume, **changes))
    assert (code, event["code"]) == (2, "input"), event
    assert "\n" not in event["message"] and len(event["message"]) < 700 and event["advice"]
    assert (precious / "kept").read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema": ' * 3000, '{"seed": ' + "9" * 5000 + "}", "\0", "[]", "null", '"x"', ""]
)
def test_a_file_that_is_no_job_is_refused(tmp_path, text):
    assert work(tmp_path, text)[0] == 2


def test_two_runs_with_one_id_do_not_touch_each_other(tmp_path):
    from INRSuperResolutionLib.jobs.staging import Staging, clear_own_staging

    outputs = [str(tmp_path / "o.nii")]
    job = Job(task="upscale", method="linear", inputs=["a.nii"], outputs=outputs, run_id="same")
    first, second = Staging(job), Staging(job)
    first.path(outputs[0]).write_text("first")
    second.path(outputs[0]).write_text("second")
    first.commit()
    assert (tmp_path / "o.nii").read_text() == "first"
    assert second.path(outputs[0]).read_text() == "second"
    assert len(staging_folders(job)) == 1
    clear_own_staging()
    assert leftovers(tmp_path) == []
    (tmp_path / ".inrsr-").mkdir()
    clear_staging(Job(task="upscale", method="linear", inputs=["a.nii"], outputs=outputs))  # no id: nothing is its own
    assert leftovers(tmp_path) == [".inrsr-"]


@pytest.mark.parametrize("way", ["name", "symlink", "hard link", "through a folder"])
@pytest.mark.parametrize("role", ["inputs", "mask", "like", "labels", "weights"])
def test_nothing_that_is_read_is_overwritten(tmp_path, way, role):
    write(phantom((6, 7, 5)), tmp_path / "a.nii")
    source = tmp_path / ("w.safetensors" if role == "weights" else "read.nii")
    source.write_bytes((tmp_path / "a.nii").read_bytes())
    output = tmp_path / "o.nii"
    if way == "name":
        output = source
    elif way == "symlink":
        output.symlink_to(source)
    elif way == "hard link":
        output.hardlink_to(source)
    else:
        (tmp_path / "link").symlink_to(tmp_path)
        output = tmp_path / "link" / source.name
    changes = {
        "inputs": {"inputs": [str(source)]},
        "labels": {"labels": [str(source)]},
        "weights": {"settings": {"weights": str(source)}},
    }.get(role, {role: str(source)})
    # as a report: a result of any name
    job = {"task": "upscale", "method": "linear", "inputs": [str(tmp_path / "a.nii")], "outputs": [], **changes}
    with pytest.raises(InputError, match="would be overwritten"):
        Job(**job, report=str(output))


def test_files_of_a_series_that_is_read_are_not_overwritten(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.nii").write_text("a slice")
    job = {"task": "upscale", "method": "linear", "inputs": [str(tmp_path / "series")]}
    with pytest.raises(InputError, match="would be overwritten"):
        Job(**job, outputs=[str(tmp_path / "series" / "1.nii")])
    Job(**job, outputs=[str(tmp_path / "series" / "new.nii")])


@pytest.mark.parametrize("way", ["name", "symlink", "hard link"])
def test_degrade_does_not_overwrite_its_input(tmp_path, inrsr, volume, way):
    before, output = volume.read_bytes(), tmp_path / "o.nii"
    if way == "name":
        output = volume
    elif way == "symlink":
        output.symlink_to(volume)
    else:
        output.hardlink_to(volume)
    done = inrsr("degrade", volume, "--output", output, "--kind", "area", "--factor", 2)
    assert done.returncode == 2 and "would be overwritten" in done.stderr
    assert volume.read_bytes() == before


def test_what_exists_is_skipped(tmp_path, inrsr, volume):
    arguments = ("upscale", "linear", volume, "--output", tmp_path / "o.nii", "--report", tmp_path / "r.json")
    (tmp_path / "o.nii").write_bytes(b"old")
    # not all of it is there
    assert inrsr(*arguments, "--skip-existing").returncode == 0
    made = (tmp_path / "o.nii").read_bytes()
    assert made != b"old"
    (tmp_path / "o.nii").write_bytes(b"kept")
    done = inrsr(*arguments, "--skip-existing")
    assert (done.returncode, (tmp_path / "o.nii").read_bytes()) == (0, b"kept")
    assert "skipped" in done.stderr
    assert inrsr(*arguments).returncode == 0
    assert (tmp_path / "o.nii").read_bytes() == made


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e300", "x" * 300, ""])
def test_nonsense_in_settings_is_named(value):
    for name, method in METHODS.items():
        for setting, default in vars(method.settings()).items():
            if (
                isinstance(default, (int, float))
                and not isinstance(default, bool)
                and (setting, value) != ("axis", "-1")
            ):
                with pytest.raises(InputError, match=f"{setting}|mirror images") as caught:
                    method.settings("", {setting: value})
                assert len(str(caught.value)) < 250, name


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_seeds_that_no_generator_takes_are_refused(seed):
    with pytest.raises(InputError, match=f"seed {seed}"):
        inrsr_library.fit("linear", [phantom()], seed=seed)


def with_header(path, target, change) -> None:
    """A copy of a safetensors file of ours with its own header, a dict, changed."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    own = json.loads(header["__metadata__"]["inrsr"])
    changed = change(own)
    header["__metadata__"]["inrsr"] = json.dumps(own if changed is None else changed)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.pop("method"),
        lambda h: h.update(method=None),
        lambda h: h.pop("architecture"),
        lambda h: h.update(architecture=[]),
        lambda h: h.update(training="x"),
        lambda h: h["architecture"].update(blocks=10**9),
        lambda h: h["architecture"].update(features=10**9),
        lambda h: h["architecture"].update(blocks=-1),
        lambda h: h["architecture"].update(blocks=1.5),
        lambda h: h["architecture"].update(width=True),
        lambda h: h["architecture"].update(basis="unheard-of"),
        lambda h: h["architecture"].update(patch=16),
        lambda h: h["architecture"].update(colour=1),
        lambda h: [],
    ],
)
def test_weights_with_a_wrong_header_are_missing(tmp_path, change):
    path = random_weights("nexpr", tmp_path / "w.safetensors")

    def changed(header):
        return [] if change(header) == [] else None

    with_header(path, tmp_path / "bad.safetensors", changed)
    with pytest.raises((MissingError, InputError)) as caught:
        load_network(load_weights(str(tmp_path / "bad.safetensors"), None))
    assert caught.value.advice


def test_weights_that_are_no_numbers_are_missing(tmp_path):
    path = random_weights("nexpr", tmp_path / "w.safetensors")
    content = bytearray(path.read_bytes())
    content[-4:] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    with pytest.raises(MissingError, match="no numbers"):
        load_weights(str(path), "nexpr")
    assert load_weights(str(random_weights("nexpr", tmp_path / "w.safetensors")), "nexpr")


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + ".safetensors", "\0", "\0.safetensors", ""])
def test_names_of_weights_that_cannot_be_are_missing(name):
    with pytest.raises(MissingError) as caught:
        load_weights(name, "nexpr")
    assert len(str(caught.value)) < 900


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """A saved function of several kinds."""
    folder = tmp_path_factory.mktemp("functions")
    volume = phantom((12, 11, 4), np.diag([1, 1, 3, 1.0]))
    other = Volume(phantom((4, 11, 12), seed=1).data, np.diag([3, 1, 1, 1.0]))
    inr = {"width": 16, "head_width": 8, "shared_layers": 2, "frequencies": 8, "batch": 400, "epochs": 1}
    small = {"width": 16, "epochs": 1, "volume_epochs": 1}
    weights = {"weights": str(random_weights("nexpr", folder / "w.safetensors")), "check": False}
    for method, settings in (
        ("linear", {}), ("sinc", {}), ("single-contrast", inr), ("siren", small), ("nexpr", weights),
        ("multicontrast", {"steps": 2, "crop": 12, "width": 8, "depth": 1}),
    ):  # fmt: skip
        volumes = [volume, other] if METHODS[method].min_inputs == 2 else [volume]
        inrsr_library.fit(method, volumes, settings=settings).save(folder / f"{method}.inr")
    return folder


def places(value, path=()):
    """Paths to all that is in a JSON value; of long lists the first entries."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for n, one in enumerate(value[:2]):
            yield from places(one, (*path, n))


@pytest.mark.parametrize("kind", ["linear", "sinc", "single-contrast", "siren", "nexpr", "multicontrast"])
def test_functions_with_a_damaged_header_are_sampled_or_refused(tmp_path, functions, kind):
    path = functions / f"{kind}.inr"
    _, metadata = read_state(path)
    rng = np.random.default_rng(0)
    wrong = [None, -1, 10**9, 1e300, float("nan"), "x", [], {}, True]
    all_places = [p for p in places(metadata) if p]
    codes = []
    for n in rng.permutation(len(all_places))[:10]:
        place, value = all_places[n], wrong[rng.integers(len(wrong))]

        def change(header, place=place, value=value):
            for key in place[:-1]:
                header = header[key]
            header[place[-1]] = value

        with_header(path, tmp_path / "bad.inr", change)
        outputs = [str(tmp_path / f"{n}.nii") for n in range(len(metadata["contrasts"]))]
        job = {"schema": "inrsr-job/1", "task": "sample", "inputs": [str(tmp_path / "bad.inr")], "outputs": outputs}
        code, event = work(tmp_path, job)
        assert code in (0, 2, 4, 5), (place, value, event)
        if code == 0:
            assert np.isfinite(inrsr_library.read(outputs[0]).data).all()
        codes.append(code)
    assert 2 in codes
    assert leftovers(tmp_path) == []


def test_functions_of_no_numbers_are_refused(tmp_path, functions):
    arrays = load_file(functions / "linear.inr")
    _, metadata = read_state(functions / "linear.inr")
    name = next(iter(arrays))
    arrays[name] = arrays[name].copy()
    arrays[name].flat[3] = np.nan
    save_file(arrays, tmp_path / "bad.inr", {"inrsr": json.dumps(metadata)})
    with pytest.raises(InputError, match="no numbers"):
        inrsr_library.load(tmp_path / "bad.inr")


def test_a_fit_that_diverges_is_told(tmp_path, volume, monkeypatch):
    from INRSuperResolutionLib.methods.plain.interpolation import SplineRepresentation

    monkeypatch.setattr(SplineRepresentation, "evaluate", lambda s, grid, c: np.full((len(c), *grid.shape), np.nan))
    code, event = work(tmp_path, good(volume))
    assert code == 2 and "no numbers" in event["message"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii"]


@pytest.mark.parametrize(("factor", "code"), [(1.4, 0), (2.5, 2), (-2.0, 2)])
def test_a_result_far_beyond_its_input_is_told(tmp_path, volume, monkeypatch, factor, code):
    """Numbers, but those of a fit that has diverged."""
    from INRSuperResolutionLib.methods.plain.interpolation import SplineRepresentation

    evaluate = SplineRepresentation.evaluate
    monkeypatch.setattr(SplineRepresentation, "evaluate", lambda s, grid, c: factor * evaluate(s, grid, c))
    got, event = work(tmp_path, good(volume))
    assert got == code
    assert code == 0 or ("the fit has diverged" in event["message"] and "learning rate" in event["advice"])
    assert sorted(p.name for p in tmp_path.iterdir()) == (["a.nii", "o.nii"] if code == 0 else ["a.nii"])


def test_torch_without_memory_is_told_by_the_worker(tmp_path, volume, monkeypatch):
    def run(job, progress):
        torch.empty(10**15)

    monkeypatch.setattr("INRSuperResolutionLib.jobs.run.run_job", run)
    code, event = work(tmp_path, good(volume))
    assert (code, event["code"]) == (4, "memory")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii"]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 400.0), (1e-4, 1e-4, 4.0)])
def test_slices_that_planes_tell_nothing_of_are_refused(spacing):
    volumes = [phantom((24, 22, 6), np.diag([*spacing, 1.0]), name="far apart"), phantom((24, 22, 6), seed=1)]
    with pytest.raises(InputError, match=r"far apart: voxels of .* times longer than wide"):
        inrsr_library.fit("multicontrast", [volumes[0], volumes[0].replace(name="b")], max_seconds=1)


def test_scans_in_other_units_are_refused():
    """One in micron that is said to be in mm: a guide of so many lines would not fit the memory."""
    volumes = [phantom((16, 14, 5), np.diag([s, s, 4 * s, 1.0]), name=f"{s:g}") for s in (1e-3, 1.0)]
    for given in (volumes, volumes[::-1]):
        with pytest.raises(InputError, match=r"voxels of 1 are 4 mm long, those of 0\.001 0\.001 mm"):
            inrsr_library.fit("multicontrast", given)


def test_tiny_voxels_are_restored():
    """In microns: no size in mm is built in."""
    shapes = {(12, 11, 4): (1e-3, 1e-3, 4e-3), (4, 11, 12): (4e-3, 1e-3, 1e-3)}
    volumes = [phantom(shape, np.diag([*spacing, 1.0])) for shape, spacing in shapes.items()]
    made = inrsr_library.fit("multicontrast", volumes, settings={"steps": 3, "crop": 12, "width": 8, "depth": 1})
    result = made.sample(volumes[0].grid.isotropic())[0]
    assert result.shape == (12, 11, 16)
    assert np.abs(result.data.mean() - volumes[0].data.mean()) < 0.1 * np.ptp(volumes[0].data)


def test_the_time_limit_leaves_time_for_the_rest(tmp_path, volume, monkeypatch):
    """The fit gets what reading, sampling and writing leave, and a fifth in any case, with a warning."""
    seen = {}

    def fit(method, volumes, **options):
        seen.update(options)
        return inrsr_library.fit("linear", volumes)

    monkeypatch.setattr("INRSuperResolutionLib.jobs.run.fit", fit)
    monkeypatch.setattr(
        "INRSuperResolutionLib.jobs.run.estimate",
        lambda *_: Estimate(90.0, 0, {"fit": 60.0, "sample": 25.0, "write": 5.0}),
    )
    assert work(tmp_path, good(volume, method="siren", max_seconds=100.0))[0] == 0
    assert 60 < seen["max_seconds"] <= 70
    assert work(tmp_path, good(volume, method="siren", max_seconds=20.0))[0] == 0
    assert seen["max_seconds"] == 4
    assert work(tmp_path, good(volume, method="siren"))[0] == 0
    assert seen["max_seconds"] is None
