#!/usr/bin/env bash
# The stages one by one on generated shapes: rerun any of them, add shapes, change a parameter.
set -euo pipefail
export CROSSDIM_WORKSPACE=${1:-$(mktemp -d)}

crossdim shapes generate --category table --count 6
crossdim voxelize --res 32
crossdim voxelize --res 32              # again: everything is fresh
crossdim shapes generate --category table --count 8
crossdim voxelize --res 32 --dry-run    # would make the two new ones
crossdim voxelize --res 32
crossdim voxelize --res 64 --fill solid --fit longest-side
crossdim render --size 64 --viewpoints uniform --views 4 --jobs 2
crossdim export mesh "$CROSSDIM_WORKSPACE/table.glb" --what shape --shape table/generated-0000
crossdim export voxels "$CROSSDIM_WORKSPACE/table.binvox" --what truth --voxels res32
crossdim status --check
crossdim verify

# Plain h5py reads the cache.
python3 - "$CROSSDIM_WORKSPACE" <<'PYTHON'
import sys
from pathlib import Path

import h5py
import numpy as np

for path in sorted(Path(sys.argv[1], "voxels", "res32").glob("shard-*.h5")):
    with h5py.File(path, "r") as file:
        for row, name in enumerate(file["ids"].asstr()[:]):
            shape = file["voxels"].attrs["item_shape"]
            grid = np.unpackbits(file["voxels"][row], count=int(np.prod(shape))).reshape(shape)
            print(f"{name}: {grid.mean():.1%} filled")
PYTHON
