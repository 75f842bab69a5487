"""Trained weights as a network that is ready to use."""

from __future__ import annotations

from ...errors import MissingError
from ..cycleinr.blocks import BlockNetwork
from ..cycleinr.network import VolumetricNetwork
from .encoder import SliceNetwork
from .networks import TRAINABLE, architecture_of, make_network
from .weights import Weights


def load_network(weights: Weights) -> SliceNetwork | VolumetricNetwork | BlockNetwork:
    """The trained network, for evaluation; raises MissingError where weights and architecture do not fit."""
    if weights.method not in TRAINABLE:
        raise MissingError(
            f"the weights {weights.name} are of {weights.method[:80]!r}, which is not known", "Give others"
        )
    try:
        network = make_network(architecture_of(weights.method, weights.architecture))
        network.load_state_dict(weights.tensors)
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        raise MissingError(f"the weights {weights.name} do not fit their own architecture", "Give others") from error
    return network.eval().requires_grad_(False).to(memory_format=network.memory_format)  # type: ignore[call-overload]
