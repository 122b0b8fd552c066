"""The tables of jobs, of the sets of files that they may see, and of the addresses that Syft shows people under."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from policies.database import metadata

contacts = Table(
    "contacts",
    metadata,
    Column("party", String(64), ForeignKey("peers.party"), primary_key=True),
    Column("requested", String(200), nullable=True, comment="the address that the party asked to be shown under"),
    Column("accepted", String(200), nullable=True, unique=True, comment="the address that the owner accepted"),
)

file_sets = Table(
    "file_sets",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("card", Text, nullable=False, comment="summary, readme, tags, mock and private files, as canonical JSON"),
    Column("commitment", String(64), nullable=False, comment="keyed, to the private files; as decisions name it"),
    Column("mock_file", String(64), nullable=False, comment="content file with the mock files' bytes"),
    Column("population", String(64), ForeignKey("populations.id"), nullable=True),
    Column("shared_with_all", Integer, nullable=False, comment="1 if every pinned researcher may see it, else 0"),
    Column("registered_at", BigInteger, nullable=False),
)

file_set_shares = Table(
    "file_set_shares",
    metadata,
    Column("file_set", String(63), ForeignKey("file_sets.name"), primary_key=True),
    Column("contact", String(200), primary_key=True, comment="the accepted address of who may see it"),
)

second_exports = Table(
    "second_exports",
    metadata,
    Column("request", String(64), ForeignKey("requests.digest"), primary_key=True),
    Column("result", String(16), nullable=False, comment="agrees, differs or failed: source against programs"),
    Column("error", String(100), nullable=False, comment="the class of the error, if it failed"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("digest", String(64), primary_key=True, comment="the digest of the terms"),
    Column("number", Integer, nullable=False, unique=True, comment="counted together with the requests'"),
    Column("job", String(32), nullable=False),
    Column("sender", String(64), ForeignKey("peers.party"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("status", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("code_file", String(64), nullable=True, comment="content file, until nothing can run any more"),
    Column("dry_run", Text, nullable=True, comment="what the run on mock data showed, as canonical JSON"),
    Column("decision", Text, nullable=True, comment="the newest, signed by those who took it"),
    Column(
        "approved_at", BigInteger, nullable=True, comment="milliseconds since 1970; the end's telling counts from it"
    ),
    Column("attempt", Integer, nullable=False, default=0, comment="executions begun so far"),
    Column("run", Text, nullable=True, comment="how the newest execution ended, as canonical JSON"),
    Column("outputs_file", String(64), nullable=True, comment="content file with the outputs' bytes"),
    Column("findings", Text, nullable=True, comment="what the inspection found, as canonical JSON"),
    Column("findings_seal", String(64), nullable=True, comment="keyed, to the findings and their run"),
    Column("release", Text, nullable=True, comment="the word on the outputs, signed by those who decided"),
    Column("tell_at", BigInteger, nullable=True, comment="milliseconds since 1970; the researcher is told then"),
    Column("received_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    UniqueConstraint("sender", "job"),
    UniqueConstraint("sender", "name"),
)
