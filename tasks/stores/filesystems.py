"""The file systems that hold logs, catalogues and artefacts, by their URLs."""

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from tasks.errors import BadInput


def open_filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL and the path in it; listings are never cached, because others write there.

    Raises BadInput where no file system is known, or installed, for such a URL.
    """
    try:
        files, path = url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise BadInput(
            f"files must lie in a folder or at a URL such as s3://bucket/path, got {url.partition('://')[0]}:// "
            f"({error}): correct STORAGE_URL, CLICK_LOG_URL or CATALOGUE_URL, or install what it needs"
        ) from error
    return files, path
