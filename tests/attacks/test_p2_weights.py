"""P2 and weights that are kept: whoever sends what, the file that runs is the approved one, and nobody learns more."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from datasites.execution.approval import required_files
from datasites.protocol.content import in_letter, wrap
from datasites.protocol.identity import Identity
from datasites.protocol.messages import Message, StudyStatus, StudySubmission
from datasites.protocol.weight_messages import LEAST_KEPT_BYTES, PART_DOMAIN, ParameterPart, WeightsWanted
from datasites.requests.close import close_request
from datasites.requests.records import Request, Status, find_study
from datasites.serving import parameters as serving
from datasites.serving.incoming import Incoming
from datasites.store import weights as kept
from datasites.store.contents import ContentFolder
from datasites.store.referred import sweep_contents
from datasites.store.tables import weights
from datasites.store.weights import drop_weights
from policies.errors import NotAuthenticError
from policies.programs.digests import parameters_digest
from policies.statements.digests import digest
from tests.attacks.test_p6_contents import Relay
from tests.fuzz.seeds import sealed
from tests.one_site import new_scene

DAY = 86_400


def large(letter: str) -> bytes:
    """A part of the least size that is kept."""
    return letter.encode() * LEAST_KEPT_BYTES


HEAD, OTHER_HEAD, BODY, OTHER_BODY = b"a small head", b"another head", large("b"), large("c")


class Post:
    """Delivers studies of parts to a site, and says what it answered."""

    def __init__(self, folder: Path) -> None:
        self.scene, self.relay, self.numbers = new_scene(folder), Relay(), dict[str, int]()

    def deliver(
        self,
        number: int,
        parts: Sequence[bytes],
        *,
        unsent: Sequence[bytes] = (),
        instead: bytes | None = None,
        named: bytes | None = None,
        sender: Identity | None = None,
    ) -> Message:
        """Study `number` on `parts`, all sent but the `unsent` ones; its answer.

        `instead` are the bytes that are sent, and `named` the file that the terms name, where they are others.
        """
        who = sender or self.scene.researcher
        file = b"".join(parts) if named is None else named
        listed = tuple(
            ParameterPart(digest=digest(PART_DOMAIN, it), size=len(it), sent=it not in unsent) for it in parts
        )
        content, upload = wrap(b"".join(it for it in parts if it not in unsent) if instead is None else instead)
        if upload is not None:
            self.relay.put_blob(upload, 0)
        terms = self.scene.terms(
            f"{number:032x}",
            researcher=who.party,
            programs={"initial_parameters": parameters_digest(file)},
        )
        return self.post(self.scene.submission(terms, parameter_parts=listed, initial_parameters=content), sender=who)

    def post(self, message: StudySubmission, sender: Identity) -> Message:
        """What the site answers to the letter."""
        count = self.numbers[sender.party] = self.numbers.get(sender.party, 0) + 1
        letter = sealed(sender, self.scene.site.identity.card, count, message.canonical())
        Incoming(self.scene.site, self.relay).take(letter)  # type: ignore[arg-type]  # it uses `get_blob` alone
        return self.scene.letters()[-1]

    def request(self, number: int) -> Request:
        with self.scene.site.engine.begin() as connection:
            found = find_study(connection, self.scene.researcher.party, f"{number:032x}")
        assert found is not None
        return found

    def file(self, number: int) -> bytes:
        """What a study's trainer would be given, checked as it is then."""
        parameters, _ = required_files(self.scene.site, self.request(number))
        return b"".join(parameters.pieces)

    def rows(self) -> set[tuple[str, str]]:
        with self.scene.site.engine.begin() as connection:
            return set(connection.execute(select(weights.c.sender, weights.c.part)).tuples())

    def place(self, part: bytes) -> Path:
        """The file that a kept part lies in."""
        with self.scene.site.engine.begin() as connection:
            name = connection.execute(select(weights.c.file).where(weights.c.part == digest(PART_DOMAIN, part)))
            return self.scene.site.home.contents / name.scalar_one()

    def end(self, number: int) -> None:
        ended = self.request(number).digest
        with self.scene.site.engine.begin() as connection:
            close_request(connection, ended, Status.CLOSED, "Enough.", self.scene.now)
        sweep_contents(self.scene.site.engine, self.scene.site.contents, self.scene.now)


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def is_taken(answer: Message) -> bool:
    return isinstance(answer, StudyStatus) and answer.status == "received"


