"""Viewpoints of real pictures: import, density, sampling (`crossdim viewpoints`).

`table` and `sample` are what the renderer needs.
"""

from stages.viewpoints.fitted import sample, table

__all__ = ["sample", "table"]
