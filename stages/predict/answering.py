"""What each system says of a picture."""

from __future__ import annotations

from collections.abc import Callable

from stages.predict import poses, shapes, skeletons
from stages.predict.images import Seen
from stages.predict.networks import Network
from stages.predict.prediction import Beside, Prediction

Tell = Callable[[Network, Seen, Beside], Prediction]

TELL: dict[str, Tell] = {
    "pose-aware": shapes.pose_aware,
    "structure-generator": shapes.structure_generator,
    "deep-encoding": shapes.deep_encoding,
    "interpreter": skeletons.interpreter,
    "pose-regression": poses.pose_regression,
    "equivariant": poses.equivariant,
    "view-synthesis": poses.view_synthesis,
}


def tell(network: Network, seen: Seen, beside: Beside) -> Prediction:
    """What a network says of one picture."""
    return TELL[network.system](network, seen, beside)
