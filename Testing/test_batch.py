"""Cohorts: what a manifest says, what becomes of each case, and going on after whatever stopped a batch."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from imageio.v3 import imread
from phantoms import phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib.cohorts.case import DONE, FAILED, FAULTY, Outcome, finished, run_case
from INRSuperResolutionLib.cohorts.coordinator import Clock, only_one, run_batch
from INRSuperResolutionLib.cohorts.ledger import Ledger
from INRSuperResolutionLib.cohorts.manifest import Case, read_manifest
from INRSuperResolutionLib.cohorts.summary import SHOWN, patient_axes, write_page, write_table
from INRSuperResolutionLib.errors import Cancelled, InputError
from INRSuperResolutionLib.jobs.scratch import lock

pytest.importorskip("distributed")


@pytest.fixture
def folder(tmp_path) -> Path:
    for n in range(3):
        inrsr.write(phantom((12, 11, 6), seed=n), tmp_path / f"scan{n}.nii.gz")
    (tmp_path / "broken.nii.gz").write_bytes(b"no scan")
    return tmp_path


def manifest(folder: Path, text: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text(text, "utf-8")
    return path


def command(path: Path, output: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "INRSuperResolutionLib", "batch", str(path), "--output", str(output), *more]


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "summary.csv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def test_a_row_says_all_that_a_run_needs(folder):
    path = manifest(
        folder,
        "case,inputs,method,mask,preset,spacing,settings\n"
        "one,scan0.nii.gz;scan1.nii.gz,multicontrast,scan2.nii.gz,fast,1 1 2,steps=5;crop=32\ntwo,scan0.nii.gz,,,,,\n",
    )
    one, two = read_manifest(path, folder / "out", threads=2)
    assert one.job.inputs == [str(folder / "scan0.nii.gz"), str(folder / "scan1.nii.gz")]
    assert one.job.outputs == [str(folder / "out/one/scan0.nii.gz"), str(folder / "out/one/scan1.nii.gz")]
    assert (one.job.mask, one.job.spacing, one.job.threads) == (str(folder / "scan2.nii.gz"), [1, 1, 2], 2)
    assert one.job.settings == {"steps": "5", "crop": "32"}
    assert two.job.method == "auto"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no cases"),
        ("case,input\na,b\n", "'input'"),
        ("case,method\na,b\n", "inputs is missing"),
        ("case,inputs\n../up,scan0.nii.gz\n", "'../up'"),
        ("case,inputs\na,scan0.nii.gz\nA,scan1.nii.gz\n", "twice"),
    ],
)
def test_a_table_that_is_none_is_refused(folder, text, told):
    with pytest.raises(InputError, match=told):
        read_manifest(manifest(folder, text), folder / "out")


@pytest.mark.parametrize("fields", [",cubic,", "scan0.nii.gz,cubic,steps", "scan0.nii.gz,cubic,a=1,more"])
def test_a_wrong_row_is_a_case_with_a_reason(folder, fields):
    (case,) = read_manifest(manifest(folder, f"case,inputs,method,settings\na,{fields}\n"), folder / "out")
    assert case.job is None and case.fault
    assert run_case(case).state == FAULTY


def test_two_inputs_of_one_name_have_two_results(folder):
    (folder / "other").mkdir()
    inrsr.write(phantom((12, 11, 6), seed=5), folder / "other" / "scan0.nii.gz")
    (case,) = read_manifest(manifest(folder, "case,inputs\na,scan0.nii.gz;other/scan0.nii.gz\n"), folder / "out")
    assert len(set(case.job.outputs)) == 2


def test_a_case_is_done_once_and_again_when_its_input_its_job_or_its_result_changes(folder):
    path = manifest(folder, "case,inputs,method\na,scan0.nii.gz,linear\n")
    (case,) = read_manifest(path, folder / "out")
    assert finished(case.name, case.job) is None
    first = run_case(case)
    assert first.state == DONE and not first.again and run_case(case).again
    (other,) = read_manifest(manifest(folder, "case,inputs,method\na,scan0.nii.gz,cubic\n"), folder / "out")
    assert finished(other.name, other.job) is None
    inrsr.write(phantom((12, 11, 6), seed=8), folder / "scan0.nii.gz")
    assert finished(case.name, case.job) is None
    assert not run_case(case).again
    Path(case.job.outputs[0]).unlink()
    assert finished(case.name, case.job) is None


def test_a_mask_that_has_changed_since_makes_a_case_anew(folder):
    text = "case,inputs,method,like\na,scan0.nii.gz,linear,scan1.nii.gz\n"
    (case,) = read_manifest(manifest(folder, text), folder / "out")
    assert run_case(case).state == DONE and finished(case.name, case.job) is not None
    later = Path(case.job.report).stat().st_mtime + 1
    os.utime(folder / "scan1.nii.gz", (later, later))
    assert finished(case.name, case.job) is None


def test_a_case_that_takes_too_long_fails_with_its_reason(folder):
    path = manifest(folder, "case,inputs,method,settings\na,scan0.nii.gz,self-supervised,steps=100000\n")
    (case,) = read_manifest(path, folder / "out")
    outcome = run_case(case, limit_seconds=1)
    assert outcome.state == FAILED and "longer than 1 s" in outcome.reason
    assert not (folder / "out" / "a").exists()


def test_good_and_bad_cases_side_by_side_then_only_what_is_not_done(folder):
    path = manifest(
        folder,
        "case,inputs,method\na,scan0.nii.gz,linear\nb,broken.nii.gz,linear\nc,scan1.nii.gz,cubic\nd,nowhere.nii.gz,\n",
    )
    done = subprocess.run(command(path, folder / "out", "--workers", "2"), capture_output=True, text=True)
    assert done.returncode == 2 and "2 of 4 cases failed" in done.stderr and "Traceback" not in done.stderr
    found = rows(folder / "out")
    assert [found[c]["state"] for c in "abcd"] == [DONE, FAULTY, DONE, FAULTY]
    assert "broken.nii.gz" in found["b"]["reason"] and "does not exist" in found["d"]["reason"]
    assert (folder / "out" / "a" / "scan0.nii.gz").is_file() and not (folder / "out" / "b").exists()
    page = (folder / "out" / "summary.html").read_text("utf-8")
    assert page.count("data:image/png") == 4 and "http" not in page
    before = (folder / "out" / "a" / "scan0.nii.gz").stat().st_mtime_ns
    inrsr.write(phantom((12, 11, 6), seed=3), folder / "broken.nii.gz")
    manifest(folder, path.read_text().replace("nowhere", "scan2"))
    done = subprocess.run(
        command(path, folder / "out", "--workers", "1", "--progress", "json"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {e["case"]: e["again"] for e in events if e["event"] == "case"} == {
        "a": True,
        "b": False,
        "c": True,
        "d": False,
    }
    assert events[-1] == {"event": "result", "done": 4, "failed": []}
    assert (folder / "out" / "a" / "scan0.nii.gz").stat().st_mtime_ns == before


def test_another_coordinator_is_refused(folder):
    (folder / "out").mkdir()
    with only_one(folder / "out"), pytest.raises(InputError, match="another batch"), only_one(folder / "out"):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_batch_goes_on_where_it_was(folder, number):
    """Whatever ends the coordinator, its workers and their runs end, too."""
    path = manifest(
        folder,
        "case,inputs,method,settings\na,scan0.nii.gz,linear,\nb,scan1.nii.gz,self-supervised,steps=1000000\n",
    )
    output = folder / "out"
    with subprocess.Popen(
        command(path, output, "--workers", "2", "--progress", "json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as batch:
        assert batch.stdout is not None
        assert json.loads(batch.stdout.readline())["case"] == "a"
        deadline = time.monotonic() + 20
        while not list(output.glob("b/.inrsr-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        batch.send_signal(number)
        _, stderr = batch.communicate()
    assert batch.returncode == (3 if number == signal.SIGINT else -number)
    assert "Traceback" not in stderr
    wanted = f"{folder}".encode()
    deadline = time.monotonic() + 20
    while _running(wanted) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _running(wanted)
    manifest(folder, path.read_text().replace("self-supervised,steps=1000000", "linear,"))
    done = subprocess.run(command(path, output, "--progress", "json"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(output.glob("**/.inrsr-*-*"))
    assert rows(output)["b"]["state"] == DONE


def _running(wanted: bytes) -> list[str]:
    """Processes that work on files of a folder; on Linux only."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            content = entry.read_bytes()
        except OSError:
            continue
        job = content.split(b"\0")[-2] if content.count(b"\0") > 1 else b""
        if wanted in content or (job.endswith(b"job.json") and _mentions(job, wanted)):
            found.append(content.decode(errors="replace"))
    return found