def refusal(answer: Message) -> str:
    assert isinstance(answer, StudyStatus)
    assert answer.status == "refused"
    return answer.detail


def test_a_second_study_needs_only_what_is_new_of_it(post: Post) -> None:
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    post.end(1)
    assert is_taken(post.deliver(2, [OTHER_HEAD, BODY, OTHER_BODY], unsent=[BODY]))
    assert is_taken(post.deliver(3, [BODY, HEAD, OTHER_BODY], unsent=[BODY, OTHER_BODY]))
    assert post.file(2) == OTHER_HEAD + BODY + OTHER_BODY
    assert post.file(3) == BODY + HEAD + OTHER_BODY


def test_nobody_learns_what_somebody_else_has_sent(post: Post, tmp_path: Path) -> None:
    """Eve names Ada's weights, at a site that keeps them for Ada and at one where nobody sent any: one answer."""
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    eve = post.scene.other_researcher
    told = [
        it.deliver(2, [HEAD, BODY], unsent=[BODY], sender=it.scene.other_researcher)
        for it in (post, Post(tmp_path / "other"))
    ]
    assert told[0] == told[1]
    assert isinstance(told[0], WeightsWanted)
    assert set(told[0].parts) == {digest(PART_DOMAIN, it) for it in (HEAD, BODY)}
    assert {sender for sender, _ in post.rows()} == {post.scene.researcher.party}
    assert is_taken(post.deliver(3, [HEAD, BODY], sender=eve))
    assert len(post.rows()) == 2


@pytest.mark.parametrize("instead", [HEAD + large("x"), HEAD[:-1] + BODY + b"!", HEAD + BODY[1:] + b"x"])
def test_other_bytes_under_a_digest_are_refused_and_harm_nothing_that_is_kept(post: Post, instead: bytes) -> None:
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    before, files = post.rows(), set(post.scene.site.home.contents.iterdir())
    assert "not the one that its digest names" in refusal(post.deliver(2, [HEAD, BODY], instead=instead))
    assert post.rows() == before
    assert set(post.scene.site.home.contents.iterdir()) == files
    assert is_taken(post.deliver(3, [OTHER_HEAD, BODY], unsent=[BODY]))
    assert post.file(3) == OTHER_HEAD + BODY


def test_a_part_under_anothers_digest_is_refused_though_the_whole_is_the_terms(post: Post) -> None:
    """Or it would be kept as what it is not."""
    answer = post.deliver(1, [HEAD, OTHER_BODY], instead=HEAD + BODY, named=HEAD + BODY)
    assert "not the one that its digest names" in refusal(answer)
    assert post.rows() == set()


@pytest.mark.parametrize("named", [HEAD + OTHER_BODY, BODY + HEAD])
def test_parts_that_make_another_file_than_the_terms_name_are_refused(post: Post, named: bytes) -> None:
    """Each part is what it says, and kept even; the owner would approve another whole."""
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    assert "digest the terms carry" in refusal(post.deliver(2, [HEAD, BODY], unsent=[BODY], named=named))


def test_bytes_that_do_not_add_up_are_refused_before_they_are_fetched(post: Post) -> None:
    assert "were announced" in refusal(post.deliver(1, [HEAD, BODY], instead=HEAD + BODY + b"?"))
    endless = ParameterPart(digest="0" * 64, size=256 << 20, sent=False)
    message = post.scene.submission(post.scene.terms(), parameter_parts=(endless,) * 2)
    assert "at most" in refusal(post.post(message, post.scene.researcher))


