"""Blinded reader studies: nothing tells which method is where, answers are never lost, figures equal outside references."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from phantoms import phantom
from scipy.stats import wilcoxon

from INRSuperResolutionLib import InputError, Volume, read, write
from INRSuperResolutionLib.study.blinded import blinded_volumes, check_pairs, window_of, write_blinded
from INRSuperResolutionLib.study.plan import KEYS, Pair, Study
from INRSuperResolutionLib.study.report import csv_of, figures_of, imrmc_of, table_of
from INRSuperResolutionLib.study.session import Session
from INRSuperResolutionLib.study.statistics import mean_kappa, signed_rank, weighted_kappa
from INRSuperResolutionLib.study.store import read_study, write_study

COMMAND = [sys.executable, "-m", "INRSuperResolutionLib", "study"]


def plan(pairs: int = 20, seed: int = 0) -> Study:
    made = tuple(Pair(f"p{n:02}", (f"cubic/{n}.nii", f"seco/{n}.nii")) for n in range(pairs))
    return Study("test", ("cubic", "seco"), ("noise", "sharpness"), made, seed)


@pytest.fixture
def study(tmp_path):
    """Twenty pairs on disk, in a study file; the images of the methods differ by all that a file can tell."""
    made = plan()
    for n, pair in enumerate(made.pairs):
        for m, image in enumerate(pair.images):
            (tmp_path / image).parent.mkdir(exist_ok=True)
            volume = phantom((6, 5, 4), np.diag([1, 1, 2, 1.0]), seed=n)
            write(
                volume.replace(data=volume.data + m, codes=(1 + m, 2 - m)), tmp_path / image, (np.int16, np.float32)[m]
            )
            os.utime(tmp_path / image, (10**9 + m, 10**9 + m))
    write_study(made, tmp_path / "study.json")
    return tmp_path / "study.json"


def test_every_reader_sees_every_pair_once_in_an_own_order_and_sides_are_balanced():
    made = plan()
    for reader in ("a", "b", "c"):
        made.add_reader(reader)
    orders = {tuple(t.pair for t in trials) for trials in made.trials.values()}
    sides = {tuple(t.swapped for t in sorted(trials, key=lambda t: t.pair)) for trials in made.trials.values()}
    assert len(orders) == len(sides) == 3
    for trials in made.trials.values():
        assert sorted(t.pair for t in trials) == list(range(20)) and sum(t.swapped for t in trials) == 10
    again = plan()
    again.add_reader("b")
    assert again.trials["b"] == made.trials["b"]  # whoever comes first
    other = plan(seed=1)
    other.add_reader("b")
    assert other.trials["b"] != made.trials["b"]
    before = made.trials["a"]
    made.add_reader("a")
    assert made.trials["a"] is before


def test_order_tells_nothing_of_sides():
    """Over many readers, the second method is on the left half of the time at each place."""
    made = plan(pairs=6)
    for n in range(400):
        made.add_reader(f"r{n}")
    swapped = np.array([[t.swapped for t in trials] for trials in made.trials.values()])
    pairs = np.array([[t.pair for t in trials] for trials in made.trials.values()])
    assert np.abs(swapped.mean(0) - 0.5).max() < 0.1  # 4 standard deviations
    assert np.abs(pairs.mean(0) - 2.5).max() < 0.35


def test_files_of_a_trial_are_the_same_but_for_their_values(tmp_path, study):
    session = Session(study, "anna")
    target = tmp_path / "show"
    target.mkdir()
    for trial in range(20):
        left, right = write_blinded(session.study, "anna", trial, study.parent, target)
        assert sorted(p.name for p in target.iterdir()) == ["left.nii", "right.nii"]
        a, b = left.read_bytes(), right.read_bytes()
        assert a[:352] == b[:352] and len(a) == len(b) and a != b  # the whole header
        told = left.stat(), right.stat()
        assert told[0].st_mtime == told[1].st_mtime and told[0].st_mode == told[1].st_mode
        for word in (b"cubic", b"seco", b"anna"):
            assert word not in a[:352]
        # and the values are those of the method that the plan says
        swapped = session.study.trials["anna"][trial].swapped
        first, second = session.study.pairs[session.study.trials["anna"][trial].pair].images
        shown = [read(study.parent / p).data for p in ((second, first) if swapped else (first, second))]
        np.testing.assert_array_equal(read(left).data, shown[0])
        np.testing.assert_array_equal(read(right).data, shown[1])


def test_volumes_of_a_trial_have_nothing_of_their_files(study):
    session = Session(study, "anna")
    for trial in range(4):
        both = blinded_volumes(session.study, "anna", trial, study.parent)
        assert [v.name for v in both] == ["left", "right"]
        left, right = (vars(v.replace(data=np.zeros((1, 1, 1)), name="")) for v in both)
        for name in left:
            assert np.array_equal(left[name], right[name]), name
        low, high = window_of(both)
        assert low < high and window_of(both[::-1]) == (low, high)


def test_pairs_whose_grid_tells_the_method_are_refused(study):
    made = read_study(study)
    check_pairs(made, study.parent)
    write(phantom((6, 5, 4), np.diag([1, 1, 2.1, 1])), study.parent / made.pairs[7].images[1])
    with pytest.raises(InputError, match=r"case p07: .* is not on the grid"):
        check_pairs(made, study.parent)


def test_questions_of_the_command_tell_nothing(study, tmp_path):
    (tmp_path / "show").mkdir()
    command = [*COMMAND, "run", str(study), "--reader", "anna", "--show", str(tmp_path / "show")]
    done = subprocess.run(command, input="3\n4\n", capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == ""
    for word in ("cubic", "seco", "p0", "p1"):
        assert word not in done.stderr.replace("pair", "").replace(str(tmp_path), "")


def test_pairs_are_shown_in_an_empty_folder_only(study, tmp_path, inrsr):
    (tmp_path / "show").mkdir()
    (tmp_path / "show" / "mine.txt").write_text("mine")
    done = inrsr("study", "run", study, "--reader", "anna", "--show", tmp_path / "show")
    assert done.returncode == 2 and "holds mine.txt" in done.stderr
    assert [p.name for p in (tmp_path / "show").iterdir()] == ["mine.txt"]
    done = inrsr("study", "run", study, "--reader", "anna", "--show", tmp_path / "none")
    assert done.returncode == 2 and "does not exist" in done.stderr
    assert read_study(study).trials == {}


def keys_of(reader: str, count: int = 40) -> list[int]:
    return np.random.default_rng(len(reader)).integers(1, 6, count).tolist()


def test_twenty_pairs_from_start_to_csv_killed_and_resumed_in_the_middle(tmp_path, study, inrsr):
    (tmp_path / "show").mkdir()
    command = [*COMMAND, "run", str(study), "--reader", "anna", "--show", str(tmp_path / "show")]
    keys = keys_of("anna")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for key in keys[:17]:  # in the middle of a pair
            process.stdin.write(f"{key}\n")
            process.stdin.flush()
        asked = 0
        while asked < 18:  # the eighteenth question is open
            asked += process.stderr.read(1) == "?"
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert [a.key for a in read_study(study).answers] == keys[:17]
    rest = "".join(f"{k}\n" for k in keys[17:])
    done = subprocess.run(command, input=rest, capture_output=True, text=True)
    assert done.returncode == 0 and "pair 9 of 20" in done.stderr and "pair 8 of" not in done.stderr
    assert "thank you" in done.stderr
    made = read_study(study)
    assert made.next_trial("anna") is None
    names = ("s.csv", "noise.csv", "sharpness.csv")
    done = inrsr("study", "report", study, "--csv", names[0], "--imrmc", *names[1:], "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert len(rows) == 40
    # unblinded by hand, from the plan in the file
    values = json.loads(study.read_text())
    for n, trial in enumerate(values["trials"]["anna"]):
        for m, question in enumerate(("noise", "sharpness")):
            (own,) = [r for r in rows if r["case"] == f"p{trial['pair']:02}" and r["question"] == question]
            assert int(own["key"]) == keys[2 * n + m]
            assert int(own["score"]) == (int(own["key"]) - 3) * (-1 if trial["swapped"] else 1)
            assert own["left"] == ("seco" if trial["swapped"] else "cubic") and float(own["seconds"]) >= 0
    figures = json.loads(done.stdout)
    for question, name in zip(("noise", "sharpness"), names[1:]):
        scores = [int(r["score"]) for r in rows if r["question"] == question]
        found = figures["questions"][question]["pooled"]
        assert found["mean"] == pytest.approx(np.mean(scores)) and found["sd"] == pytest.approx(np.std(scores, ddof=1))
        assert found["p"] == pytest.approx(wilcoxon(scores).pvalue)
        lines = list(csv.DictReader((tmp_path / name).read_text().splitlines()))
        assert list(lines[0]) == ["readerID", "caseID", "modalityID", "score"] and len(lines) == 40
        assert sum(int(r["score"]) for r in lines) == sum(scores)
    assert not [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")]


def test_readers_at_the_same_time_lose_no_answer(study):
    def work(reader):
        session = Session(study, reader)
        for key in keys_of(reader):
            session.answer(key)

    threads = [threading.Thread(target=work, args=(reader,)) for reader in ("a", "bb", "ccc")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = read_study(study)
    for reader in ("a", "bb", "ccc"):
        assert [a.key for a in made.answers if a.reader == reader] == keys_of(reader)
    figures = figures_of(made)
    assert figures["questions"]["noise"]["pooled"]["n"] == 60
    assert len(figures["questions"]["noise"]["weighted_kappa_of_two"]) == 3
    assert figures["seconds_per_pair"]["a"]["n"] == 20
    assert "weighted kappa" in table_of(made) and csv_of(made).count("\n") == 121


def test_going_back_answers_anew_and_keeps_what_was(study):
    session = Session(study, "anna")
    for key in (1, 2, 3):
        session.answer(key)
    session.back()
    session.back()  # the second question of the first pair
    assert (session.trial, session.question) == (0, "sharpness")
    session.answer(5)
    assert (session.trial, session.question) == (1, "sharpness")  # the first that is open
    answers = session.study.answered("anna")
    assert answers[0, "sharpness"].key == 5 and len(session.study.answers) == 4
    for wrong in (0, 6):
        with pytest.raises(InputError, match="is no answer"):
            session.answer(wrong)
    assert len(KEYS) == 5


def test_scores_are_of_the_second_method():
    made = plan(pairs=4)
    made.add_reader("a")
    from INRSuperResolutionLib.study.plan import Answer

    for n, trial in enumerate(made.trials["a"]):
        better = 1 if trial.swapped else 5  # the reader likes the second method best, wherever it is
        assert made.score(Answer("a", n, "noise", better, "", "", 1.0)) == 2
    assert imrmc_of(made, "noise").splitlines() == ["readerID,caseID,modalityID,score"]


def test_weighted_kappa_equals_outside_references():
    rng = np.random.default_rng(3)
    first = rng.integers(-2, 3, 50)
    second = np.clip(first + rng.integers(-1, 2, 50), -2, 2)
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed (extra: demo)")
    expected = reference.cohen_kappa_score(first, second, labels=[-2, -1, 0, 1, 2], weights="linear")
    assert weighted_kappa(first.tolist(), second.tolist()) == pytest.approx(expected)


def test_weighted_kappa_by_hand():
    # disagreement found: 1 step in 1 of 4; by chance: levels (½, ½) and (¼, ¾) are a step apart in ½·¾ + ½·¼ of pairs
    assert weighted_kappa([0, 0, 1, 1], [0, 1, 1, 1]) == pytest.approx(1 - (1 / 4) / (1 / 2))
    assert weighted_kappa([1, 1], [1, 1]) is None
    assert weighted_kappa([-2, 2], [2, -2]) == -1
    assert mean_kappa({"a": {0: 1, 1: 0}, "b": {0: 1, 1: 0}, "c": {5: 1}}) == (1.0, {"a, b": 1.0})
    assert signed_rank([0, 0, 0]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(schema="x"),
        lambda s: s.pop("pairs"),
        lambda s: s.update(methods=["a"]),
        lambda s: s.update(methods=["a", "a"]),
        lambda s: s["pairs"].append({"case": "p00", "images": ["a", "b"]}),
        lambda s: s["pairs"][0].update(images=None),
        lambda s: s["trials"]["anna"].pop(),
        lambda s: s["trials"]["anna"][0].update(pair=1e9),
        lambda s: s["answers"][0].update(key=9),
        lambda s: s["answers"][0].update(key="3"),
        lambda s: s["answers"][0].update(trial=99),
        lambda s: s["answers"][0].update(reader="nobody"),
        lambda s: s.update(questions=[]),
        lambda s: s.update(seed="x"),
    ],
)
def test_damaged_studies_are_refused_and_stay(study, change):
    session = Session(study, "anna")
    session.answer(3)
    values = json.loads(study.read_text())
    change(values)
    study.write_text(json.dumps(values))
    before = study.read_bytes()
    with pytest.raises(InputError, match=r"study\.json: "):
        Session(study, "anna")
    assert study.read_bytes() == before


def test_a_study_is_made_from_a_table(tmp_path, inrsr, study):
    study.unlink()
    lines = ["case,cubic,seco", *(f"p{n},cubic/{n}.nii,seco/{n}.nii" for n in range(3))]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    done = inrsr("study", "new", "s.json", "pairs.csv", "--questions", "noise", "lesion seen", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = read_study(tmp_path / "s.json")
    assert made.methods == ("cubic", "seco") and made.questions == ("noise", "lesion seen")
    assert made.pairs[2] == Pair("p2", ("cubic/2.nii", "seco/2.nii"))
    done = inrsr("study", "new", "s.json", "pairs.csv", cwd=tmp_path)
    assert done.returncode == 2 and "exists" in done.stderr
    for text, told in (
        ("case,cubic\n", "Give case,METHOD,METHOD"),
        ("case,a,b\np0,cubic/0.nii\n", "line 2"),
        ("case,a,b\np0,cubic/0.nii,none.nii\n", "does not exist"),
        ("case,a,a\np0,cubic/0.nii,seco/0.nii\n", "method is there twice"),
        ("", "begins with nothing"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        done = inrsr("study", "new", "t.json", "bad.csv", cwd=tmp_path)
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert not (tmp_path / "t.json").exists()


def test_both_images_are_shown_in_one_frame(tmp_path):
    """The affine may differ by rounding, which would tell the method."""
    for n, shift in enumerate((0, 1e-5)):
        write(Volume(np.ones((3, 3, 3)) * n, np.eye(4) + shift), tmp_path / f"{n}.nii")
    made = Study("t", ("a", "b"), ("q",), (Pair("1", ("0.nii", "1.nii")), Pair("2", ("0.nii", "1.nii"))))
    made.add_reader("r")
    for trial in range(2):
        left, right = blinded_volumes(made, "r", trial, tmp_path)
        np.testing.assert_array_equal(left.affine, right.affine)
