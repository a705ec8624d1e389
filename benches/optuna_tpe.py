"""Optuna's TPE on a response that the bench serves: one JSON document a line, on standard input and output.

The bench sends {"axes": [{"name", "low", "high", "log", "integer"}], "baseline": {name: value}, "trials", "seed"} for each
study. This script answers with {"try": {name: value}}, gets {"throughput", "success"} back, and so on; at the end of a
study it sends {"best": {name: value}}, the best observed trial whose observed success rate was above 0.99.
"""

import json
import sys

import optuna

LIMIT = 0.99


def say(message):
    print(json.dumps(message), flush=True)


def suggest(trial, axis):
    if axis["integer"]:
        return trial.suggest_int(axis["name"], int(axis["low"]), int(axis["high"]))
    return trial.suggest_float(axis["name"], axis["low"], axis["high"], log=axis["log"])


def study(task):
    sampler = optuna.samplers.TPESampler(
        seed=task["seed"], constraints_func=lambda trial: [LIMIT - trial.user_attrs["success"]]
    )
    found = optuna.create_study(direction="maximize", sampler=sampler)
    found.enqueue_trial(task["baseline"])

    def objective(trial):
        say({"try": {axis["name"]: suggest(trial, axis) for axis in task["axes"]}})
        reading = json.loads(sys.stdin.readline())
        trial.set_user_attr("success", reading["success"])
        return reading["throughput"]

    found.optimize(objective, n_trials=task["trials"])
    feasible = [trial for trial in found.trials if trial.user_attrs["success"] > LIMIT]
    best = max(feasible, key=lambda trial: trial.value, default=None)
    say({"best": best.params if best else task["baseline"]})


optuna.logging.set_verbosity(optuna.logging.ERROR)
say({"ready": optuna.__version__})
for line in sys.stdin:
    study(json.loads(line))
