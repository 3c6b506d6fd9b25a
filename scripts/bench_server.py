"""Clients of servers over HTTP: tokens a second and time to the first token, llamakit's beside llama-server's.

    python scripts/bench_server.py MODEL [--peer .../build/bin/llama-server] [--clients 1,4,8,16] [--rounds 3]

N clients each send a prompt of their own to /completion and read a stream, all at once. A round asks one server and
then the other, in an order that alternates; both have as many slots as there are clients at most. "total" counts
tokens of prompts and answers. "by CPU" is what the wall would say with nobody else about: tokens over the CPU seconds
of the server's processes, times the threads. "HTTP overhead" is how much longer a round takes than the steps that our
engine computes in it, by its own clock (/metrics): connections, messages between processes, streams. With --engine,
the same load on a scheduler without HTTP (see bench_scheduler.py) is measured in between.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

TICKS = os.sysconf("SC_CLK_TCK")
FOLDER = Path(__file__).parent


@dataclass
class Server:
    name: str
    process: subprocess.Popen[bytes]
    port: int
    walls: dict[int, list[float]] = field(default_factory=dict)  # of rounds, by the number of clients
    cpus: dict[int, list[float]] = field(default_factory=dict)
    firsts: dict[int, list[float]] = field(default_factory=dict)  # of all clients of all rounds
    web: dict[int, list[float]] = field(default_factory=dict)  # of the CPU seconds, those of the process that has HTTP
    steps: dict[int, list[float]] = field(default_factory=dict)  # of the walls, what the engine computed; ours only

    def cpu(self) -> float:
        """CPU seconds of the process and its children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(cpu_of(int(number)) for number in (self.process.pid, *children))


@dataclass
class Client:
    connection: socket.socket
    begun: float
    first: float = 0.0
    tail: bytes = b""


def cpu_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    options = parse()
    rng = random.Random(0)
    with ExitStack() as opened:
        servers = [opened.enter_context(started("llamakit", ours(options), options))]
        if options.peer:
            servers.append(opened.enter_context(started("llama-server", theirs(options), options)))
        for server in servers:  # what is done once is done now
            ask(server, max(options.clients), options, rng)
        for n in options.clients:
            for i in range(options.rounds):
                for server in servers[:: 1 if i % 2 else -1]:
                    measure(server, n, options, rng)
            report(servers, n, options)
            if options.engine:
                print(of_engine(n, options), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--peer", help="llama-server to compare with")
    parser.add_argument("--engine", action="store_true", help="measure the engine without HTTP too")
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 8, 16])
    for name, value in {"prompt": 128, "new": 64, "threads": 2, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--cache-type", default="f16")
    return parser.parse_args()


def arguments(options: argparse.Namespace) -> list[str]:
    n_slots = max(options.clients)
    n_ctx = n_slots * (options.prompt + options.new + 64)
    numbers = {"-m": options.model, "-c": n_ctx, "-np": n_slots, "-t": options.threads, "-ctk": options.cache_type}
    return [str(part) for pair in numbers.items() for part in pair]


def ours(options: argparse.Namespace) -> list[str]:
    return [sys.executable, "-m", "llamakit", "server", "--metrics", *arguments(options)]


def theirs(options: argparse.Namespace) -> list[str]:
    return [options.peer, *arguments(options), "--no-webui"]


@contextmanager
def started(name: str, command: list[str], options: argparse.Namespace) -> Iterator[Server]:
    """A server that is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(os.environ)
    if options.peer:
        environment["LD_LIBRARY_PATH"] = str(Path(options.peer).parent)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log, env=environment)
        try:
            begun = time.perf_counter()
            while not is_ready(port):
                if process.poll() is not None:
                    log.seek(0)
                    sys.exit(f"{name} has ended:\n{log.read().decode()}")
                time.sleep(0.01)
            print(f"{name}: ready after {time.perf_counter() - begun:.2f} s", flush=True)
            yield Server(name, process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def measure(server: Server, n_clients: int, options: argparse.Namespace, rng: random.Random) -> None:
    is_ours = server.name == "llamakit"
    steps = step_seconds(metrics(server)) if is_ours else 0.0
    cpu, web, wall = server.cpu(), cpu_of(server.process.pid), time.perf_counter()
    firsts = ask(server, n_clients, options, rng)
    server.walls.setdefault(n_clients, []).append(time.perf_counter() - wall)
    server.cpus.setdefault(n_clients, []).append(server.cpu() - cpu)
    server.web.setdefault(n_clients, []).append(cpu_of(server.process.pid) - web)
    server.firsts.setdefault(n_clients, []).extend(firsts)
    if is_ours:
        server.steps.setdefault(n_clients, []).append(step_seconds(metrics(server)) - steps)


def metrics(server: Server) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def step_seconds(text: str) -> float:
    """What the engine has computed since it was started, as /metrics tells it: prompts and tokens that were drawn."""
    figures = dict(re.findall(r"^llamacpp:(\w+) (\S+)$", text, re.MULTILINE))
    return float(figures["prompt_seconds_total"]) + float(figures["tokens_predicted_seconds_total"])


def overhead(walls: list[float], steps: list[float]) -> float:
    """How much longer rounds take than the engine's steps in them: the median, in percent."""
    return 100 * (median(wall / step for wall, step in zip(walls, steps, strict=True)) - 1)


def ask(server: Server, n_clients: int, options: argparse.Namespace, rng: random.Random) -> list[float]:
    """Seconds to each client's first token."""
    requests = [request(server.port, options, rng) for _ in range(n_clients)]
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in requests]
    waiting = selectors.DefaultSelector()
    for connection, data in zip(connections, requests, strict=True):
        client = Client(connection, time.perf_counter())
        connection.sendall(data)
        waiting.register(connection, selectors.EVENT_READ, client)
    firsts = []
    while waiting.get_map():
        for key, _ in waiting.select():
            client = key.data
            data = client.connection.recv(1 << 16)
            if not client.first and b"data:" in data:
                client.first = time.perf_counter()
            client.tail = (client.tail + data)[-400:] if data else client.tail
            if not data:
                waiting.unregister(client.connection)
                client.connection.close()
                check(server, client, options)
                firsts.append(client.first - client.begun)
    return firsts


