"""The training loop of all networks that are trained ahead.

Each step draws its examples with a generator of its own, made from the seed and the number of the step.
So a training that was killed and goes on from its checkpoint gives the same weights, bit for bit on a
CPU, as one that was not; and several processes (``torchrun``) share out the examples of a step without talking: N processes
with batch B learn from the same ones as a single process with batch N · B, and tell the same losses but for rounding. (The
cycle loss is run for one example of each process.)
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset

from ..device import can_fork
from ..errors import InputError
from ..image.volume import Volume
from ..methods.coordinate.srgan import SrganNetwork
from ..methods.cycleinr.blocks import BlockNetwork
from ..methods.pretrained.encoder import parameters_of
from ..methods.pretrained.networks import Architecture, make_network
from ..methods.pretrained.weights import load_weights, save_weights
from ..progress import SILENT, Progress
from .adversarial import AdversarialLessons
from .blocks import BlockSettings
from .checkpoint import load_checkpoint, save_checkpoint
from .curves import write_curves
from .data import DataSettings
from .lessons import BlockLessons, Lessons, SliceLessons
from .paper_blocks import PaperBlockLessons
from .settings import TrainingSettings

# where neither an end nor epochs are told
USUAL_STEPS = 10_000
# steps without a finite gradient are left out; after so many in a row, there is nothing to save
MOST_LOST = 20
# after so many steps, the time of all of them is foreseen
FORESEEN_AFTER = 3
# of a worker, whether the training still runs
SECONDS_BETWEEN_LOOKS = 1.0
# the generators of the validation examples must differ from those of any step
VALIDATION = 1 << 40


@dataclass(frozen=True)
class Team:
    """This process among those that ``torchrun`` has started."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str) -> Team:
        """Meet the others, if there are any."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # each its own; all would take the first one
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over all processes."""
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)
                tensor /= self.size


class Examples(Dataset[Any]):
    """Examples by their number: what is drawn depends on the seed and the number, not on who draws it."""

    def __init__(self, lessons: Lessons, drawn_from: Any, seed: int) -> None:
        self.lessons, self.drawn_from, self.seed = lessons, drawn_from, seed

    def __getitem__(self, number: int) -> Any:
        """One example."""
        return self.lessons.draw(self.drawn_from, np.random.default_rng([self.seed, number, 0]))  # 0: as ever


