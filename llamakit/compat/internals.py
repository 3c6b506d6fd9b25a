"""Stands for `llama_cpp._internals.LlamaModel`: an open file and its vocabulary."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from llamakit.api.options import metadata_as_text
from llamakit.api.tokens import or_minus_one
from llamakit.compat.constants import ENUMS
from llamakit.compat.params import ModelParams, overrides_of
from llamakit.compat.pointers import pointer_to
from llamakit.core.engine.load import Model, load_model
from llamakit.core.vocab.tokens import TokenType
from llamakit.core.vocab.vocabulary import Vocab
from llamakit.errors import LlamakitError

VOCAB_TYPES = {"none": "NONE", "no_vocab": "NONE", "llama": "SPM", "bert": "WPM", "t5": "UGM", "rwkv": "RWKV",
               "plamo2": "PLAMO2"}  # fmt: skip


def vocab_type(vocab: Vocab) -> int:
    """Its kind, as llama.h numbers them."""
    return ENUMS["VOCAB_TYPE"][VOCAB_TYPES.get(vocab.kind, "BPE")]


def token_attr(vocab: Vocab, token: int) -> int:
    """The bit of a token's type, as in llama.h; 0 where it has none."""
    return ENUMS["TOKEN_ATTR"][TokenType(vocab.types[token]).name]


class LlamaModel:
    """An open file; `close` closes its contexts too. `model` is a pointer to it, None when closed.

    Raises ValueError for a file that is missing or damaged.
    """

    def __init__(self, *, path_model: str, params: ModelParams, verbose: bool = True) -> None:
        self._exit_stack = ExitStack()
        self.path_model, self.params, self.verbose = path_model, params, verbose
        if not Path(path_model).exists():
            raise ValueError(f"Model path does not exist: {path_model}")
        try:
            model = load_model(path_model, overrides_of(params.kv_overrides), params.use_mmap)
            model.vocab  # noqa: B018, read here for its errors
        except LlamakitError as error:
            raise ValueError(f"Failed to load model from file: {error}") from None
        self._model: Model | None = self._exit_stack.enter_context(model)
        self.model: int | None = pointer_to(self)

    @property
    def opened(self) -> Model:
        """The engine's model. Raises ValueError when closed."""
        if self._model is None:
            raise ValueError(f"the model is closed: {self.path_model}")
        return self._model

    @property
    def vocab(self) -> Vocab:
        return self.opened.vocab

    def close(self) -> None:
        self._exit_stack.close()
        self._model = self.model = None

    def vocab_type(self) -> int:
        return vocab_type(self.vocab)

    def n_vocab(self) -> int:
        return self.vocab.n_tokens

    def n_ctx_train(self) -> int:
        return self.opened.n_ctx_train

    def n_embd(self) -> int:
        return self.opened.hparams.n_embd

    def desc(self) -> str:
        return self.opened.description

    def size(self) -> int:
        """Bytes of all tensors."""
        return self.opened.n_bytes

    def n_params(self) -> int:
        return self.opened.n_params

    def metadata(self) -> dict[str, str]:
        return metadata_as_text(self.opened.metadata)

    def token_get_text(self, token: int) -> str:
        return self.vocab.texts[token]

    def token_get_score(self, token: int) -> float:
        return float(self.vocab.scores[token])

    def token_get_attr(self, token: int) -> int:
        return token_attr(self.vocab, token)

    def token_bos(self) -> int:
        return or_minus_one(self.vocab.bos_id)

    def token_eos(self) -> int:
        return or_minus_one(self.vocab.eos_id)

    def token_eot(self) -> int:
        return or_minus_one(self.vocab.eot_id)

    def token_sep(self) -> int:
        return or_minus_one(self.vocab.sep_id)

    token_cls = token_bos  # BERT's [CLS] stands where others have a BOS

    def token_nl(self) -> int:
        return or_minus_one(self.vocab.newline_id)

    def token_prefix(self) -> int:
        return or_minus_one(self.vocab.special.fim_pre)

    def token_middle(self) -> int:
        return or_minus_one(self.vocab.special.fim_mid)

    def token_suffix(self) -> int:
        return or_minus_one(self.vocab.special.fim_suf)

    def add_bos_token(self) -> bool:
        return self.vocab.add_bos

    def add_eos_token(self) -> bool:
        return self.vocab.add_eos

    def tokenize(self, text: bytes, add_bos: bool, special: bool) -> list[int]:
        return self.vocab.encode(text, add_special=add_bos, parse_special=special)

    def token_to_piece(self, token: int, special: bool = False) -> bytes:
        return self.vocab.piece(token, special=special)

    def detokenize(self, tokens: list[int], special: bool = False) -> bytes:
        text = b"".join(self.vocab.piece(token, special=special) for token in tokens)
        return text.removeprefix(b" ") if tokens and tokens[0] == self.token_bos() else text

    @staticmethod
    def default_params() -> ModelParams:
        return ModelParams()
