"""Thousands of mixed requests to a server, many of which break off or make no sense: does anything pile up?

    python scripts/soak_server.py http://127.0.0.1:8080 [--requests 10000] [--clients 12] [--pid PID [--warm-up 10000]]

The server must run with --metrics. Every answer must have the status that its request calls for; in the end nothing may
run or wait, all blocks of the cache must be free, and the counters must add up. With --pid, the memory and the file
handles of the server and its engine are looked at all the time. Caches fill up first: behind the requests of --warm-up,
the line that fits the memory best may rise by 5 % at most, and no more than two handles may be added.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 120.0
GROWTH = 0.05  # of memory, over all requests behind the first ones
EACH = 0.2  # seconds from one look at the memory to the next
TO_CLOSE = 2.0  # seconds that connections have, when the last answer is there
GRAMMAR = 'root ::= "a"'  # behind it, only the end of the text
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@dataclass
class Target:
    host: str
    port: int
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def post(self, path: str, body: Any) -> tuple[int, bytes]:
        connection = self.connect()
        try:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> bytes:
        connection = self.connect()
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def figures(self) -> dict[str, float]:
        """Of /metrics, by their names with labels."""
        lines = self.get("/metrics").decode().splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if x[:1] not in ("", "#"))}


Kind = Callable[[Target, random.Random], str]


def prompt(rng: random.Random) -> str:
    """Some begin alike."""
    return f"{rng.choice(('Once', 'Hello', 'a'))} {'b' * rng.randrange(40)} {rng.randrange(30)}"


def body(rng: random.Random, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt(rng), "n_predict": rng.randrange(1, 24), "seed": rng.randrange(99), **more}


def whole(target: Target, rng: random.Random) -> str:
    return expect(target.post("/completion", body(rng)), 200)


def stream(target: Target, rng: random.Random) -> str:
    result = target.post("/v1/completions", body(rng, stream=True))
    if result[0] == 200 and not result[1].rstrip().endswith(b"[DONE]"):
        return "wrong: a stream without an end"
    return expect(result, 200)


def several(target: Target, rng: random.Random) -> str:
    return expect(target.post("/v1/completions", {"prompt": prompt(rng), "max_tokens": 5, "n": 2}), 200)


def schema(target: Target, rng: random.Random) -> str:
    return expect(target.post("/completion", body(rng, json_schema=SCHEMA)), 200)


def embeddings(target: Target, rng: random.Random) -> str:
    return expect(target.post("/v1/embeddings", {"input": [prompt(rng), "x"]}), 200)


def nonsense(target: Target, rng: random.Random) -> str:
    bodies = (b"{", b"[1]", {"prompt": [10**7]}, {"prompt": "a", "n_predict": "x"}, {"prompt": "a " * 90000})
    return expect(target.post("/completion", rng.choice(bodies)), 400)


def impossible(target: Target, rng: random.Random) -> str:
    """A grammar that no token fits any more, where the end may not come."""
    status, text = target.post("/completion", body(rng, grammar=GRAMMAR, ignore_eos=True, n_predict=9))
    return "failed" if status >= 400 and b"error" in text else f"wrong: {status} for a grammar that nothing fits"


def leave_early(target: Target, rng: random.Random) -> str:
    """Amid a stream, or in the queue."""
    connection = target.connect()
    data = json.dumps(body(rng, n_predict=200, ignore_eos=True, stream=rng.random() < 0.7))
    connection.request("POST", "/completion", data, {"Content-Type": "application/json"})
    time.sleep(rng.choice((0, 0, 0.01, 0.1)))
    if connection.sock is not None:
        connection.sock.close()
    connection.close()
    return "left"


def leave_amid_the_body(target: Target, rng: random.Random) -> str:
    with socket.create_connection((target.host, target.port), timeout=PATIENCE) as connection:
        head = "POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode()[: rng.choice((10, len(head)))])
    return "left before"


KINDS: Sequence[tuple[int, Kind]] = (
    (30, whole), (20, stream), (5, several), (5, schema), (5, embeddings), (10, nonsense), (3, impossible),
    (20, leave_early), (2, leave_amid_the_body),
)  # fmt: skip


def expect(result: tuple[int, bytes], status: int) -> str:
    if result[0] == 429:
        return "refused"
    return str(status) if result[0] == status else f"wrong: {result[0]} in place of {status}: {result[1][:200]!r}"


def ask(target: Target, seed: int) -> None:
    rng = random.Random(seed)
    (kind,) = rng.choices([kind for _, kind in KINDS], [weight for weight, _ in KINDS])
    try:
        outcome = kind(target, rng)
    except OSError as error:
        outcome = f"wrong: {kind.__name__}: {error!r}"
    with target.lock:
        target.outcomes[outcome.partition(":")[0]] += 1
        if outcome.startswith("wrong"):
            target.wrong.append(outcome)


@dataclass(frozen=True)
class Sizes:
    memory: int  # bytes
    handles: int


def sizes(process: int) -> list[Sizes]:
    """Of the server's process and its engine's."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [size_of(number) for number in (process, *map(int, children))]


