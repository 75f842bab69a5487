"""The worker of interactive zoom: ``python -m INRSuperResolutionLib.zoom_worker``.

Whoever draws (a viewer) keeps this process in the background. It encodes the slices of a volume one by one,
those in sight first, and hands their coefficients over in a file that both processes map into memory; what
has no coefficients (other representations) it draws itself, at their own speed.

Commands are JSON lines on stdin, events JSON lines on stdout. When stdin closes, the process ends.

=========  =============================================================================================
command    meaning
=========  =============================================================================================
open       a volume with ``weights``, or with an ``.inr`` file that holds its ``function``, or an ``.inr`` file alone; and
           the ``folder`` for files that are shared
want       slices in the order in which they are needed; what is being encoded is finished first
draw       a frame: ``id``, ``affine`` (pixel → RAS), ``shape`` (columns, rows); replaces one that waits
save       write the function to ``path``, an ``.inr`` file, when all that is wanted is encoded
=========  =============================================================================================

Events: ``ready``, ``opened``, ``evicted``, ``encoded``, ``drawn``, ``saved``, ``error``; each but the first with the
``token`` of the last ``open``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..errors import InputError, InrsrError, as_inrsr_error
from ..json_text import json_text

# coefficients that are shared, at most
SHARED_BYTES = 3 << 28
LOWEST_PRIORITY = 19


class Server:
    """Does what the commands say, the most urgent first; between commands it goes on with what is wanted.

    Parameters
    ----------
    emit
        Called with each event.
    """

    def __init__(self, emit: Any) -> None:
        self._emit = emit
        self._token = 0
        self._folder = Path()
        self._forget()

    def _forget(self) -> None:
        """Nothing is open, and nothing is left to do."""
        self._representation: Any = None
        self._codes: np.ndarray | None = None
        self._slots: dict[int, int] = {}
        self._wanted: list[int] = []
        self._frames: dict[str, dict[str, Any]] = {}
        self._saved_to: str | None = None

    def take(self, command: dict[str, Any]) -> None:
        """Note a command; ``open`` is done at once."""
        if "open" in command:
            self._open(command["open"])
        elif "want" in command:
            self._wanted = [n for n in command["want"] if n not in self._slots]
        elif "draw" in command:
            self._frames[command["draw"]["id"]] = command["draw"]
        elif "save" in command and self._representation is not None:
            self._saved_to = command["save"]["path"]

    def work(self) -> bool:
        """One piece of work; whether there was any."""
        if self._frames:
            self._draw(self._frames.pop(next(iter(self._frames))))
            return True
        if self._codes is not None and self._wanted:
            self._encode(self._wanted.pop(0))
            return True
        if self._saved_to is not None:
            path, self._saved_to = self._saved_to, None
            try:
                self._representation.save(path)
                self._tell("saved", path=path)
            except InrsrError as error:
                self._tell("saved", message=error.message, advice=error.advice)
            return True
        return False

    def fail(self, error: BaseException) -> None:
        """Tell what went wrong, and forget what was opened."""
        told = as_inrsr_error(error)
        self._forget()
        self._tell("error", code=told.code, message=told.message, advice=told.advice)

    def _tell(self, event: str, **details: Any) -> None:
        self._emit({"event": event, "token": self._token, **details})

    def _open(self, request: dict[str, Any]) -> None:
        self._token = request["token"]
        self._forget()
        self._folder = Path(request["folder"])
        from ..methods import load_representation

        channel = int(request.get("channel", 0))
        if request["source"].endswith(".inr"):
            made = load_representation(request["source"])
        elif "function" in request:
            made = load_representation(request["function"])
            channel = channel_of(made, request["source"], request["function"])
        else:
            made = encode_on_demand(request["source"], request["weights"])
        self._representation = made
        if not 0 <= channel < len(made.contrasts):
            raise InputError(f"channel {channel} of {len(made.contrasts)}", "Give one that is there")
        self._channel = channel
        from ..methods.nexpr.representation import ExplicitRepresentation

        contrast = made.contrasts[channel]
        if isinstance(made, ExplicitRepresentation):
            made.saved_bytes = SHARED_BYTES
        told: dict[str, Any] = {"affine": contrast.grid.affine.tolist(), "shape": contrast.shape}
        if isinstance(made, ExplicitRepresentation) and made.volumes[channel].volume.slice_positions is None:
            told["explicit"] = self._share(made.volumes[channel])
        self._tell("opened", **told)

    def _share(self, sliced: Any) -> dict[str, Any]:
        """The files that whoever draws maps into memory, and what else it needs to know."""
        from ..methods.pretrained.slicewise import PADDING

        made = self._representation
        np.save(self._folder / "spline.npy", made.spline(self._channel))
        basis = made.network.basis()
        patches = [-(-(sliced.volume.shape[axis] + 2 * PADDING) // basis.patch) for axis in sliced.plane]
        shape = (patches[0], 2 * len(basis.rows) + 1, patches[1], 2 * len(basis.columns) + 1)
        slots = max(2, min(sliced.slices, SHARED_BYTES // (2 * int(np.prod(shape)))))
        # a file without contents takes no room on the disk until it is written to
        self._codes = np.lib.format.open_memmap(self._folder / "codes.npy", "w+", np.float16, (slots, *shape))
        return {
            "spline": str(self._folder / "spline.npy"),
            "codes": str(self._folder / "codes.npy"),
            "axis": sliced.axis,
            "patch": basis.patch,
            "rows": basis.rows.tolist(),
            "columns": basis.columns.tolist(),
            "spread": 0.0 if sliced.zero_filled else sliced.spread,
            "lowest": sliced.lowest,
            "padding": PADDING,
        }

    def _encode(self, number: int) -> None:
        assert self._codes is not None
        code = self._representation.code(self._channel, number)
        slot = len(self._slots)
        if slot == len(self._codes):
            # the one that is farthest from what is looked at
            lost = max(self._slots, key=lambda n: abs(n - number))
            slot = self._slots.pop(lost)
            self._tell("evicted", slice=lost)
        self._codes[slot] = code.cpu().numpy()
        self._slots[number] = slot
        self._tell("encoded", slice=number, slot=slot)

    def _draw(self, frame: dict[str, Any]) -> None:
        from ..image.grid import Grid

        grid = Grid((*frame["shape"], 1), np.array(frame["affine"]))
        values = self._representation.evaluate(grid, [self._channel])[0, ..., 0]
        path = self._folder / f"frame-{frame['id']}.npy"
        beside = path.with_suffix(".tmp.npy")
        np.save(beside, np.ascontiguousarray(values.T))
        os.replace(beside, path)
        self._tell("drawn", id=frame["id"], number=frame["number"], path=str(path))


def encode_on_demand(path: str, weights: str) -> Any:
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
    return ExplicitRepresentation([sliced], load_weights(weights, "nexpr"), settings=settings)


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


def listen(stdin: TextIO, commands: queue.Queue[dict[str, Any] | None]) -> None:
    """Put commands into the queue; None at the end."""
    for line in stdin:
        with contextlib.suppress(ValueError):
            commands.put(json.loads(line))
    commands.put(None)


def serve(commands: queue.Queue[dict[str, Any] | None], server: Server) -> None:
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
        except (InrsrError, MemoryError, OSError, RuntimeError, ValueError) as error:
            server.fail(error)


def main() -> None:
    """Entry point; see the module."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def emit(event: dict[str, Any]) -> None:
        events.write(json_text(event) + "\n")
        events.flush()

    commands: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=listen, args=(sys.stdin, commands), daemon=True).start()
    import torch

    from ..methods.nexpr import representation  # noqa: F401 - slow to import, so before it is asked for

    # one thread, out of the way of whoever draws
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(LOWEST_PRIORITY)
    emit({"event": "ready"})
    serve(commands, Server(emit))
    os._exit(0)  # a library's thread must not hold the process back


if __name__ == "__main__":
    main()
