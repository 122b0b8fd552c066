"""Addresses of researchers, and the sets of files that they are shown under them."""

from contextlib import ExitStack

import pytest

from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.job_messages import FileSetReply, PeerReply, PeerRequest
from datasites.requests.contacts import accept_contact, all_contacts, ask_for_contact, refuse_contact
from datasites.requests.file_sets import answer_file_sets
from policies.errors import ConflictError, InvalidInputError, RefusedError
from tests.one_job import MOCK, PACKAGES, PRIVATE, JobScene

ADA, EVE = "ada@uni.example", "eve@uni.example"


def ask(jobs: JobScene, who: Identity, address: str) -> PeerReply:
    with jobs.scene.site.engine.begin() as connection:
        ask_for_contact(connection, jobs.scene.site, who.card, PeerRequest(contact=address), PACKAGES, jobs.scene.now)
    (*_, reply) = jobs.scene.letters(PeerReply)
    assert isinstance(reply, PeerReply)
    return reply


def accept(jobs: JobScene, address: str) -> str:
    with jobs.scene.site.engine.begin() as connection:
        return accept_contact(connection, jobs.scene.site, address, PACKAGES, jobs.scene.now).name


def offers(jobs: JobScene, who: IdentityCard) -> list[FileSetReply]:
    jobs.scene.send_all()
    with ExitStack() as files, jobs.scene.site.engine.begin() as connection:
        answer_file_sets(connection, jobs.scene.site, who, files, jobs.scene.now)
    return [it for it in jobs.scene.letters() if isinstance(it, FileSetReply)]


def test_an_address_is_asked_for_accepted_and_told(jobs: JobScene) -> None:
    reply = ask(jobs, jobs.scene.researcher, ADA)
    assert (reply.contact, reply.accepted, reply.packages) == ("owner@clinic-a.example", False, PACKAGES)
    assert accept(jobs, ADA) == "ada"
    assert jobs.scene.letters(PeerReply)[-1].accepted  # type: ignore[union-attr]
    assert ask(jobs, jobs.scene.researcher, ADA).accepted
    assert not ask(jobs, jobs.scene.researcher, "other@uni.example").accepted


@pytest.mark.both_databases
def test_whoever_asks_for_anothers_address_cannot_keep_it_from_being_accepted(jobs: JobScene) -> None:
    ask(jobs, jobs.scene.researcher, ADA)
    ask(jobs, jobs.scene.other_researcher, ADA)
    with pytest.raises(ConflictError, match="--name"):
        accept(jobs, ADA)
    with pytest.raises(InvalidInputError), jobs.scene.site.engine.begin() as connection:
        accept_contact(connection, jobs.scene.site, ADA, PACKAGES, jobs.scene.now, "nobody")
    with jobs.scene.site.engine.begin() as connection:
        accepted = accept_contact(connection, jobs.scene.site, ADA, PACKAGES, jobs.scene.now, "ada")
        assert [(it.name, it.requested, it.accepted) for it in all_contacts(connection) if it.accepted] == [
            ("ada", None, ADA)
        ]
    assert accepted.party == jobs.scene.researcher.party


@pytest.mark.parametrize("spelt", [ADA, "ADA@uni.example", "Ada@Uni.example"])
def test_an_address_belongs_to_one_researcher_however_it_is_spelt(jobs: JobScene, spelt: str) -> None:
    """And asking does not tell whether somebody has it."""
    ask(jobs, jobs.scene.researcher, ADA)
    accept(jobs, ADA)
    taken, free = (ask(jobs, jobs.scene.other_researcher, address) for address in (spelt, "free@uni.example"))
    assert taken == free
    ask(jobs, jobs.scene.other_researcher, spelt)
    with pytest.raises(ConflictError, match="More than one"):
        accept(jobs, spelt)


@pytest.mark.parametrize(
    "address",
    ["owner@clinic-a.example", "Owner@Clinic-A.example", "researcher-0123456789ab@unaccepted.invalid"],
)
def test_nobody_asks_for_the_owners_address_or_one_that_the_site_gives_out(jobs: JobScene, address: str) -> None:
    with pytest.raises(RefusedError, match="cannot be a researcher's address"):
        ask(jobs, jobs.scene.researcher, address)
    with jobs.scene.site.engine.begin() as connection:
        assert all_contacts(connection) == []


@pytest.mark.both_databases
def test_an_address_that_two_ask_for_is_nobodys(jobs: JobScene) -> None:
    for who in (jobs.scene.researcher, jobs.scene.other_researcher):
        ask(jobs, who, ADA)
    with pytest.raises(ConflictError):
        accept(jobs, ADA)
    with jobs.scene.site.engine.begin() as connection:
        refuse_contact(connection, ADA)
        assert [(it.requested, it.accepted) for it in all_contacts(connection)] == [(None, None)] * 2
        with pytest.raises(InvalidInputError):
            refuse_contact(connection, ADA)
    ask(jobs, jobs.scene.researcher, ADA)
    assert accept(jobs, ADA) == "ada"


def test_nobody_else_asks_for_an_address(jobs: JobScene) -> None:
    with pytest.raises(RefusedError):
        ask(jobs, jobs.scene.partners[0], ADA)
    with pytest.raises(InvalidInputError, match="No pinned researcher"):
        accept(jobs, ADA)


def test_each_researcher_is_shown_what_is_shared_with_it(jobs: JobScene) -> None:
    jobs.register("beds", everybody=False, contacts=(EVE,))
    ada, eve = jobs.scene.researcher, jobs.scene.other_researcher
    ask(jobs, eve, EVE)
    assert [it.offer.name for it in offers(jobs, eve.card) if it.offer] == ["visits"]  # it asked, and was not accepted
    accept(jobs, EVE)
    found = offers(jobs, eve.card)
    assert [(it.total, it.offer.name) for it in found if it.offer] == [(2, "beds"), (2, "visits")]
    assert [it.offer.name for it in offers(jobs, ada.card) if it.offer] == ["visits"]
    assert jobs.receive(sender=eve.card, researcher=eve.party, data_sets=("beds", "visits")).number == 1


@pytest.mark.both_databases
def test_an_offer_holds_mock_files_and_nothing_private(jobs: JobScene) -> None:
    (reply,) = offers(jobs, jobs.scene.researcher.card)
    assert reply.offer is not None
    assert reply.offer.mock.plain() == MOCK.encode()  # type: ignore[union-attr]
    said = reply.canonical().decode()
    assert str(jobs.private.parent) not in said
    assert str(len(PRIVATE)) not in said
    assert jobs.register().commitment not in said


def test_where_there_is_nothing_to_see_that_is_said(jobs: JobScene) -> None:
    jobs.register(everybody=False)
    (reply,) = offers(jobs, jobs.scene.researcher.card)
    assert (reply.total, reply.offer) == (0, None)


def test_only_researchers_are_shown_files(jobs: JobScene) -> None:
    with pytest.raises(RefusedError):
        offers(jobs, jobs.scene.partners[0].card)


def test_whoever_asks_again_and_again_is_not_written_large_content_each_time(jobs: JobScene) -> None:
    (jobs.private.parent / "mock" / "visits.csv").write_text(MOCK * 200)
    jobs.register()
    card = jobs.scene.researcher.card
    assert len(offers(jobs, card)) == 1
    for _ in range(3):
        with ExitStack() as files, jobs.scene.site.engine.begin() as connection:
            answer_file_sets(connection, jobs.scene.site, card, files, jobs.scene.now)
    assert len(jobs.scene.letters(FileSetReply)) == 1
    assert len(offers(jobs, card)) == 1  # once the first has gone
