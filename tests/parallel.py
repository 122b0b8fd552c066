"""How parallel test processes share the tests out: whole files, those on one federation together, the longest first."""

import pytest
from xdist.scheduler import LoadFileScheduling

_LONGEST = ("tests/system/", "tests/demo/", "tests/fuzz/")

_TOGETHER = {
    "live": (
        "confidentiality",
        "decisions",
        "early_stopping",
        "notebook",
        "outages",
        "processes",
        "refused_requests",
        "restart",
        "set_back",
    ),
    "jobs": ("jobs_after_kills", "jobs_live"),
    "pysyft": ("pysyft_attacks", "pysyft_jobs"),
}
"""Files of system tests by what they share: to start it once more in another process costs more than its tests."""

_UNITS = {f"tests/system/test_{file}.py": what for what, files in _TOGETHER.items() for file in files}


class SceneScheduling(LoadFileScheduling):
    """Files as before, but those that share what they run on are one piece of work."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _UNITS.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> SceneScheduling:
    """Take the place of `--dist loadfile`."""
    return SceneScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that parallel test processes end together."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))
