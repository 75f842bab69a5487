"""The fit of one network to one image: the mean of the field over a pixel is what the pixel measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...image.intensity import Scaling
from ..base import FitContext
from .descent import Stage, Tracker, descend
from .field import Part, hidden_type, in_batches, make_network
from .pixels import Pixels
from .seco import Seco
from .settings import FieldSettings, SecoSettings

POINTS_AT_ONCE = 1 << 13
# pixels in a step of the class network, its rate, and the part of the time it takes
CLASS_BATCH = 256
CLASS_RATE = 2e-3
CLASS_FINAL_RATE = 0.01
# a slow network stays smooth, which makes the better image; but in little time it must learn anything at all
CLASS_HURRY = 5.0
CLASS_TIME = 0.05
# on a volume, one in so many steps is its
CLASS_STEPS = 4
# the conditioner takes part in every so many steps
CONDITIONS_EVERY = 4
# class probabilities of more points than this are not kept, but found again at each step
MOST_KEPT = 1 << 28


class FitOfImage:
    """The fit of a network of coordinates alone.

    Parameters
    ----------
    number
        Of the image among those fitted together: gives it its own random numbers.
    """

    classes = 0

    def __init__(
        self,
        pixels: Pixels,
        scaling: Scaling,
        settings: FieldSettings,
        context: FitContext,
        number: int,
        tracker: Tracker,
    ) -> None:
        self.pixels, self.settings, self.tracker, self.number = pixels, settings, tracker, number
        self.device, self.steps = context.device, 0
        measured = scaling.apply(pixels.data).ravel()[pixels.used.numpy()]
        self.measured = torch.from_numpy(measured).to(self.device)
        self.count = len(measured)
        whole = pixels.is_volume
        self.epochs = settings.volume_epochs if whole else settings.epochs
        self.most_steps = settings.volume_steps if whole else None
        self.rate = settings.learning_rate * (settings.volume_rate if whole else 1.0)
        self.batch = (settings.volume_batch if whole else settings.batch) or self.count
        self.generator = torch.Generator().manual_seed(context.seed + number)
        half = hidden_type(settings, self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed + number)
            dims = len(pixels.shape)
            self.network = make_network(settings, dims, self.classes, pixels.frame.pixels, half).to(self.device)

    def draft(self) -> Part:
        """The network as it stands, for previews."""
        return Part(self.network, None, self.present())

    def run(self) -> Part:
        """Fit; returns the network and what it leaves of the samples."""
        started = time.perf_counter()
        first = self.prepare(started)
        stage = Stage(self.tracker, self.number, started, first)
        groups, final = self.groups(), self.settings.final_rate
        self.steps += descend(
            groups,
            self.loss,
            self.count,
            self.epochs,
            self.batch,
            final,
            self.generator,
            stage,
            self.most_steps,
            memory=self.settings.memory,
        )
        self.tracker.update(self.number, 1.0)
        return Part(self.network.eval(), self._left() if self.settings.agree else None, self.present())

    def prepare(self, started: float) -> float:
        """What comes before the fit; returns the part of the time that it may take."""
        return 0.0

    def groups(self) -> list[dict[str, Any]]:
        """The parameters that are fitted, with their rates."""
        return [{"params": list(self.network.parameters()), "lr": self.rate}]

    def loss(self, chosen: Tensor) -> Tensor:
        """Loss of pixels given by number."""
        chosen = chosen.to(self.device)
        return self.misfit(self.network(self.pixels.points(chosen)), chosen)

    def present(self) -> np.ndarray | None:
        """The numbers of the classes that the network knows."""
        return None

    def misfit(self, values: Tensor, chosen: Tensor) -> Tensor:
        """Mean squared error of the pixels' means."""
        return functional.mse_loss(values.view(len(chosen), -1).mean(dim=1), self.measured[chosen])

    def at_all_points(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """A function of coordinates at all points of all pixels."""
        at_once = max(1, POINTS_AT_ONCE // self.pixels.parts_in_all)
        numbers = torch.arange(self.count, device=self.device)
        with torch.no_grad():
            return in_batches(lambda some: function(self.pixels.points(some)), numbers, at_once)

    def _left(self) -> np.ndarray:
        means = self.at_all_points(self.network).view(self.count, -1).mean(dim=1)
        residual = np.zeros(self.pixels.data.size, np.float32)
        residual[self.pixels.used.numpy()] = (self.measured - means).cpu().numpy()
        return self.pixels.spline_through(residual.reshape(self.pixels.shape))


class FitOfSeco(FitOfImage):
    """The fit of SeCo-INR: by default the class network first and alone.

    Then its maps are a table and a step costs about what SIREN's costs; `settings.joint` trains all
    networks together as the paper does (its Eq. 4, whose second term is printed with the wrong sign).

    Parameters
    ----------
    shares
        Class probabilities of the pixels, (classes, *shape of the image); None without semantics.
    """

    network: Seco
    settings: SecoSettings

    def __init__(
        self,
        pixels: Pixels,
        scaling: Scaling,
        settings: SecoSettings,
        context: FitContext,
        number: int,
        tracker: Tracker,
        shares: np.ndarray | None,
    ) -> None:
        self._present: np.ndarray | None = None
        self._kept: Tensor | None = None
        self._factors: tuple[Tensor, Tensor] | None = None
        self._calls = 0
        if shares is not None:
            flat = shares.reshape(len(shares), -1)[:, pixels.used.numpy()]
            self._present = np.flatnonzero(flat.any(axis=1))  # an image needs only the classes that it shows
            self.shares = torch.from_numpy(np.ascontiguousarray(flat[self._present].T)).to(context.device)
            self.classes = len(self._present)
        super().__init__(pixels, scaling, settings, context, number, tracker)

    def prepare(self, started: float) -> float:
        """Fit the class network by the cross-entropy of the pixels' mean class distribution."""
        network, settings = self.network, self.settings
        if network.classifier is None or settings.joint:
            return 0.0
        epochs, batch = settings.class_epochs, CLASS_BATCH
        most: int | None = None
        if self.pixels.is_volume:
            epochs = max(1, round(epochs * self.epochs / settings.epochs))
            batch, most = self.batch, settings.volume_steps // CLASS_STEPS
        groups = [{"params": list(network.classifier.parameters()), "lr": CLASS_RATE}]
        stage = Stage(self.tracker, self.number, started, 0.0, CLASS_TIME)
        self.steps += descend(
            groups,
            self._class_loss,
            self.count,
            epochs,
            batch,
            CLASS_FINAL_RATE,
            self.generator,
            stage,
            most,
            CLASS_HURRY,
        )
        if self.count * self.pixels.parts_in_all * network.classes <= MOST_KEPT:
            kept = self.at_all_points(network.probabilities)
            self._kept = kept.view(self.count, -1, network.classes)
        return CLASS_TIME

    def groups(self) -> list[dict[str, Any]]:
        fitted = list(self.network.image.parameters())
        if self.network.classifier is not None and self.settings.joint:
            fitted += list(self.network.classifier.parameters())
        conditioner_rate = self.settings.conditioner_rate * self.rate / self.settings.learning_rate
        return [
            {"params": fitted, "lr": self.rate},
            {"params": list(self.network.conditioner.parameters()), "lr": conditioner_rate},
        ]

    def loss(self, chosen: Tensor) -> Tensor:
        chosen = chosen.to(self.device)
        network, settings = self.network, self.settings
        x = self.pixels.points(chosen)
        if self._kept is not None:
            shares = self._kept[chosen].flatten(0, 1)
        elif settings.joint:
            shares = network.probabilities(x)
        else:
            with torch.no_grad():
                shares = network.probabilities(x)
        if network.of_distribution:
            conditions = network.conditions_of(shares)
            loss = self.misfit(network.conditioned(x, conditions), chosen)
            return self._with_constraints(loss, conditions, shares, chosen)
        # p, q, r, s change slowly: in between, a step costs what it costs SIREN
        turn = settings.joint or self._calls % CONDITIONS_EVERY == 0
        self._calls += 1
        if turn or self._factors is None:
            conditions = network.conditions()
            factors = network.factors(conditions)
            self._factors = factors[0].detach(), factors[1].detach()
        else:
            factors = self._factors
        loss = self.misfit(network.values(x, shares, factors), chosen)
        return self._with_constraints(loss, conditions if turn else None, shares, chosen)

    def _with_constraints(self, loss: Tensor, conditions: Tensor | None, shares: Tensor, chosen: Tensor) -> Tensor:
        """The penalty on negative p, q, r, s added (where they are fitted), and the classes' loss if they are fitted, too."""
        if conditions is not None:
            loss = loss + self.settings.penalty * self.network.penalty(conditions)
        if self.settings.joint and self._present is not None:
            loss = loss + self.settings.beta * self._confusion(shares, chosen)
        return loss

    def present(self) -> np.ndarray | None:
        return self._present

    def _class_loss(self, chosen: Tensor) -> Tensor:
        chosen = chosen.to(self.device)
        return self._confusion(self.network.probabilities(self.pixels.points(chosen)), chosen)

    def _confusion(self, shares: Tensor, chosen: Tensor) -> Tensor:
        """Cross-entropy of the pixels' mean class distribution."""
        means = shares.view(len(chosen), -1, shares.shape[1]).mean(dim=1)
        return -(self.shares[chosen] * torch.log(means + 1e-6)).sum(dim=1).mean()
