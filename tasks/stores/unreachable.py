"""What it means that files cannot be reached: where they lie is away, or refuses who asks."""

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.errors import NotReady

# The file systems of fsspec share no error but OSError; what else they raise comes from the libraries that they call.
LIBRARIES = {"adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "requests", "s3fs", "urllib3"}


@contextmanager
def unreachable_files_told() -> Iterator[None]:
    """Raises NotReady where files cannot be read or written and no other code has said so."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, OSError) or type(error).__module__.partition(".")[0] in LIBRARIES):
            raise
        raise NotReady(
            f"files must be readable and writable, got {type(error).__name__}: {' '.join(str(error).split())}; restore "
            "access to STORAGE_URL, CLICK_LOG_URL or CATALOGUE_URL, or the space on their disk, then run the step again"
        ) from error
