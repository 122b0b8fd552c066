"""A study on texts comes with exactly the tokeniser of its terms, and asks for a data set that holds texts."""

import pytest

from policies.errors import CloisterError, InvalidInputError, NotAuthenticError
from tests.one_site import Scene
from tests.text_study import tokeniser, tokens

TOKENS = {"tokens": tokens().model_dump(mode="json")}


@pytest.mark.parametrize(
    ("programs", "file", "error", "reason"),
    [
        (TOKENS, None, NotAuthenticError, "tokeniser that arrived is not the one"),
        (TOKENS, tokeniser(length=7), NotAuthenticError, "tokeniser that arrived is not the one"),
        ({}, tokeniser(), NotAuthenticError, "tokeniser that arrived is not the one"),
        (TOKENS, tokeniser(), InvalidInputError, "holds no texts"),
    ],
)
def test_what_does_not_go_with_the_terms_or_the_data_is_refused(
    scene: Scene, programs: dict[str, object], file: bytes | None, error: type[CloisterError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        scene.receive(scene.terms(programs=programs), tokeniser=file)
    assert scene.count("requests") == 0
