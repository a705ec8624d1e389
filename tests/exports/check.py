"""Loads an export with the library that it is for and prints what the library then holds, as JSON.

Called as `check.py FORMAT`, with the export on standard input.
"""

import asyncio
import json
import re
import sys


def names_of(source):
    """What the export defines, when it is run as a module."""
    names = {}
    exec(compile(source, "export.py", "exec"), names)
    return names


def companions(names, asynchronous=False):
    """What tenacity and pybreaker make of theirs, with the waits between the tries."""
    import pybreaker
    import tenacity

    retrying = names["retrying"](KeyError)
    expected = tenacity.AsyncRetrying if asynchronous else tenacity.Retrying
    assert type(retrying) is expected, type(retrying)
    waits = []

    if asynchronous:

        async def sleep(seconds):
            waits.append(seconds)

        async def fail():
            raise KeyError

        retrying.sleep = sleep
        work = asyncio.run
        task = retrying.wraps(fail)
        run = lambda: work(task())
    else:
        retrying.sleep = waits.append

        def fail():
            raise KeyError

        run = retrying.wraps(fail)
    try:
        run()
        raise AssertionError("a failure that is not retried was swallowed")
    except KeyError:
        pass
    breaker = pybreaker.CircuitBreaker(**names["breaker_options"])
    return {
        "tries": len(waits) + 1,
        "waits": waits,
        "fail_max": breaker.fail_max,
        "reset_timeout": breaker.reset_timeout,
        "success_threshold": breaker.success_threshold,
    }


def sqlalchemy(source):
    from sqlalchemy import create_engine

    names = names_of(source)
    engine = create_engine("postgresql+psycopg://nobody@localhost/x", **names["engine_options"])
    pool = engine.pool
    return {
        "class": type(pool).__name__,
        "size": pool.size(),
        "overflow": pool._max_overflow,
        "timeout": pool.timeout(),
        "recycle": pool._recycle,
        "pre_ping": pool._pre_ping,
        **companions(names),
    }


def of_psycopg_pool(pool):
    return {
        "min_size": pool.min_size,
        "max_size": pool.max_size,
        "timeout": pool.timeout,
        "max_lifetime": pool.max_lifetime,
        "max_idle": pool.max_idle,
        "checks": pool._check is not None,
    }


def psycopg_pool(source):
    from psycopg_pool import ConnectionPool

    names = names_of(source)
    pool = ConnectionPool("host=localhost", open=False, **names["pool_options"])
    return {**of_psycopg_pool(pool), **companions(names)}


def asyncpg(source):
    import inspect

    import asyncpg

    names = names_of(source)

    async def make():
        return asyncpg.create_pool("postgres://nobody@localhost/x", **names["pool_options"])

    pool = asyncio.run(make())
    # The options of acquire are bound to its parameters, for there is no server to take a connection from.
    acquire = inspect.signature(pool.acquire).bind(**names["acquire_options"]).arguments
    return {
        "min_size": pool._minsize,
        "max_size": pool._maxsize,
        "max_inactive": pool._holders[0]._max_inactive_time if pool._holders else names["pool_options"]["max_inactive_connection_lifetime"],
        "acquire": acquire,
        **companions(names, asynchronous=True),
    }


def django(source):
    import django
    from django.conf import settings

    names = names_of(source)
    names["DATABASES"]["default"].update(NAME="x", USER="nobody", HOST="localhost")
    settings.configure(DATABASES=names["DATABASES"])
    django.setup()
    from django.db import connection

    return {**of_psycopg_pool(connection.pool), **companions(names)}


def config_dict(source):
    return names_of(source)["connection_pool_config"]


def toml(source):
    import tomllib

    return tomllib.loads(source)["connection_pool"]


def yaml(source):
    import yaml

    class Strict(yaml.SafeLoader):
        """Two keys of one name are an error, as in most other readers."""

        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key) for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    return yaml.load(source, Strict)


def properties(source):
    """Java's properties, as java.util.Properties.load reads them."""
    pairs = {}
    for line in source.split("\n"):
        line = line.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        assert line.encode("latin-1"), line
        key, value = re.fullmatch(r"((?:\\.|[^\\=: \t\f])+)[ \t\f]*[=:]?[ \t\f]*(.*)", line).groups()
        assert not re.search(r"(?<!\\)(\\\\)*\\$", value), "goes on in the next line: " + value
        units = re.sub(r"\\u([0-9a-fA-F]{4})|\\(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], value)
        assert key not in pairs, key
        # Escapes are UTF-16.
        pairs[key] = units.encode("utf-16", "surrogatepass").decode("utf-16")
    return pairs


READERS = {
    "asyncpg": asyncpg,
    "config-dict": config_dict,
    "django": django,
    "hikaricp": properties,
    "json": json.loads,
    "psycopg-pool": psycopg_pool,
    "rails": yaml,
    "spring-boot": yaml,
    "sqlalchemy": sqlalchemy,
    "toml": toml,
    "yaml": yaml,
}

print(json.dumps(READERS[sys.argv[1]](sys.stdin.buffer.read().decode())))
