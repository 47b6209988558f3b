"""Start the page."""

import argparse
import os
import socket
import sys
import threading
from functools import partial
from pathlib import Path

from stylediff.page.environment import read_number
from stylediff.process import prepare_process

HERE = Path(__file__).parent


def example_clips() -> list[Path]:
    return sorted((HERE / "examples").glob("*.flac"))


def find_problem(host: str, port: int) -> str | None:
    """Return a sentence if the page cannot listen there."""
    if port > 65535:
        return f"there is no port {port}: the highest is 65535"
    try:
        for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            socket.create_server(address[:2], family=family).close()
    except OSError as error:
        return f"cannot serve the page at {host}, port {port}: {error.strerror or error}. Choose another with --port"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder or Hub id of other weights")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1", help="address")
    parser.add_argument("--port", type=int, default=int(read_number("GRADIO_SERVER_PORT", 7860, 1)))
    args = parser.parse_args()
    if problem := find_problem(args.host, args.port):  # said before the model is loaded
        print(f"error: {problem}", file=sys.stderr)
        return 2

    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    prepare_process()
    from stylediff.checkpoint import CheckpointError, load_pipeline
    from stylediff.page.conversions import warm_up
    from stylediff.page.inference_thread import load_apart
    from stylediff.page.layout import build_page

    try:
        pipeline = load_apart(partial(load_pipeline, args.model))
    except CheckpointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    page, options = build_page(pipeline, example_clips())
    warming = threading.Thread(target=warm_up, args=(pipeline,), daemon=True)
    if pipeline.device.type == "cpu":  # a borrowed GPU is available only within a request
        warming.start()
    try:
        page.launch(server_name=args.host, server_port=args.port, **options)
    except OSError as error:  # another program has taken the port meanwhile
        print(f"error: {error}", file=sys.stderr)
        if warming.ident is not None:
            warming.join()  # torch aborts where the interpreter ends in the middle of a computation
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
