"""What the guarantee of each population excludes: releases that no privacy budget bounds."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from datasites.requests.jobs.records import releases_by_population
from datasites.requests.records import find_request
from datasites.store.data_sets import require_data_set
from datasites.store.tables import rounds


@dataclass(frozen=True)
class Excluded:
    """How many jobs had outputs released, and how many studies without noise had an answer released."""

    jobs: int = 0
    studies: int = 0

    @property
    def words(self) -> str:
        """The same in words; empty where there is none."""
        parts = (
            f"the outputs of {self.jobs} released job{'' if self.jobs == 1 else 's'}" if self.jobs else "",
            f"{self.studies} {'study' if self.studies == 1 else 'studies'} without noise" if self.studies else "",
        )
        return " and ".join(part for part in parts if part)


def excluded_by_population(connection: Connection) -> dict[str, Excluded]:
    """What each population's guarantee excludes; populations of which nothing is excluded are left out."""
    jobs, studies = releases_by_population(connection), _unbounded_studies(connection)
    return {name: Excluded(jobs[name], studies.count(name)) for name in sorted({*jobs, *studies})}


def _unbounded_studies(connection: Connection) -> list[str]:
    """The population of each unbounded study of which an answer was handed to the mail."""
    handed_on = (rounds.c.state == "computed") & rounds.c.awaited_size.is_(None) & rounds.c.message.is_not(None)
    digests = connection.execute(select(rounds.c.request).where(handed_on).distinct()).scalars().all()
    found = (find_request(connection, digest) for digest in digests)
    return [require_data_set(connection, it.data_set).population for it in found if it and it.terms.privacy is None]
