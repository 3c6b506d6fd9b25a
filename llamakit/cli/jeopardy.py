"""`llamakit jeopardy`: clues for a model to answer, as in llama.cpp's example."""

from __future__ import annotations

import json as json_module
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.tools.evaluation.jeopardy import Clue


def jeopardy(
    *,
    source: NamedModelOptions,
    questions: Annotated[
        str | None,
        option("-f", "--questions", help="File with a clue a line, or a CSV: category, right answer, clue."),
    ] = None,
    prefix: Annotated[str, option("--prefix", help="What a turn begins with.")] = "Human: ",
    n_predict: Annotated[int, option("-n", "--predict", "--n-predict", help="Tokens of an answer.")] = 80,
    temperature: o.Temperature = 0.0,
    threads: o.Threads = -1,
    output: Annotated[
        str | None, option("-o", "--output", panel=OUTPUT, help="Write the answers to a file, as the example did.")
    ] = None,
    json: Annotated[bool, option("--json", panel=OUTPUT, help="Print JSON.")] = False,
    verbose: o.Verbose = False,
) -> None:
    """Let a model answer clues, several at once, and count the right answers where the file has them."""
    from llamakit.api.llama import Llama
    from llamakit.core.gguf.output import file_for
    from llamakit.tools.evaluation.jeopardy import is_right, read_clues

    if questions is None:
        raise InvalidArgument("-f: which clues? A file with one a line, or a CSV: category, right answer, clue")
    if n_predict < 1:
        raise InvalidArgument(f"-n: {n_predict} is not a number of tokens")
    clues = read_clues(questions)
    answers: list[str] = []
    with file_for(output) as write, progress() as report:
        path = source.path(report)
        n_threads = threads if threads > 0 else None
        with Llama(path, n_ctx=4096, n_threads=n_threads, verbose=False) as llm, ThreadPoolExecutor(16) as pool:

            def ask(clue: Clue) -> str:
                return answer_of(llm, clue, prefix, n_predict, temperature)

            for answer in pool.map(ask, clues):
                answers.append(answer)
                if report is not None:
                    report("clues", len(answers), len(clues))
        pairs = list(zip(clues, answers, strict=True))
        write("".join(f"{clue.text}\n{answer}\n------\n" for clue, answer in pairs).encode())
    verdicts = [is_right(answer, clue.right) if clue.right else None for clue, answer in pairs]
    n_right, n_judged = sum(map(bool, verdicts)), sum(verdict is not None for verdict in verdicts)
    if json:
        told = [
            {"category": clue.category, "clue": clue.text, "right": clue.right, "answer": answer, "is_right": verdict}
            for clue, answer, verdict in zip(clues, answers, verdicts, strict=True)
        ]
        print(json_module.dumps({"answers": told, "n_right": n_right, "n_judged": n_judged}, indent=2))
        return
    for clue, answer, verdict in zip(clues, answers, verdicts, strict=True):
        mark = {True: "right", False: f"wrong: {clue.right}", None: ""}[verdict]
        sys.stdout.write(f"{clue.text}\n  {answer}\n" + (f"  ({mark})\n" if mark else ""))
    if n_judged:
        sys.stdout.write(f"{n_right} of {n_judged} right\n")


def answer_of(llm: Llama, clue: Clue, prefix: str, n_predict: int, temperature: float) -> str:
    """By the model's chat template, or where it has none, with the prefix that turns begin with."""
    from llamakit.tools.evaluation.jeopardy import prompt_of

    options: dict[str, Any] = {"max_tokens": n_predict, "temperature": temperature, "seed": 1}
    if "tokenizer.chat_template" in llm.metadata:
        messages = [{"role": "user", "content": prompt_of(clue, "")}]
        answer = llm.create_chat_completion(messages, **options)["choices"][0]["message"]["content"]
    else:
        made = llm.create_completion(prompt_of(clue, prefix), stop=[f"\n{prefix}"], **options)
        assert isinstance(made, dict)
        answer = made["choices"][0]["text"]
    return str(answer or "").strip()