def _mentions(job: bytes, wanted: bytes) -> bool:
    try:
        return wanted in Path(os.fsdecode(job)).read_bytes()
    except OSError:
        return False


def lost_once(case: Case, stop: str, limit: float | None) -> Outcome:
    """Takes its worker down with it, the first time."""
    mark = Path(case.fault)
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return Outcome(case.name, DONE)


def ends_badly(case: Case, stop: str, limit: float | None) -> Outcome:
    if case.name == "bad":
        os._exit(1)
    return Outcome(case.name, DONE)


def outcomes_of(cases: list[Case], output: Path, **options: object) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    run_batch(cases, output, lambda o: found.__setitem__(o.case, o), **options)
    return found


def test_a_lost_worker_s_case_is_done_by_another_one(tmp_path):
    assert outcomes_of([Case("a", None, str(tmp_path / "mark"))], tmp_path, do=lost_once)["a"].state == DONE


def test_a_case_that_takes_all_workers_down_fails_alone(tmp_path):
    found = outcomes_of([Case("bad", None), Case("good", None)], tmp_path, do=ends_badly)
    assert found["bad"].state == FAILED and "lost" in found["bad"].reason
    assert found["good"].state == DONE


def test_a_wrong_address_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("INRSuperResolutionLib.cohorts.cluster.SECONDS_TO_FIND", 0.5)
    with pytest.raises(InputError, match="no scheduler answers"):
        run_batch([Case("a", None)], tmp_path, lambda o: None, scheduler="tcp://127.0.0.1:9")


