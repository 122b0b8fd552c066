"""Whether what a job needs is there."""

import pytest

from policies.errors import InvalidInputError, RefusedError
from policies.jobs.requirements import require_packages

OFFERED = ("numpy==2.4.6", "pandas==3.1.1", "scikit-learn==1.8.0", "odd==not.a.version!")


@pytest.mark.parametrize(
    "requirement",
    ["pandas", "pandas>=2", "Pandas==3.1.1", "pandas[excel]>=3,<4", "scikit_learn", 'torch; python_version<"3"'],
)
def test_what_is_there_may_be_asked_for(requirement: str) -> None:
    require_packages([requirement], OFFERED)


@pytest.mark.parametrize("requirement", ["torch", "pandas>=4", "pandas==2.0", "odd", "numpy<2"])
def test_what_is_not_there_is_refused_with_the_list(requirement: str) -> None:
    with pytest.raises(RefusedError) as refused:
        require_packages(["pandas", requirement], OFFERED)
    assert requirement in str(refused.value)
    assert "pandas==3.1.1" in str(refused.value)


@pytest.mark.parametrize(
    "requirement",
    ["pandas @ https://evil.example/p.whl", "pandas=2", "a b", "-r other.txt",
     'pandas; os_name ~= "x"', 'pandas; dependency_groups == "x"'],
)  # fmt: skip
def test_what_pip_would_fetch_from_elsewhere_or_not_understand_is_invalid(requirement: str) -> None:
    with pytest.raises(InvalidInputError):
        require_packages([requirement], OFFERED)
