"""A hospital whose datasite serves in a process of its own, to be looked at, killed and started again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasites.cli.study_view import partition_shares
from datasites.site import Site as Datasite
from datasites.site import open_site
from datasites.store.data_sets import all_data_sets
from datasites.store.home import Home
from policies.budget.balance import balance
from policies.log.verify import Report
from researcher import Study
from tests.demo.commands import COMMAND, datasite
from tests.demo.site import Site
from tests.site_audit import audit
from tests.system.waiting import SECONDS, children_of, command_line, eventually, rows


@dataclass
class LiveSite:
    """A hospital whose datasite serves; it may be killed and started again."""

    site: Site
    command: tuple[str, ...] = COMMAND
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.site.name

    @property
    def home(self) -> Path:
        return self.site.home

    @property
    def database(self) -> Path:
        return self.home / "datasite.sqlite"

    @property
    def pid(self) -> int:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} does not serve any more: {self.printed()}"
        return self.process.pid

    def serve(self) -> None:
        """Start `datasite serve`."""
        self.process = self.site.serve(self.command)

    def kill(self) -> None:
        """`kill -9`: nothing of the service gets to run any more."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(SECONDS)

    def stop(self) -> None:
        """Let it end as an owner would, or else make it; nothing happens where it was never started."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(SECONDS)

    def trainers(self) -> list[int]:
        """The process ids of its trainers."""
        return [it for it in children_of(self.pid) if b"datasites.training" in command_line(it)]

    def trainer(self) -> int:
        """The one trainer's process id, once it runs."""
        (pid,) = eventually(self.trainers, f"a trainer at {self.name}")
        return pid

    def printed(self) -> str:
        """What the service printed since its last start."""
        return (self.site.folder / "serve.log").read_text()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Look into its database."""
        return rows(self.database, query, *values)

    def training(self) -> dict[str, float]:
        """What `datasite budget` shows of the training units of its one population, read without a process for it."""
        with self._opened() as site, site.engine.begin() as connection:
            (population,) = {it.population for it in all_data_sets(connection)}
            return partition_shares(balance(connection, population), "training")

    def audit(self) -> Report:
        """What `datasite verify` finds in its exported log, without a process for it."""
        with self._opened() as site:
            return audit(site)

    @contextmanager
    def _opened(self) -> Iterator[Datasite]:
        site = open_site(Home(self.home))
        yield site
        site.engine.dispose()

    def request_number(self, study: Study) -> int:
        """By which number its owner knows a study."""
        (row,) = self.rows("SELECT number FROM requests WHERE study = ?", study.identifier)
        return int(row["number"])

    def round_state(self, study: Study, number: int) -> str | None:
        """How far it has come with a round: None, asked, charged, computed or burned."""
        query = "SELECT state FROM rounds JOIN requests ON request = digest WHERE study = ? AND round = ?"
        found = self.rows(query, study.identifier, number)
        return found[0]["state"] if found else None

    def show(self, study: Study) -> Any:
        """`datasite show`."""
        return datasite("show", str(self.request_number(study)), "--home", self.home)

    def approve(self, study: Study) -> None:
        """Approve what `show` shows."""
        self.site.approve(self.show(study)["approval_digest"])
