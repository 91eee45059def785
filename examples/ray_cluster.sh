#!/usr/bin/env bash
# Stages on a Ray cluster. Without an address: on one of this machine, started for each command.
#
#   examples/ray_cluster.sh [HOST:PORT [WORKSPACE]]
#
# The cluster, whose nodes have the same crossdim and mount the workspace at the same place:
#
#   ray get-auth-token --generate                 # once; copy ~/.ray/auth_token to every node
#   export RAY_AUTH_MODE=token                    # on every node: without a token, whoever reaches
#                                                 # the ports can run programs
#   ray start --head --port 6379 --include-dashboard=false --disable-usage-stats      # one node
#   ray start --address HEAD:6379                                                     # the others
#
# and on any of them: examples/ray_cluster.sh HEAD:6379 /shared/workspace
set -euo pipefail

address=${1:-local}
export CROSSDIM_WORKSPACE=${2:-$(mktemp -d)}
if ! python3 -c 'import ray' 2>/dev/null; then
  echo "skipped: the package ray is not installed; pip install 'crossdim[cluster]'"
  exit 0
fi

crossdim shapes generate --category car --count 12
crossdim voxelize --res 32 --ray "$address" --item-seconds 60 --item-memory-gib 2

# the same in this machine's own processes: the same bytes
crossdim voxelize --res 32 --jobs 1 --name again
for shard in "$CROSSDIM_WORKSPACE"/voxels/res32/shard-*.h5; do
  cmp "$shard" "$CROSSDIM_WORKSPACE/voxels/again/$(basename "$shard")"
done
crossdim status
