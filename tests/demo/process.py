"""The demo as a process: started on a free port, stopped at the end."""

import os
import queue
import re
import signal
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("HOLDALL_DEMO", ROOT / "build" / "demo"))


class Demo:
    """A running demo. `with` stops it, and finds fault with one that does not end well."""

    def __init__(self, sessions, under=()):
        self.process = subprocess.Popen(
            [*under, str(PROGRAM), "--sessions", sessions, "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self._out, self._err, self._ready = [], [], queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in [(self.process.stdout, self._out), (self.process.stderr, self._err)]
        ]
        for reader in self._readers:
            reader.start()
        try:
            self.url = self._ready.get(timeout=60)
        except queue.Empty:
            self.process.kill()
            raise AssertionError(f"the demo did not get ready:\n{self.printed}\n{self.complaints}") from None

    def _read(self, pipe, lines):
        for line in pipe:
            lines.append(line)
            if ready := re.match(r"Ready: (http://\S+)/$", line.strip()):
                self._ready.put(ready[1])
        pipe.close()

    @property
    def printed(self):
        return "".join(self._out)

    @property
    def complaints(self):
        return "".join(self._err)

    def stop(self, by=signal.SIGTERM):
        """Ends it and answers its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            status = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        for reader in self._readers:
            reader.join()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.stop() == 0, self.complaints
