"""A model as a backend of EleutherAI's lm-evaluation-harness (extra `lm-eval`).

    python -m llamakit.api.lm_eval --model llamakit --model_args path=model.gguf,n_ctx=2048 --tasks hellaswag

Importing this module registers the model `llamakit`; the arguments are those of `Llama`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llamakit.api.completion import Wanted
from llamakit.api.said import Sayer
from llamakit.core.engine.scheduler import PromptScores, Request
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.core.engine.scheduler import Job

MOST_NEW = 256  # tokens where a task does not say
Scored = tuple[float, bool]  # log-probability of a continuation, and whether it is the likeliest one


def score_pairs(llama: Llama, pairs: Sequence[tuple[str, str]]) -> list[Scored]:
    """How likely each continuation is behind its context; an empty context is the beginning of a text."""
    wanted = [encode_pair(llama, context, continuation) for context, continuation in pairs]
    return [sum_of(*scores) for scores in score_tokens(llama, wanted)]


def encode_pair(llama: Llama, context: str, continuation: str) -> tuple[list[int], int]:
    """The tokens of both, cut in front to fit, and how many of them are the continuation's.

    Blanks at the end of the context belong to the continuation: tokens begin with them.
    """
    n_blank = len(context) - len(context.rstrip())
    context, continuation = context[: len(context) - n_blank], context[len(context) - n_blank :] + continuation
    whole = llama.vocab.encode(context + continuation)
    before = llama.vocab.encode(context) if context else whole[: 1 if whole[:1] == [llama.token_bos()] else 0]
    n = max(1, len(whole) - len(before))
    if n == len(whole):  # nothing is in front: the model's own beginning has to be
        start = llama.token_bos() if llama.token_bos() >= 0 else llama.token_eos()
        whole = [start, *whole]
    return whole[-llama.n_ctx() :], min(n, llama.n_ctx() - 1)


def score_tokens(llama: Llama, wanted: Sequence[tuple[list[int], int]]) -> list[tuple[PromptScores, int]]:
    """Scores of all tokens of each text, with the number of those that count; many texts are computed together."""
    vocab, params = llama.vocab, SamplingParams(temperature=0)
    requests = [
        Request(tuple(tokens), Sampler(params, llama.n_vocab(), vocab.eog_ids), n_predict=0, n_prompt_logprobs=1)
        for tokens, _ in wanted
    ]
    found = []
    for start in range(0, len(requests), MOST_WAITING):
        jobs = llama.shared.submit(requests[start : start + MOST_WAITING])
        found += [prompt_scores(job) for job in jobs]
    return [(scores, n) for scores, (_, n) in zip(found, wanted, strict=True)]


MOST_WAITING = 256  # texts in the scheduler's queue


def prompt_scores(job: Job) -> PromptScores:
    found = [event for event in job.events() if isinstance(event, PromptScores)]
    return found[0]


def sum_of(scores: PromptScores, n: int) -> Scored:
    last = scores.scores[-n:]
    return sum(score.logprob for score in last), all(score.likeliest[0][0] == score.token for score in last)


def score_texts(llama: Llama, texts: Sequence[str]) -> list[float]:
    """Log-probabilities of whole texts: each token sees as many before it as fit the context, at most."""
    sums = []
    for text in texts:
        tokens = llama.vocab.encode(text, add_special=False)
        start = llama.token_bos() if llama.token_bos() >= 0 else llama.token_eos()
        windows = rolling([start, *tokens], llama.n_ctx())
        sums.append(sum(sum_of(*scored)[0] for scored in score_tokens(llama, windows)))
    return sums


def rolling(tokens: Sequence[int], n_ctx: int) -> list[tuple[list[int], int]]:
    """Windows of up to n_ctx tokens, and how many at the end of each count: all but the first token once."""
    windows, done = [], 1
    while done < len(tokens):
        end = min(len(tokens), done + n_ctx - 1)
        windows.append((list(tokens[max(0, end - n_ctx) : end]), end - done))
        done = end
    return windows


def generate_until(llama: Llama, requests: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What follows each context, up to one of its texts that end it; many are drawn together."""
    sayers: list[Sayer] = []
    for context, options in requests:
        until = options.get("until") or []
        stops = tuple([until] if isinstance(until, str) else until)
        n_new = int(options.get("max_gen_toks", MOST_NEW))
        if n_new >= llama.n_ctx():
            raise UsageError(f"max_gen_toks is {n_new}, the context {llama.n_ctx()}: use a larger n_ctx")
        tokens = llama.vocab.encode(context, parse_special=True)[-(llama.n_ctx() - n_new) :]
        temperature = float(options.get("temperature", 0)) if options.get("do_sample", False) else 0.0
        params = llama.sampling_params(SamplingParams(temperature=temperature))
        sayers.append(llama.say(Wanted(tuple(tokens), params, stops, n_new, is_whole=True)))
    return ["".join(part.text for part in sayer.parts()) for sayer in sayers]


def register() -> type:
    """The class for lm-eval. Raises UsageError where it is not installed."""
    try:
        from lm_eval.api.model import LM
        from lm_eval.api.registry import register_model
    except ImportError:
        raise UsageError("lm-eval is not installed: pip install 'llamakit[lm-eval]'") from None
    from llamakit.api.llama import Llama

    @register_model("llamakit")
    class LlamakitLM(LM):  # type: ignore[misc]
        """`--model llamakit --model_args path=model.gguf,n_ctx=2048`"""

        def __init__(self, path: str, batch_size: object = None, device: object = None, **options: Any) -> None:
            super().__init__()
            self.llama = Llama(path, **{"n_ctx": 2048, "verbose": False, **options})

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> list[Scored]:
            return score_pairs(self.llama, [request.args for request in requests])

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
            return score_texts(self.llama, [request.args[0] for request in requests])

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return generate_until(self.llama, [request.args for request in requests])

        @property
        def tokenizer_name(self) -> str:
            return self.llama.model_path

        def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
            from llamakit.api.chat_formats import template_of

            template = template_of(self.llama, None)
            return template.render(chat_history, add_generation_prompt=add_generation_prompt)

    return LlamakitLM


def main() -> None:
    """lm-eval's own command line, which knows this model."""
    register()
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
