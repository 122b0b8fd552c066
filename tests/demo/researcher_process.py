"""The demo's researcher, in a process of its own: what would be the cells of a notebook, one after another.

usage: python -m tests.demo.researcher_process FOLDER RELAY_URL CARD...      (the sites' cards)
It writes what the demo's other side waits for into FOLDER: its card, the studies it submitted, and its results.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from safetensors.torch import save_file

import researcher
from researcher import Ask, CloisterError, Federation, Privacy, Study, UnavailableError
from tests.demo.plan import TumourPlan

ROUNDS = 12
console = Console(highlight=False)


def main(folder: Path, relay: str, cards: list[Path]) -> None:
    """Look round, ask, be refused, wait, run, ask for too much."""
    federation = researcher.connect(folder / "home", name="dr-ada-lindqvist", relay=relay)
    federation.save_card(folder / "card.json")
    (folder / "fingerprint").write_text(federation.card.fingerprint)
    fingerprints = json.loads(_wait_for(folder / "fingerprints.json").read_text())
    for card in cards:
        federation.pin(card, fingerprints[str(card)])

    data_sets = federation.data_sets
    console.print("\n[bold]The researcher looks round[/]")
    for data_set in data_sets:
        console.print(f"  {data_set}")
    console.print(data_sets[0].mock.iloc[:3, :5].to_string(index=False), style="dim")

    ask = Ask(
        title="Malignancy from cell nuclei",
        purpose="Help pathologists to a second opinion on fine needle aspirates.",
        legal_basis="The patients' written consent (GDPR, Article 9(2)(a)).",
        recipients="The breast unit of Lindqvist's clinic.",
        onward_use="None without a new request.",
        privacy=Privacy(epsilon=3.0, delta=1e-6),
        rounds=ROUNDS,
        evaluate=(0, ROUNDS // 2, ROUNDS),
        local_steps=2,
        sampling_rate=0.5,
        learning_rate=0.7,
    )
    study = _submit(federation, ask, folder / "first-study.json")
    _wait_until_pending(study)
    _be_refused(study)
    (folder / "first-pending").touch()
    study.wait()
    (folder / "approved").touch()
    began = time.monotonic()
    for record in track(study.rounds(), "Secure rounds", total=study.terms.sums, console=console):
        _save(study, folder / f"model-{record.round}.safetensors")
    _write_results(study, folder, time.monotonic() - began)

    greedy = Ask(
        **{**vars(ask), "title": "Once more, with hardly any noise", "privacy": Privacy(epsilon=10.0, delta=1e-6)}
    )
    second = _submit(federation, greedy, folder / "second-study.json")
    _wait_until_pending(second)
    (folder / "second-pending").touch()
    try:
        second.wait()
    except CloisterError as error:
        console.print(f"\n[bold]The second study is refused[/]: {error}")
        (folder / "second-refused").write_text(str(error))


def _submit(federation: Federation, ask: Ask, note: Path) -> Study:
    study = federation.submit(TumourPlan(), federation.data_sets, ask)
    console.print(
        f"\n[bold]The researcher submits[/] «{ask.title}», ε={ask.privacy.epsilon:g} (study {study.identifier})"
    )
    note.write_text(json.dumps({"study": study.identifier, "terms": study.terms.model_dump(mode="json")}))
    return study


def _be_refused(study: Study) -> None:
    """Try to run before anybody approved."""
    try:
        next(study.rounds())
    except CloisterError as error:
        console.print(f"[bold]A run before the approvals is refused[/]: {error}")
    else:
        raise SystemExit("A study ran that nobody had approved.")


def _write_results(study: Study, folder: Path, seconds: float) -> None:
    result = study.result()
    result.plot(folder / "holdout.png")
    report = {
        "metrics": {
            str(model): {name: it.model_dump() for name, it in values.items()}
            for model, values in result.metrics.items()
        },
        "history": [record.as_json() for record in result.history],
        "seconds": seconds,
        "privacy_report": result.privacy_report(),
    }
    study.receipt(folder / "receipt")
    (folder / "results.json").write_text(json.dumps(report, indent=2))


def _wait_until_pending(study: Study) -> None:
    """Wait until every site has checked the study's programs, so that the owners may look at it."""
    while any(site.status in ("unknown", "received") for site in study.statuses()):
        with contextlib.suppress(UnavailableError):
            study.wait(1)


def _save(study: Study, path: Path) -> None:
    save_file({name: value.contiguous() for name, value in study.result().parameters.items()}, path)


def _wait_for(path: Path) -> Path:
    while not path.exists():
        time.sleep(0.05)
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [Path(card) for card in sys.argv[3:]])