def size_of(process: int) -> Sizes:
    n_pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return Sizes(4096 * n_pages, len(list(Path(f"/proc/{process}/fd").iterdir())))


class Watch:
    """A thread that looks at the sizes of a server and its engine, as long as the block goes on."""

    def __init__(self, process: int, n_done: Callable[[], int]) -> None:
        self.process, self.n_done = process, n_done
        self.looks: list[tuple[int, list[Sizes]]] = []  # requests so far, and the sizes then
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.look_on)

    def look_on(self) -> None:
        self.look()
        while not self.is_over.wait(EACH):
            self.look()

    def look(self) -> None:
        self.looks.append((self.n_done(), sizes(self.process)))

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()

    def what_grew(self, n_requests: int) -> list[str]:
        """Prints what there was, and returns what is wrong with it."""
        counts = [n for n, _ in self.looks]
        wrong: list[str] = []
        for i, name in enumerate(("the server", "its engine")):
            found = [sizes[i] for _, sizes in self.looks if i < len(sizes)]  # the counter of restarts tells of others
            if len(found) < len(counts):
                return wrong
            memory = [size.memory for size in found]
            slope = statistics.linear_regression(counts, memory).slope if len({*counts}) > 1 else 0.0
            middle, growth = statistics.median(memory), slope * n_requests
            fewest = min(size.handles for size in found)
            print(
                f"{name}: {min(memory) >> 20} to {max(memory) >> 20} MiB, {slope:+.0f} bytes a request; "
                f"{fewest} handles at least, {found[-1].handles} in the end",
                flush=True,
            )
            if growth > GROWTH * middle:
                wrong.append(f"{name} has grown by {growth / middle:.1%}")
            if found[-1].handles > fewest + 2:
                wrong.append(f"{name} keeps handles: {fewest}, then {found[-1].handles}")
        return wrong


def soak(url: str, n_requests: int, n_clients: int, process: int | None, n_warm_up: int = 0) -> list[str]:
    """What is wrong."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    target = Target(host, int(port))
    begun = time.monotonic()
    with ThreadPoolExecutor(n_clients) as pool:
        list(pool.map(lambda seed: ask(target, seed), range(-n_warm_up, 0)))
        watch = None if process is None else Watch(process, target.outcomes.total)
        watching: AbstractContextManager[object] = watch or nullcontext()
        with watching:
            list(pool.map(lambda seed: ask(target, seed), range(n_requests)))
    print(f"{time.monotonic() - begun:.0f} s; {dict(target.outcomes)}", flush=True)
    left, grown = what_is_left(target), []
    if watch is not None:
        time.sleep(TO_CLOSE)
        watch.look()
        grown = watch.what_grew(n_requests)
    return [*target.wrong[:10], *left, *grown]


def what_is_left(target: Target) -> list[str]:
    """Of requests that have all ended."""
    end = time.monotonic() + PATIENCE
    while True:
        now = target.figures()
        n_ended = now["tgi_request_success"] + sum(v for k, v in now.items() if k.startswith("tgi_request_failure"))
        wrong = [
            f"{name} is {now[name]:g}, not {wanted:g}"
            for name, wanted in {
                "llamacpp:requests_processing": 0.0,
                "llamacpp:requests_deferred": 0.0,
                "llamakit_kv_blocks_free": now["llamakit_kv_blocks"],
                "tgi_request_count": n_ended,
                "llamakit_engine_restarts_total": 0.0,
            }.items()
            if now[name] != wanted
        ]
        if not wrong or time.monotonic() > end:
            return wrong
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--warm-up", type=int, default=10_000)
    options = parser.parse_args()
    n_warm_up = options.warm_up if options.pid else 0
    wrong = soak(options.url, options.requests, options.clients, options.pid, n_warm_up)
    print("\n".join(wrong) or "nothing is left, and nothing has grown")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
