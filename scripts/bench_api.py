"""What the library costs: `Llama.create_completion` against the engine's own loop, and many threads on one `Llama`,
whole texts and streams, against the scheduler alone. Short rounds take turns; medians, the range of the rounds, and the
quick rounds (upper fifth) against each other, which say more where others use the machine now and then.

"Beside the decoding" is what a way takes longer than the calls of the model in it: both are of the same seconds, so
neither other users nor the memory's moods make a difference. What the library costs is how much larger it is there.

    python scripts/bench_api.py [-m MODEL] [-n 32] [-r 15] [--threads 64]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from llamakit import Llama
from llamakit.core.engine.context import Chunk, Context, Floats
from llamakit.core.engine.generate import Session, generate
from llamakit.core.engine.load import load_model
from llamakit.core.engine.programs import Programs
from llamakit.core.engine.scheduler import Request
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.vocab.stream import TextStream
from llamakit.tools.pull import resolve

PROMPT = "The quick brown fox jumps over the lazy dog, and then"
NEVER = -1e9  # a bias


def engine(context: Context, n: int) -> int:
    """The token loop of `llamakit run`, without anything around it."""
    vocab = context.model.vocab
    params = SamplingParams(temperature=0.8, seed=1, ignore_eos=True)
    sampler = Sampler(params, context.n_vocab, vocab.eog_ids, vocab=vocab)
    context.truncate(0)
    session = Session(context, vocab, sampler, TextStream(vocab))
    return sum(1 for _ in generate(session, vocab.encode(PROMPT), n))


def library(llm: Llama, prompt: str, seed: int, n: int, is_stream: bool = False) -> int:
    bias = dict.fromkeys(llm.vocab.eog_ids, NEVER)
    options = {"max_tokens": n, "temperature": 0.8, "seed": seed, "logit_bias": bias}
    if is_stream:
        for _ in llm.create_completion(prompt, stream=True, **options):
            pass
        return n
    return int(llm.create_completion(prompt, **options)["usage"]["completion_tokens"])


def many_threads(llm: Llama, pool: ThreadPoolExecutor, n_threads: int, n: int, is_stream: bool) -> int:
    """Each with a prompt of its own."""
    return sum(pool.map(lambda i: library(llm, f"{i}. {PROMPT}", i, n, is_stream), range(n_threads)))


def scheduler_alone(scheduler: Scheduler, n_jobs: int, n: int) -> int:
    """The same texts, without the library."""
    vocab, n_vocab = scheduler.vocab, scheduler.context.n_vocab
    requests = [
        Request(
            tuple(vocab.encode(f"{i}. {PROMPT}")),
            Sampler(SamplingParams(temperature=0.8, seed=i, ignore_eos=True), n_vocab, vocab.eog_ids),
            n_predict=n,
        )
        for i in range(n_jobs)
    ]
    return sum(1 for job in scheduler.submit_many(requests) for _ in job.pieces())


class Decoding:
    """Seconds that a context computes."""

    def __init__(self, context: Context) -> None:
        self.seconds, self._slices = 0.0, context.slices
        context.slices = self.slices  # type: ignore[method-assign]

    def slices(self, chunks: Sequence[Chunk], programs: Programs | None = None) -> Iterator[Floats]:
        iterator = self._slices(chunks, programs)
        while True:
            begin = time.perf_counter()
            rows = next(iterator, None)
            self.seconds += time.perf_counter() - begin
            if rows is None:
                return
            yield rows


def beside(ways: Mapping[str, tuple[Decoding, Callable[[], int]]], n_rounds: int) -> None:
    """Print what ways of drawing tokens take beside the decoding, and beside the first one."""
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(n_rounds):
        for name, (decoding, way) in ways.items():
            decoding.seconds, begin = 0.0, time.perf_counter()
            way()
            shares[name].append((time.perf_counter() - begin) / decoding.seconds)
    own = median(next(iter(shares.values())))
    for name, theirs in shares.items():
        share = median(theirs)
        print(f"{name}: {share - 1:+.1%} beside the decoding, {share / own - 1:+.1%} beside the first", flush=True)


def compare(ways: Mapping[str, Callable[[], int]], n_rounds: int) -> None:
    """Let ways of drawing tokens take turns, and print how fast the first one is, and the others beside it."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():  # what is done once is done now
        way()
    for i in range(n_rounds):
        names = [*ways]
        for name in names[i % len(names) :] + names[: i % len(names)]:
            begin = time.perf_counter()
            n_tokens = ways[name]()
            rates[name].append(n_tokens / (time.perf_counter() - begin))
    (first, own), *others = rates.items()
    print(f"{first}: {median(own):.1f} t/s")
    for name, theirs in others:
        shares = [b / a for a, b in zip(own, theirs, strict=True)]
        rate = f"{name}: {median(theirs):.1f} t/s, {median(shares):.3f} of that"
        quick = upper_fifth(theirs) / upper_fifth(own)
        print(f"{rate} (rounds: {min(shares):.2f} to {max(shares):.2f}); quick rounds {quick:.3f}", flush=True)


def upper_fifth(rates: list[float]) -> float:
    """The least of the fifth that is quickest."""
    return sorted(rates)[len(rates) * 4 // 5]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="demo")
    parser.add_argument("-n", type=int, default=32, help="tokens a text")
    parser.add_argument("-r", "--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=64)
    options = parser.parse_args()
    n, n_threads, path = options.n, options.threads, resolve(options.model)
    with (
        load_model(path) as model,
        Context(model, n_ctx=4096) as context,
        Llama(path, n_ctx=4096, verbose=False) as llm,
    ):
        ways = {
            "engine's own loop": lambda: engine(context, n),
            "create_completion": lambda: library(llm, PROMPT, 1, n),
            "as a stream": lambda: library(llm, PROMPT, 1, n, True),
        }
        compare(ways, options.rounds)
        decodings = [Decoding(context), Decoding(llm.shared.scheduler().context)]
        both = [decodings[0], decodings[1], decodings[1]]
        beside({name: (each, way) for each, (name, way) in zip(both, ways.items(), strict=True)}, options.rounds)
    with Llama(path, n_ctx=16384, verbose=False) as llm, ThreadPoolExecutor(n_threads) as pool:
        ways = {
            "scheduler alone": lambda: scheduler_alone(llm.shared.scheduler(), n_threads, n),
            f"{n_threads} threads, whole texts": lambda: many_threads(llm, pool, n_threads, n, False),
            f"{n_threads} threads, streams": lambda: many_threads(llm, pool, n_threads, n, True),
        }
        compare(ways, options.rounds)


if __name__ == "__main__":
    main()
