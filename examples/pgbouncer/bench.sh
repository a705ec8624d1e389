#!/bin/sh
# Puts settings into a running PgBouncer and loads it with pgbench: bench.sh FILE WORKERS SECONDS
#
# Once, before: cd examples/pgbouncer; printf '[pgbouncer]\n' > pool.ini; pgbouncer -d pgbouncer.ini
# (adjust host, port and database there), and `pgbench -i` for its tables.
set -eu
folder=${PGBOUNCER_FOLDER:-.}
through="host=127.0.0.1 port=${PGBOUNCER_PORT:-6432} user=${PGBOUNCER_USER:-postgres}"

# Whole or not at all: PgBouncer may read it at any moment.
cp "$1" "$folder/pool.ini.new"
mv "$folder/pool.ini.new" "$folder/pool.ini"
psql -qX "$through dbname=pgbouncer" -c RELOAD >&2
# Connections of the trial before are closed, so that each begins alike.
psql -qX "$through dbname=pgbouncer" -c RECONNECT >&2

# pgbench takes whole seconds.
seconds=$(printf '%.0f' "$(echo "$3" | awk '{ print ($1 < 1) ? 1 : $1 }')")
exec pgbench -n -S -c "$2" -j 2 -T "$seconds" "$through dbname=${PGBOUNCER_DATABASE:-postgres}"
