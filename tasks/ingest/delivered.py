"""Whether a day's log has been delivered."""

from tasks.ingest.input_files import open_filesystem
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import dated_folders


def is_delivered(night: str, settings: Settings) -> bool:
    """Whether the log has a folder of the night's own day; raises what `open_filesystem` raises."""
    return Night.of(night, settings).day in dated_folders(*open_filesystem(settings.click_log_url))
