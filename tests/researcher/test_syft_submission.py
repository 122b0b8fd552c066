"""What goes out of the folder that PySyft writes for a job, and what is refused before anybody is troubled with it."""

from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from syft_job import SyftJobConfig

from datasites.syft_bridge.job_views import Jobs
from policies.errors import InvalidInputError, RefusedError
from policies.jobs.terms import CODE_FILE_DOMAIN, JobLimits, JobTerms
from policies.statements.digests import digest
from researcher.job_state import Address
from researcher.syft_submission import Stated, _read_code, read_submission
from tests.researcher.syft_scene import ADA, ANNA, PACKAGES

STATED = Stated("To count.", "Consent.", "The ward.", "None.", JobLimits(wall_seconds=60, memory_mib=1024, disk_mib=10))
SITE = Address(ANNA, "a" * 64, "accepted", PACKAGES)

Submit = Callable[..., tuple[JobTerms, bytes]]


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """Let PySyft write the submission of a folder with these files, then read it."""
    (tmp_path / "box" / ADA).mkdir(parents=True)
    client = Jobs(SyftJobConfig(syftbox_folder=tmp_path / "box", current_user_email=ADA))
    client.peer_install_sources[ANNA] = "syft==0.10.0"

    def act(
        files: dict[str, str | bytes] | None = None,
        *,
        data_sets: Collection[str] = (),
        site: Address = SITE,
        **arguments: object,
    ) -> tuple[JobTerms, bytes]:
        folder = tmp_path / "code"
        for name, content in (files or {"main.py": "print(1)\n"}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        job_dir = client.submit_python_job(ANNA, str(folder), **({"job_name": "count"} | arguments))
        return read_submission(job_dir, "b" * 64, site, data_sets, STATED, None)

    return act


def test_the_files_travel_in_the_order_of_their_paths(submit: Submit) -> None:
    files = {"run/main.py": "import help\n", "help.py": "x = 1\n", "params.json": "{}", "raw.bin": b"\0\1"}
    terms, code = submit(files, entrypoint="run/main.py")
    assert [file.path for file in terms.code] == ["help.py", "params.json", "raw.bin", "run/main.py"]
    assert code == b"x = 1\n{}\0\1import help\n"
    assert terms.code[0].digest == digest(CODE_FILE_DOMAIN, b"x = 1\n")
    assert (terms.entrypoint, terms.site, terms.researcher) == ("run/main.py", SITE.site, "b" * 64)
    assert (terms.purpose, terms.limits) == (STATED.purpose, STATED.limits)


def test_the_data_sets_are_those_that_the_code_names(submit: Submit) -> None:
    main = 'import syft as sy\na = sy.resolve_dataset_file_path("wards")\nb = sy.load_dataset_code("tools.count")\n'
    other = "name = 'heart'\nprint(f'oncology {name}', 'lung.csv')\n"
    seen = {"wards", "tools", "heart", "oncology", "lung", "csv"}
    terms, _ = submit({"main.py": main, "other.py": other}, data_sets=seen)
    assert terms.data_sets == ("heart", "tools", "wards")
    assert "diabetes" not in terms.data_sets


def test_compiled_python_stays_behind(submit: Submit) -> None:
    terms, _ = submit({"main.py": "", "lib/__pycache__/evil.cpython-311.pyc": b"\0", "lib/a.py": ""})
    assert [file.path for file in terms.code] == ["lib/a.py", "main.py"]


@pytest.mark.parametrize("dependencies", [["pandas"], ["pandas>=2", "scikit_learn"], ["numpy ; python_version > '3'"]])
def test_offered_packages_are_accepted(submit: Submit, dependencies: list[str]) -> None:
    terms, _ = submit(dependencies=dependencies)
    assert len(terms.requirements) == len(dependencies)


@pytest.mark.parametrize(
    ("dependencies", "missing"),
    [
        (["pandas<2"], "pandas<2"),
        (["xgboost", "pandas"], "xgboost"),
    ],
)
def test_what_the_site_does_not_offer_is_refused_with_what_it_does(
    submit: Submit, dependencies: list[str], missing: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        submit(dependencies=dependencies)
    assert f"The job needs {missing}, and nothing is installed" in str(caught.value)
    for package in PACKAGES:
        assert package in str(caught.value)


def test_nothing_is_fetched_from_elsewhere(submit: Submit) -> None:
    with pytest.raises(InvalidInputError, match="nothing is fetched for a job"):
        submit(dependencies=["pandas @ https://evil.example/x.whl"])


def test_a_project_file_asks_for_packages_too(submit: Submit) -> None:
    project = '[project]\nname = "x"\nversion = "1"\ndependencies = ["xgboost>=2"]\n'
    with pytest.raises(RefusedError, match="needs xgboost>=2"):
        submit({"main.py": "", "pyproject.toml": project})


def test_a_project_file_that_asks_for_nothing(submit: Submit) -> None:
    assert submit({"main.py": "", "pyproject.toml": "[tool.ruff]\nline-length = 120\n"})[0].requirements == ()


@pytest.mark.parametrize(
    "project", ["[project", "[project]\ndependencies = 3\n", '[project]\ndependencies = ["! !"]\n']
)
def test_a_project_file_that_cannot_be_read(submit: Submit, project: str) -> None:
    with pytest.raises(InvalidInputError):
        submit({"main.py": "", "pyproject.toml": project})


@pytest.mark.parametrize(
    "name", [".env", "a b.py", "ü.py", "-x.py", "a/.hidden/b.py", "<img src=x onerror=alert(1)>.py"]
)
def test_names_that_no_site_accepts(submit: Submit, name: str) -> None:
    with pytest.raises(InvalidInputError, match="No site accepts this job"):
        submit({"main.py": "", name: ""})


@pytest.mark.parametrize("name", ["<b>job</b>", "../../x", " count", "a" * 101])
def test_job_names_that_no_site_accepts(submit: Submit, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="No site accepts this name"):
        submit(job_name=name)
    assert list((tmp_path / "box").iterdir()) == [tmp_path / "box" / ADA], "nothing was written"


def test_a_link_is_no_way_to_read_a_file_into_a_job(tmp_path: Path) -> None:
    """PySyft follows links when it copies; whoever swaps one in afterwards gets nothing read either."""
    (tmp_path / "secret.py").write_text("secret = 1\n")
    (tmp_path / "job" / "code").mkdir(parents=True)
    (tmp_path / "job" / "code" / "main.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(InvalidInputError, match=r"main\.py is a link"):
        _read_code(tmp_path / "job" / "code")


def test_too_much_code(submit: Submit) -> None:
    with pytest.raises(InvalidInputError, match="leave data out of it"):
        submit({"main.py": "", "table.csv": bytes(16 * 1024 * 1024 + 1)})


@pytest.mark.parametrize("code", ["def (:", b"\xff\xfe", "x = '\0'"])
def test_code_that_is_no_python(submit: Submit, code: str | bytes) -> None:
    with pytest.raises(InvalidInputError, match="is not Python"):
        submit({"main.py": code})
