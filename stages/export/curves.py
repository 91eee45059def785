"""Learning curves of a run, from its metrics.csv."""

from __future__ import annotations

import io

from stages.errors import InputError
from stages.train.log import read_metrics
from stages.train.run import Run

_SKIPPED = ("step", "seconds", "lr")


def curves_png(run: Run) -> bytes:
    """PNG of every loss and validation number of a run against the step, a panel each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_metrics(run.metrics)
    names = [n for n in dict.fromkeys(k for row in rows for k in row) if n not in _SKIPPED]
    if not names:
        raise InputError(f"run {run.name} has no metrics yet", f"run: crossdim train {run.system}")
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for number, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, number + 1)
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot(*zip(*points), linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
