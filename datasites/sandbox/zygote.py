"""stand-in until the sandbox is merged"""

from collections.abc import Callable

from datasites.sandbox.errand import Errand, Outcome


class Cancel:
    def cancel(self) -> None: ...


class Zygote:
    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self, errand: Errand, write: Callable[[bytes | memoryview], object], cancel: Cancel) -> Outcome:
        raise NotImplementedError

    @property
    def ended(self) -> bool:
        return True
