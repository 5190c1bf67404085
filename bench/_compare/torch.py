"""Times PyTorch for package bench.

    python3 -c SOURCE THREADS

prints {"ready": true} once torch is imported, then answers each line, a JSON
object, with {"ns": X}, the time of a call:

    {"setups": [CODE, ...], "run": CODE}  make this the case: of the variants that
                                          the setups prepare, keep the fastest
    {"min_ns": N}                         time as many calls as take N
"""
import json
import sys
import time


def sample(run, min_ns):
    calls, batch, start = 0, 1, time.perf_counter_ns()
    while True:
        for _ in range(batch):
            run()
        calls += batch
        spent = time.perf_counter_ns() - start
        if spent >= min_ns:
            return spent / calls
        if spent < min_ns / 8:
            batch *= 2


def variant(setup, run):
    names = {}
    exec("import torch\nimport torch.nn.functional as F\n" + setup, names)
    exec("def run():\n" + "".join("    " + line + "\n" for line in run.splitlines()), names)
    return names["run"]


def answer(message):
    print(json.dumps(message), flush=True)


def main():
    try:
        import torch
    except ImportError:
        answer({"ready": False})
        return
    torch.set_num_threads(int(sys.argv[1]))
    answer({"ready": True})
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        if "setups" not in request:
            answer({"ns": sample(run, request["min_ns"])})
            continue
        best, run = float("inf"), None
        for setup in request["setups"]:
            candidate = variant(setup, request["run"])
            candidate()
            ns = min(sample(candidate, 5e6) for _ in range(3))
            if ns < best:
                best, run = ns, candidate
            del candidate
        answer({"ns": best})


main()
