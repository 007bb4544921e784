"""A program for strace: sends hostile ids through every door over the file driver, each between two marks.

Its arguments: a directory, and a file with the ids as a JSON list of Latin-1.
"""

import json
import os
import sys
from pathlib import Path

from gauntlet.doors import DOORS, document
from gauntlet.vulnerable import NaiveFiles


def main(directory, listed):
    ids = [one.encode("latin-1") for one in json.loads(Path(listed).read_text())]
    for door in (*(kind(document("file", f"{directory}/{kind.name}")) for kind in DOORS), NaiveFiles(directory)):
        cookie = door.cookie_name.encode()

        def found(one, door=door, cookie=cookie):
            return door.ask(lambda session: door.read(session, "k"), cookie + b"=" + one).result

        # What is imported and opened once has been.
        warm = [found(one) for one in ids[:20]]
        os.getppid()
        found_all = [found(one) for one in ids]
        os.getppid()
        assert not any(warm + found_all)
        print("sent", door.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
