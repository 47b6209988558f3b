"""Start the page."""

import argparse
import os
import sys
import threading
from functools import partial
from pathlib import Path

from stylediff.process import prepare_process

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
prepare_process()

from stylediff.checkpoint import CheckpointError, load_pipeline  # noqa: E402
from stylediff.page.conversions import warm_up  # noqa: E402
from stylediff.page.environment import read_number  # noqa: E402
from stylediff.page.inference_thread import load_apart  # noqa: E402
from stylediff.page.layout import build_page  # noqa: E402

HERE = Path(__file__).parent


def example_clips() -> list[Path]:
    return sorted((HERE / "examples").glob("*.flac"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder or Hub id of other weights")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1")
    parser.add_argument("--port", type=int, default=int(read_number("GRADIO_SERVER_PORT", 7860, 1)))
    args = parser.parse_args()
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
    except OSError as error:  # the port is in use, or the address is not one of this machine
        print(f"error: {error}", file=sys.stderr)
        if warming.ident is not None:
            warming.join()  # torch aborts where the interpreter ends in the middle of a computation
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
