"""An owner whose key signs at once: approves every job that waits, and releases every output that is held.

usage: python -m tests.benchmarks.approver HOME OWNER PASSPHRASE_FILE
"""

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from datasites.cli.options import person_key, site_at
from datasites.requests.jobs.decide import approve_job
from datasites.requests.jobs.records import Job, Status, jobs_in
from datasites.requests.jobs.release import outputs_of, release_digest, release_outputs
from datasites.requests.jobs.review import job_approval_digest
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.waking import wake

_BETWEEN_LOOKS = 0.002


def main(home: Path, owner: Path, passphrase_file: Path) -> None:
    """Sign until the process is ended; between changes of the database it only asks SQLite whether there was one."""
    site, key = site_at(home), person_key(owner, passphrase_file)
    with closing(sqlite3.connect(home / "datasite.sqlite")) as watched:
        seen = None
        print("ready", flush=True)
        while True:
            version = watched.execute("PRAGMA data_version").fetchone()
            if version == seen:
                time.sleep(_BETWEEN_LOOKS)
                continue
            seen = version
            _sign_what_waits(site, key)


def _sign_what_waits(site: Site, key: Ed25519PrivateKey) -> None:
    with reading(site.engine) as connection:
        waiting = jobs_in(connection, Status.PENDING, Status.HELD)
    for job in waiting:
        with site.engine.begin() as connection:
            _sign(connection, site, job, key)
        wake(site.home)


def _sign(connection: Connection, site: Site, job: Job, key: Ed25519PrivateKey) -> None:
    if job.status is Status.PENDING:
        approve_job(connection, site, job_approval_digest(connection, site, job), key)
    else:
        release_outputs(connection, site, release_digest(connection, site, job, outputs_of(job, logs=False)), key)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
