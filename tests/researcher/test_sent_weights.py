"""Weights travel once: a second study on the same ones sends next to nothing, and what a site lacks is sent again."""

from collections.abc import Iterator
from typing import NoReturn

import pytest
from sqlalchemy import text

from policies.errors import UnavailableError
from researcher.sent_weights import INCOMPLETE, split_parameters
from tests.two_studies import BODY_BYTES, OnFrozenBody, TwoEnds, two_ends


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoEnds]:
    with two_ends(tmp_path_factory.mktemp("two-ends")) as made:
        first = made.study(OnFrozenBody(1))
        first.send_submission()
        made.hear()
        assert made.told(first) == "received"
        yield made


def drop_all(ends: TwoEnds) -> None:
    with ends.scene.site.engine.begin() as connection:
        connection.execute(text("DELETE FROM weights"))


def test_a_second_study_on_the_same_weights_sends_less_than_a_hundredth(ends: TwoEnds) -> None:
    second = ends.study(OnFrozenBody(2))
    sent_before = ends.passed()
    assert sent_before > 2 * BODY_BYTES  # up once, and down to the site
    second.send_submission()
    ends.hear()
    assert ends.told(second) == "received"
    assert ends.passed() - sent_before < 2 * BODY_BYTES / 100
    request = ends.scene.request(second.terms.digest())
    assert request.parameters_file is not None
    whole = b"".join(ends.scene.site.contents.read(request.parameters_file))
    assert whole == ends.letters.state.parameters(second.identifier)


def test_what_a_site_dropped_is_asked_for_and_sent_once_more(ends: TwoEnds) -> None:
    third = ends.study(OnFrozenBody(2))
    drop_all(ends)
    third.send_submission()
    ends.hear()
    assert ends.told(third) == INCOMPLETE
    assert "weights" in third.statuses()[0].detail
    before = ends.passed()
    with pytest.raises(UnavailableError, match="No decision yet"):
        third.wait(0)
    ends.hear()
    assert ends.passed() - before > 2 * BODY_BYTES
    assert ends.told(third) == "received"
    fourth = ends.study(OnFrozenBody(1))
    before = ends.passed()
    fourth.send_submission()
    ends.hear()
    assert ends.told(fourth) == "received"
    assert ends.passed() - before < 2 * BODY_BYTES / 100


@pytest.mark.parametrize("broken", ["upload", "send"])
def test_what_did_not_get_through_is_sent_with_the_next_wait(
    ends: TwoEnds, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    study = ends.study(OnFrozenBody(2))
    drop_all(ends)
    study.send_submission()
    ends.hear()
    assert ends.told(study) == INCOMPLETE

    def down(*_given: object) -> NoReturn:
        raise UnavailableError("The relay cannot be reached.")

    monkeypatch.setattr(ends.letters, broken, down)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        study.wait(0)
    monkeypatch.undo()
    with pytest.raises(UnavailableError, match="No decision yet"):
        study.wait(0)
    ends.hear()
    assert ends.told(study) == "received"


def test_a_site_that_never_keeps_anything_is_sent_a_study_once_a_wait(ends: TwoEnds) -> None:
    """It could otherwise have a notebook send the same weights for ever."""
    study, uploads = ends.study(OnFrozenBody(1)), []
    drop_all(ends)
    study.send_submission()
    ends.hear()
    upload = ends.letters.upload
    ends.letters.upload = lambda content, seconds: uploads.append(len(content)) or upload(content, seconds)  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(UnavailableError):
            study.wait(0)
    assert [it > BODY_BYTES for it in uploads] == [True]
    ends.letters.upload = upload  # type: ignore[method-assign]


def test_the_parts_are_the_file_and_large_tensors_are_parts_wherever_they_stand(ends: TwoEnds) -> None:
    files = [ends.export(OnFrozenBody(head)).parameters for head in (1, 2)]
    first, second = map(split_parameters, files)
    assert [b"".join(part.content for part in parts) for parts in (first, second)] == files
    shared = {part.digest: len(part.content) for part in first if part.is_kept}
    assert sum(shared.values()) == BODY_BYTES
    assert shared.keys() < {part.digest for part in second}
    small = split_parameters(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    assert [len(part.content) for part in small] == [10]
