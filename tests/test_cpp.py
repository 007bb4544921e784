"""The C++ header: compiled, linked and run in every way that users compile, link and run it.

The checks themselves are in tests/cpp/api.cpp. The library comes from HOLDALL_LIB_DIR (default: target/release).
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = Path(os.environ.get("HOLDALL_LIB_DIR", ROOT / "target" / "release")).resolve()
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Wshadow", "-Wconversion", "-Werror"]
FLAGS = ["-std=c++17", "-g", *WARNINGS, f"-I{ROOT}/include"]
# What the Rust standard library needs besides: `rustc --print native-static-libs`.
STATIC = [str(LIBRARY / "libholdall.a"), "-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"]

compilers = pytest.mark.parametrize("compiler", ["g++", "clang++"])
exceptions = pytest.mark.parametrize("exceptions", [[], ["-fno-exceptions"]], ids=["exceptions", "no-exceptions"])
linkings = pytest.mark.parametrize("linking", ["shared", "static"])


@pytest.fixture
def built(tmp_path, lib_dir, run):
    """Compiles and links sources into a program."""

    def build(compiler, *sources, linking="shared", flags=()):
        program = tmp_path / "program"
        link = STATIC if linking == "static" else [f"-L{lib_dir}", "-lholdall", f"-Wl,-rpath,{lib_dir}"]
        run(compiler, *FLAGS, *flags, *sources, *link, "-o", program)
        return program

    return build


API = ROOT / "tests/cpp/api.cpp"


def checked(done):
    """The program came to its end, and not by chance."""
    assert re.search(r"^[1-9]\d* checks, with(out)? exceptions$", done.stdout, re.MULTILINE), done.stdout


@compilers
@exceptions
@linkings
def test_the_checks_pass_in_a_plain_run(built, run, compiler, exceptions, linking):
    checked(run(built(compiler, API, linking=linking, flags=exceptions)))


@compilers
@exceptions
def test_the_checks_pass_under_valgrind_without_a_leak(built, run, compiler, exceptions):
    valgrind = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]

    checked(run(*valgrind, built(compiler, API, flags=exceptions)))


@compilers
@exceptions
@linkings
def test_the_checks_pass_under_the_address_and_undefined_sanitizers(built, run, compiler, exceptions, linking):
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1"]

    checked(run(built(compiler, API, linking=linking, flags=[*exceptions, *sanitize])))


@compilers
@pytest.mark.parametrize("standard", ["-std=c++20", "-std=c++2b"])
def test_the_checks_pass_under_later_standards(built, run, compiler, standard):
    checked(run(built(compiler, API, flags=[standard])))


@compilers
def test_two_files_of_one_program_may_include_the_header(built, run, compiler):
    run(built(compiler, ROOT / "tests/cpp/twice_a.cpp", ROOT / "tests/cpp/twice_b.cpp"))


@compilers
def test_a_file_with_exceptions_links_with_one_without(built, run, tmp_path, compiler):
    quiet = tmp_path / "twice_b.o"
    run(compiler, *FLAGS, "-fno-exceptions", "-c", ROOT / "tests/cpp/twice_b.cpp", "-o", quiet)

    # First, as the linker keeps the first of equal definitions.
    run(built(compiler, quiet, ROOT / "tests/cpp/twice_a.cpp"))


def compiles(compiler, tmp_path, body, *flags):
    source = tmp_path / "snippet.cpp"
    source.write_text(f"#include <holdall.hpp>\nvoid snippet(holdall::session &session) {{ {body} }}\n")
    return subprocess.run([compiler, *FLAGS, *flags, "-fsyntax-only", source], capture_output=True, check=False).returncode == 0


@compilers
def test_without_exceptions_a_failure_cannot_be_ignored(run, tmp_path, compiler):
    run(compiler, "--version")

    assert compiles(compiler, tmp_path, "session.set_int(\"n\", 1);")
    assert not compiles(compiler, tmp_path, "session.set_int(\"n\", 1);", "-fno-exceptions")
    assert compiles(compiler, tmp_path, "holdall::status s; session.set_int(\"n\", 1, s);", "-fno-exceptions")


@compilers
def test_a_view_into_a_temporary_does_not_compile(run, tmp_path, compiler):
    run(compiler, "--version")

    assert compiles(compiler, tmp_path, "holdall::commit c = session.commit(); c.headers();")
    assert not compiles(compiler, tmp_path, "session.commit().headers();")
    assert compiles(compiler, tmp_path, "session.get_json(\"k\");")
    assert not compiles(compiler, tmp_path, "std::move(session).get_json(\"k\");")


def test_every_function_of_the_c_header_is_used_by_the_cpp_header():
    declared = set(re.findall(r"^[a-z].*?\b(holdall_\w+)\(", (ROOT / "include/holdall.h").read_text(), re.MULTILINE))
    used = set(re.findall(r"\bholdall_\w+", (ROOT / "include/holdall.hpp").read_text()))

    assert len(declared) > 60
    assert declared <= used, f"not in holdall.hpp: {sorted(declared - used)}"


@pytest.mark.parametrize("name", ["hello.c", "hello.cpp"])
def test_the_example_compiles_and_prints_a_cookie(run, tmp_path, lib_dir, name):
    compiler = ["gcc", "-std=c11"] if name.endswith(".c") else ["g++", "-std=c++17"]
    program = tmp_path / "hello"
    link = [f"-L{lib_dir}", "-lholdall", f"-Wl,-rpath,{lib_dir}"]
    run(*compiler, *WARNINGS, f"-I{ROOT}/include", ROOT / "examples" / name, *link, "-o", program)

    printed = run(program).stdout

    assert printed.startswith("visits: 1\n")
    assert re.search(r"^Set-Cookie: __Host-sid=[\w-]{43};", printed, re.MULTILINE)


def test_the_example_at_the_top_of_the_header_compiles_and_runs(run, tmp_path, built):
    manual = (ROOT / "include/holdall.hpp").read_text().split("A COMPLETE PROGRAM")[1].split("c++ -std=c++17")[0]
    source = tmp_path / "example.cpp"
    source.write_text("\n".join(line.removeprefix(" *") for line in manual.splitlines()))

    assert "Set-Cookie: " in run(built("g++", source)).stdout
