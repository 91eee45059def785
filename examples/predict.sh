#!/usr/bin/env bash
# From a picture to 3D with the weights that come with crossdim, and with a run of one's own.
#
#   examples/predict.sh [FOLDER [PICTURE ...]]
#
# Without pictures, a generated airplane and a generated chair are drawn and looked at.
set -euo pipefail
out=${1:-$(mktemp -d)}
shift || true
mkdir -p "$out"
export CROSSDIM_WORKSPACE=$out/workspace

crossdim weights                                # what comes with crossdim, and under which licence
crossdim weights pose-aware-airplane > "$out/card.md"

if [ $# -eq 0 ]; then
  crossdim shapes generate --category airplane --category chair --count 2
  for shape in airplane chair; do
    # the first frame of a turntable is a picture as good as any
    crossdim export turntable "$out/$shape.gif" --shape "$shape/generated-0000" --frames 2 --size 200
  done
  airplanes=("$out/airplane.gif") chairs=("$out/chair.gif")
else
  airplanes=("$@") chairs=("$@")
fi

crossdim predict pose-aware "${airplanes[@]}" --category airplane --out "$out/told"
crossdim predict structure-generator "${airplanes[@]}" --category airplane --out "$out/told"
crossdim predict deep-encoding "${airplanes[@]}" --out "$out/told"
crossdim predict pose-regression "${airplanes[@]}" --out "$out/told"
crossdim predict view-synthesis "${airplanes[@]}" --out "$out/told"
crossdim predict pose-aware "${chairs[@]}" --category chair --out "$out/told"
crossdim predict structure-generator "${chairs[@]}" --category chair --out "$out/told"
crossdim predict interpreter "${chairs[@]}" --out "$out/told"
mesh=()
if [ -d "$CROSSDIM_WORKSPACE" ]; then
  mesh=(--shape airplane/generated-0000)        # or --mesh FILE: the pose of that mesh
fi
crossdim predict equivariant "${airplanes[@]}" "${mesh[@]}" --out "$out/told"
crossdim export turntable "$out/told.webp" --mesh "$out/told/$(basename "${airplanes[0]%.*}").pose-aware.glb" \
  --up +y --front +z --frames 12 --size 160     # glTF is y-up
ls "$out/told"
