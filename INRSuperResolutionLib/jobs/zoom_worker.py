"""The worker of interactive zoom: ``python -m INRSuperResolutionLib.jobs.zoom_worker``.

Whoever shows images (a viewer) keeps this process in the background, so that nothing of it happens there. It encodes
the slices of a volume one by one, those in sight first, and draws frames meanwhile; what has no coefficients (other
representations) it draws at their own speed.

Commands are JSON lines on stdin, events JSON lines on stdout. When stdin closes, the process ends.

=========  =============================================================================================
command    meaning
=========  =============================================================================================
open       a volume with ``weights``, or with an ``.inr`` file that holds its ``function``, or an ``.inr`` file alone; and
           the ``folder`` for frames
close      forget what is open: its files are going to be deleted
draw       a frame: ``id``, ``number``, ``affine`` (pixel → RAS), ``shape`` (columns, rows); replaces one that waits
save       write the function to ``path``, an ``.inr`` file, when all slices are encoded
=========  =============================================================================================

Events: ``ready``, ``opened``, ``evicted``, ``encoded``, ``drawn``, ``saved``, ``error``; each but the first with the
``token`` of the last ``open``. A frame is a file of its own, which who has read it deletes; its ``path`` is null where too
few of its ``slices`` (from, to) are encoded yet, or nothing of the volume is in sight; ``corner`` is its first column and row.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..device import fastest_device, usable_cores
from ..errors import InputError, InrsrError, as_inrsr_error
from ..json_text import json_text

# coefficients that are kept, at most
KEPT_BYTES = 3 << 28
LOWEST_PRIORITY = 19
# what oblique planes need; it takes a while to load
OBLIQUE = "..methods.nexpr.tiles"
FAILURES = (InrsrError, MemoryError, OSError, RuntimeError, ValueError)
Queue = queue.Queue["dict[str, Any] | None"]


class Encoder:
    """Encodes the slices of a volume in a thread of its own, those next to what is looked at first.

    Parameters
    ----------
    representation, channel
        An `ExplicitRepresentation`, and its contrast.
    tell
        Called with an event and its details.
    fail
        Called with what went wrong; then it has ended.
    """

    def __init__(
        self, representation: Any, channel: int, tell: Callable[..., None], fail: Callable[[BaseException], None]
    ) -> None:
        from ..methods.nexpr.planes import VolumeFunction
        from ..methods.nexpr.raster import Basis
        from ..methods.pretrained.slicewise import PADDING

        self._representation, self._channel, self._tell, self._fail = representation, channel, tell, fail
        sliced = representation.volumes[channel]
        basis = representation.network.basis()
        # planes are drawn on the processor, whatever encodes
        basis = Basis(basis.patch, basis.rows.detach().cpu(), basis.columns.detach().cpu())
        patches = [-(-(sliced.volume.shape[axis] + 2 * PADDING) // basis.patch) for axis in sliced.plane]
        shape = (patches[0], 2 * len(basis.rows) + 1, patches[1], 2 * len(basis.columns) + 1)
        self.slices = int(sliced.slices)
        slots = max(2, min(self.slices, KEPT_BYTES // (2 * int(np.prod(shape)))))
        # memory that is not written to takes no room
        self._codes = np.empty((slots, *shape), np.float16)
        self._slots: dict[int, int] = {}
        self._middle = (self.slices - 1) / 2
        self._seen = range(int(self._middle), int(self._middle) + 2)
        self._is_calm = False
        self._save_to: str | None = None
        self._is_told = self._is_closed = False
        self._news = threading.Condition()
        threading.Thread(target=self._work, daemon=True).start()
        # meanwhile the first slice is encoded
        self._function = VolumeFunction(
            representation.spline(channel),
            sliced.axis,
            self._code_of,
            basis,
            0.0 if sliced.zero_filled else sliced.spread,
            sliced.lowest,
            PADDING,
        )

    @property
    def kept(self) -> int:
        """How many slices are encoded in the end: all, or those next to what is looked at."""
        return min(self.slices, len(self._codes))

    def draw(self, to_index: np.ndarray, columns: int, rows: int) -> tuple[np.ndarray | None, tuple[int, int], range]:
        """The part of a plane that meets the volume: its values, its first column and row, the slices that it shows.

        None where too few of these are encoded, or nothing is to be seen.
        """
        from ..methods.nexpr.plane import Plane

        plane = Plane.of(to_index, columns, rows)
        box = self._function.box(plane)
        plane = plane.crop(*box)
        corner = (box[1].start, box[0].start)
        if 0 in plane.shape:
            return None, corner, range(0)
        seen = self._function.slices_of(plane)
        with self._news:
            self._middle, self._seen = (seen.start + seen.stop - 1) / 2, seen
            self._news.notify()
            if len(self._slots.keys() & set(seen)) < min(len(seen), 2):
                return None, corner, seen
            return self._function.draw(plane), corner, seen

    def save(self, path: str) -> None:
        """Write the function when all slices are encoded."""
        with self._news:
            self._save_to = path
            self._news.notify()

    def be_told(self) -> None:
        """That it is open has been told; what is encoded may be told, too."""
        with self._news:
            self._is_told = True
            self._news.notify()

    def close(self) -> None:
        """End after the slice at hand."""
        with self._news:
            self._is_closed = True
            self._news.notify()

    def _code_of(self, number: int) -> Any:
        import torch

        return torch.from_numpy(self._codes[self._slots[number]]) if number in self._slots else None

    def _next(self) -> int | None:
        """The slice that is missed most."""
        nearest = sorted(range(self.slices), key=lambda n: abs(n - self._middle))[: len(self._codes)]
        return next((n for n in nearest if n not in self._slots), None)

    def _work(self) -> None:
        try:
            while True:
                with self._news:
                    while not self._is_closed and self._next() is None and self._save_to is None:
                        self._news.wait()
                    if self._is_closed:
                        return
                    number, path = self._next(), self._save_to
                    is_seen = number in self._seen
                if number is not None:
                    self._take_cores(is_seen)
                    self._keep(number, self._encode(number))
                elif path is not None:
                    self._save_to = None
                    save(self._representation, path, self._tell)
        except FAILURES as error:
            self._fail(error)

    def _take_cores(self, is_seen: bool) -> None:
        """For what is looked at, those that drawing waits with; else one, and only when nothing else wants it."""
        import torch

        torch.set_num_threads(max(1, usable_cores() // 2) if is_seen else 1)
        # of Linux only: elsewhere it would be the whole process, drawing included; and there is no way back
        if not is_seen and not self._is_calm and sys.platform == "linux":
            os.nice(LOWEST_PRIORITY)
            self._is_calm = True

    def _encode(self, number: int) -> np.ndarray:
        try:
            code = self._representation.code(self._channel, number)
        except RuntimeError:
            # a graphics card may lack an operator or memory; then the processor does it, or tells the same
            self._representation.move_to("cpu")
            code = self._representation.code(self._channel, number)
        found: np.ndarray = code.cpu().numpy()
        return found

    def _keep(self, number: int, code: np.ndarray) -> None:
        lost = None
        with self._news:
            while not self._is_told and not self._is_closed:
                self._news.wait()
            if self._is_closed:
                return
            slot = len(self._slots)
            if slot == len(self._codes):
                lost = max(self._slots, key=lambda n: abs(n - self._middle))
                slot = self._slots.pop(lost)
                self._function.forget(lost)
            self._codes[slot] = code
            self._slots[number] = slot
            self._function.forget(number)
        if lost is not None:
            self._tell("evicted", slice=lost)
        self._tell("encoded", slice=number)


class Server:
    """Does what the commands say, the most urgent first.

    Parameters
    ----------
    emit
        Called with each event, from any thread.
    commands
        Takes what goes wrong beside it.
    """

    def __init__(self, emit: Callable[[dict[str, Any]], None], commands: Queue) -> None:
        self._emit, self._commands = emit, commands
        self._token = 0
        self._folder = Path()
        self._representation: Any = None
        self._encoder: Encoder | None = None
        self._frames: dict[str, dict[str, Any]] = {}

    def forget(self) -> None:
        """Nothing is open, and nothing is left to do."""
        if self._encoder is not None:
            self._encoder.close()
        self._representation = self._encoder = None
        self._frames.clear()

    def take(self, command: dict[str, Any]) -> None:
        """Note a frame that is wanted; all else is done at once."""
        if "open" in command:
            self._open(command["open"])
        elif "close" in command:
            self.forget()
        elif "draw" in command and self._representation is not None:
            self._frames[command["draw"]["id"]] = command["draw"]
        elif "save" in command and self._representation is not None:
            if self._encoder is not None:
                self._encoder.save(command["save"]["path"])
            else:
                save(self._representation, command["save"]["path"], self._teller())
        elif "failure" in command and command["token"] == self._token:
            self.fail(command["failure"])

    def work(self) -> bool:
        """Draw a frame; whether there was any."""
        if self._frames:
            self._draw(self._frames.pop(next(iter(self._frames))))
        return bool(self._frames)

    def fail(self, error: BaseException) -> None:
        """Tell what went wrong, and forget what was opened."""
        told = as_inrsr_error(error)
        self.forget()
        self._teller()("error", code=told.code, message=told.message, advice=told.advice)

    def _teller(self) -> Callable[..., None]:
        """Tells events of what is open now, also when something else is."""
        token = self._token
        return lambda event, **details: self._emit({"event": event, "token": token, **details})

    def _open(self, request: dict[str, Any]) -> None:
        self.forget()
        self._token = token = request["token"]
        self._folder = Path(request["folder"])
        from ..methods import load_representation
        from ..methods.nexpr.representation import ExplicitRepresentation

        channel = int(request.get("channel", 0))
        if request["source"].endswith(".inr"):
            made = load_representation(request["source"])
        elif "function" in request:
            made = load_representation(request["function"])
            channel = channel_of(made, request["source"], request["function"])
        else:
            made = encode_on_demand(request["source"], request["weights"], fastest_device())
        if not 0 <= channel < len(made.contrasts):
            raise InputError(f"channel {channel} of {len(made.contrasts)}", "Give one that is there")
        self._representation, self._channel = made, channel
        told: dict[str, Any] = {"shape": made.contrasts[channel].shape, "slices": 0}
        self._to_index = np.linalg.inv(made.contrasts[channel].grid.affine)
        if isinstance(made, ExplicitRepresentation):
            made.saved_bytes = KEPT_BYTES
            if made.volumes[channel].volume.slice_positions is None:

                def fail(error: BaseException) -> None:
                    self._commands.put({"failure": error, "token": token})

                self._encoder = Encoder(made, channel, self._teller(), fail)
                told["slices"] = self._encoder.kept
        self._teller()("opened", **told)
        if self._encoder is not None:
            self._encoder.be_told()

    def _draw(self, frame: dict[str, Any]) -> None:
        from ..image.grid import Grid

        affine, (columns, rows) = np.array(frame["affine"]), frame["shape"]
        corner, seen, values = (0, 0), range(0), None
        if self._encoder is not None:
            values, corner, seen = self._encoder.draw(self._to_index @ affine, columns, rows)
        else:
            values = self._representation.evaluate(Grid((columns, rows, 1), affine), [self._channel])[0, ..., 0].T
        path = None
        if values is not None:
            path = str(self._folder / f"frame-{frame['id']}-{frame['number']}.npy")
            np.save(path, np.ascontiguousarray(values))
        told = {"id": frame["id"], "number": frame["number"], "path": path, "corner": corner}
        self._teller()("drawn", **told, slices=[seen.start, seen.stop])


def save(representation: Any, path: str, tell: Callable[..., None]) -> None:
    """Write a function, and tell what became of it."""
    try:
        representation.save(path)
        tell("saved", path=path)
    except InrsrError as error:
        tell("saved", message=error.message, advice=error.advice)


def encode_on_demand(path: str, weights: str, device: str = "cpu") -> Any:
    """The explicit function of a volume, none of whose slices is encoded yet.

    Its spline is not made to agree with the input's k-space, which needs all of the slices.
    """
    from ..image.files import read
    from ..methods.nexpr.representation import ExplicitRepresentation
    from ..methods.nexpr.settings import NExpRSettings
    from ..methods.pretrained.slicewise import SlicedVolume
    from ..methods.pretrained.weights import fitting_weights, load_weights

    volume = read(path)
    sliced = SlicedVolume(volume)
    weights = fitting_weights(weights, "nexpr", [volume])
    if min(sliced.volume.shape[axis] for axis in sliced.plane) < 2:
        raise InputError(f"{sliced.volume.name} has no slice to restore", "Give an image of 2 × 2 or more")
    settings = NExpRSettings(weights=weights, consistent=False, check=False)
    return ExplicitRepresentation([sliced], load_weights(weights, "nexpr"), device, settings=settings)


def channel_of(made: Any, path: str, function: str) -> int:
    """The contrast of an explicit function that was made of the image in a file; raises InputError if none was."""
    from ..image.files import read
    from ..methods.nexpr.representation import ExplicitRepresentation

    image = read(path)
    for channel, sliced in enumerate(made.volumes if isinstance(made, ExplicitRepresentation) else []):
        own = sliced.volume
        if (
            own.shape == image.shape
            and np.allclose(own.affine, image.affine, atol=1e-4)
            and np.array_equal(own.data, image.data)
        ):
            return channel
    raise InputError(f"{function} holds no function of this image", "Choose another file, or a network")


def listen(stdin: TextIO, commands: Queue) -> None:
    """Put commands into the queue; None at the end."""
    for line in stdin:
        with contextlib.suppress(ValueError):
            commands.put(json.loads(line))
    commands.put(None)


def serve(commands: Queue, server: Server) -> None:
    """Until the end of the commands."""
    busy = False
    while True:
        try:
            command = commands.get(block=not busy)
        except queue.Empty:
            command = {}
        if command is None:
            return
        try:
            if command:
                server.take(command)
                busy = True
            else:
                busy = server.work()
        except FAILURES as error:
            server.fail(error)


def main() -> None:
    """Entry point; see the module."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    alone = threading.Lock()

    def emit(event: dict[str, Any]) -> None:
        with alone:
            events.write(json_text(event) + "\n")
            events.flush()

    commands: Queue = queue.Queue()
    threading.Thread(target=listen, args=(sys.stdin, commands), daemon=True).start()
    import torch

    from ..methods.nexpr import representation  # noqa: F401 - slow to import, so before it is asked for

    # the other cores are for the viewer
    torch.set_num_threads(max(1, usable_cores() // 2))
    emit({"event": "ready"})
    threading.Thread(target=importlib.import_module, args=(OBLIQUE, __package__), daemon=True).start()
    serve(commands, Server(emit, commands))
    os._exit(0)  # a library's thread must not hold the process back


if __name__ == "__main__":
    main()
