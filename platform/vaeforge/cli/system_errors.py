"""System errors that a person can mend, in a sentence: a full disk, a folder without permission, missing locks.

They may come up at any file that a command writes, so that they are told at its end and not at each of these places.
What was written before is whole: files appear complete or not at all, and a ledger's lines one by one.
"""

import errno

AGAIN = "then give the same command again (a search goes on with --resume true); what was finished is kept"
REMEDIES = {
    errno.ENOSPC: f"the disk is full: free some room, {AGAIN}",
    errno.EDQUOT: f"the quota of this user is used up: free some room, {AGAIN}",
    errno.EFBIG: f"files of this size are not allowed here (`ulimit -f`): raise the limit, {AGAIN}",
    errno.EROFS: f"the file system is read-only: work on a copy of the project that can be written, {AGAIN}",
    errno.EACCES: f"this user may not: set its permissions right, or work on a copy of the project, {AGAIN}",
    errno.EPERM: f"this user may not: set its permissions right, or work on a copy of the project, {AGAIN}",
    errno.ENOLCK: "the file system has no locks, which searches and databases need: mount it with locks, or move the "
    "project to a local disk",
}
REMEDIES[errno.ENOSYS] = REMEDIES[errno.EOPNOTSUPP] = REMEDIES[errno.ENOLCK]


def told(error: OSError) -> str | None:
    """What happened, where, and what to do; none for an error that is a fault of ours."""
    remedy = REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; {remedy}"
