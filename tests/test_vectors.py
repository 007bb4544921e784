"""The vectors through the C interface: in C, and in PHP, whose FFI shows that the header alone is enough for a language.

The runners are tests/c/vectors.c and tests/php/vectors.php, the grammar is in tests/vectors/README.md; Rust runs the same files
in tests/vectors.rs. A runner prints TAP. A test here holds it against the file, so that a runner that stops early fails as well.
"""

import json
import re
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent / "vectors").glob("*.json"))
# What a driver lacks. Only vectors that need it may be skipped; a runner that misread the capabilities would skip others.
DRIVERS = {"memory": {"client_side"}, "file": {"client_side"}, "cookie": {"!client_side", "revocable"}}
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]

languages = pytest.mark.parametrize("language", ["c", "php"])
drivers = pytest.mark.parametrize("driver", DRIVERS)
files = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@pytest.fixture(scope="session")
def commands(run, repo, lib_dir, tmp_path_factory):
    """The command that begins a run, by language; a function, so that a missing compiler does not skip PHP."""
    program = tmp_path_factory.mktemp("c") / "vectors"

    def command(language):
        if language == "php":
            return ["php", "-d", "ffi.enable=1", repo / "tests/php/vectors.php"]
        if not program.exists():
            flags = ["-std=c99", "-g", "-Wall", "-Wextra", "-Werror", f"-I{repo}/include"]
            link = [f"-L{lib_dir}", "-lholdall", "-ljansson", f"-Wl,-rpath,{lib_dir}"]
            run("gcc", *flags, repo / "tests/c/vectors.c", *link, "-o", program)
        return [program]

    return command


@pytest.fixture
def tap(run, commands, lib_dir, tmp_path):
    """Runs a vector file and gives the lines it printed."""

    def tap(language, driver, file, codes, under=()):
        command = [*under, *commands(language), "--driver", driver, "--dir", tmp_path, file]
        return run(*command, codes=codes, env={"HOLDALL_LIB_DIR": str(lib_dir)}).stdout.splitlines()

    return tap


def lacking(vector, driver):
    """What the vector needs and its driver lacks: the runner's, or one that the vector brings itself."""
    drivers = vector.get("config", {}).get("drivers", {"main": {"type": driver}})
    return [need for need in vector.get("needs", []) if need in DRIVERS[drivers["main"]["type"]]]


def check(lines, driver, file):
    """The lines are of all the file's vectors in their order, and none failed."""
    vectors = json.loads(file.read_text())["vectors"]
    skips = [lacking(vector, driver) for vector in vectors]
    titles = [f"{driver}: {file.stem}: {vector['name']}" for vector in vectors]

    wrong = [line for line in lines if re.match(r"not ok |# |Bail out!", line)]
    assert not wrong, "\n".join(wrong)
    assert vectors and lines[0] == f"1..{len(vectors)}"
    assert lines[1:] == [
        f"ok {number} - {title}" + (f" # SKIP {skip[0]}" if skip else "")
        for number, (title, skip) in enumerate(zip(titles, skips, strict=True), 1)
    ]


@languages
@drivers
@files
def test_every_vector_passes(tap, language, driver, file):
    check(tap(language, driver, file, codes=(0, 1, 2)), driver, file)


@drivers
def test_the_c_runner_passes_under_valgrind_without_a_leak(tap, run, driver):
    run("valgrind", "--version")
    file = next(file for file in FILES if file.stem == "session")

    check(tap("c", driver, file, codes=(0, 1, 2), under=VALGRIND), driver, file)


# What is wrong in a vector, and what a runner says of it. The library is right here and the vectors are not.
WRONG = {
    "another answer": ([["get", "a", "k", "=>", "2"]], 'expected "2", got "1"'),
    "an answer of another type": ([["increment", "a", "k", 1, "=>", "2"]], 'expected "2", got 2'),
    "null is not the text": ([["get", "a", "no", "=>", "null"]], 'expected "null", got null'),
    "found is not null": ([["get", "a", "k", "=>", None]], 'expected null, got "1"'),
    "an error that does not come": ([["set", "a", "k", "2", "!", "misuse"]], 'expected the error "misuse", got null'),
    "an error of another kind": ([["set", "a", "k", "x", "!", "misuse"]], 'expected the error "misuse", got invalid_value: '),
    "an error unasked for": ([["set", "a", "k", "x"]], "expected no error, got invalid_value: "),
    "an error instead of an answer": ([["pull", "a", "", "=>", None]], "expected null, got invalid_argument: "),
    "no text to keep": ([["is_new", "a", "->", "x"]], 'expected text to keep as "x", got '),
    "the name $x": ([["get", "a", "k", "->", "x"], ["get", "a", "k", "=>", "$xy"]], 'expected "1y", got "1"'),
    "the longest name": (
        [["get", "a", "k", "->", "x"], ["cookie", "a", "->", "xy"], ["get", "a", "k", "=>", "$xyz"]],
        'expected "nonez", got "1"',
    ),
    "an outcome": ([["commit", "a", "=>", "unchanged"]], 'expected "unchanged", got "saved"'),
    "a list": ([["commit", "a"], ["headers", "a", "=>", ["Vary"]]], 'expected ["Vary"], got ["Set-Cookie","Cache-Control",'),
}


@languages
def test_a_runner_finds_what_is_wrong(tap, tmp_path, language):
    before = [["open", "a", "ann"], ["set", "a", "k", "1"]]
    vectors = [{"name": name, "steps": before + steps} for name, (steps, _) in WRONG.items()]
    vectors.append({"name": "a configuration", "config": {"max_keys": "many"}, "steps": before})
    vectors.append({"name": "a capability", "needs": ["revocable", "flying"], "steps": [["get", "a", "k"]]})
    vectors.append({"name": "nothing", "steps": before})
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({"source": "here", "vectors": vectors}))

    plan, *lines = tap(language, "memory", file, codes=(1,))

    assert plan == f"1..{len(vectors)}"
    for number, (name, (steps, says)) in enumerate(WRONG.items(), 1):
        assert lines.pop(0) == f"not ok {number} - memory: wrong: {name}"
        last = json.dumps(steps[-1], separators=(",", ":"))
        below = lines.pop(0)
        assert below.startswith(f"# step {len(before + steps) - 1} {last}: ") and says in below
    assert lines.pop(0) == f"not ok {len(vectors) - 2} - memory: wrong: a configuration"
    assert re.match(r"# config \{.*\}: .*max_keys", lines.pop(0))
    assert lines == [
        f"ok {len(vectors) - 1} - memory: wrong: a capability # SKIP flying",
        f"ok {len(vectors)} - memory: wrong: nothing",
    ]


@languages
@pytest.mark.parametrize(
    "step",
    [
        ["incremnt", "a", "k", 1, "!", "misuse"],
        ["get", "a", "!", "invalid_argument"],
        ["get", "b", "k", "!", "misuse"],
        ["open", "b", "ann", {"mode": "hasty"}],
        ["open", "b", "ann", {"colour": "red"}],
    ],
    ids=["operation", "argument", "handle", "mode", "option"],
)
def test_a_runner_bails_out_at_what_it_does_not_know(tap, tmp_path, language, step):
    file = tmp_path / "unknown.json"
    file.write_text(json.dumps({"source": "here", "vectors": [{"name": "x", "steps": [["open", "a", "ann"], step]}]}))

    lines = tap(language, "memory", file, codes=(2,))

    assert lines[-1].startswith("Bail out! ")
