"""The ledger in PostgreSQL: loads and their rules, catalogues, daily aggregates, nights' inputs, erasures."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from tasks.night import Night
from tasks.settings import Settings, code_version
from tasks.stores.artefacts import Artefact, hash_of
from tasks.stores.database import Connection, statement, transaction


class RuleCount(NamedTuple):
    """How many rows a rule applied to, and their outcome: quarantined, duplicate or accepted."""

    rule: str
    outcome: str
    row_count: int


@dataclass(frozen=True)
class Load:
    """What one load of a day's log read and kept; `files` hold name, bytes and sha256 of each raw file.

    clicks_hash: None where too many rows were refused, so that the former load stands.
    Raises ValueError where rows read are not accepted + quarantined + duplicates.
    """

    day: date
    files: Sequence[Mapping[str, object]]
    clicks_hash: str | None
    rows_read: int
    accepted: int
    clicks_of_other_days: int
    rules: Sequence[RuleCount]

    def __post_init__(self) -> None:
        if self.rows_read != self.accepted + self.quarantined + self.duplicates:
            raise ValueError(
                f"rows read must be accepted + quarantined + duplicates, got {self.rows_read} read, {self.accepted} "
                f"accepted, {self.quarantined} quarantined, {self.duplicates} duplicates"
            )

    @property
    def quarantined(self) -> int:
        """Rows that some rule refused."""
        return self._rows("quarantined")

    @property
    def duplicates(self) -> int:
        """Rows that repeat an accepted one."""
        return self._rows("duplicate")

    def _rows(self, outcome: str) -> int:
        return sum(count.row_count for count in self.rules if count.outcome == outcome)


def record_load(load: Load, connection: Connection) -> None:
    """Add one load and its rules to the ledger."""
    row = {
        "day": load.day,
        "outcome": "rejected" if load.clicks_hash is None else "loaded",
        "files": json.dumps(load.files),
        "clicks_hash": load.clicks_hash,
        "rows_read": load.rows_read,
        "accepted": load.accepted,
        "quarantined": load.quarantined,
        "duplicates": load.duplicates,
        "clicks_of_other_days": load.clicks_of_other_days,
        "code_version": code_version(),
    }
    load_id = connection.execute(statement("record_load"), row).scalar_one()
    counted = [{"load_id": load_id} | count._asdict() for count in load.rules if count.row_count]
    if counted:
        connection.execute(statement("record_rule"), counted)


def record_aggregate(day: date, made: Artefact, connection: Connection) -> None:
    """Replace the record of a day's aggregates; their counts are sessions, products and pairs."""
    counts = {name: int(made.counts[name]) for name in ("sessions", "products", "pairs")}
    row = {"day": day, "aggregate_hash": made.hash, "code_version": code_version()} | counts
    connection.execute(statement("record_aggregate"), row)


def record_catalogue(day: date, file_name: str, made: Artefact, connection: Connection) -> None:
    """Add one stored catalogue; its sources are the delivered files, of which several have one hash together."""
    hashes = [*made.sources.values()]
    file_hash = hashes[0] if len(hashes) == 1 else hash_of(made.sources)
    counts = {name: int(made.counts[name]) for name in ("products", "refused")}
    row = {"day": day, "file_name": file_name, "file_hash": file_hash, "catalogue_hash": made.hash} | counts
    connection.execute(statement("record_catalogue"), row | {"code_version": code_version()})


def record_build(
    night: Night, built: Artefact, days: Mapping[date, str], catalogue: tuple[date, str], connection: Connection
) -> None:
    """Replace the record of one build of a night: its days' aggregates and its catalogue, by hash."""
    build = {"night": night.day, "interactions_hash": built.hash}
    seen = {"first_day": night.window[0], "catalogue_day": catalogue[0], "catalogue_hash": catalogue[1]}
    connection.execute(statement("record_build"), build | seen | {"code_version": code_version()})
    connection.execute(statement("delete_build_days"), build)
    rows = [build | {"day": day, "aggregate_hash": hash_} for day, hash_ in days.items()]
    connection.execute(statement("record_build_day"), rows)


class ErasedUsers(NamedTuple):
    """Users whose clicks must not be loaded; every hash is SHA-256 (hexadecimal) of the salt followed by a text.

    user_hashes: of the ids; phrase_hashes: of the ids as they are found within a text; phrase_words: how many words
    these have.
    """

    salt: str
    user_hashes: Sequence[str]
    phrase_hashes: Sequence[str]
    phrase_words: Sequence[int]


def erased_users(settings: Settings) -> ErasedUsers:
    """The users that were ever erased; raises what `connect` raises."""
    with transaction(settings) as connection:
        salt, *hashes = connection.execute(statement("erased_users")).one()
    return ErasedUsers(salt, *map(list, hashes))


def record_erasure(user_id: str, phrase: str, words: int, reason: str, settings: Settings) -> int:
    """Remember, by hash, that a user is to be left out from now on; returns the erasure's id.

    phrase, words: the id as it is found within a text. No id is sent: a server may log what it is asked.
    """
    with transaction(settings) as connection:
        salt = connection.execute(statement("erasure_salt")).scalar_one()
        hashes = {"user_hash": salted_hash(salt, user_id), "phrase_hash": salted_hash(salt, phrase)}
        row = hashes | {"phrase_words": words, "reason": reason, "code_version": code_version()}
        erasure_id: int = connection.execute(statement("record_erasure"), row).scalar_one()
    return erasure_id


def salted_hash(salt: str, text: str) -> str:
    """SHA-256 (hexadecimal) of the salt followed by a text."""
    return hashlib.sha256(f"{salt}{text}".encode()).hexdigest()


def erased_sessions(first: date, last: date, settings: Settings) -> list[str]:
    """Hashes of the sessions of erased users on these days: of the salt, the day, a space and the session's id."""
    with transaction(settings) as connection:
        return list(connection.scalars(statement("erased_sessions"), {"first": first, "last": last}))


def record_erased_sessions(sessions: Mapping[date, Iterable[str]], settings: Settings) -> None:
    """Remember, by hash, which sessions of a day are of erased users, so that later loads know their other rows."""
    if not sessions:
        return
    with transaction(settings) as connection:
        salt = connection.execute(statement("erasure_salt")).scalar_one()
        pairs = [(day, salted_hash(salt, f"{day} {session}")) for day, ids in sessions.items() for session in ids]
        days, hashes = map(list, zip(*pairs, strict=True))
        connection.execute(statement("record_erased_sessions"), {"days": days, "hashes": hashes})


def record_erased_day(erasure_id: int, day: date, counts: Mapping[str, int], settings: Settings) -> None:
    """Add how many clicks and quarantined rows of a day an erasure took out."""
    with transaction(settings) as connection:
        connection.execute(statement("record_erasure_day"), {"erasure_id": erasure_id, "day": day, **counts})


def rule_counts(outcome: str, counted: Mapping[str, int] | Iterable[tuple[str, int]]) -> list[RuleCount]:
    """Rule counts that share an outcome."""
    return [RuleCount(rule, outcome, int(rows)) for rule, rows in dict(counted).items()]
