"""Which night: the only owner of windows and of the paths of a night's artefacts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tasks.errors import BadInput
from tasks.settings import Settings
from tasks.shards import Shard

OLDEST = date(1990, 1, 1)  # no shop has clicks from before; a mistyped night would wait for them for hours
MAKERS = {  # the step that makes each artefact, by the first folder of its path or, in that of a night, by its name
    "clicks": "ingest_clicks", "catalogue": "ingest_catalogue", "aggregates": "aggregate_clicks",
    "interactions": "build_interactions", "label_graph": "build_label_graph", "model": "train_model",
    "evaluation": "evaluate_model", "ranked": "rank_products", "recommendations": "recommend_products",
}  # fmt: skip


@dataclass(frozen=True)
class Night:
    """One night's window of days: `window_days` long, ends with `day`, its last `held_out_days` are only judged on."""

    day: date
    window_days: int
    held_out_days: int

    @classmethod
    def of(cls, day: str | date, settings: Settings) -> "Night":
        """The night of a past or present UTC day since OLDEST, as YYYY-MM-DD; raises BadInput for anything else."""
        try:
            day = date.fromisoformat(str(day))
        except ValueError:
            raise BadInput(f"a night is a day written YYYY-MM-DD, got {day!r}: write for example 2017-06-30") from None
        today = datetime.now(UTC).date()
        if day > today:
            raise BadInput(f"night {day} is in the future (today is {today} UTC): choose a day that has happened")
        if day < OLDEST:
            raise BadInput(f"night {day} is before {OLDEST}, the first that can be: see whether it was mistyped")
        return cls(day, settings.window_days, settings.held_out_days)

    def __str__(self) -> str:
        return self.day.isoformat()

    @property
    def first_held_out_day(self) -> date:
        """The cut: training ends the day before it."""
        return self.day - timedelta(days=self.held_out_days - 1)

    @property
    def window(self) -> list[date]:
        """Every day of the window, oldest first."""
        return [self.day - timedelta(days=age) for age in reversed(range(self.window_days))]

    @staticmethod
    def clicks(day: date) -> str:
        """Where the load of a day's log is stored: its cleaned clicks, late and early ones, quarantine."""
        return f"clicks/date={day.isoformat()}"

    @staticmethod
    def rejected(day: date) -> str:
        """Where the quarantine of a day's load lies that was not taken; gone once the day loads."""
        return f"rejected/date={day.isoformat()}"

    @staticmethod
    def aggregate(day: date) -> str:
        """Where a day's aggregates are stored; shared by every night whose window holds the day."""
        return f"aggregates/date={day.isoformat()}"

    @staticmethod
    def catalogue(day: date) -> str:
        """Where the catalogue that holds from a day on is stored."""
        return f"catalogue/date={day.isoformat()}"

    def artefact(self, name: str) -> str:
        """Where one of this night's artefacts is stored."""
        return f"nights/night={self}/{name}"

    def ranked(self, shard: Shard) -> str:
        """Where the ranked candidates of one shard of the catalogue are stored."""
        return self.artefact(f"ranked/shard={shard}")


def maker_of(path: str) -> str:
    """In words: the step that makes the artefact at a path. In a baseline's night recommend_co_clicks makes several."""
    kind, _, rest = path.partition("/date=")
    name = kind if rest else path.partition("/night=")[2].partition("/")[2].partition("/")[0]
    return f"the step that makes {path}" + (f", {MAKERS[name]}," if name in MAKERS else "")