def end_with_parent(_: int) -> None:
    """Let this worker end when the training does, however that is: one that hands over an example would wait for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def falling(settings: TrainingSettings, done: float) -> float:
    """The part of the highest rate that is left when `done` of the training is, warm-up aside."""
    if settings.constant_rate:
        return 1.0
    if settings.halve_every:
        return 0.5 ** (done * settings.epochs // settings.halve_every)
    return (1 + math.cos(math.pi * done)) / 2


class Training:
    """One training of one network; :meth:`run` does it.

    Parameters
    ----------
    method, architecture
        What is trained.
    volumes, validation
        Files, as :func:`volume_io.read` takes them.
    output
        The weights file; the checkpoint, the log (CSV) and its picture (PNG) lie beside it.
    steps, minutes
        Where the training ends, at most one of them; else after the epochs of the settings, or :data:`USUAL_STEPS`.
    resume
        Go on from the checkpoint.
    start
        A weights file whose tensors are taken where names and shapes are the same.
    workers
        Processes that draw examples while others are learnt from, so that a GPU need not wait; 0: none.
    """

    def __init__(
        self,
        method: str,
        architecture: Architecture,
        volumes: Sequence[str | Volume],
        output: Path,
        *,
        settings: TrainingSettings,
        data: DataSettings | BlockSettings,
        validation: Sequence[str] = (),
        steps: int | None = None,
        minutes: float | None = None,
        resume: bool = False,
        start: str | None = None,
        half: bool = False,
        device: str = "cpu",
        workers: int = 0,
        seed: int = 0,
        progress: Progress = SILENT,
    ) -> None:
        if workers and not can_fork():
            raise InputError(f"{workers} workers cannot be started: this system does not fork", "Train without workers")
        self.method, self.architecture, self.output = method, architecture, output
        self.settings, self.data, self.device, self.seed = settings, data, device, seed
        self.volumes, self.validation = list(volumes), list(validation)
        self.steps, self.minutes, self.half, self.progress = steps, minutes, half, progress
        if steps is None and minutes is None and not settings.epochs:
            self.steps = USUAL_STEPS
        self._told_steps = self.steps
        self.workers = workers
        self.team = Team.join(device)
        torch.manual_seed(seed)
        network = make_network(architecture)
        self.network = network.to(device, memory_format=network.memory_format)  # type: ignore[call-overload]
        kind: type[Lessons] = AdversarialLessons if isinstance(self.network, SrganNetwork) else SliceLessons
        if isinstance(data, BlockSettings):
            kind = PaperBlockLessons if isinstance(self.network, BlockNetwork) else BlockLessons
        self.lessons = kind(self.network, settings, data, device)
        if start is not None:
            self._take(start)
        decayed = [p for n, p in self.network.named_parameters() if n != "steps" and p.requires_grad]
        plain = [p for n, p in self.network.named_parameters() if n == "steps" and p.requires_grad]
        groups: list[dict[str, Any]] = [{"params": decayed}]
        if plain:
            groups.append({"params": plain, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.step, self.seconds, self.stale, self._lost = 0, 0.0, 0, 0
        self.log: list[dict[str, float]] = []
        self.checkpoint = output.with_suffix(".checkpoint")
        if resume:
            self._resume()

    def _take(self, start: str) -> None:
        """Start from what fits of other weights: usually the encoder of another method."""
        tensors = load_weights(start, None).tensors
        own = self.network.state_dict()
        fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
        if not fitting:
            raise InputError(f"{start} has no layer of this network", "Give weights with an encoder of the same size")
        self.network.load_state_dict({**own, **fitting})

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on with this training."""
        return {
            "method": self.method,
            "architecture": dataclasses.asdict(self.architecture),
            "settings": dataclasses.asdict(self.settings),
            "data": dataclasses.asdict(self.data),
            "volumes": [v.name if isinstance(v, Volume) else Path(v).name for v in self.volumes],
            "steps": self._told_steps,
            "seed": self.seed,
            "processes": self.team.size,
        }

    def _resume(self) -> None:
        if not self.checkpoint.is_file():
            raise InputError(f"there is no checkpoint {self.checkpoint}", "Train without --resume")
        state = load_checkpoint(self.checkpoint, self.network, self.optimizer)
        for name, value in self._identity().items():
            if state["identity"].get(name) != value:
                raise InputError(
                    f"the checkpoint {self.checkpoint} was made with {name} = {state['identity'].get(name)}, not {value}",
                    "Give the same settings, or train without --resume",
                )
        self.step, self.seconds, self.stale, self.log = (state[k] for k in ("step", "seconds", "stale", "log"))

    def run(self) -> dict[str, Any]:
        """Train, and write the weights. Returns what the model card tells of the training."""
        with tempfile.TemporaryDirectory(prefix="inrsr-train-") as scratch:
            self.progress.stage("read")
            folders = [Path(scratch) / name for name in ("train", "validate")]
            for folder in folders:
                folder.mkdir()
            lessons = self.lessons.gather(self.volumes, folders[0], self.progress)
            held = self.lessons.gather(self.validation, folders[1]) if self.validation else None
            numbers = range(VALIDATION, VALIDATION + self.settings.validation_examples)
            examples = [Examples(self.lessons, held, self.seed)[n] for n in numbers] if held else []
            if self.steps is None and self.minutes is None:
                self.steps = self.settings.epochs * max(1, math.ceil(lessons.size / self.settings.batch))
            self.progress.stage("fit")
            self._train(lessons, examples)
        told = {
            **self._identity(),
            "validation": [Path(v).name for v in self.validation],
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "parameters": parameters_of(self.network),
            "last": self.log[-1] if self.log else {},
        }
        if self.team.rank == 0:
            architecture = dataclasses.asdict(self.architecture)
            save_weights(self.output, self.method, architecture, told, self.network.state_dict(), self.half)
        return told

    def _train(self, drawn_from: Any, validation: Sequence[Any]) -> None:
        started = time.perf_counter() - self.seconds
        begun, before = self.step, self.seconds
        losses: list[float] = []
        longest = self.settings.largest_gradient or math.inf
        batches = self._batches(drawn_from)
        while (done := self._done()) < 1:
            rate = min(1.0, (self.step + 1) / max(1, self.settings.warmup)) * falling(self.settings, done)
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * rate
            examples = next(batches)
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.lessons.loss(examples)
            loss.backward()
            loss = loss.detach()
            self.team.average([loss, *(p.grad for p in self.network.parameters() if p.grad is not None)])
            norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), longest))
            if math.isfinite(norm):
                self.optimizer.step()
            self._check(norm)
            self.step += 1
            self.seconds = time.perf_counter() - started
            losses.append(float(loss))
            if self.steps is not None and self.step == begun + FORESEEN_AFTER:
                pace = (self.seconds - before) / FORESEEN_AFTER
                self.progress.estimate(pace * (self.steps - self.step), psutil.Process().memory_info().rss)
            self.progress.update(min(1.0, self._done()), loss=losses[-1])
            if self.step % self.settings.every == 0 or self._done() >= 1:
                self._record(float(np.mean(losses)), rate, validation)
                losses = []
                if self.settings.patience and self.stale >= self.settings.patience:
                    break

    def _check(self, norm: float) -> None:
        """Raise InputError where the network has been useless for a while: it would not come back."""
        self._lost = 0 if math.isfinite(norm) else self._lost + 1
        if self._lost >= MOST_LOST:
            raise InputError(
                f"the training has diverged before step {self.step + 1}",
                f"Give a learning_rate below {self.settings.learning_rate:g}",
            )

    def _done(self) -> float:
        """Part of the training that is done; all processes agree on it."""
        if self.steps is not None:
            return self.step / self.steps
        assert self.minutes is not None
        done = torch.tensor(self.seconds / (60 * self.minutes), device=self.device)
        if self.team.size > 1:
            distributed.broadcast(done, 0)
        return float(done)

    def _batches(self, drawn_from: Any) -> Iterator[list[Any]]:
        """The examples of this step, of the next one, and so on."""
        size = self.settings.batch
        # those of each process follow each other
        first = itertools.count(self.step * self.team.size + self.team.rank, self.team.size)
        numbers = (range(n * size, (n + 1) * size) for n in first)
        return iter(
            DataLoader(
                Examples(self.lessons, drawn_from, self.seed),
                batch_sampler=numbers,  # type: ignore[arg-type]  # any iterable will do
                collate_fn=list,
                num_workers=self.workers,
                multiprocessing_context="fork" if self.workers else None,
                worker_init_fn=end_with_parent,
            )
        )

    @torch.no_grad()
    def _record(self, loss: float, rate: float, validation: Sequence[Any]) -> None:
        """Validate, and write checkpoint, log and curves."""
        row = {"step": self.step, "seconds": round(self.seconds, 1), "rate": rate, "loss": loss}
        if validation:
            row.update(self._validate(validation))
            before = [r["validation_loss"] for r in self.log]
            self.stale = 0 if not before or row["validation_loss"] < min(before) else self.stale + 1
        self.log.append(row)
        if self.team.rank == 0:
            state = {
                "identity": self._identity(),
                "step": self.step,
                "seconds": self.seconds,
                "stale": self.stale,
                "log": self.log,
            }
            save_checkpoint(self.checkpoint, self.network, self.optimizer, state)
            write_curves(self.log, self.output)

    def _validate(self, examples: Sequence[Any]) -> dict[str, float]:
        """Loss on fixed examples, and the gain over the spline of all of them together in dB."""
        pairs = [self.lessons.errors(example) for example in examples]
        loss = float(np.mean([np.abs(after).mean() for _, after in pairs]))
        before, after = (sum(float(np.mean(p[n] ** 2)) for p in pairs) for n in (0, 1))
        gain = 10 * math.log10(before / after) if min(before, after) > 0 else 0.0
        return {"validation_loss": loss, "validation_gain_db": gain}
