"""A small service whose pool can be changed while it runs, and which tells how the pool is doing."""

import os
import threading
import time

from fastapi import FastAPI, HTTPException, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

app = FastAPI()
registry = CollectorRegistry()
# The names of OpenTelemetry's conventions, as Prometheus has them.
WAIT = Histogram(
    "db_client_connection_wait_time_seconds",
    "Time to get a connection",
    registry=registry,
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
COUNT = Gauge("db_client_connection_count", "Connections", ["db_client_connection_state"], registry=registry)
MAX = Gauge("db_client_connection_max", "Most connections", registry=registry)
TIMEOUTS = Counter("db_client_connection_timeouts", "Waits that were given up", registry=registry)


class Pool(BaseModel):
    max_connections: int = Field(ge=1)
    connection_timeout: float = Field(gt=0)


class Change(BaseModel):
    amount: int


def engine_of(pool: Pool):
    url = os.environ["DATABASE_URL"].replace("postgres://", "postgresql://", 1)
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(
        url, pool_size=pool.max_connections, max_overflow=0, pool_timeout=pool.connection_timeout, pool_use_lifo=True
    )


changing = threading.Lock()
engine = engine_of(Pool(max_connections=10, connection_timeout=30))
MAX.set(10)
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE IF NOT EXISTS pool_tune_example (id int PRIMARY KEY, balance bigint NOT NULL)"))
    connection.execute(
        text("INSERT INTO pool_tune_example SELECT n, 0 FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING")
    )


def run(statement, **values):
    asked = time.monotonic()
    try:
        with engine.begin() as connection:
            WAIT.observe(time.monotonic() - asked)
            return connection.execute(text(statement), values).scalar()
    except PoolTimeout:
        TIMEOUTS.inc()
        raise HTTPException(503, "no connection was free in time")


@app.get("/accounts/{account}")
def balance(account: int):
    found = run("SELECT balance FROM pool_tune_example WHERE id = :id", id=account)
    if found is None:
        raise HTTPException(404, "there is no such account")
    return {"balance": found}


@app.post("/accounts/{account}")
def change(account: int, change: Change):
    statement = "UPDATE pool_tune_example SET balance = balance + :amount WHERE id = :id RETURNING balance"
    return {"balance": run(statement, id=account, amount=change.amount)}


# For loopback only: whoever reaches it changes the pool. A real service asks for a token (`headers` in the profile).
@app.post("/admin/pool")
def set_pool(pool: Pool):
    global engine
    with changing:
        old, engine = engine, engine_of(pool)
        old.dispose()
        MAX.set(pool.max_connections)
    return pool


@app.get("/health")
def health():
    run("SELECT 1")
    return {"ready": True}


@app.get("/metrics")
def metrics():
    pool = engine.pool
    COUNT.labels("used").set(pool.checkedout())
    COUNT.labels("idle").set(pool.checkedin())
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")
