"""A trap in a datasite's database: the process ends by SIGKILL at a statement, before a commit or after one."""

import os
import signal
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Engine, event

Boundary = Literal["statement", "before-commit", "after-commit", "end-of-reading"]


@dataclass
class Trap:
    """Counts the boundaries that this process comes to: each statement, and both sides of each transaction's end.

    At number `deadly` (from 1) the process is gone, as by `kill -9`: nothing is flushed, closed or rolled back.
    """

    deadly: int = 0
    passed: list[Boundary] = field(default_factory=list)
    _wrote: bool = False

    def set_on(self, engine: Engine) -> None:
        """Count what happens on `engine` from now on."""
        event.listen(engine, "before_cursor_execute", self._at_statement)
        event.listen(engine, "commit", self._before_commit)
        event.listen(engine, "checkin", self._after_commit)

    def _at_statement(self, _connection: object, _cursor: object, statement: str, *_: Any) -> None:
        self._reached("statement")
        self._wrote |= statement.startswith(("INSERT", "UPDATE", "DELETE"))

    def _before_commit(self, _connection: object) -> None:
        self._reached("before-commit" if self._wrote else "end-of-reading")

    def _after_commit(self, *_: object) -> None:
        self._reached("after-commit" if self._wrote else "end-of-reading")
        self._wrote = False

    def _reached(self, boundary: Boundary) -> None:
        self.passed.append(boundary)
        if len(self.passed) == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
