#!/bin/sh
# Gives the first `share` per cent of the instances the new settings, and the others those that they had, so that calling it again
# changes nothing more. This example only writes a file an instance below ./instances; put your deployment in place of that.
set -eu
share=$1
settings=$2
cd "$(dirname "$0")"
mkdir -p instances
for number in 1 2 3 4 5 6 7 8 9 10; do
    # At 10 % the first of ten instances has them, at 100 % all.
    if [ $((number * 10)) -le "${share%.*}" ]; then
        cp "$settings" "instances/$number.properties"
    fi
done
echo "$POOL_TUNE_DIRECTION: stage $POOL_TUNE_STAGE at $share %"
