"""What `datasite show` prints of a job: who, what, on which files, what a dry run gave, what was written and found."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.syntax import Syntax

from datasites.cli.approval_view import approvals_as_json, approvals_in_words
from datasites.cli.output import console, print_facts, print_table
from datasites.cli.review_view import print_difference, print_findings, review_as_json
from datasites.requests.jobs.records import Job, Status
from datasites.requests.jobs.review import JobReview
from datasites.requests.jobs.runs import DryRun, Run
from policies.disclosure.findings import Findings, parse_findings
from policies.jobs.release import OutputFact

_SHOWN_CHARACTERS = 100_000


def job_as_json(shown: JobReview) -> dict[str, Any]:
    """Everything about a job, for programs."""
    job = shown.job
    found = _findings(job)
    return {
        "number": job.number,
        "kind": "job",
        "status": job.status.value,
        "detail": job.detail,
        "approval_digest": shown.approval_digest,
        "approvals": approvals_as_json(shown.approvals),
        "summary": shown.summary,
        **review_as_json(shown.difference, shown.findings),
        "obstacles": list(shown.obstacles),
        "researcher": {"name": shown.researcher.name, "fingerprint": shown.researcher.fingerprint},
        "terms": job.terms.model_dump(mode="json"),
        "code": {path: content.decode(errors="replace") for path, content in shown.code.items()},
        "dry_run": None if job.dry_run is None else job.dry_run.model_dump(mode="json"),
        "run": None if job.run is None else job.run.model_dump(mode="json"),
        "findings": None
        if found is None
        else {"clean": found.clean, "sentences": [finding.sentence for finding in found.found]},
        "release_approvals": approvals_as_json(shown.release_approvals),
        "release_approvals_with_logs": approvals_as_json(shown.release_approvals_with_logs),
        "release_digest": shown.release_digest,
        "release_digest_with_logs": shown.release_digest_with_logs,
    }


def print_job(shown: JobReview) -> None:
    """Everything about a job, for its owner."""
    job, terms = shown.job, shown.job.terms
    console.print(f"[bold]Request {job.number}: {escape(terms.name)}[/] (job, {job.status})\n")
    console.print(escape(shown.summary) + "\n")
    print_difference(shown.difference)
    print_findings(shown.findings)
    print_facts(
        "Who, and why",
        {
            "Researcher": f"{shown.researcher.name} ({shown.researcher.fingerprint})",
            "Purpose": terms.purpose,
            "Legal basis": terms.legal_basis,
            "Recipients": terms.recipients,
            "Onward use": terms.onward_use,
            "Replaces": "nothing" if terms.supersedes is None else f"request {terms.supersedes[:16]}…",
            "Files in view": ", ".join(terms.data_sets) or "none",
            "Needs": ", ".join(terms.requirements) or "nothing beyond what is installed",
            "Limits": f"{terms.limits.wall_seconds} s, {terms.limits.memory_mib} MiB of memory, "
            f"{terms.limits.disk_mib} MiB written",
            "Ends": datetime.fromtimestamp(terms.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "Stands": job.detail,
        },
    )
    for path, content in shown.code.items():
        _print_code(path, content)
    if job.dry_run is not None:
        _print_run("The dry run on mock data", job.dry_run)
        console.print(escape(job.dry_run.printed))
    if job.run is not None:
        _print_run("The run on private data", job.run)
    found = _findings(job)
    if found is not None:
        _print_inspection(found)
    for obstacle in shown.obstacles:
        console.print(f"[bold red]✗[/] {escape(obstacle)}")
    _print_next(shown)


def _print_next(shown: JobReview) -> None:
    job = shown.job
    if shown.approvals.by:
        console.print(escape(f"It has {approvals_in_words(shown.approvals)}."), soft_wrap=True)
    if job.status is Status.PENDING and not shown.obstacles:
        console.print(f"To approve exactly this:  datasite approve {shown.approval_digest}", soft_wrap=True)
    if job.status is Status.FAILED and job.code_file is not None and not shown.obstacles:
        console.print(f"To let it run once more:  datasite approve {shown.approval_digest}", soft_wrap=True)
    if shown.release_digest_with_logs is not None:
        console.print(f"To look at what it wrote:  datasite outputs {job.number} --to FOLDER", soft_wrap=True)
    for words, digest, approvals in (
        ("the outputs", shown.release_digest, shown.release_approvals),
        ("the outputs and what was printed", shown.release_digest_with_logs, shown.release_approvals_with_logs),
    ):
        if digest is not None and approvals.by:
            console.print(escape(f"To release {words} there are {approvals_in_words(approvals)}."), soft_wrap=True)
        if digest is not None:
            console.print(f"To release {words}:  datasite release {digest}", soft_wrap=True)


def _print_run(title: str, run: DryRun | Run) -> None:
    print_facts(
        title,
        {
            "Ended": run.ending if not run.error else f"{run.ending}: {run.error}",
            "Took": f"{run.wall_seconds:.2f} s, {run.cpu_seconds:.2f} s of processor, "
            f"{run.peak_memory_bytes / 2**20:.0f} MiB of memory",
            "Wrote": _listed(run.files, "output"),
            "Printed": _listed(run.files, "log"),
            "Left out": ", ".join(run.left_out) or "nothing",
            "Behind": ", ".join(run.layers),
        },
    )


def _print_inspection(found: Findings) -> None:
    rows = [(it.severity, it.output or "all", it.sentence) for it in found.found]
    more = f" and {found.more} more" if found.more else ""
    print_table(f"What the inspection found{more}", ("", "Output", "Finding"), rows)
    if found.clean:
        console.print("The inspection found nothing to hold. It cannot prove that the outputs are harmless.")


def _print_code(path: str, content: bytes) -> None:
    console.print(f"[bold]{escape(path)}[/]")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        console.print(f"{len(content)} bytes, no text")
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n")  # as Python reads them
    plain = "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in lines)
    kind = "python" if path.endswith(".py") else "text"
    console.print(Syntax(plain[:_SHOWN_CHARACTERS], kind, line_numbers=True, word_wrap=True))
    if (more := len(plain) - _SHOWN_CHARACTERS) > 0:
        console.print(f"[bold red]![/] {more:,} characters more of {escape(path)} are shown with --json only.")


def _findings(job: Job) -> Findings | None:
    return None if job.findings is None else parse_findings(job.findings.encode())


def _listed(files: Sequence[OutputFact], kind: str) -> str:
    return ", ".join(f"{file.path} ({file.size:,} bytes)" for file in files if file.kind == kind) or "nothing"
