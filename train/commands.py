"""How a command that can be run again ends."""

import errno
import sys
from collections.abc import Callable


def exit_code(work: Callable[[], object], *refusals: type[Exception]) -> int:
    """Does some work that goes on where it stopped when it is done again; the process's exit code.

    Args:
        refusals: exceptions whose message is all that the user has to know; others go through.
    """
    try:
        work()
    except refusals as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("error: the disk is full; make room and run the same command again to go on", file=sys.stderr)
        return 2
    return 0
