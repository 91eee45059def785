#!/usr/bin/env bash
# A stage as an array job, and again for what tasks that were lost have left undone.
#
#   examples/slurm_array.sh [WORKSPACE]
#
# On a SLURM cluster it submits itself, one task for each part that has work left; run it again
# until it says that nothing is. Elsewhere it plays the cluster on a few generated shapes: one task
# after the other, one of them lost.
#SBATCH --job-name=crossdim-voxelize
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
set -euo pipefail

parts=${PARTS:-16}   # fixed once and for all: part i of 16 is always the same shapes
artefact=voxels/res32

# --- what each task does; --slice auto/16 takes its number from the scheduler ---
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  exec crossdim voxelize --res 32 --slice "auto/$parts" --jobs "${SLURM_CPUS_PER_TASK:-1}"
fi

# --- the submission ---
submit() {  # the numbers of the tasks, as in 0-3,7
  if command -v sbatch >/dev/null; then
    sbatch --array="$1" --export="ALL,PARTS=$parts" "$0"
    return
  fi
  for range in ${1//,/ }; do
    for number in $(seq "${range%-*}" "${range#*-}"); do
      [ "$number" = "${lost:-}" ] || SLURM_ARRAY_TASK_ID=$number PARTS=$parts bash "$0"
    done
  done
}

todo() { crossdim status --missing "$artefact" --slices "$parts" --quiet; }

if command -v sbatch >/dev/null; then
  export CROSSDIM_WORKSPACE=${1:-${CROSSDIM_WORKSPACE:-crossdim-data}}  # on a shared file system
else
  export CROSSDIM_WORKSPACE=${1:-$(mktemp -d)}
  parts=4
  crossdim shapes generate --category table --count 40 --quiet
  lost=2 submit "$(todo)"
  echo "left to do: tasks $(todo)"
fi

numbers=$(todo)
if [ -n "$numbers" ]; then
  submit "$numbers"
else
  echo "nothing is left to do in $artefact"
fi

if ! command -v sbatch >/dev/null; then
  [ -z "$(todo)" ]
  crossdim status --check
  crossdim merge "$artefact" --output "$CROSSDIM_WORKSPACE/voxels.h5"
  crossdim inspect "$CROSSDIM_WORKSPACE/voxels.h5"
fi
