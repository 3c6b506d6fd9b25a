"""Clients of one scheduler, in process: tokens a second, time to the first token, and where a step's time goes.

Each of N clients sends a prompt of its own and reads the answer, all at once, round after round. "total" counts tokens
of prompts and answers, as llama.cpp's batched bench does. CPU seconds tell what a busy machine would otherwise hide:
with nobody else about, wall time is CPU time over the number of threads.

    python scripts/bench_scheduler.py MODEL [--clients 1,4,8,16] [--prompt 128] [--new 64] [--threads 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import statistics
import time
from collections.abc import Callable

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model, load_model
from llamakit.core.engine.scheduler import Job, Request
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams


def main() -> None:
    options = parse()
    model = load_model(options.model)
    for n in options.clients:
        n_ctx = n * (options.prompt + options.new + 64)
        with Context(model, n_ctx=n_ctx, n_seq_max=n, n_threads=options.threads) as context:
            measure(model, context, n, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 8, 16])
    for name, value in {"prompt": 128, "new": 64, "threads": 2, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--greedy", action="store_true", help="temperature 0 instead of the usual sampling")
    parser.add_argument("--profile", action="store_true", help="where the scheduler's thread spends its time")
    return parser.parse_args()


def measure(model: Model, context: Context, n_clients: int, options: argparse.Namespace) -> None:
    rng = random.Random(0)

    def request() -> Request:
        tokens = [rng.randrange(3, context.n_vocab) for _ in range(options.prompt)]
        params = SamplingParams(
            ignore_eos=True, **({"temperature": 0.0} if options.greedy else {"seed": rng.randrange(1 << 31)})
        )
        return Request(tokens, Sampler(params, context.n_vocab, model.vocab.eog_ids), n_predict=options.new)

    with Scheduler(context, model.vocab) as scheduler:
        run_round(scheduler, [request() for _ in range(n_clients)])
        if options.profile:
            print_profile(scheduler, lambda: run_round(scheduler, [request() for _ in range(n_clients)]))
            return
        walls, cpus, firsts, gaps = [], [], [], []
        before = scheduler.stats().counters
        for _ in range(options.rounds):
            requests = [request() for _ in range(n_clients)]
            wall, cpu, jobs = run_round(scheduler, requests)
            walls.append(wall)
            cpus.append(cpu)
            firsts += [job.usage.first_drawn - job.usage.submitted for job in jobs]
            gaps += [(job.usage.ended - job.usage.first_drawn) / max(1, job.usage.n_drawn - 1) for job in jobs]
        done = scheduler.stats().counters
    n_tokens = n_clients * (options.prompt + options.new)
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    draw = (done.n_drawn - before.n_drawn) / (done.draw_seconds - before.draw_seconds)
    prompt = (done.n_prompt - before.n_prompt) / (done.prompt_seconds - before.prompt_seconds)
    print(
        f"{n_clients:3} clients: {n_tokens / wall:7.0f} t/s total, "
        f"{n_tokens * options.threads / cpu:7.0f} by CPU time; "
        f"steps: prompt {prompt:6.0f} t/s, drawing {draw:6.0f} t/s; first token median "
        f"{1000 * statistics.median(firsts):5.0f} ms, latest {1000 * max(firsts):5.0f}; "
        f"then {1000 * statistics.median(gaps):5.1f} ms a token",
        flush=True,
    )


def run_round(scheduler: Scheduler, requests: list[Request]) -> tuple[float, float, list[Job]]:
    """Seconds, CPU seconds of this process, jobs."""
    wall, cpu = time.perf_counter(), time.process_time()
    jobs = scheduler.submit_many(requests)
    for job in jobs:
        for _ in job.pieces():
            pass
    return time.perf_counter() - wall, time.process_time() - cpu, jobs


def print_profile(scheduler: Scheduler, run: Callable[[], object]) -> None:
    profiler = cProfile.Profile(time.thread_time)  # others do not count
    scheduler.between_steps(profiler.enable)
    run()
    scheduler.between_steps(profiler.disable)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
