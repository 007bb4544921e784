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

    def __init__(self, sessions=None, under=(), cwd=None, program=PROGRAM):
        options = [] if sessions is None else ["--sessions", sessions]
        self.process = subprocess.Popen(
            [*under, str(program.resolve()), *options, "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd,
        )
        self._out, self._err, self._ready, self._more = [], [], queue.Queue(), threading.Condition()
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
            with self._more:
                lines.append(line)
                self._more.notify_all()
            if ready := re.match(r"Ready: (http://\S+)/$", line.strip()):
                self._ready.put(ready[1])
        pipe.close()

    @property
    def printed(self):
        return "".join(self._out)

    @property
    def complaints(self):
        return "".join(self._err)

    def wait_for_complaint(self, words):
        """Until it stands on stderr, which is read by another thread than the one that reads the response."""
        with self._more:
            return self._more.wait_for(lambda: words in self.complaints, timeout=60)

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
