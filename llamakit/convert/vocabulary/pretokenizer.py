r"""The rules by which a tokenizer cuts texts before merging: found by what they do, not by how they are written.

tokenizer.json says its rules as regular expressions, which are spelt in many ways. So its rules and all named ones
(`core/vocab/pretokenizers.py`) cut one text full of traps; the name whose cuts are the same is the name. Where none is,
the expressions themselves go into the file (`llamakit.pre.regex`), beside the name of the rules that came nearest.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.core.vocab.pretokenizers import split_rule
from llamakit.errors import VocabError

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

log = logging.getLogger(__name__)

Cuts = frozenset[tuple[int, int]]

# One name for each set of rules, the best known first.
NAMES = (
    "gpt-2", "llama-bpe", "qwen2", "starcoder", "deepseek-v3", "tekken", "gpt-4o", "qwen35", "deepseek-llm",
    "deepseek-coder", "falcon", "bloom", "viking", "kimi-k2", "chameleon", "bailingmoe", "seed-coder", "minicpm5",
    "exaone-moe", "superbpe", "jais-2", "youtu", "tiny_aya", "afmoe", "laguna", "spark2_5", "ufakzeka",
    "granite-embed-multi-97m", "default",
)  # fmt: skip

# Well-known expressions: llama.cpp's rules of these names cut a few texts otherwise, the names are right all the same.
_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER, _REST = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_BY_TEXT = {
    rf"{_WORD}*{_LOWER}+|{_WORD}+{_LOWER}*|\p{{N}}|{_REST}": "tekken",
    rf"{_WORD}*{_LOWER}+{_ENDINGS}|{_WORD}+{_LOWER}*{_ENDINGS}|\p{{N}}{{1,3}}|{_REST}": "gpt-4o",
}

_UNCLEAN = {"starcoder": "smollm"}  # the same rules for tokenizers that leave spaces before punctuation alone

TRAPS = (
    "Hello, it's WE'LL they'Re I'D don't 'tis x'd 'REally o'sullivan\n\n\n  \t tabs\t\tand   spaces \r\n \n end\r\r"
    " 3 33 333 3333 33333333 1,234.5 2x4 ٣٤٥٦ Ⅷ² "
    "CamelCaseABCdEf ÄÖÜß École naïve éa e\u0301clair Ångström ǅungla ʰʰ "
    "!!! ... ?!\n ---/ http://a.b/c_d?e=f&g=$1+2 <tag> `code` {x|y} ^~ ¿qué? “q” ‘r’ —/\n/// "
    "漢字かなカナ混じり、文。 中文３个字 한국어 ㄱㄴ ไทยภาษา العربية، हिन्दी। ລາວ ខ្មែរ မြန် "
    "🙂👍🏽 a\u200bb \u3000全角　空白 € ™ ́x  IMGIMGABZ <sentinel:12>\n  x  \n\n y\u00a0z…  "
)


@dataclass(frozen=True, slots=True)
class Found:
    """A name, and the file's own expressions where no name is right."""

    name: str
    patterns: tuple[str, ...] | None = None


def find_pretokenizer(files: TokenizerFiles) -> Found:
    """The rules of tokenizer.json. Warns, but never fails, for those that are not known."""
    given = files.part("pre_tokenizer")
    if not given:
        return Found("default")
    cuts, patterns = _own_cuts(files, _build(files, given)), expressions(given)
    if patterns and patterns[0] in _BY_TEXT and len(patterns) == 1:
        name = _BY_TEXT[patterns[0]]
        return Found(name, None if _named_cuts(name) == cuts else patterns)
    for name in NAMES:
        if _named_cuts(name) == cuts:
            is_unclean = files.settings.get("clean_up_tokenization_spaces") is False
            return Found(_UNCLEAN.get(name, name) if is_unclean else name)
    nearest = max(NAMES, key=lambda name: len(_named_cuts(name) & cuts) / len(_named_cuts(name) | cuts))
    if patterns is None:
        log.warning(
            "the tokenizer cuts texts by rules that have no name and are no regular expressions; %s comes nearest",
            nearest,
        )
        return Found(nearest)
    log.warning(
        "the tokenizer cuts texts by rules of its own: written as llamakit.pre.regex; other programs take those of %s",
        nearest,
    )
    return Found(nearest, patterns)


def expressions(given: dict[str, Any]) -> tuple[str, ...] | None:
    """The rules as expressions, each cutting a text into its matches and what lies between; None where one is none."""
    found: list[str] = []
    for step in given.get("pretokenizers", [given]):
        kind = step.get("type")
        if (
            kind == "Split"
            and step.get("behavior") in ("Isolated", "Removed")
            and isinstance(step.get("pattern"), dict)
        ):
            # What "Removed" and "invert" remove lies between matches that hold all of the text, or is none.
            regex, text = step["pattern"].get("Regex"), step["pattern"].get("String")
            found.append(regex if isinstance(regex, str) else _literal(str(text)))
        elif kind == "ByteLevel":
            if step.get("use_regex", True):
                found += split_rule("gpt-2").patterns
        elif kind == "Digits":
            found.append(r"\p{N}" if step.get("individual_digits") else r"\p{N}+")
        elif kind == "Punctuation" and step.get("behavior", "Isolated") == "Isolated":
            found.append(r"[\p{P}\$\+<=>\^~\|`]")
        else:
            return None
    return tuple(found)


def _literal(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\.^$*+?{}[]|()" else c for c in text)


def _build(files: TokenizerFiles, given: dict[str, Any]) -> PreTokenizer:
    from tokenizers import Tokenizer

    model = {"type": "BPE", "vocab": {}, "merges": []}
    try:
        built = Tokenizer.from_str(json.dumps({"version": "1.0", "pre_tokenizer": given, "model": model}))
    except Exception as error:  # the library raises bare Exceptions
        raise files.error(f"pre_tokenizer: {str(error)[:160]}") from None
    splitter: PreTokenizer | None = built.pre_tokenizer
    if splitter is None:
        raise VocabError(f"{files.folder}: the pre-tokenizer is empty")
    return splitter


def _own_cuts(files: TokenizerFiles, splitter: PreTokenizer) -> Cuts:
    try:
        return _cuts(splitter)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what the library throws is no Exception, and has no name
            raise
        raise files.error(f"pre_tokenizer gives up on a text of {len(TRAPS)} letters: {str(error)[:120]}") from None


@cache
def _named_cuts(name: str) -> Cuts:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Sequence, Split

    return _cuts(Sequence([Split(Regex(pattern), "isolated") for pattern in split_rule(name).patterns]))


def _cuts(splitter: PreTokenizer) -> Cuts:
    return frozenset(span for _, span in splitter.pre_tokenize_str(TRAPS))
