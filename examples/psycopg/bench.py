"""Loads a database through psycopg_pool, and prints what it measured as one JSON object."""

import argparse
import json
import os
import random
import threading
import time

from psycopg_pool import ConnectionPool, PoolTimeout

arguments = argparse.ArgumentParser()
arguments.add_argument("--min", type=int, required=True)
arguments.add_argument("--max", type=int, required=True)
arguments.add_argument("--timeout", type=float, default=30)
options = arguments.parse_args()

# What pool-tune says of the trial beside the settings.
workers = int(os.environ.get("POOL_TUNE_WORKERS", "16"))
seconds = float(os.environ.get("POOL_TUNE_SECONDS", "2"))
warm_up = float(os.environ.get("POOL_TUNE_WARM_UP", "0.5"))
seed = int(os.environ.get("POOL_TUNE_SEED", "1"))

pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=min(options.min, options.max),
    max_size=options.max,
    timeout=options.timeout,
    open=True,
)
pool.wait()
with pool.connection() as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS pool_tune_example (id int PRIMARY KEY, balance bigint NOT NULL)")
    connection.execute("INSERT INTO pool_tune_example SELECT n, 0 FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING")

begin = time.monotonic() + warm_up
end = begin + seconds


def work(index, out):
    draw = random.Random(seed * 1000 + index)
    responses, acquired, failures = [], [], 0
    while (asked := time.monotonic()) < end:
        try:
            with pool.connection() as connection:
                got = time.monotonic()
                connection.execute("SELECT balance FROM pool_tune_example WHERE id = %s", [draw.randint(1, 1000)])
            if asked >= begin:
                responses.append(time.monotonic() - asked)
                acquired.append(got - asked)
        except PoolTimeout:
            failures += asked >= begin
    out[index] = (responses, acquired, failures)


results = [None] * workers
threads = [threading.Thread(target=work, args=(index, results)) for index in range(workers)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
measured = time.monotonic() - begin
pool.close()

responses = [took for responses, _, _ in results for took in responses]
print(
    json.dumps(
        {
            "successes": len(responses),
            "failures": sum(failures for _, _, failures in results),
            "seconds": measured,
            "warm_up_seconds": warm_up,
            "response": responses,
            "acquire": [took for _, acquired, _ in results for took in acquired],
        }
    )
)
