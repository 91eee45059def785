#!/usr/bin/env bash
# Embeddings of pictures that turn with the object: relative pose, alignment with meshes, novel views.
#
#   examples/poses.sh [WORKSPACE]
#
# With CI=true only a few shapes and steps are used.
set -euo pipefail
export CROSSDIM_WORKSPACE=${1:-$(mktemp -d)}

count=120 views=64 size=small preset="--preset small"
if [ "${CI:-}" = true ]; then
  count=8 views=6 size=tiny preset="--preset tiny --steps 20 --validate-every 10"
fi

crossdim shapes generate --category airplane --category chair --count "$count"

# The network whose maps pictures are to be embedded as: it tells shapes apart, however they are turned.
crossdim raycast --poses random --count 24 --stretch 1.25
# shellcheck disable=SC2086  # several options in one variable
crossdim train spherical-cnn $preset
crossdim raycast
crossdim eval classification

# Pictures, and the maps of what each of them shows.
crossdim render --preset equivariant-3dof --views "$views" --name train-3dof
crossdim render --preset equivariant-3dof-test --name test-3dof --seed 1
crossdim raycast --poses views --views train-3dof
# shellcheck disable=SC2086
crossdim train equivariant --views train-3dof $preset
# shellcheck disable=SC2086
crossdim train pose-regression --views train-3dof $preset
crossdim eval relpose --views test-3dof --turns 4
crossdim eval relpose --views test-3dof --system pose-regression
crossdim eval align --views test-3dof
crossdim plot alignment --views test-3dof -o "$CROSSDIM_WORKSPACE/alignment.gif"

# Novel views: the encoder that is there, another layer, and a decoder.
# shellcheck disable=SC2086
crossdim train equivariant --layer views --start "all-$size" --views train-3dof --name views $preset
# shellcheck disable=SC2086
crossdim train view-synthesis --views train-3dof $preset
crossdim eval views --views test-3dof
crossdim plot synthesis --views test-3dof -o "$CROSSDIM_WORKSPACE/synthesis.gif"
crossdim status --check
