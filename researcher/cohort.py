"""Which sites have a say in a study: those in the cohort of its terms, and no other site that is pinned."""

import sqlite3


def in_cohort(connection: sqlite3.Connection, study: str, site: str) -> bool:
    """Whether the study is one of ours, and the site one of its cohort."""
    found = connection.execute(
        "SELECT 1 FROM studies, json_each(studies.terms, '$.cohort') AS member "
        "WHERE study = ? AND json_extract(member.value, '$.site') = ?",
        (study, site),
    )
    return found.fetchone() is not None
