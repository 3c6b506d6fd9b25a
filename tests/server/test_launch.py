"""A server's life as a process: starting, failing, ending."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .processes import PATIENCE, server_process, wait_until

ENDLESS = {"prompt": "Hello", "ignore_eos": True, "n_predict": -1, "seed": 1}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def running(path):
    """One for all tests that leave it as it is."""
    with server_process("-m", path, "--context-shift", "-c", "256", "-np", "4") as server:
        yield server


def endless(server):
    """A stream that has begun and does not end; it is read in a thread, which collects the events."""
    events, begun = [], threading.Event()

    def read():
        for event in server.stream(ENDLESS):
            events.append(event)
            begun.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert begun.wait(PATIENCE)
    return events, thread


def test_it_serves_and_ends_with_0_and_frees_its_port(path):
    with server_process("-m", path) as server:
        status, answer = server.ask("/completion", {"prompt": "Hello", "n_predict": 3})
        assert (status, answer["tokens_predicted"]) == (200, 3)
        engine = server.engine
        assert server.end() == 0
        wait_until(lambda: not Path(f"/proc/{engine}").exists())
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", server.port))


def test_an_engine_without_work_frees_its_memory_until_there_is_some(path):
    question = {"prompt": "Hello", "n_predict": 3, "temperature": 0}
    with server_process("-m", path, "--sleep-idle-seconds", "1") as server:
        before, engine = server.ask("/completion", question), server.engine
        wait_until(lambda: not Path(f"/proc/{engine}").exists())
        assert server.ask("/props")[1]["is_sleeping"] and server.health() == 200
        after = server.ask("/completion", question)  # it waits for the one that is started for it
        assert (after[0], after[1]["content"]) == (before[0], before[1]["content"]) == (200, after[1]["content"])
        assert not server.ask("/props")[1]["is_sleeping"] and server.engine != engine
        wait_until(lambda: server.ask("/props")[1]["is_sleeping"])
        assert server.end() == 0


def test_why_it_does_not_start_is_in_its_log(path, tmp_path):
    log = tmp_path / "log"
    options = ["--max-total-tokens", "100000", "--log-jsonl", "--log-file", str(log)]
    with server_process("-m", path, *options, is_ready=False) as server:
        assert server.process.wait(PATIENCE) == 1
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        assert "100000: the context has" in lines[-1]["message"] and lines[-1]["level"] == "ERROR"
        assert [json.loads(line) for line in log.read_text().splitlines()] == lines


def test_fault_79_with_few_files_it_takes_few_connections_and_goes_on(path):
    with server_process("-m", path, n_files=64) as server:
        clients = []
        try:
            for _ in range(100):
                clients.append(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
                clients[-1].sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert clients[0].recv(100).startswith(b"HTTP/1.1 200")
        finally:
            for client in clients:
                client.close()
        wait_until(lambda: server.health() == 200)
        assert server.end() == 0


def test_fault_79_with_too_few_it_says_so(path):
    with server_process("-m", path, is_ready=False, n_files=12) as server:
        assert server.process.wait(PATIENCE) == 2
        assert "error: only 12 files may be open here" in server.log.read_text()


def test_fault_77_what_runs_may_end_when_the_server_is_told_to(path):
    with server_process("-m", path, "-c", "256") as server:
        texts = []
        stream = server.stream({**ENDLESS, "n_predict": 200})
        texts.append(next(stream)["content"])
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.health() == 503 or len(texts) > 200)
        assert server.ask("/completion", {"prompt": "Hello"})[0] == 503
        *_, last = stream
        assert last["stop"]
        assert last["tokens_predicted"] == 200
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("way", ["late", "twice", pytest.param("ctrl-c twice", marks=pytest.mark.slow)])
def test_fault_77_what_does_not_end_ends_with_an_error(path, way):
    grace = "0.3" if way == "late" else "600"
    with server_process("-m", path, "-c", "256", "--context-shift", "-g", grace) as server:
        events, thread = endless(server)
        number = signal.SIGINT if way == "ctrl-c twice" else signal.SIGTERM
        server.process.send_signal(number)
        if way != "late":
            wait_until(lambda: server.health() == 503)
            server.process.send_signal(number)
        assert server.process.wait(PATIENCE) == 0
        thread.join(PATIENCE)
        assert events[-1]["error"]["message"] == "the server ends"


def test_fault_77_sighup_and_sigpipe_mean_nothing(running):
    for number in (signal.SIGHUP, signal.SIGPIPE):
        running.process.send_signal(number)
        os.kill(running.engine, number)
    time.sleep(0.1)
    assert running.ask("/completion", {"prompt": "Hello", "n_predict": 2})[0] == 200


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGBUS, signal.SIGSEGV))]
)
def test_fault_78_an_engine_that_dies_is_started_again(running, number):
    events, thread = endless(running)
    engine = running.engine
    os.kill(engine, number)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert signal.Signals(number).name in events[-1]["error"]["message"]
    wait_until(lambda: running.health() in (200, 503))
    running.wait_until_ready()
    assert running.engine != engine
    assert running.ask("/completion", {"prompt": "Hello", "n_predict": 2})[0] == 200


def test_fault_78_until_it_is_back_the_server_is_not_ready_but_alive(running):
    engine = running.engine
    os.kill(engine, signal.SIGKILL)
    wait_until(lambda: running.health() == 503)
    status, answer = running.ask("/completion", {"prompt": "Hello"})
    assert (status, answer["error"]["type"]) == (503, "unavailable_error")
    assert running.ask("/live")[0] == 200
    running.wait_until_ready()


@pytest.mark.slow
def test_fault_38_a_file_that_shrinks_ends_no_server(path, tmp_path):
    copy = Path(shutil.copy(path, tmp_path / "model.gguf"))
    whole = copy.read_bytes()
    with server_process("-m", copy) as server:
        os.truncate(copy, len(whole) // 2)
        os.kill(server.engine, signal.SIGBUS)
        wait_until(lambda: "the file at" in server.log.read_text())
        assert server.health() == 503
        copy.write_bytes(whole)
        server.wait_until_ready()
        assert server.ask("/completion", {"prompt": "Hello", "n_predict": 2})[0] == 200


def test_an_engine_ends_with_its_server(path):
    with server_process("-m", path) as server:
        engine = server.engine
        server.process.kill()
        wait_until(lambda: not Path(f"/proc/{engine}").exists())


def test_the_log_holds_no_prompts_and_tells_requests(running):
    running.ask("/completion", {"prompt": "a secret of mine", "n_predict": 1})
    wait_until(lambda: "POST /completion 200" in running.log.read_text())
    assert "secret" not in running.log.read_text()


@pytest.mark.slow
def test_options_come_from_the_environment_and_flags_win(path):
    with server_process("-m", path, "--alias", "mine", LLAMA_ARG_ALIAS="theirs", LLAMA_ARG_N_PREDICT="4") as server:
        status, answer = server.ask("/v1/completions", {"prompt": "Hello", "ignore_eos": True})
        assert (status, answer["model"], answer["usage"]["completion_tokens"]) == (200, "mine", 4)
        assert json.dumps(server.ask("/v1/models")[1]).count("theirs") == 0


def test_an_engine_without_work_sleeps_and_wakes_for_the_next_request(path):
    ask = {"prompt": "Hello", "n_predict": 4, "seed": 1}
    with server_process("-m", path, "--sleep-idle-seconds", "1", "--metrics") as server:
        _, before = server.ask("/completion", ask)
        engine = server.engine
        wait_until(lambda: server.ask("/props")[1]["is_sleeping"])
        wait_until(lambda: not Path(f"/proc/{engine}").exists())
        for route in ("/health", "/models", "/props"):
            assert server.ask(route)[0] == 200  # these let it sleep
        assert server.ask("/props")[1]["is_sleeping"]
        status, after = server.ask("/completion", ask)
        assert (status, after["content"]) == (200, before["content"])
        assert not server.ask("/props")[1]["is_sleeping"]
        wait_until(lambda: server.ask("/props")[1]["is_sleeping"])
        assert server.end() == 0  # while it sleeps


def test_the_web_process_imports_nothing_that_computes():
    # Each of these would make the server ready 0.1 s later; the engine's process has them.
    code = "import sys, llamakit.server.launch; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "fastapi" in loaded
    computing = ("llvmlite", "llamakit.core.kernels", "llamakit.core.graph", "llamakit.core.models")
    assert [name for name in loaded if name.startswith(computing)] == []
