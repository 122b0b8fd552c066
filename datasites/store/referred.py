"""Which files of the content folder rows still refer to; everything else may go."""

from sqlalchemy import Connection, Engine, select

from datasites.store.contents import ContentFolder
from datasites.store.engine import reading
from datasites.store.tables import file_sets, jobs, outbox, requests, rounds, weights


def sweep_contents(engine: Engine, contents: ContentFolder, now: int) -> None:
    """Remove the files of the content folder that are neither in use nor referred to."""

    def referred() -> set[str]:
        with reading(engine) as connection:
            return referred_contents(connection, now)

    contents.sweep(referred)


def referred_contents(connection: Connection, now: int) -> set[str]:
    """The names of the files that open requests, rounds, jobs, sets of files, waiting letters and kept weights need.

    An answer is kept, to be sent again byte for byte, until its study's terms expire.
    """
    queries = (
        select(requests.c.parameters_file),
        select(requests.c.tokeniser_file),
        select(weights.c.file),
        select(rounds.c.model_file),
        select(rounds.c.update_file)
        .join(requests, requests.c.digest == rounds.c.request)
        .where(requests.c.expires_at > now),
        select(outbox.c.content_file),
        select(file_sets.c.mock_file),
        select(jobs.c.code_file),
        select(jobs.c.outputs_file),
    )
    return {name for query in queries for name in connection.execute(query).scalars() if name}
