#!/bin/sh
# Everything that docs/howto/without-a-chain.md tells, in an empty folder: sh run.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# The hospital: a provider's key, an owner's key, a table, and the settings.
cove keygen provider.key >/dev/null
owner=$(cove keygen owner.key)
mkdir -p data catalogue
printf 'patient,heart_rate\na,60\nb,72\nc,81\n' >data/table.csv
cp "$here/mean.py" data/
sed "s/OWNER/$owner/" "$here/cove.toml" >cove.toml
printf '[listen]\nport = %s\n' "${PORT:-8030}" >>cove.toml
export COVE_URL="http://127.0.0.1:${PORT:-8030}"

# It publishes an algorithm, serves, and publishes a table on which that algorithm may run.
cp "$here/mean.toml" .
algorithm=$(cove publish algorithm mean.toml --local --key-file owner.key)
cove serve >serve.log 2>&1 &
service=$!
trap 'kill $service; wait $service || true' EXIT
until cove environments >/dev/null 2>&1; do kill -0 $service; done
sed "s/ALGORITHM/$algorithm/" "$here/table.toml" >table.toml
table=$(cove publish dataset table.toml --local --key-file owner.key)

# A researcher asks for access, and gets two grants: of the table, and of the algorithm.
researcher=$(cove keygen researcher.key)
cove grant create "$table" --consumer "$researcher" --runs 1 --out table.grant --key-file owner.key >/dev/null
cove grant create "$algorithm" --consumer "$researcher" --runs 1 --out mean.grant --key-file owner.key >/dev/null

# The researcher runs the algorithm, and fetches what was released.
job=$(cove submit --dataset "$table" --order table.grant --algorithm "$algorithm" --algorithm-order mean.grant \
    --key-file researcher.key)
cove status "$job" --watch --key-file researcher.key >/dev/null 2>&1
cove results "$job" --out results --key-file researcher.key 2>/dev/null
cat results/mean.json

# The hospital sees what was used, and may take back what was not.
cove grant list
