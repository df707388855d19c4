"""Credentials in the URL of a storage, which would be written into records: none may be there."""

from urllib.parse import urlsplit

NO_CREDENTIALS = (
    "got a URL with a password or a query, which would be written into the search's records; give credentials in the "
    "environment of every node, as its fsspec package reads them"
)


def holds_credentials(url: str) -> bool:
    """Whether a part of `url`, which may be a chain such as `simplecache::ftp://…`, has a password or a query.

    A query is what signed addresses have; nothing else needs one, as names of files are put behind the URL.
    """
    return "://" in url and any(_secret(link) for link in url.split("::"))


def _secret(link: str) -> bool:
    """Of one link of the chain, whose scheme `urlsplit` alone would not find behind another's."""
    try:
        parts = urlsplit(link)
        return parts.password is not None or bool(parts.query)
    except ValueError:  # not a URL at all: refused where it is opened
        return "@" in link or "?" in link