def test_a_small_letter_that_lacks_anything_costs_next_to_nothing(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names all that is kept for its sender, and something that is not, or something of another size."""
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    done: list[str] = []
    monkeypatch.setattr(ContentFolder, "read", lambda _folder, name, *_range: done.append(name) or iter(()))
    monkeypatch.setattr(ContentFolder, "sweep", lambda _folder, _referred: done.append("swept"))
    answer = post.deliver(2, [HEAD, BODY, OTHER_BODY], unsent=[BODY, OTHER_BODY])
    assert isinstance(answer, WeightsWanted)
    assert set(answer.parts) == {digest(PART_DOMAIN, it) for it in (HEAD, OTHER_BODY)}
    named = ParameterPart(digest=digest(PART_DOMAIN, BODY), size=1, sent=False)
    message = post.scene.submission(
        post.scene.terms(f"{3:032x}"), parameter_parts=(named,), initial_parameters=in_letter((), 0)
    )
    assert isinstance(post.post(message, post.scene.researcher), WeightsWanted)
    assert done == []


def test_what_the_disk_changed_is_asked_for_again_and_mended_by_what_comes(post: Post) -> None:
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    with post.place(BODY).open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    with pytest.raises(NotAuthenticError):
        post.file(1)
    assert isinstance(post.deliver(2, [HEAD, BODY], unsent=[BODY]), WeightsWanted)
    assert is_taken(post.deliver(3, [HEAD, BODY]))
    assert is_taken(post.deliver(4, [HEAD, BODY], unsent=[BODY]))
    assert post.file(4) == HEAD + BODY


@pytest.mark.parametrize("change", ["gone", "another"])
def test_what_is_lost_between_the_look_and_the_use_is_to_be_sent_again(
    post: Post, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    place, holds = post.place(BODY), serving._holds

    def lost_at_once(*given: object) -> bool:
        found = holds(*given)  # type: ignore[arg-type]
        place.unlink() if change == "gone" else place.write_bytes(bytes(place.stat().st_size))
        return found

    monkeypatch.setattr(serving, "_holds", lost_at_once)
    assert "send it again" in refusal(post.deliver(2, [HEAD, BODY], unsent=[BODY]))
    monkeypatch.undo()
    assert isinstance(post.deliver(2, [HEAD, BODY], unsent=[BODY]), WeightsWanted)
    assert is_taken(post.deliver(2, [HEAD, BODY]))


def test_the_oldest_weights_make_room_and_no_open_study_lacks_any(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_BYTES_OF_A_RESEARCHER", 2 * LEAST_KEPT_BYTES)
    for number, part in enumerate("bcd", 1):
        post.scene.clock.seconds += 1
        assert is_taken(post.deliver(number, [large(part)]))
    assert post.rows() == {(post.scene.researcher.party, digest(PART_DOMAIN, large(it))) for it in "cd"}
    assert post.file(1) == large("b")
    assert isinstance(post.deliver(4, [large("b")], unsent=[large("b")]), WeightsWanted)
    assert len(list(post.scene.site.home.contents.iterdir())) == 3
    post.end(1)
    assert isinstance(post.deliver(4, [large("b")], unsent=[large("b")]), WeightsWanted)
    assert len(list(post.scene.site.home.contents.iterdir())) == 2


def test_a_file_counts_whole_however_little_of_it_is_still_named(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a researcher could leave a large file behind for each small part of it."""
    monkeypatch.setattr(kept, "_MOST_BYTES_OF_A_RESEARCHER", 4 * LEAST_KEPT_BYTES)
    for number, part in enumerate("cdef", 1):
        post.scene.clock.seconds += 1
        assert is_taken(post.deliver(number, [BODY, large(part)]))
        post.end(number)
    assert {part for _, part in post.rows()} == {digest(PART_DOMAIN, it) for it in (BODY, large("f"), large("e"))}


def test_nobodys_weights_make_room_for_somebody_elses(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_BYTES_OF_A_RESEARCHER", LEAST_KEPT_BYTES)
    assert is_taken(post.deliver(1, [BODY]))
    for number, part in enumerate("cdefg", 2):
        post.scene.clock.seconds += 1
        assert is_taken(post.deliver(number, [large(part)], sender=post.scene.other_researcher))
    assert is_taken(post.deliver(9, [HEAD, BODY], unsent=[BODY]))
    monkeypatch.setattr(kept, "_MOST_BYTES", 2 * LEAST_KEPT_BYTES - 1)
    with post.scene.site.engine.begin() as connection:
        drop_weights(connection, post.scene.now)
    assert post.rows() == set()


def test_weights_that_no_study_has_named_for_a_quarter_go(post: Post) -> None:
    assert is_taken(post.deliver(1, [HEAD, BODY]))
    for days, left in ((89, 1), (1, 0)):
        post.scene.clock.seconds += days * DAY
        with post.scene.site.engine.begin() as connection:
            drop_weights(connection, post.scene.now)
        assert len(post.rows()) == left
