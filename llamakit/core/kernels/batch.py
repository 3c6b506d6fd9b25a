"""What changes from run to run of a program: the only things Python writes between two runs."""

from __future__ import annotations

from llamakit.core.simd.records import Ptr, Record, i32, i64


class Run(Record):
    """Tokens of one sequence at consecutive positions, side by side in the batch."""

    first: i64  # index of the first token in the batch
    n_tokens: i64
    position: i64  # of the first token
    table: i64  # index in `Batch.tables` of the sequence's first entry
    seq: i64
    n_source: i64  # positions in front that the encoder has written, see `graph/ops/attention.py`


class Batch(Record):
    """The tokens of one run of a program, and where their keys and values go.

    A cell is a place for one position's key and value: cell c is position c % 64 of physical block c // 64. Entry b of
    a sequence's table is the physical block that holds its positions 64 b .. 64 b + 63.
    """

    n_tokens: i64
    n_outputs: i64  # rows whose logits are wanted
    n_runs: i64
    tokens: Ptr[i32]  # (n_tokens,)
    positions: Ptr[i32]  # (n_tokens,)
    cells: Ptr[i32]  # (n_tokens,): where each token's key and value are stored
    outputs: Ptr[i32]  # (n_outputs,): rows of the batch, ascending
    runs: Ptr[Run]  # (n_runs,)
    tables: Ptr[i32]  # block tables of all sequences, one after the other
