r"""Named splitting rules of BPE vocabularies (`tokenizer.ggml.pre`): how a text is cut into pieces before merging.

A rule set is a tuple of regular expressions (Oniguruma's), applied in turn: each cuts every piece made so far into its
matches and what lies between them. Upper and lower case letters are both \p{L} here, as in llama.cpp, and so is each
rule: what llama.cpp does by hand-written code instead of its expression is an expression of the same meaning.

A file may bring rules of its own under `llamakit.pre.regex`, an array of expressions; `tokenizer.ggml.pre` then only
lends its settings, where it is known. `llamakit.pre.ignore_merges` and `llamakit.pre.clean_spaces` (booleans) override
two of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llamakit.errors import VocabError

REGEX_KEY, IGNORE_MERGES_KEY = "llamakit.pre.regex", "llamakit.pre.ignore_merges"
CLEAN_SPACES_KEY = "llamakit.pre.clean_spaces"


@dataclass(frozen=True, slots=True)
class SplitRule:
    """A rule set, and the settings that come with its name."""

    patterns: tuple[str, ...]
    ignore_merges: bool = False  # a piece that is a token is emitted whole
    add_bos: bool = False
    add_sep: bool = False
    has_bos: bool = True
    clean_spaces: bool = True
    raw: bool = False  # pieces stay text: bytes are not spelt as letters
    escape_spaces: bool = False  # spaces become U+2581 first
    whole_newlines: bool = False  # a run of newlines that is a token is emitted whole
    always_bos: bool = False  # whatever the file says


_CONTRACTION = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LINES = r"\s*[\r\n]+"
_BLANKS = r"\s+(?!\S)|\s+"
_ASCII_WORD = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
_MARKED_WORD = r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
_DIGITS_1_3 = r"\p{N}{1,3}"
_DIGIT = r"\p{N}"
_HAN_KANA = "[一-龥぀-ゟ゠-ヿ]+"
_CJK = "[一-龥ࠀ-一가-퟿]+"
# Letters of the scripts that have case, as the DeepSeek tokenizer lists them.
_CASED = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼ"
    "ℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_LLAMA3 = f"{_CONTRACTION}|{_WORD}|{_DIGITS_1_3}|{_SYMBOLS}|{_LINES}|{_BLANKS}"
_QWEN2 = f"{_CONTRACTION}|{_WORD}|{_DIGIT}|{_SYMBOLS}|{_LINES}|{_BLANKS}"
# The look-behind changes no match: it keeps a long run of blanks from being searched for newlines at each of its cuts.
_JAIS2_LINES = rf"(?<![^\S\r\n]){_LINES}"
_JAIS2_BLANKS = "|".join(rf"\s{{{n}}}(?!\S)" for n in ("512", "256", "128", "64", "32", "16", "8", "4", "1,2"))


def _cased(contraction: str) -> str:
    """Words that start in upper or end in lower case; only ASCII letters are told apart."""
    lead, upper, lower = r"[^\r\n\p{L}\p{N}]?", r"((?=[\p{L}])([^a-z]))", r"((?=[\p{L}])([^A-Z]))"
    return f"{lead}{upper}*{lower}+{contraction}|{lead}{upper}+{lower}*{contraction}"


_PATH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_TEKKEN = f"{_cased('')}|{_DIGIT}|{_PATH}|{_LINES}|{_BLANKS}"
_GPT4O = f"{_cased(_CONTRACTION + '?')}|{_DIGITS_1_3}|{_PATH}|{_LINES}|{_BLANKS}"
_GRANITE_EMBED = _GPT4O.replace(r"(?=[\p{L}])", r"(?=[\p{L}\p{M}])")
_DEEPSEEK_V3 = (
    _DIGITS_1_3,
    _HAN_KANA,
    rf"{_ASCII_WORD}|{_MARKED_WORD}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_LINES}|{_BLANKS}",
)
_SPARK = (_DIGITS_1_3, _HAN_KANA, rf"{_ASCII_WORD}|{_MARKED_WORD}| ?[\p{{P}}\p{{S}}]+|[\r\n]|{_BLANKS}", _DIGIT)
_DEEPSEEK_LLM = (
    r"[\r\n]",
    rf"\s?[{_CASED}]+",
    r"\s?[!-/:-~！-／：-～‘-‟、-。]+",  # without U+3000: to llama.cpp all white space is alike
    r"(?<!\s)\s+$",  # the look-behind changes no match: it keeps a long run of blanks from being tried at each blank
    _CJK,
    r"\p{N}+",
)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
_CHAMELEON = (
    "<sentinel:[0-9]+>",
    "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
    r"([\t\n]|    |  )",
    _DIGIT,
    r"[\p{P}!-/:-@\[-`{-~]",
    _GPT2,
)
_EXAONE_MOE = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|{_DIGIT}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|{_BLANKS}"
)
_UNCASED = rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+{_CONTRACTION}?"
_YOUTU = (
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+",
    f"{_UNCASED}|{_DIGIT}|{_PATH}|{_LINES}|{_BLANKS}",
)
# Runs of digits cut in threes from the right; as in llama.cpp, the first group of a run takes the text before it along.
_FIRST_GROUP = r"(?:\p{N}{1,2}(?=(?:\p{N}{3})*+(?!\p{N}))|\p{N}{3})"
_THREES = rf"\P{{N}}++(?:{_FIRST_GROUP}|\z)|(?<!\p{{N}}){_FIRST_GROUP}|\p{{N}}{{3}}"
# The same for 0 to 9 within a run of \p{N}: cut only where a multiple of three digits follows.
_NOT_IN_THREES = r"(?:[^0-9]|(?<![0-9])[0-9]{1,2}(?=(?:[0-9]{3})*+(?![0-9])))"
_ASCII_THREES = rf"{_NOT_IN_THREES}++|[0-9]{{3}}{_NOT_IN_THREES}*+"
# U+8C48 is llama.cpp's: the compatibility ideograph U+F900 that was meant looks the same.
_ASIAN = (
    "[一-\u9fff㐀-\u4dbf\u8c48-\ufaff\u3040-ゟ゠-ヿ･-ﾟ⼀-\u2fdfเ-\u0e7f\u0e80-\u0effក-\u17ffက-႟ꩠ-ꩿꧠ-\ua9ff가-\ud7afᄀ-ᇿ]+"
)
_HAN = "一-\u9fff㐀-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ebef\uf900-\ufaff\U0002f800-\U0002fa1f"
_KIMI = (
    rf"[{_HAN}]+|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}&&[^{_HAN}]]+{_CONTRACTION}?"
    f"|{_DIGITS_1_3}|{_SYMBOLS}|{_LINES}|{_BLANKS}"
)
_NEWLINES = r"[^\n]+|[\n]+"

_RULES: dict[str, SplitRule] = {}


def _rule(names: str, *patterns: str, **settings: bool) -> None:
    rule = SplitRule(patterns, **settings)
    _RULES.update((name, rule) for name in names.split())


_rule("default", r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")
_rule("gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert", _GPT2)
_rule("mpt exaone4 olmo jais", _GPT2)
_rule("jina-v1-en jina-v2-code roberta-bpe", _GPT2, add_sep=True)
_rule("trillion granite-docling", _GPT2, clean_spaces=False)
_rule("starcoder refact codeshell exaone minerva-7b mellum2", _DIGIT, _GPT2)
_rule("smollm command-r", _DIGIT, _GPT2, clean_spaces=False)
_rule("falcon", r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")
_rule(
    "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
    _LLAMA3,
    ignore_merges=True,
    add_bos=True,
)
_rule("dbrx smaug-bpe", _LLAMA3)
_rule("chatglm-bpe", _LLAMA3, has_bos=False)
_rule("glm4 glm5", _LLAMA3, ignore_merges=True, has_bos=False)
_rule("jais-2", rf"{_CONTRACTION}|{_WORD}|{_DIGITS_1_3}|{_SYMBOLS}|{_JAIS2_LINES}|{_JAIS2_BLANKS}|\s{{1}}")
_rule("minicpm5", _DIGITS_1_3, _QWEN2.replace(r"|\p{N}|", r"|\p{N}+|"), ignore_merges=True)
_rule("qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan grok-2 solar-open", _QWEN2, clean_spaces=False)
_rule("megrez stablelm2", _QWEN2)
_rule(
    "qwen35", _QWEN2.replace(r"\p{L}+", r"[\p{L}\p{M}]+").replace(r"[^\s\p{L}", r"[^\s\p{L}\p{M}"), clean_spaces=False
)
_rule("laguna", _NEWLINES, _QWEN2, clean_spaces=False)
_rule("ufakzeka", f"{_WORD}|{_DIGIT}|{_SYMBOLS}|{_LINES}|{_BLANKS}", clean_spaces=False)
_rule(
    "seed-coder",
    rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_LINES}|{_BLANKS}",
    clean_spaces=False,
)
_rule(
    "bailingmoe bailingmoe2 llada-moe",
    rf"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|{_WORD}|{_DIGIT}|{_SYMBOLS}|\s*[\r\n]|{_BLANKS}",
    clean_spaces=False,
)
_rule("exaone-moe", _EXAONE_MOE)
_rule("tekken", _TEKKEN, ignore_merges=True, add_bos=True, clean_spaces=False)
_rule("gpt-4o llama4 kanana2 talkie minimax-m2", _GPT4O, clean_spaces=False)
_rule("granite-embed-multi-97m", _GRANITE_EMBED, ignore_merges=True, clean_spaces=False)
_rule("deepseek-llm", *_DEEPSEEK_LLM, clean_spaces=False)
_rule("deepseek-coder", r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, _DIGIT, clean_spaces=False)
_rule("deepseek-v3 hunyuan-dense hy_v4 joyai-llm", *_DEEPSEEK_V3, clean_spaces=False)
_rule("spark2_5", *_SPARK, clean_spaces=False)
_rule("poro-chat", _BLOOM, clean_spaces=False)
_rule("bloom gpt3-finnish", _BLOOM)
_rule("viking", _BLOOM, _DIGIT, clean_spaces=False)
_rule("chameleon", *_CHAMELEON, add_bos=True, clean_spaces=False)

_rule("youtu", *_YOUTU, ignore_merges=True, clean_spaces=False)
_rule("tiny_aya cohere2moe", _THREES, f"{_UNCASED}|{_DIGITS_1_3}|{_PATH}|{_LINES}|{_BLANKS}", clean_spaces=False)
_rule("kimi-k2", _KIMI, clean_spaces=False)
_rule("superbpe", r"\p{N}+", _ASCII_THREES, clean_spaces=False)
_rule("afmoe", _THREES, _ASIAN, _DEEPSEEK_V3[2], clean_spaces=False)
_rule("gemma4 granite-embed-multi-311m", _NEWLINES, raw=True, escape_spaces=True, whole_newlines=True, always_bos=True)
_rule("sarvam-moe", _NEWLINES, raw=True, escape_spaces=True, clean_spaces=False)
_rule("whitespace", r"\S+", raw=True)


def split_rule(name: str) -> SplitRule:
    """The rule set of a `tokenizer.ggml.pre` value. Raises VocabError for a name that is not known."""
    if name not in _RULES:
        raise VocabError(
            f"pre-tokenizer {name[:80]!r} is not supported (a file can bring its rules under {REGEX_KEY}); known are "
            + ", ".join(sorted(_RULES))
        )
    return _RULES[name]


def own_rule(metadata: Mapping[str, Any], name: str) -> SplitRule:
    """The rule set that a file brings under `llamakit.pre.regex`, with the settings of `name` where that is known.

    Raises VocabError where the keys are of another type, or an expression is none.
    """
    from tokenizers import Regex

    patterns = metadata[REGEX_KEY]
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise VocabError(f"{REGEX_KEY} must be an array of strings")
    for pattern in patterns:
        try:
            Regex(pattern)
        except Exception as error:  # the library raises bare Exceptions
            raise VocabError(f"{REGEX_KEY}: {pattern[:80]!r} is no regular expression: {error}") from None
    rule = _RULES.get(name, SplitRule(()))
    return replace(
        rule,
        patterns=tuple(patterns),
        ignore_merges=_setting(metadata, IGNORE_MERGES_KEY, rule.ignore_merges),
        clean_spaces=_setting(metadata, CLEAN_SPACES_KEY, rule.clean_spaces),
    )


def _setting(metadata: Mapping[str, Any], key: str, default: bool) -> bool:
    value = metadata.get(key, default)
    if not isinstance(value, bool):
        raise VocabError(f"{key} must be a boolean, not {type(value).__name__}")
    return value
