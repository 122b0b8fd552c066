"""Whether the words that people and others signed stand in a datasite's rows exactly as its log tells of them."""

from collections import Counter

from sqlalchemy import Connection, select

from datasites.store.tables import (
    adopted_rules,
    approvals,
    data_sets,
    jobs,
    people,
    questions,
    recoveries,
    requests,
    revocations,
    stops,
    sums,
    two_histories,
)
from policies.budget.tables import reservations
from policies.log.entries import DataSetRegistered, DecisionTaken, LogEntry
from policies.log.job_entries import JobDecided, ReleaseDecided
from policies.log.people_entries import PersonAppointed, PersonDismissed
from policies.log.question_entries import QuestionAnswered, QuestionAsked
from policies.log.revocation_entries import ApprovalRevoked
from policies.log.rules_entries import RulesAdopted
from policies.log.set_back_entries import LogRecovered
from policies.log.stop_entries import SiteResumed, SiteStopped
from policies.log.witness_entries import HistoriesSettled, SumOpened, TwoHistories
from policies.statements.schema import StrictModel


def check_words(connection: Connection, logged: list[LogEntry]) -> None:
    """Check each table of signed words against the `logged` entries, all there are, oldest first.

    Raises:
        AssertionError: a row is not told of, or an entry has no row.
    """
    _check_people(connection, logged)
    _check_rules(connection, logged)
    _check_waiting(connection, logged)
    _check_halts(connection, logged)
    _check_questions(connection, logged)
    _check_others(connection, logged)
    registered = [it.data_set for it in logged if isinstance(it, DataSetRegistered)]
    assert Counter(registered) == Counter(connection.execute(select(data_sets.c.name)).scalars())


def _texts(*signed: StrictModel) -> list[str]:
    return [it.canonical().decode() for it in signed]


def _check_people(connection: Connection, logged: list[LogEntry]) -> None:
    """Everybody was appointed once, and dismissed at most once."""
    rows = connection.execute(select(people).order_by(people.c.number)).all()
    assert [it.appointment for it in rows] == _texts(*(it.signed for it in logged if isinstance(it, PersonAppointed)))
    dismissed = Counter(it.dismissal for it in rows if it.dismissal is not None)
    assert dismissed == Counter(_texts(*(it.signed for it in logged if isinstance(it, PersonDismissed))))


def _check_rules(connection: Connection, logged: list[LogEntry]) -> None:
    """The chain of adopted rules is the log's, each after the one that it names."""
    rows = connection.execute(select(adopted_rules).order_by(adopted_rules.c.number)).all()
    adopted = [it.signed for it in logged if isinstance(it, RulesAdopted)]
    assert [it.number for it in rows] == list(range(1, len(adopted) + 1))
    assert [it.statement for it in rows] == _texts(*adopted)
    digests = [it.adoption.digest() for it in adopted]
    assert [it.adoption.previous for it in adopted] == [None, *digests[:-1]]
    assert [it.digest for it in rows] == digests


def _check_waiting(connection: Connection, logged: list[LogEntry]) -> None:
    """An approval waits only for what is still undecided, once a person, and the log has each."""
    rows = connection.execute(select(approvals)).all()
    undecided = set(connection.execute(select(requests.c.digest).where(requests.c.status == "pending")).scalars())
    waits = jobs.c.status.in_(("pending", "failed", "held"))
    undecided |= set(connection.execute(select(jobs.c.digest).where(waits)).scalars())
    assert {it.request for it in rows} <= undecided
    told = _texts(*(it.signed for it in logged if isinstance(it, DecisionTaken | JobDecided | ReleaseDecided)))
    assert set(Counter(told).values()) <= {1}
    assert {it.statement for it in rows} <= set(told)


def _check_halts(connection: Connection, logged: list[LogEntry]) -> None:
    """What was revoked is over and holds nothing; each stop has at most one resumption, its own."""
    revoked = dict(connection.execute(select(revocations.c.request, revocations.c.statement)).tuples().all())
    told = [it.signed for it in logged if isinstance(it, ApprovalRevoked)]
    assert Counter(revoked.values()) == Counter(_texts(*told))
    assert set(revoked) == {it.revocation.request for it in told}
    statuses = {
        digest
        for table in (requests, jobs)
        for digest in connection.execute(select(table.c.digest).where(table.c.status == "revoked")).scalars()
    }
    assert set(revoked) == statuses
    still_open = select(reservations.c.request).where(reservations.c.state == "open")
    assert not set(revoked) & set(connection.execute(still_open).scalars())
    rows = connection.execute(select(stops).order_by(stops.c.serial)).all()
    assert [it.statement for it in rows] == _texts(*(it.signed for it in logged if isinstance(it, SiteStopped)))
    resumed = [it.signed for it in logged if isinstance(it, SiteResumed)]
    assert [it.resumption for it in rows if it.resumption is not None] == _texts(*resumed)
    ended = Counter(it.resumption.stop for it in resumed)
    assert set(ended.values()) <= {1}
    assert ended.keys() <= {it.signed.stop.digest() for it in logged if isinstance(it, SiteStopped)}


def _check_questions(connection: Connection, logged: list[LogEntry]) -> None:
    """Each question was asked once, and answered at most once, with what the log says."""
    rows = connection.execute(select(questions)).all()
    asked = _texts(*(it.signed for it in logged if isinstance(it, QuestionAsked)))
    assert Counter(it.signed for it in rows) == Counter(asked)
    answers = Counter((it.request, it.number, it.answer) for it in logged if isinstance(it, QuestionAnswered))
    assert answers == Counter((it.request, it.number, it.answer) for it in rows if it.answer is not None)


def _check_others(connection: Connection, logged: list[LogEntry]) -> None:
    """Opened sums, recoveries, and evidence against other logs until it was settled."""
    opened = connection.execute(select(sums.c.opened).where(sums.c.opened.is_not(None))).scalars()
    assert Counter(opened) == Counter(_texts(*(it.signed for it in logged if isinstance(it, SumOpened))))
    recovered = connection.execute(select(recoveries.c.statement).order_by(recoveries.c.id)).scalars().all()
    assert list(recovered) == _texts(*(it.signed for it in logged if isinstance(it, LogRecovered)))
    standing = Counter(it.site for it in logged if isinstance(it, TwoHistories))
    standing.subtract(it.site for it in logged if isinstance(it, HistoriesSettled))
    assert +standing == Counter(connection.execute(select(two_histories.c.party)).scalars())
