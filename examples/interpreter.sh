#!/usr/bin/env bash
# Keypoints, 3D skeleton and viewpoint from one picture: the three steps, tables, pictures, files.
#
#   examples/interpreter.sh [WORKSPACE]
#
# With CI=true only a few shapes and steps are used.
set -euo pipefail
export CROSSDIM_WORKSPACE=${1:-$(mktemp -d)}

count=48 drawn=30000 preset=compact steps="--steps 600" joint="--steps 60"
if [ "${CI:-}" = true ]; then
  count=6 drawn=64 preset=tiny steps="--steps 5" joint="--steps 3 --batch 4"
fi
train="crossdim train interpreter --category chair --preset $preset --validation-views 2"

crossdim skeletons --category chair --count "$drawn" --val 16 --test 8
crossdim shapes generate --category chair --count "$count"
crossdim render --size 80 --viewpoints uniform --views 6 --elevation-min-deg 0 --elevation-max-deg 27 \
  --focal 1.5 --distance-min 1.5 --distance-max 2.2 --background solid
crossdim landmarks
# shellcheck disable=SC2086  # several options in one variable
$train --step interpret $steps
# shellcheck disable=SC2086
$train --step keypoints $steps
# shellcheck disable=SC2086
$train --step joint $joint
crossdim eval keypoints
crossdim eval skeleton                          # before and after step joint
crossdim eval skeleton --run "chair-$preset-interpret"   # with noise on the heatmaps
crossdim plot noise --output "$CROSSDIM_WORKSPACE/noise.png"
crossdim plot skeletons --count 2 --output "$CROSSDIM_WORKSPACE/skeletons.png"
for suffix in json obj glb; do
  crossdim export skeleton "$CROSSDIM_WORKSPACE/chair.$suffix"
done
crossdim status --check
