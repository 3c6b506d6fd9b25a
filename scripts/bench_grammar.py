#!/usr/bin/env python
"""JSON schemas with valid and invalid instances: is each judged rightly, and how long do grammar and masks take?

    python scripts/bench_grammar.py FOLDER [--vocab MODEL.gguf | tokenizer.json] [--limit N] [--verbose]
    python scripts/bench_grammar.py --model MODEL.gguf [--rounds N]

FOLDER holds files of JSON Schema Bench's mask part ({"schema": ..., "tests": [{"valid": ..., "data": ...}]}), or
bare schemas, which are only compiled. Of each valid instance every token must be in its mask. Times are those of the
processor: others may keep the machine busy. With --model: what grammars/json.gbnf costs a model that writes, in rounds
with and without it by turns.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_rules import schema_rules
from llamakit.core.grammar.trie import Vocabulary, trie_of
from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import Model


N_TOKENS = 128  # of a round
PROMPT = """Persons as JSON, one a line.

{"name": "Ann Miller", "age": 31, "address": {"city": "Leeds", "street": "Mill Lane"}, "friends": ["Bob", "Eve"]}
"""


class TokenizerFile:
    """A byte-level tokenizer.json as a vocabulary."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        content = json.loads(path.read_text(encoding="utf-8"))
        special = {t["id"]: t["content"] for t in content["added_tokens"]}
        texts: dict[str, int] = content["model"]["vocab"]
        self.tokenizer = Tokenizer.from_str(json.dumps(content))
        self.n_tokens = 1 + max(*texts.values(), *special)
        self.eog_ids = frozenset(t for t, text in special.items() if "end" in text or "eot" in text or "eom" in text)
        letters = byte_letters()
        self.pieces = [b""] * self.n_tokens
        for text, token in texts.items():
            self.pieces[token] = b"" if token in special else bytes(letters[c] for c in text)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return self.pieces[token]

    def encode(self, text: str | bytes, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        return self.tokenizer.encode(str(text), add_special_tokens=False).ids


def byte_letters() -> dict[str, int]:
    """The letters that GPT-2's tokenizer writes bytes with."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


def open_vocabulary(path: Path) -> Vocabulary:
    if path.suffix == ".json":
        return TokenizerFile(path)
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.core.vocab.base import load_vocab

    with GGUFReader(path) as reader:
        return load_vocab(reader.metadata)


@dataclass
class Result:
    """Of one schema; times in microseconds."""

    name: str
    problem: str = ""
    compiled: float = 0.0
    first: float = 0.0
    masks: list[float] = field(default_factory=list)
    accepts: list[float] = field(default_factory=list)


def now() -> float:
    return time.thread_time() * 1e6


def try_schema(path: Path, vocab: Vocabulary | None) -> Result:
    result = Result(path.stem)
    content = json.loads(path.read_text(encoding="utf-8"))
    is_test = isinstance(content, dict) and "schema" in content and "tests" in content
    start = now()
    try:
        grammar = Grammar(schema_rules(content["schema"] if is_test else content))
        result.compiled = now() - start
        if vocab is not None:
            first_mask(grammar, vocab, result)
        for test in content["tests"] if is_test else ():
            try_instance(grammar, test, vocab, result)
    except GrammarError as error:
        result.problem = f"refused: {error}"
    return result


def first_mask(grammar: Grammar, vocab: Vocabulary, result: Result) -> None:
    mask = np.empty(trie_of(vocab).n_words, np.uint32)
    start = now()
    grammar.matcher(vocab).fill_mask(mask)
    result.first = result.compiled + now() - start


def try_instance(grammar: Grammar, test: dict[str, Any], vocab: Vocabulary | None, result: Result) -> None:
    text = json.dumps(test["data"], ensure_ascii=False)
    if grammar.matches(text) != test["valid"]:
        result.problem = f"{'rejects valid' if test['valid'] else 'accepts invalid'}: {text[:100]}"
    if vocab is None:
        return
    matcher = grammar.matcher(vocab)
    mask = np.empty(matcher.trie.n_words, np.uint32)
    for token in [*vocab.encode(text, add_special=False), min(vocab.eog_ids)]:
        start = now()
        matcher.fill_mask(mask)
        result.masks.append(now() - start)
        is_allowed = bool(mask[token // 32] >> np.uint32(token % 32) & 1)
        if is_allowed != matcher.allows(token):
            result.problem = f"mask and matcher disagree about token {token} in {text[:100]}"
        if not is_allowed:
            if test["valid"]:
                result.problem = f"token {token} is not in the mask in {text[:100]}"
            return
        start = now()
        matcher.accept(token)
        result.accepts.append(now() - start)
    if not test["valid"]:
        result.problem = f"accepts invalid, by tokens: {text[:100]}"


def summary(name: str, values: Iterable[float]) -> str:
    found = np.array([*values])
    p50, p99 = np.percentile(found, [50, 99])
    columns = {"mean": found.mean(), "p50": p50, "p99": p99, "max": found.max()}
    return f"{name:12} n {len(found):6}" + "".join(f"  {key} {value:9.1f}" for key, value in columns.items()) + " us"


def measure_model(path: Path, n_rounds: int) -> None:
    """Tokens drawn with and without a grammar, on the same context."""
    from llamakit.api.grammar import LlamaGrammar
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import load_model

    grammar = LlamaGrammar.from_file(Path(__file__).parents[1] / "grammars" / "json.gbnf")
    model = load_model(path)
    with Context(model, n_ctx=512) as context:
        write(context, model, grammar, 0)  # compiles, and fills what is kept of the grammar
        rounds = [(write(context, model, None, i), write(context, model, grammar, i)) for i in range(n_rounds)]
    for i, name in enumerate(("wall", "processor", "sampling")):
        free, bound = (median(pair[which][i] for pair in rounds) for which in (0, 1))
        change = median(pair[1][i] / pair[0][i] - 1 for pair in rounds)
        print(f"{name:10} free {free:7.0f} us, JSON {bound:7.0f} us a token; median change {100 * change:+.1f} %")


def write(context: Context, model: Model, grammar: Grammar | None, seed: int) -> tuple[float, float, float]:
    """Time of a token by the wall's clock and the processor's, and by the wall's what sampling takes of it; us."""
    sampler = Sampler(SamplingParams(seed=seed), model.n_vocab, constraint=grammar and grammar.matcher(model.vocab))
    context.truncate(0)
    logits = context.prefill(model.vocab.encode(PROMPT))
    sampling = 0.0
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(N_TOKENS):
        start = time.perf_counter()
        token = sampler.sample(logits)
        sampler.accept(token)
        if grammar is not None and model.vocab.is_eog(token):
            sampler.constraint = grammar.matcher(model.vocab)
        sampling += time.perf_counter() - start
        logits = context.step(token)
    times = (time.perf_counter() - wall, time.process_time() - processor, sampling)
    return (times[0] * 1e6 / N_TOKENS, times[1] * 1e6 / N_TOKENS, times[2] * 1e6 / N_TOKENS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--vocab", type=Path, help="GGUF file or tokenizer.json; without it, no masks are made")
    parser.add_argument("--limit", type=int, help="only the first N schemas")
    parser.add_argument("--verbose", action="store_true", help="a line for each schema")
    parser.add_argument("--model", type=Path, help="GGUF file to write with")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    if options.model:
        measure_model(options.model, options.rounds)
    if options.folder:
        measure_schemas(options.folder, options.vocab, options.limit, options.verbose)


def measure_schemas(folder: Path, vocab_file: Path | None, limit: int | None, is_verbose: bool) -> None:
    vocab = open_vocabulary(vocab_file) if vocab_file else None
    Grammar(schema_rules(True)).matches("1")  # loads the kernels
    if vocab is not None:
        trie_of(vocab)
    results = []
    for path in sorted(folder.rglob("*.json"))[:limit]:
        result = try_schema(path, vocab)
        results.append(result)
        if result.problem or is_verbose:
            slowest = max(result.masks, default=0.0)
            times = f"compiled {result.compiled:.0f} us, slowest mask {slowest:.0f} us"
            print(f"{result.name}: {result.problem or 'right'} ({times})")
    n_right = sum(not r.problem for r in results)
    print(f"{n_right} of {len(results)} schemas right, {sum(r.problem.startswith('refused') for r in results)} refused")
    print(summary("compile", (r.compiled for r in results if r.compiled)))
    if vocab is not None:
        print(summary("first mask", (r.first for r in results if r.first)))
        print(summary("mask", (m for r in results for m in r.masks)))
        print(summary("accept", (a for r in results for a in r.accepts)))


if __name__ == "__main__":
    main()
