"""How a command that can be run again ends."""

import errno
import sys
from collections.abc import Callable


def run_command(work: Callable[[], object], *refusals: type[Exception]) -> int:
    """Does some work that goes on where it stopped when it is done again; the process's exit code.

    Args:
        refusals: exceptions whose message is all that the user has to know; others go through.
    """
    try:
        work()
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            print("error: the disk is full; make room and run the same command again to go on", file=sys.stderr)
        elif isinstance(error, refusals):
            print(f"error: {error}", file=sys.stderr)
        else:
            raise
        return 2
    return 0
