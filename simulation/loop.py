"""An event loop without a clock: time jumps to the next timer, and several processes take turns by the seed.

Within a process callbacks run in the order in which they were asked for, as asyncio promises. Between
processes nothing is promised, so that the seed decides who goes next. A process that was killed runs nothing
any more: what it had planned is dropped, and no `finally` of it is heard.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any

_process: ContextVar["Process"] = ContextVar("process")


class Process:
    """Whoever callbacks belong to: a gateway from its start to its end, or the world around them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.ready: deque[tuple[asyncio.Handle, Callable[[], object]]] = deque()
        self.context = Context()
        self.context.run(_process.set, self)

    def kill(self) -> None:
        self.alive = False
        self.ready.clear()


class SimulatedLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures, timeouts and `to_thread` ask for. A callback that raises
    ends the simulation with what it raised."""

    def __init__(self, random: Random, thread_seconds: Callable[[], float]) -> None:
        """`thread_seconds` is how long the next function takes that is run "in a thread"."""
        self._random = random
        self._thread_seconds = thread_seconds
        self._now = 0.0
        self._busy: list[Process] = []
        self._timers: list[tuple[float, int, Process, asyncio.Handle, Callable[[], object]]] = []
        self._numbers = count()
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self._now

    def run(self, done: Callable[[], bool]) -> None:
        """Until `done`, or until nothing is left to do."""
        asyncio.events._set_running_loop(self)
        try:
            while not done() and (self._busy or self._wait()):
                self._turn()
        finally:
            asyncio.events._set_running_loop(None)

    def abandon(self) -> None:
        """The end of the world: nobody complains about what was not finished."""
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.clear()
        self._timers.clear()
        self._busy.clear()

    def start(self, process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=self, context=process.context.copy())
        self._tasks.append(task)
        return task

    def _turn(self) -> None:
        busy = self._busy
        index = int(self._random.random() * len(busy)) if len(busy) > 1 else 0
        process = busy[index]
        if process.ready:
            handle, callback = process.ready.popleft()
            if not handle.cancelled():
                callback()
        if not process.ready:
            busy.remove(process)

    def _wait(self) -> bool:
        while self._timers:
            when, _, process, handle, callback = heapq.heappop(self._timers)
            if process.alive and not handle.cancelled():
                self._now = max(self._now, when)
                self._enqueue(process, handle, callback)
                return True
        return False

    def _enqueue(self, process: Process, handle: asyncio.Handle, callback: Callable[[], object]) -> None:
        if not process.alive:
            return
        if process not in self._busy:
            self._busy.append(process)
        process.ready.append((handle, callback))

    # What asyncio asks a loop for.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = context or copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(context[_process], handle, lambda: context.run(callback, *args))
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        process = context[_process]
        if process.alive:
            entry = (when, next(self._numbers), process, handle, lambda: context.run(callback, *args))
            heapq.heappush(self._timers, entry)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **options)
        self._tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        done = self.create_future()

        def run() -> None:
            if done.cancelled():
                return
            try:
                done.set_result(function(*args))
            except Exception as error:  # noqa: BLE001  it is told to whoever waits
                done.set_exception(error)

        self.call_later(self._thread_seconds(), run)
        return done

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Called for what nobody looked at any more. What matters raises in its own callback."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time has come."""
