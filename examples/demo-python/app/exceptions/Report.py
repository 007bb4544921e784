"""Prints to stderr what failed. An unknown address or a wrong method has not failed."""

import sys
import traceback

from masonite.facades import Request

from holdall import HoldallError


class Report:
    def handle(self, event, exception):
        if isinstance(exception, HoldallError):
            # It has neither ids nor values in it.
            what = f"{Request.get_request_method()} {Request.get_path()}: {exception.kind}: {exception}"
            print(f"holdall-demo: {what}", file=sys.stderr, flush=True)
        elif not hasattr(exception, "is_http_exception"):
            traceback.print_exception(exception)
