"""Live queries as asynchronous iterators, and devices as asynchronous context managers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from .motomind import Changes, Listener, MotoMind, Options, Status


class _Queued(Listener):
    """Passes what it hears to the event loop of whoever listens."""

    def __init__(self, wanted: str, keep: int):
        self._loop = asyncio.get_running_loop()
        self._wanted = wanted
        self.queue: asyncio.Queue = asyncio.Queue(keep)

    def _put(self, value) -> None:
        if self.queue.full():  # who is slow hears of the newest; queries show the rest
            self.queue.get_nowait()
        self.queue.put_nowait(value)

    def _hear(self, kind: str, value) -> None:
        if kind == self._wanted:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
                self._loop.call_soon_threadsafe(self._put, value)

    def on_change(self, changes: Changes) -> None:
        self._hear("changes", changes)

    def on_status(self, status: Status) -> None:
        self._hear("status", status)


async def _heard(device: MotoMind, kind: str, keep: int) -> AsyncIterator:
    listener = _Queued(kind, keep)
    subscription = device.subscribe(listener)
    try:
        while True:
            yield await listener.queue.get()
    finally:
        subscription.cancel()


def changes(device: MotoMind) -> AsyncIterator[Changes]:
    """What changes from now on. Ends when the iterator is closed."""
    return _heard(device, "changes", 64)


def statuses(device: MotoMind) -> AsyncIterator[Status]:
    """How syncing stands, whenever that changes; of several, the newest."""
    return _heard(device, "status", 1)


async def watch(device: MotoMind, tables: set[str], query: Callable[[], Awaitable]) -> AsyncIterator:
    """The result of a query now, and again whenever one of the tables changes."""
    heard = changes(device)
    pending = asyncio.ensure_future(anext(heard))  # listening begins before the first query
    try:
        await asyncio.sleep(0)
        yield await query()
        while True:
            change = await pending
            pending = asyncio.ensure_future(anext(heard))
            if tables.intersection(change.tables):
                yield await query()
    finally:
        pending.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await pending
        await heard.aclose()


@contextlib.asynccontextmanager
async def opened(options: Options, tokens=None, clock=None) -> AsyncIterator[MotoMind]:
    """A device for the length of a block; its files are let go at the end."""
    device = await MotoMind.open(options, tokens, clock)
    try:
        yield device
    finally:
        await device.shut()
