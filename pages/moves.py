"""What may be done with a version: the forms that lead readers to another one, and links to them for who may."""

from typing import Any, Literal, NamedTuple

from pages.guards import May

Action = Literal["approve", "roll_back", "withdraw"]


class Move(NamedTuple):
    """What a form does: its name in the address, its title, what follows, and the DAG that does the same."""

    action: Action
    title: str
    says: str
    dag_id: str


MOVE = {
    "approve": Move(
        "approve", "Make it live",
        "Readers see this version within seconds, whatever the gate said. Changed your mind? Roll back.",
        "approve_version",
    ),
    "roll_back": Move(
        "roll_back", "Roll back",
        "The live version is withdrawn, with those between, and readers see a former one again within seconds. What is "
        "withdrawn comes back only when somebody approves it.", "roll_back",
    ),
    "withdraw": Move(
        "withdraw", "Withdraw",
        "No rollback will go to this version, and what its night makes when it is run again stays refused, until "
        "somebody approves one.", "roll_back",
    ),
}  # fmt: skip


def links(found: dict[str, Any], may: May) -> list[tuple[str, str]]:
    """Forms for what may be done with a version by who looks at it: the end of an address, and what the link says.

    found: version_id, status and version_before; has_rows, night, live_version and live_night where it is not live.
    """
    here, ends = f"?version={found['version_id']}", []
    if found["status"] == "live" and found["version_before"] and may.roll_back:
        ends.append((f"roll_back{here}", "Roll back"))
    if found["status"] in ("rejected", "withdrawn") and found["has_rows"] and may.approve:
        ends.append((f"approve{here}", "Make it live"))
    if found["status"] in ("retired", "rejected") and found["has_rows"] and may.roll_back:
        if found["status"] == "retired" and found["live_night"] and found["night"] < found["live_night"]:
            ends.append((f"roll_back?version={found['live_version']}&to={found['night']}", "Make it live"))
        ends.append((f"withdraw{here}", "Withdraw"))
    return ends