def request(port: int, options: argparse.Namespace, rng: random.Random) -> bytes:
    body = json.dumps(
        {
            "prompt": [rng.randrange(100, 20000) for _ in range(options.prompt)],
            "n_predict": options.new,
            "ignore_eos": True,
            "seed": rng.randrange(1 << 31),
            "cache_prompt": False,
            "stream": True,
        }
    ).encode()
    head = [
        "POST /completion HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return "\r\n".join([*head, "", ""]).encode() + body


def check(server: Server, client: Client, options: argparse.Namespace) -> None:
    """The last event tells the speed, which it only does of a whole answer."""
    found = re.search(rb'"predicted_n":\s*(\d+)', client.tail)
    if not client.first or (found and int(found[1]) != options.new):
        sys.exit(f"{server.name} broke an answer off: {client.tail!r}")


def report(servers: list[Server], n: int, options: argparse.Namespace) -> None:
    n_tokens = n * (options.prompt + options.new)
    for server in servers:
        firsts = sorted(server.firsts[n])
        p99 = firsts[min(len(firsts) - 1, int(0.99 * len(firsts)))]
        cpu, share = median(server.cpus[n]), 100 * median(server.web[n]) / median(server.cpus[n])
        beside = f"; HTTP overhead {overhead(server.walls[n], server.steps[n]):+.1f} %" if n in server.steps else ""
        print(
            f"{n:3} clients {server.name:>12}: {n_tokens / median(server.walls[n]):6.0f} t/s total, "
            f"{n_tokens * options.threads / cpu:6.0f} by CPU ({share:.0f} % of it HTTP); "
            f"first token p50 {1000 * median(firsts):5.0f} ms, p99 {1000 * p99:5.0f}{beside}",
            flush=True,
        )
    if len(servers) == 2:
        a, b = servers
        ratios = [y / x for x, y in zip(a.walls[n], b.walls[n], strict=True)]
        by_cpu = median(b.cpus[n]) / median(a.cpus[n])
        print(f"{n:3} clients: {median(ratios):.2f} times llama-server, {by_cpu:.2f} by CPU", flush=True)


def of_engine(n: int, options: argparse.Namespace) -> str:
    numbers = {"--clients": n, "--prompt": options.prompt, "--new": options.new, "--threads": options.threads}
    command = [sys.executable, FOLDER / "bench_scheduler.py", options.model, "--rounds", options.rounds]
    command += [part for pair in numbers.items() for part in pair]
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    return f"    without HTTP: {result.stdout.strip()}"


if __name__ == "__main__":
    main()
