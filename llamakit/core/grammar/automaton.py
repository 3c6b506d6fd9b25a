"""A program at work: the tables of stacks and states that grow as texts are read, and are bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.program import Program
from llamakit.core.grammar.trie import TokenTrie, run
from llamakit.core.kernels import grammar as kernels
from llamakit.core.kernels import grammar_tables as tables
from llamakit.core.kernels.grammar_mask import Mask
from llamakit.core.simd.records import Record

MOST_BYTES = 64 << 20  # of one grammar's tables; beyond, what no reader needs any more is forgotten
MOST_WORK = 1 << 18  # ways to read a text at once
KEPT = 64  # states of a reader that outlive forgetting: so far it can go back
FIRST = {"max_stacks": 1 << 8, "max_states": 1 << 7, "max_configs": 1 << 10, "max_work": 1 << 8}
FULL = {
    tables.STACKS_FULL: "max_stacks",
    tables.STATES_FULL: "max_states",
    tables.CONFIGS_FULL: "max_configs",
    tables.WORK_FULL: "max_work",
}
NO_TEXT = np.zeros(1, np.uint8)


class Reader:
    """A text being read: the states after its parts, the first before any."""

    __slots__ = ("__weakref__", "states")

    def __init__(self, states: list[int]) -> None:
        self.states = states


class Automaton:
    """What all texts of a grammar share. Methods may be called from any thread.

    All raise GrammarError when a text can be read in too many ways at once.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lock = threading.RLock()
        self.readers: WeakSet[Reader] = WeakSet()
        self.generation = 0  # how often states got new numbers
        self.n_classes = len(program.class_byte)
        fields = {name: getattr(program, name) for name in tables.Program.FIELDS if name != "n_classes"}
        self.op = tables.Program(n_classes=self.n_classes, **fields)
        self.make_tables(FIRST)
        self.read_op = kernels.Read(tables=None, text=None, n=0, token=-1, state=0)
        self.first = Reader([0])
        self.first.states = [self.start(program.start)]
        self.readers.add(self.first)

    def reader(self) -> Reader:
        """A new text."""
        return self.copy(self.first)

    def copy(self, reader: Reader) -> Reader:
        with self.lock:
            made = Reader(reader.states.copy())
            self.readers.add(made)
            return made

    def read(self, reader: Reader, text: bytes, token: int = -1) -> int:
        """What `text`, or `token` with these bytes, leads to; state 0 where the grammar forbids it."""
        data = np.frombuffer(text, np.uint8) if text else NO_TEXT
        with self.lock:

            def make() -> Record:
                fields = self.read_op.data  # one record for all tokens: making it would take longer than reading
                fields["tables"], fields["text"] = self.tables.data.ctypes.data, data.ctypes.data
                fields["n"], fields["token"], fields["state"] = len(text), token, reader.states[-1]
                return self.read_op

            return int(self.run("grammar.read_text", make).data["state"])

    def fill_mask(self, reader: Reader, trie: TokenTrie, words: npt.NDArray[np.uint32]) -> None:
        """The tokens that may follow: bit t % 32 of word t // 32."""
        with self.lock:
            self.run(
                "grammar_mask.fill", lambda: Mask(tables=self.tables, state=reader.states[-1], **trie.fields(words))
            )

    def forced(self, reader: Reader, most: int) -> bytes:
        """The bytes that must follow, as far as there is no choice; not more than `most`."""
        text = np.empty(most, np.uint8)
        with self.lock:
            op = self.run(
                "grammar.forced",
                lambda: kernels.Forced(
                    tables=self.tables,
                    state=reader.states[-1],
                    text=text,
                    max_bytes=most,
                    n=0,
                    class_size=self.program.class_size,
                ),
            )
            return text[: int(op.data["n"])].tobytes()

    def is_accepting(self, reader: Reader) -> bool:
        """Whether the text may end here."""
        with self.lock:
            flags = int(self.tables.values["state_flags"][reader.states[-1]])
            return bool(flags & tables.IS_ACCEPTING)

    # room
    def run(self, name: str, make: Callable[[], Record]) -> Record:
        """Run a kernel on the record that `make` gives, again with more room as long as it asks for that."""
        has_forgotten = False
        while True:
            op = make()
            run(name, op)
            status = int(self.tables.data["status"])
            if status == tables.OK:
                return op
            sizes = self.sizes()
            sizes[FULL[status]] *= 2
            if sizes["max_work"] > MOST_WORK:
                raise GrammarError(
                    f"the grammar is too ambiguous: there are more than {MOST_WORK // 2} ways to read the text so far"
                )
            if self.n_bytes(sizes) <= MOST_BYTES:
                self.move(sizes)
            elif not has_forgotten:
                self.forget()
                has_forgotten = True
            else:
                raise GrammarError(f"the grammar needs more than {MOST_BYTES >> 20} MiB for what may follow this text")

    def sizes(self) -> dict[str, int]:
        return {name: int(self.tables.data[name]) for name in FIRST}

    def n_bytes(self, sizes: dict[str, int]) -> int:
        stacks = sizes["max_stacks"] * (24 + 8 * self.program.n_words)
        return stacks + sizes["max_states"] * (13 + 4 * self.n_classes) + 8 * sizes["max_configs"]

    def make_tables(self, sizes: dict[str, int]) -> None:
        """Empty tables, with nothing but stack 0 and state 0."""
        stacks, states, configs, work = (sizes[name] for name in FIRST)
        n_words = self.program.n_words
        i32, i64 = np.int32, np.int64
        self.tables = tables.Tables(
            program=self.op,
            stack_node=np.zeros(stacks, i32),
            stack_parent=np.zeros(stacks, i32),
            stack_count=np.zeros(stacks, i64),
            stack_bits=np.zeros(stacks * n_words, i64),
            stack_table=np.full(2 * stacks, -1, i32),
            n_stacks=1,
            state_start=np.zeros(states + 1, i32),
            state_flags=np.zeros(states, np.uint8),
            state_table=np.full(2 * states, -1, i32),
            next=np.zeros(states * self.n_classes, i32),
            n_states=1,
            configs=np.zeros(configs, i64),
            work=np.zeros(work, i64),
            n_work=0,
            found=np.zeros(2 * work, i64),
            n_found=0,
            visited=np.zeros(2 * work, i64),
            visited_epoch=np.zeros(2 * work, i64),
            n_visited=0,
            epoch=0,
            bits=np.zeros(n_words, i64),
            status=tables.OK,
            **sizes,
        )

    def move(self, sizes: dict[str, int]) -> None:
        """The same stacks and states in larger tables."""
        old = self.tables
        self.make_tables(sizes)
        for name in ("stack_node", "stack_parent", "stack_count", "stack_bits", "state_start", "state_flags", "next",
                     "configs"):  # fmt: skip
            self.tables.values[name][: len(old.values[name])] = old.values[name]
        for name in ("n_stacks", "n_states"):
            self.tables.data[name] = old.data[name]
        run("grammar_tables.rehash", tables.Rehash(tables=self.tables))

    def forget(self) -> None:
        """Keep only what readers need: their last states, under new numbers."""
        readers = list(self.readers)
        old = self.tables.values
        kept = sorted({state for reader in readers for state in reader.states[-KEPT:]})
        configs = {s: old["configs"][old["state_start"][s] : old["state_start"][s + 1]].tolist() for s in kept}
        self.generation += 1
        self.make_tables(FIRST)
        stacks = {0: 0}
        states = {}
        for state, keys in configs.items():
            moved = [(key >> 32) << 32 | self.move_stack(key & 0xFFFFFFFF, old, stacks) for key in keys]
            states[state] = self.start(-1, moved) if moved else 0
        for reader in readers:
            reader.states = [states[state] for state in reader.states[-KEPT:]]

    def move_stack(self, stack: int, old: dict[str, Any], moved: dict[int, int]) -> int:
        """The number of an old stack in the new tables."""
        path = []
        while stack not in moved:
            path.append(stack)
            stack = int(old["stack_parent"][stack])
        n_words = self.program.n_words
        for number in reversed(path):
            push = partial(
                self.push_op,
                int(old["stack_node"][number]),
                moved[stack],
                int(old["stack_count"][number]),
                old["stack_bits"][number * n_words : (number + 1) * n_words],
            )
            moved[number] = int(self.run("grammar.push_frame", push).data["stack"])
            stack = number
        return moved[stack]

    def push_op(self, node: int, parent: int, count: int, bits: npt.NDArray[np.int64]) -> Record:
        return kernels.Push(tables=self.tables, node=node, parent=parent, count=count, bits=bits, stack=0)

    def start(self, node: int, configs: list[int] | None = None) -> int:
        """The state at a node with an empty stack; or, with node -1, of the given configurations."""
        keys = np.array(configs or [0], np.int64)
        op = self.run(
            "grammar.start",
            lambda: kernels.Start(tables=self.tables, node=node, configs=keys, n_configs=len(configs or ()), state=0),
        )
        return int(op.data["state"])
