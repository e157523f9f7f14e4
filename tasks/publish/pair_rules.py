"""What merchandisers pin to the list of a product or keep out of it: table pair_rule, which is only added to."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal, get_args

import pyarrow as pa

from tasks.errors import BadInput
from tasks.publish.versions import actor_of, reason_of
from tasks.settings import Settings
from tasks.stores.database import select, statement, transaction
from tasks.stores.rows import normal_id, rows_of_stored

if TYPE_CHECKING:
    from eclare.related.pair_rules import PairRules

Action = Literal["pin", "block", "none"]
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True)
class PairRule:
    """A decision about a related product on the page of a product; `none` lifts what was decided before.

    Ids are kept in their normal form. until: the last UTC day on which it holds, None for good. Raises BadInput for
    what cannot be decided.
    """

    product_id: str
    related_product_id: str
    action: str
    reason: str
    until: date | None = None

    def __post_init__(self) -> None:
        for name in ("product_id", "related_product_id"):
            object.__setattr__(self, name, normal_id(getattr(self, name)))
        today = datetime.now(UTC).date()
        if not self.product_id or not self.related_product_id or self.product_id == self.related_product_id:
            raise BadInput(
                f"a pair must be of two products, got {self.product_id!r} and {self.related_product_id!r}: give the id "
                "of the page's product and that of the related one"
            )
        if self.action not in ACTIONS:
            raise BadInput(f"an action must be one of {', '.join(ACTIONS)}, got {self.action!r}: choose one of them")
        reason_of("a rule", self.reason, "pair_rule")
        if self.until and self.until < today:
            raise BadInput(f"a rule must hold today ({today} UTC) or later, got until {self.until}: give a later day")


def set_pair_rule(settings: Settings, rule: PairRule, by: str = "") -> None:
    """Add a rule, which replaces an older one of its pair; raises what `connect` raises."""
    with transaction(settings) as connection:
        connection.execute(statement("insert_pair_rule"), {**asdict(rule), "actor": actor_of(by)})


def read_pair_rules(product_ids: pa.ChunkedArray, settings: Settings) -> "PairRules":
    """The rules that hold today by rows of a catalogue's products, the oldest first; raises what `connect` raises."""
    from eclare.related.pair_rules import PairRules, Pairs

    with transaction(settings) as connection:
        rules = select(connection, "current_pair_rules")

    def pairs(action: Action) -> Pairs:
        chosen = [rule for rule in rules if rule["action"] == action]
        ids = ([rule[name] for rule in chosen] for name in ("product_id", "related_product_id"))
        return Pairs(*(rows_of_stored(product_ids, each) for each in ids))

    return PairRules(pairs("pin"), pairs("block"))
