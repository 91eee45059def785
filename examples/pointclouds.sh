#!/usr/bin/env bash
# A point cloud from one picture: both parts of the training, tables, files for other programs.
#
#   examples/pointclouds.sh [WORKSPACE]
#
# With CI=true only a few shapes and steps are used.
set -euo pipefail
export CROSSDIM_WORKSPACE=${1:-$(mktemp -d)}

count=48 first="" second=""
if [ "${CI:-}" = true ]; then
  count=8 first="--steps 20" second="--steps 10"
fi

crossdim shapes generate --category chair --count "$count"
crossdim depths --size 32 --novel 20
crossdim render --size 64 --viewpoints uniform --views 8
# shellcheck disable=SC2086  # several options in one variable
crossdim train structure-generator --category chair $first
# shellcheck disable=SC2086
crossdim train structure-generator --category chair --stage joint $second
crossdim eval pointcloud --run chair-tiny
crossdim eval pointcloud                        # the newest run: chair-tiny-joint
crossdim plot pointcloud --output "$CROSSDIM_WORKSPACE/clouds.png"
for suffix in ply npz pcd xyz; do
  crossdim export points "$CROSSDIM_WORKSPACE/chair.$suffix"
done
crossdim export mesh "$CROSSDIM_WORKSPACE/chair.obj" --system structure-generator --radius 0.04
crossdim export voxels "$CROSSDIM_WORKSPACE/chair.binvox" --system structure-generator
crossdim status --check
