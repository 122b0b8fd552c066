"""The README's notebook cell, run as it stands in a real notebook kernel against a live federation."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.demo.commands import environment
from tests.system.federation import LiveFederation, LiveSite
from tests.system.waiting import eventually

_README = Path(__file__).parents[2] / "README.md"
_CARDS = {"anna-hospital": "anna", "bern-hospital": "bern", "cork-hospital": "cork"}


def test_the_readmes_cell_runs_in_a_notebook_and_shows_progress_there(live: LiveFederation, tmp_path: Path) -> None:
    for site in live.sites.values():
        shutil.copy(site.site.card, tmp_path / f"{_CARDS[site.name]}.card.json")
    cell = _readme_cell(live)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("from tests.demo.plan import TumourPlan"), nbformat.v4.new_code_cell(cell)]
    )
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    with ThreadPoolExecutor(len(live.sites)) as owners:
        approvals = [owners.submit(_approve_newest, site) for site in live.sites.values()]
        client.execute(env=environment())
        for approval in approvals:
            approval.result()

    outputs = notebook.cells[1].outputs
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert "differentially private" in printed
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    assert (tmp_path / "holdout.png").read_bytes().startswith(b"\x89PNG")


def _readme_cell(live: LiveFederation) -> str:
    section = _README.read_text().split("## For a researcher", 1)[1]
    cell, *_ = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    fingerprints = {it.name: it.fingerprint for it in live.ada.sites}
    replaced = [("~/.cloister/ada", str(live.folder / "ada")), ("https://relay.example", live.proxy.url)]
    for name, short in _CARDS.items():
        (shown,) = re.findall(rf'"{short}\.card\.json", "([A-Z2-7-]+)"', cell)
        replaced.append((shown, fingerprints[name]))
    for shown, real in replaced:
        assert shown in cell
        cell = cell.replace(shown, real)
    return cell


def _approve_newest(site: LiveSite) -> None:
    query = "SELECT number FROM requests WHERE status = 'pending' ORDER BY number DESC LIMIT 1"
    (row,) = eventually(lambda: site.rows(query), f"a request that waits at {site.name}")
    site.site.approve(site.site.show(row["number"])["approval_digest"])
