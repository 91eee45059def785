#!/usr/bin/env bash
# From real meshes to a trained, evaluated, exported model.
#
#   examples/open_models.sh DATA_DIR [WORKSPACE]
#
# DATA_DIR holds models.csv (id, category, file, up, front, and if known split, family) and the
# meshes that it names. With CI=true only a few shapes and steps are used.
set -euo pipefail

data=${1:-../shared/data/openmodels}
export CROSSDIM_WORKSPACE=${2:-${CROSSDIM_WORKSPACE:-crossdim-open-models}}
category=${CATEGORY:-airplane}
if [ ! -d "$data" ]; then
  echo "skipped: no meshes at $data; usage: examples/open_models.sh DATA_DIR [WORKSPACE]"
  exit 0
fi

limit=0 views=48 train="--preset small"
if [ "${CI:-}" = true ]; then
  CROSSDIM_WORKSPACE=$(mktemp -d)
  trap 'rm -rf "$CROSSDIM_WORKSPACE"' EXIT
  limit=8 views=6 train="--preset tiny --steps 30"
fi

crossdim shapes import "$data" --format manifest --category "$category" --limit "$limit"
crossdim voxelize --res 32 --category "$category"
crossdim render --size 64 --viewpoints uniform --views "$views" --category "$category"
# shellcheck disable=SC2086  # several options in one variable
crossdim train pose-aware --category "$category" $train
crossdim eval reconstruction --category "$category"
crossdim export mesh "$CROSSDIM_WORKSPACE/$category.obj" --category "$category"
crossdim export voxels "$CROSSDIM_WORKSPACE/$category.binvox" --category "$category"
crossdim plot reconstruction --category "$category" --output "$CROSSDIM_WORKSPACE/$category.png"
crossdim status --check
crossdim verify
