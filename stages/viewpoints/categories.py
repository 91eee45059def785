"""One name for a category, whatever the data set calls it."""

from __future__ import annotations

# The name in this project, or that of PASCAL3D+ for what it alone has, then what others say.
_SAME = (
    ("airplane", "aeroplane", "plane", "aircraft"),
    ("table", "diningtable", "dining_table", "dining-table"),
    ("sofa", "couch"),
    ("motorbike", "motorcycle"),
    ("bicycle", "bike"),
    ("tvmonitor", "tv", "monitor", "display", "television"),
    ("boat", "watercraft", "vessel", "ship"),
    ("car", "automobile"),
)
_CANONICAL = {name: names[0] for names in _SAME for name in names}


def canonical(category: str) -> str:
    """The name that stands for `category`: aeroplane gives airplane, diningtable gives table."""
    return _CANONICAL.get(category.lower(), category)
