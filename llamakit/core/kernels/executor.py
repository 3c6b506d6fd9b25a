"""All threads walk the same table of op records; a barrier follows each op."""

from __future__ import annotations

from llamakit.core.kernels.kernel import Kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import (
    atomic_add,
    atomic_load,
    atomic_store,
    call_kernel,
    pause,
    yield_thread,
)
from llamakit.core.simd.records import Array, Ptr, Record, i8, i64

SPINS = 50  # then give the core away: a longer spin collapses beside a busy neighbour
YIELDS = 2000  # about a millisecond; then a worker goes to sleep


MOST_THREADS = 255


class Control(Record):
    """The executor's shared state; each counter on its own cache line.

    A request is a counter and, in its low byte, how many threads take part: one word, so that nobody mixes two runs.
    """

    constant = False
    ops: Ptr[i8]
    n_ops: i64
    stride: i64
    n_threads: i64  # that take part in the next run
    is_stopping: i64
    _pad: Array[i64, 3]
    request: Array[i64, 8]
    arrived: Array[i64, 8]
    generation: Array[i64, 8]


class Worker(Record):
    """What one worker keeps: the last request it saw, and whether it waits to be woken."""

    constant = False
    seen: Array[i64, 8]
    asleep: Array[i64, 8]


@helper
def wait_while(cell, value):
    spins = 0
    while atomic_load(cell) == value:
        pause()
        spins += 1
        if spins >= SPINS:
            yield_thread()


@helper
def barrier(control, n_threads):
    generation = atomic_load(control.generation)
    if atomic_add(control.arrived, 1) == n_threads - 1:
        atomic_store(control.arrived, 0)
        atomic_store(control.generation, generation + 1)
    else:
        wait_while(control.generation, generation)


@helper
def walk_program(control, thread, n_threads):
    for i in range(control.n_ops):
        op = control.ops + i * control.stride
        call_kernel(op, thread, n_threads)
        if n_threads > 1:
            barrier(control, n_threads)


def publish(control):
    """Ask the workers for a run; they see it unless they sleep, which `asleep` tells afterwards."""
    atomic_add(control.request, MOST_THREADS + 1 + control.n_threads - (control.request[0] & MOST_THREADS))


def walk(control):
    """The calling thread's part of a run."""
    walk_program(control, 0, control.n_threads)


def work(control, worker, thread):
    """A worker's life from request to request; returns when it is told to stop or has nothing to do for a while."""
    if worker.asleep[0] != 0:
        atomic_add(worker.asleep, -1)
    while True:
        idle = 0
        while atomic_load(control.request) == worker.seen[0]:
            pause()
            idle += 1
            if idle >= SPINS:
                yield_thread()
            if idle >= SPINS + YIELDS:
                atomic_add(worker.asleep, 1)
                if atomic_load(control.request) == worker.seen[0]:
                    return  # the requester sees `asleep`, or we see the request: both wrote with a full barrier
                atomic_add(worker.asleep, -1)
        request = atomic_load(control.request)
        worker.seen[0] = request
        if control.is_stopping != 0:
            return
        if thread < request & MOST_THREADS:
            walk_program(control, thread, request & MOST_THREADS)


publish = Kernel(publish, (Control,))
walk = Kernel(walk, (Control,))
work = Kernel(work, (Control, Worker, i64))
