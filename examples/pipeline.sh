#!/usr/bin/env bash
# The steps of pipeline.toml: what would be run, all of it, a part again, and a graph of what came.
#
#   examples/pipeline.sh [WORKSPACE]
#
# With CI=true only a few shapes and steps are used.
set -euo pipefail
cd "$(dirname "$0")"
export CROSSDIM_WORKSPACE=${1:-$(mktemp -d)}

steps=pipeline.toml
if [ "${CI:-}" = true ]; then
  steps="$CROSSDIM_WORKSPACE/pipeline.toml"
  sed -e 's/^count = 48/count = 8/' -e 's/^preset = "tiny"/&\nsteps = 20/' pipeline.toml >"$steps"
fi

crossdim run "$steps" --dry-run
crossdim run "$steps"
crossdim run "$steps" --from tables --to report     # everything is fresh: seconds
crossdim status --graph mermaid
crossdim view voxels/res32 --html "$CROSSDIM_WORKSPACE/voxels.html"
crossdim status --check
