"""What the library costs: `Llama.create_completion` against the engine's own loop, and many threads on one `Llama`
against the scheduler alone. Rounds take turns; medians.

    python scripts/bench_api.py [-m MODEL] [-n 128] [-r 7] [--threads 64]
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from llamakit import Llama
from llamakit.api.completion import Wanted
from llamakit.core.engine.context import Context
from llamakit.core.engine.generate import Session, generate
from llamakit.core.engine.load import load_model
from llamakit.core.engine.scheduler import Scheduler
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.vocab.stream import TextStream
from llamakit.tools.pull import resolve

PROMPT = "The quick brown fox jumps over the lazy dog, and then"
PARAMS = SamplingParams(temperature=0.8, seed=1, ignore_eos=True)


def engine_seconds(context: Context, n: int) -> float:
    """The token loop of `llamakit run`, without anything around it."""
    vocab = context.model.vocab
    sampler = Sampler(PARAMS, context.n_vocab, vocab.eog_ids, vocab=vocab)
    context.truncate(0)
    begin = time.perf_counter()
    session = Session(context, vocab, sampler, TextStream(vocab))
    n_said = sum(1 for _ in generate(session, vocab.encode(PROMPT), n))
    assert n_said == n
    return time.perf_counter() - begin


def api_seconds(llm: Llama, n: int, is_stream: bool) -> float:
    begin = time.perf_counter()
    wanted = Wanted(tuple(llm.vocab.encode(PROMPT)), PARAMS, n_predict=n)
    sayer = llm.say(wanted)
    for _ in sayer.parts():
        pass
    if not is_stream:
        assert sayer.n_tokens == n
    return time.perf_counter() - begin


def together(llm: Llama, n_threads: int, n: int) -> float:
    """Tokens a second of many threads, each with a prompt of its own."""

    def say(i: int) -> int:
        params = SamplingParams(temperature=0.8, seed=i, ignore_eos=True)
        sayer = llm.say(Wanted(tuple(llm.vocab.encode(f"{i}. {PROMPT}")), params, n_predict=n))
        for _ in sayer.parts():
            pass
        return sayer.n_tokens

    begin = time.perf_counter()
    with ThreadPoolExecutor(n_threads) as pool:
        n_all = sum(pool.map(say, range(n_threads)))
    return n_all / (time.perf_counter() - begin)


def scheduler_alone(scheduler: Scheduler, n_jobs: int, n: int) -> float:
    """The same, without the library."""
    from llamakit.core.engine.scheduler import Request

    vocab = scheduler.vocab
    requests = [
        Request(
            tuple(vocab.encode(f"{i}. {PROMPT}")),
            Sampler(SamplingParams(temperature=0.8, seed=i, ignore_eos=True), scheduler.context.n_vocab, vocab.eog_ids),
            n_predict=n,
        )
        for i in range(n_jobs)
    ]
    begin = time.perf_counter()
    jobs = scheduler.submit_many(requests)
    n_all = sum(1 for job in jobs for _ in job.pieces())
    return n_all / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="demo")
    parser.add_argument("-n", type=int, default=128, help="tokens a text")
    parser.add_argument("-r", "--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=64)
    options = parser.parse_args()
    path = resolve(options.model)
    with load_model(path) as model, Context(model, n_ctx=4096) as context:
        with Llama(path, n_ctx=4096, verbose=False) as llm:
            api_seconds(llm, options.n, False), engine_seconds(context, options.n)
            ratios = []
            for _ in range(options.rounds):
                engine, api = engine_seconds(context, options.n), api_seconds(llm, options.n, False)
                ratios.append(api / engine)
                rates = f"engine {options.n / engine:6.1f} t/s, create_completion {options.n / api:6.1f} t/s"
                print(f"{rates}, x{api / engine:.3f}")
            print(f"create_completion takes {100 * (statistics.median(ratios) - 1):+.1f} % (median)")
    shares = []
    with Llama(path, n_ctx=16384, verbose=False) as llm:
        together(llm, options.threads, 8)
        for _ in range(max(2, options.rounds // 2)):
            alone = scheduler_alone(llm.shared.scheduler(), options.threads, options.n // 2)
            many = together(llm, options.threads, options.n // 2)
            shares.append(many / alone)
            print(f"scheduler {alone:7.1f} t/s, {options.threads} threads {many:7.1f} t/s, x{many / alone:.3f}")
    print(f"{options.threads} threads have {statistics.median(shares):.2f} of the scheduler's rate (median)")


if __name__ == "__main__":
    main()
