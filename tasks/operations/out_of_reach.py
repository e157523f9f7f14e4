"""Where an erased user may still be: what an erasure cannot reach, with the command that looks there."""

import shlex

from tasks.settings import Settings
from tasks.stores.filesystems import open_filesystem


def out_of_reach(user_id: str, settings: Settings) -> dict[str, str]:
    """What may hold the user's clicks besides the storage, and how to check each."""
    return {
        "raw logs": f"python -m tasks find_in_logs --user-id {shlex.quote(user_id)}",
        "former versions and copies of the storage": _former_versions(settings.storage_url),
        "temporary files of steps killed on other machines": "ls -d ${TMPDIR:-/tmp}/eclare-step-*",
        "a dump of PostgreSQL from before, once it is restored": "select erased_at, reason from erasure order by 1",
    }


def _former_versions(url: str) -> str:
    files, root = open_filesystem(url)
    bucket, _, prefix = root.partition("/")
    if "s3" in files.protocol:
        of_clicks = shlex.quote(f"{prefix}/clicks/".lstrip("/"))
        query = "--query 'Versions[?!IsLatest].[Key,VersionId]'"
        return f"aws s3api list-object-versions --bucket {shlex.quote(bucket)} --prefix {of_clicks} {query}"
    if "gs" in files.protocol:
        return f"gcloud storage ls --all-versions --recursive {shlex.quote(f'gs://{root}/clicks/')}"
    return f"the snapshots and backups of {shlex.quote(root)}, with the tool that makes them"
