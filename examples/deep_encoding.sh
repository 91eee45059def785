#!/usr/bin/env bash
# Voxels and pictures in one space: training, retrieval both ways, t-SNE, codes and encoders as files.
#
#   examples/deep_encoding.sh [WORKSPACE]
#
# With CI=true only a few shapes and steps are used.
set -euo pipefail
export CROSSDIM_WORKSPACE=${1:-$(mktemp -d)}

count=60 steps=""
if [ "${CI:-}" = true ]; then
  count=10 steps="--steps 20 --validate-every 10"
fi

crossdim shapes generate --category chair --category airplane --count "$count"
crossdim voxelize --res 32
crossdim render --preset deep-encoding --size 64 --views 8
# shellcheck disable=SC2086  # several options in one variable
crossdim train deep-encoding --loss lifted-safe $steps
crossdim eval retrieval
crossdim plot curves --system deep-encoding -o "$CROSSDIM_WORKSPACE/curves.png"
crossdim plot tsne --voxels -o "$CROSSDIM_WORKSPACE/tsne.png"
crossdim export codes "$CROSSDIM_WORKSPACE/codes.csv"
crossdim export model "$CROSSDIM_WORKSPACE/image.onnx" --encoder image
crossdim status --check
