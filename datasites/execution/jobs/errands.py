"""The errands of a job: what is in view in each, under which limits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from datasites.catalog.checked_file import CheckedFile
from datasites.catalog.file_sets import mock_contents, private_files
from datasites.requests.jobs.code import code_of
from datasites.requests.jobs.records import Job
from datasites.sandbox.errand import Errand, Limits, Shown
from datasites.site import Site
from datasites.store.file_sets import FileSet, PrivateFile
from datasites.syft_bridge.description import DataSetCard
from datasites.syft_bridge.job_box import BOX, box_files, mock_place, private_place
from policies.jobs.terms import JobLimits
from policies.rules.job_rules import JobRules

CODE_FOLDER = "/job/code"
_OUTPUTS_FOLDER = f"{CODE_FOLDER}/outputs"
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "SYFT_IS_IN_JOB": "true"}
_THREADS = 64
_LONGEST_DRY_RUN_SECONDS = 120
_TEXT_BYTES = 1 << 20
_MEBIBYTE = 1 << 20
_INSPECTION_LIMITS = Limits(
    memory_bytes=4096 * _MEBIBYTE,
    disk_bytes=8 * _MEBIBYTE,
    cpu_seconds=3600,
    wall_seconds=1800,
    threads=_THREADS,
    text_bytes=_MEBIBYTE,
)

Opened = dict[str, list[tuple[PrivateFile, CheckedFile]]]
"""The private files in view, by the name of their set."""


def dry_run_errand(site: Site, job: Job, file_sets: Sequence[FileSet], rules: JobRules) -> Errand:
    """The job on mock data: each set's mock files stand where the private ones will; nothing private is in view.

    Nobody has approved it yet: it gets no more than the house rules allow, and little time.
    """
    mocks: dict[str, bytes] = {}
    for file_set in file_sets:
        for name, content in mock_contents(site, file_set).items():
            mocks[private_place(site.settings.contact, file_set.name, name)] = content
    asked = job.terms.limits
    limits = JobLimits(
        wall_seconds=min(asked.wall_seconds, _LONGEST_DRY_RUN_SECONDS),
        memory_mib=min(asked.memory_mib, rules.maximum_memory_mib),
        disk_mib=min(asked.disk_mib, rules.maximum_disk_mib),
    )
    return _errand(site, job, file_sets, mocks, (), limits)


@contextmanager
def run_errand(site: Site, job: Job, file_sets: Sequence[FileSet]) -> Iterator[Errand]:
    """The job on private data: each private file is the very one that was registered, read-only, where Syft looks.

    Raises:
        InvalidInputError: a private file cannot be read.
        NotAuthenticError: a private file, or the code, is not what was approved.
    """
    with opened_files(site, file_sets) as opened:
        shown = tuple(
            Shown(private_place(site.settings.contact, name, known.name), file.path, file.descriptor)
            for name, files in opened.items()
            for known, file in files
        )
        yield _errand(site, job, file_sets, {}, shown, job.terms.limits)


@contextmanager
def opened_files(site: Site, file_sets: Sequence[FileSet]) -> Iterator[Opened]:
    """Every private file of these sets, checked through and open; none was changed by the end of the block.

    Raises:
        InvalidInputError: one cannot be read.
        NotAuthenticError: one is not what was registered, or was changed meanwhile.
    """
    with ExitStack() as stack:
        opened = {it.name: stack.enter_context(private_files(site, it)) for it in file_sets}
        yield opened
        for files in opened.values():
            for _, file in files:
                file.require_unchanged()


def _limits(limits: JobLimits) -> Limits:
    return Limits(
        memory_bytes=limits.memory_mib * _MEBIBYTE,
        disk_bytes=limits.disk_mib * _MEBIBYTE,
        cpu_seconds=limits.wall_seconds * _THREADS,
        wall_seconds=limits.wall_seconds,
        threads=_THREADS,
        text_bytes=_TEXT_BYTES,
    )


def _errand(
    site: Site,
    job: Job,
    file_sets: Sequence[FileSet],
    contents: Mapping[str, bytes],
    shown: tuple[Shown, ...],
    limits: JobLimits,
) -> Errand:
    owner = site.settings.contact
    cards = [
        DataSetCard(
            name=it.name,
            summary=it.card.summary,
            readme=it.card.readme,
            tags=it.card.tags,
            mock_files=tuple(file.name for file in it.card.mock),
            registered_at=it.registered_at,
        )
        for it in file_sets
    ]
    public = {
        mock_place(owner, it.name, name): content
        for it in file_sets
        for name, content in mock_contents(site, it).items()
    }
    code = {f"{CODE_FOLDER}/{path}": content for path, content in code_of(site, job).items()}
    return Errand(
        program="script",
        script=f"{CODE_FOLDER}/{job.terms.entrypoint}",
        files={**code, **box_files(owner, cards), **public, **contents},
        shown=shown,
        working_folder=CODE_FOLDER,
        collected=_OUTPUTS_FOLDER,
        environment={**_ENVIRONMENT, "SYFTBOX_FOLDER": str(BOX), "SYFTBOX_EMAIL": owner},
        limits=_limits(limits),
    )


def inspection_errand(
    site: Site, question: bytes, outputs: Mapping[str, bytes], file_sets: Sequence[FileSet], opened: Opened
) -> Errand:
    """The inspection of outputs, beside the private files and the mock ones, by our own code."""
    mocks = {
        f"/mock/{it.name}/{name}": content for it in file_sets for name, content in mock_contents(site, it).items()
    }
    return Errand(
        program="inspection",
        script="",
        files={
            "/inspection.json": question,
            **{f"/outputs/{name}": content for name, content in outputs.items()},
            **mocks,
        },
        shown=tuple(
            Shown(f"/private/{name}/{known.name}", file.path, file.descriptor)
            for name, files in opened.items()
            for known, file in files
        ),
        working_folder="/tmp",  # noqa: S108 – any other place might hide packages that are installed below it
        collected="/findings",
        environment=_ENVIRONMENT,
        limits=_INSPECTION_LIMITS,
    )