def test_outcomes_are_read_in_any_order():
    with Ledger() as ledger:
        for name, state, code in (("a", DONE, 0), ("b", FAULTY, 2), ("c", FAILED, 1), ("d", FAULTY, 2)):
            ledger.add(Outcome(name, state, exit_code=code))
        assert [o.case for o in ledger.read(["c", "a", "nowhere", "d"])] == ["c", "a", "d"]
        assert ledger.failed == ["b", "c", "d"] and ledger.codes == {0: 1, 2: 2, 1: 1}
        assert ledger.first_bad is not None and ledger.first_bad.case == "b"


def test_another_run_of_a_case_is_waited_for(folder):
    (case,) = read_manifest(manifest(folder, "case,inputs,method\na,scan0.nii.gz,linear\n"), folder / "out")
    (folder / "out" / "a").mkdir(parents=True)
    with (folder / "out" / "a" / ".inrsr-case").open("a+b") as file:
        assert lock(file)
        assert "longer than 0.3 s" in run_case(case, limit_seconds=0.3).reason
    assert run_case(case).state == DONE
    assert sorted(p.name for p in (folder / "out" / "a").iterdir()) == ["report.json", "scan0.nii.gz"]


def test_a_case_that_nobody_wants_any_more_is_cancelled(folder):
    (case,) = read_manifest(manifest(folder, "case,inputs,method\na,scan0.nii.gz,linear\n"), folder / "out")
    with pytest.raises(Cancelled):
        run_case(case, running=str(folder / "gone"))
    assert not (folder / "out" / "a").exists()


def test_the_table_takes_whatever_a_reason_holds(tmp_path):
    outcome = Outcome("a", FAULTY, 'quotes ", commas, <b>tags</b>\nand lines')
    write_table([outcome], tmp_path / "summary.csv")
    assert rows(tmp_path)["a"]["reason"] == outcome.reason
    write_page([outcome], [Case("a", None)], 1, 0, tmp_path / "summary.html")
    assert "<b>tags" not in (tmp_path / "summary.html").read_text("utf-8")


def test_the_page_shows_maps_and_of_many_cases_links(folder, monkeypatch):
    text = "case,inputs,method\na,scan0.nii.gz,linear\n"
    (case,) = read_manifest(manifest(folder, text), folder / "out", maps=True)
    assert [Path(p).name for p in (*case.job.added, *case.job.uncertainty)] == [
        "added-scan0.nii.gz",
        "uncertainty-scan0.nii.gz",
    ]
    place = folder / "out" / "a"
    place.mkdir(parents=True)
    flat = phantom((12, 11, 6), seed=0)
    for path, value in ((case.job.outputs[0], None), (case.job.added[0], 0.0), (case.job.uncertainty[0], 0.0)):
        inrsr.write(flat if value is None else flat.replace(data=np.zeros_like(flat.data)), path)
    outcome = Outcome("a", DONE, outputs=case.job.outputs)
    page = folder / "out" / "summary.html"
    write_page([outcome], [case], 1, 1, page)
    text = page.read_text("utf-8")
    assert text.count("data:image/png") == 4 and all(f'alt="{name}"' in text for name in SHOWN)
    shades = {name: set(np.unique(imread(place / f"thumbnail-{name}.png"))) for name in SHOWN}
    assert shades["added"] <= {0, 127, 128} and shades["added"] != {0}, "grey where nothing was added"
    assert shades["uncertainty"] == {0} and len(shades["result"]) > 20
    monkeypatch.setattr("INRSuperResolutionLib.cohorts.summary.MOST_HELD", 0)
    write_page([outcome], [case], 1, 1, page)
    text = page.read_text("utf-8")
    assert "data:image" not in text and 'src="a/thumbnail-added.png"' in text
    assert not [p for p in place.iterdir() if p.name.startswith(".")]


def test_axes_of_the_patient():
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 0], affine[2, 1], affine[3, 3] = -4, 1, -1, 1
    assert patient_axes(affine) == ([2, 0, 1], [-1, 1, -1])


def test_time_left_counts_only_what_was_done_now():
    clock = Clock(4)
    clock.count(Outcome("a", DONE, again=True))
    assert clock.seconds_left is None and clock.fraction == 0.25
    clock.count(Outcome("b", DONE))
    assert clock.seconds_left is not None


def test_a_lock_is_held_until_its_file_is_closed(tmp_path):
    with (tmp_path / "l").open("a+b") as one, (tmp_path / "l").open("a+b") as two:
        assert lock(one) and lock(two) is False
