#!/usr/bin/env python
"""JSON schemas with valid and invalid instances: is each judged rightly, and how long do grammar and masks take?

    python scripts/bench_grammar.py FOLDER [--vocab MODEL.gguf | tokenizer.json] [--limit N] [--verbose]

FOLDER holds files of JSON Schema Bench's mask part ({"schema": ..., "tests": [{"valid": ..., "data": ...}]}), or
bare schemas, which are only compiled. Of each valid instance every token must be in its mask. Times are those of the
processor: others may keep the machine busy.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_rules import schema_rules
from llamakit.core.grammar.trie import Vocabulary, trie_of


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vocab", type=Path, help="GGUF file or tokenizer.json; without it, no masks are made")
    parser.add_argument("--limit", type=int, help="only the first N schemas")
    parser.add_argument("--verbose", action="store_true", help="a line for each schema")
    options = parser.parse_args()
    vocab = open_vocabulary(options.vocab) if options.vocab else None
    Grammar(schema_rules(True)).matches("1")  # loads the kernels
    if vocab is not None:
        trie_of(vocab)
    results = []
    for path in sorted(options.folder.rglob("*.json"))[: options.limit]:
        result = try_schema(path, vocab)
        results.append(result)
        if result.problem or options.verbose:
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
