"""The C library as a C programmer meets it: compiled, linked, installed, watched by valgrind and sanitizers.

The programs are in tests/c, each a list of checks that ends at the first that fails. This file compiles and runs them, and holds
header, exported names and manual to each other. HOLDALL_LIB_DIR says where libholdall.so and libholdall.a are (default:
target/release, as `cargo build --release` leaves them); `bindings/c/install` and the AddressSanitizer build call cargo.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "c"
INCLUDE = ROOT / "include"
HEADER = (INCLUDE / "holdall.h").read_text()
LIBRARY = Path(os.environ.get("HOLDALL_LIB_DIR", ROOT / "target" / "release"))
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

PROGRAMS = ["api", "abuse", "random_calls", "time", "fork", "storm"]
# Those whose length is told by the environment are watched further down, each by what suits it.
WATCHED = ["api", "abuse", "time", "fork"]
COMPILERS = ["gcc", "clang"]
KINDS = ["shared", "static"]
LEAKS = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
# What a Rust archive needs besides itself; bindings/c/install has the same list.
STATIC_LIBS = "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc".split()

# Functions that take no pointer, or whose only misuse is undefined: no row in the table of calls.h.
WITHOUT_A_ROW = {
    "holdall_abi_version", "holdall_version", "holdall_status_name", "holdall_event_name", "holdall_last_error_message",
    "holdall_last_error_flags", "holdall_buf_free", "holdall_manager_free", "holdall_session_free", "holdall_commit_free",
}  # fmt: skip


def run(*command, env=None, timeout=120, code=0, **more):
    """Runs a command, wants this exit code of it (None: any), and gives what it printed."""
    command = [str(part) for part in command]
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **more}
    done = subprocess.run(command, env={**os.environ, **(env or {})}, timeout=timeout, text=True, **more)
    if code is not None:
        assert done.returncode == code, f"{' '.join(command)}\nexited {done.returncode}, not {code}\n{done.stdout}"
    return done.stdout if code is not None else (done.returncode, done.stdout)


def needs(tool):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


def functions_of_the_header():
    code = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)
    return set(re.findall(r"^[a-z][\w ]*[ *](holdall_\w+)\(", code, flags=re.M))


def exported_by(library):
    lines = run("nm", "-D", "--defined-only", library).splitlines()
    return {line.split()[-1] for line in lines}


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A directory with the library under the names that the linker and the loader ask for."""
    for name in ["libholdall.so", "libholdall.a"]:
        assert (LIBRARY / name).exists(), f"{LIBRARY / name} is missing: cargo build --release -p holdall-c, or set HOLDALL_LIB_DIR"
    place = tmp_path_factory.mktemp("lib")
    (place / "libholdall.so.1").symlink_to((LIBRARY / "libholdall.so").resolve())
    (place / "libholdall.so").symlink_to("libholdall.so.1")
    (place / "static").mkdir()
    (place / "static" / "libholdall.a").symlink_to((LIBRARY / "libholdall.a").resolve())
    return place


@pytest.fixture(scope="session")
def built(library, tmp_path_factory):
    """Compiles a program once for each way it is asked for."""
    place = tmp_path_factory.mktemp("bin")
    ready = {}

    def build(program, compiler="gcc", kind="shared", flags=(), archive=None):
        key = (program, compiler, kind, tuple(flags), archive)
        if key not in ready:
            needs(compiler)
            out = place / f"{len(ready)}-{program}-{compiler}-{kind}"
            if kind == "static":
                link = [archive or library / "static" / "libholdall.a", *STATIC_LIBS]
            else:
                link = [f"-L{library}", f"-Wl,-rpath,{library}", "-lholdall", "-lpthread"]
            run(compiler, "-std=c99", *STRICT, "-g", "-O1", f"-I{INCLUDE}", *flags, SOURCES / f"{program}.c", "-o", out, *link)
            ready[key] = out
        return ready[key]

    return build


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """Holdall installed by bindings/c/install, then moved: an installation must be relocatable."""
    first = tmp_path_factory.mktemp("installed") / "first"
    run(ROOT / "bindings" / "c" / "install", first, timeout=600)
    return first.rename(first.with_name("moved"))


@pytest.fixture(scope="session")
def watched_library():
    """A debug build that AddressSanitizer watches, Rust code included. RUSTC_BOOTSTRAP lets a stable compiler do it."""
    return sanitized("asan", "-Zsanitizer=address")


@pytest.fixture(scope="session")
def race_watched_library():
    """The same for ThreadSanitizer. The flag lets the instrumented code meet a standard library that is not."""
    return sanitized("tsan", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer")


def sanitized(name, flags, source=ROOT):
    target = "x86_64-unknown-linux-gnu"
    if os.uname().machine != "x86_64":
        pytest.skip("only tried on x86-64")
    env = {"RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(TARGET / name)}
    run("cargo", "rustc", "-p", "holdall-c", "--crate-type", "staticlib", "--target", target, env=env, timeout=600, cwd=source)
    return TARGET / name / target / "debug" / "libholdall.a"


@pytest.fixture(scope="session")
def planted_library():
    """Built as the watched library, from a copy of the source with a panic at the head of every guarded body."""
    copy = TARGET / "planted" / "source"
    copy.mkdir(parents=True, exist_ok=True)
    # What is not changed is linked to. Cargo wants to see the files of targets it does not build.
    for name in ["Cargo.toml", "Cargo.lock", "bindings", "tests", "benches"]:
        if not (copy / name).is_symlink():
            (copy / name).symlink_to(ROOT / name)
    for path in (ROOT / "src").rglob("*.rs"):
        text = path.read_text()
        if path.parent.name == "ffi" and path.name != "guard.rs":
            text = text.replace("guard(|| {", "guard(|| {\n        crate::ffi::planted();")
        if path.parent.name == "ffi" and path.name == "mod.rs":
            text += PLANTED
        to = copy / path.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        # Written only where it differs, or cargo would build it anew.
        if not to.exists() or to.read_text() != text:
            to.write_text(text)
    # A directory of its own: cargo leaves the archive of another source in place where its own is fresh.
    return sanitized("planted", "-Zsanitizer=address", copy)


# Of the kind that the environment names.
PLANTED = """
struct PanicsAgain;
impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("planted, in a destructor")
    }
}
fn planted() {
    match std::env::var("PLANTED").as_deref() {
        Ok("text") => panic!("planted"),
        Ok("formatted") => panic!("{}", String::from("planted")),
        Ok("own type") => std::panic::panic_any(7),
        Ok(_) => std::panic::panic_any(PanicsAgain),
        Err(_) => {}
    }
}
"""


# The header and the exported names.


@pytest.mark.parametrize("standard", ["c99", "c11"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_header_compiles_alone_and_twice(compiler, standard, tmp_path):
    needs(compiler)
    source = tmp_path / "twice.c"
    source.write_text('#include "holdall.h"\n#include "holdall.h"\nextern int not_empty;\n')
    run(compiler, f"-std={standard}", *STRICT, f"-I{INCLUDE}", "-fsyntax-only", source)


def test_the_shared_library_exports_the_functions_of_the_header_and_nothing_else(library):
    functions = functions_of_the_header()
    assert len(functions) > 60
    assert exported_by(library / "libholdall.so") == functions


def test_the_soname_is_that_of_the_abi_in_the_header(library):
    abi = re.search(r"#define HOLDALL_ABI_VERSION (\d+)", HEADER)[1]
    assert f"[libholdall.so.{abi}]" in run("readelf", "-d", library / "libholdall.so")


def test_the_shared_library_stays_loaded_and_binds_at_once(library):
    flags = re.search(r"FLAGS_1.*", run("readelf", "-d", library / "libholdall.so"))[0]
    assert "NODELETE" in flags and "NOW" in flags


def test_every_function_has_its_ordinary_use_in_api_and_its_row_among_the_calls():
    texts = {name: (SOURCES / name).read_text() for name in ["api.c", "check.h", "calls.h", "random_calls.c"]}
    used = {name: set(re.findall(r"\b(holdall_\w+)\(", text)) for name, text in texts.items()}
    calls = texts["calls.h"]
    rows = {"holdall_" + name for name in re.findall(r"ROW\((\w+),", calls)} | set(re.findall(r'{"(holdall_\w+)", c_', calls))
    assert functions_of_the_header() - used["api.c"] - used["check.h"] == set()
    assert functions_of_the_header() - rows == WITHOUT_A_ROW
    # It also counts its calls of each, and fails where one was never made.
    assert functions_of_the_header() - rows - used["random_calls.c"] == set()


def test_the_complete_program_of_the_manual_runs(library, tmp_path):
    manual = HEADER[HEADER.index("A COMPLETE PROGRAM") : HEADER.index(" * RULES")]
    lines = [line.removeprefix(" *     ") for line in manual.splitlines()]
    begin = next(i for i, line in enumerate(lines) if line.startswith("#include"))
    end = lines.index("cc example.c $(pkg-config --cflags --libs holdall)")
    program = "\n".join("" if line == " *" else line for line in lines[begin:end])
    assert "/tmp/holdall-example" in program
    source, out = tmp_path / "example.c", tmp_path / "example"
    source.write_text(program.replace("/tmp/holdall-example", str(tmp_path / "sessions")) + "\n")
    run("gcc", "-std=c99", *STRICT, f"-I{INCLUDE}", source, "-o", out, f"-L{library}", f"-Wl,-rpath,{library}", "-lholdall")
    assert "Set-Cookie: __Host-sid=" in run(out)


# The programs.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_check_of_the_program_holds(program, compiler, kind, built, tmp_path):
    run(built(program, compiler, kind), tmp_path)


@pytest.mark.parametrize("program", WATCHED)
def test_valgrind_finds_no_wrong_access_and_no_leak(program, built, tmp_path):
    needs("valgrind")
    # A child abandons the memory sessions of its parent on purpose: one of their locks may be held by a thread it does not have.
    watch = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=no"] if program == "fork" else LEAKS
    fewer = {"HOLDALL_FORKS": "15"}
    run(*watch, built(program), tmp_path, env=fewer)


def without_busy_forks(program):
    """The checks of a program that AddressSanitizer bears: its own allocator hangs in a child of a busy parent (seen with LLVM 14)."""
    if program != "fork":
        return []
    names = re.findall(r"^    A\((\w+)\),", (SOURCES / "fork.c").read_text(), re.M)
    return [name for name in names if name != "children_of_a_busy_parent_finish_and_share_no_id_and_no_lock"]


SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.mark.parametrize("program", WATCHED)
def test_the_sanitizers_find_nothing_in_program_and_header(program, built, tmp_path):
    run(built(program, "clang", "shared", SANITIZE), tmp_path, *without_busy_forks(program))


@pytest.mark.parametrize("program", WATCHED)
def test_the_address_sanitizer_finds_nothing_in_the_library(program, built, watched_library, tmp_path):
    run(built(program, "clang", "static", ["-fsanitize=address"], watched_library), tmp_path, *without_busy_forks(program))


# What the environment tells how long to be: short in `make test`, whole in `make torture`.

def random_calls(program, directory, calls, watch=()):
    said = run(*watch, program, directory, env={"HOLDALL_RANDOM_CALLS": str(calls)}, timeout=600)
    assert f"    {calls} calls\n" in said
    return f"0 of {calls:,}"


@pytest.mark.torture
def test_random_calls_from_eight_threads_end_in_statuses_of_the_header(built, tmp_path, scaled, figure):
    found = random_calls(built("random_calls"), tmp_path, scaled(20_000, 1_000_000))
    figure("R21", "C", "calls with random arguments from 8 threads that crashed, panicked or had no status", found, "0")


@pytest.mark.torture
def test_random_calls_under_valgrind_access_nothing_wrong_and_leak_nothing(built, tmp_path, scaled, figure):
    needs("valgrind")
    found = random_calls(built("random_calls"), tmp_path, scaled(8_000, 200_000), LEAKS)
    figure("R21", "C", "random calls after which valgrind found a wrong access or a byte definitely lost", found, "0")


@pytest.mark.torture
def test_random_calls_under_the_address_sanitizer_access_nothing_wrong(built, watched_library, tmp_path, scaled, figure):
    program = built("random_calls", "clang", "static", ["-fsanitize=address"], watched_library)
    found = random_calls(program, tmp_path, scaled(20_000, 200_000))
    figure("R21", "C", "random calls after which AddressSanitizer found a wrong access or a leak", found, "0")


@pytest.mark.torture
def test_a_panic_in_any_function_becomes_a_status_and_crosses_no_border(built, planted_library, tmp_path, figure):
    program = built("panics", "clang", "static", ["-fsanitize=address"], planted_library)
    # What panics again on being dropped is leaked, not dropped.
    said = run(program, tmp_path, env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert "ok  every_function" in said and "in a destructor" not in said
    functions = len(functions_of_the_header() - WITHOUT_A_ROW)
    figure("R21", "C", "functions out of which a planted panic came, of four kinds each", f"0 of {functions}", "0")


@pytest.mark.torture
def test_processes_forked_from_a_warm_and_from_a_busy_one_share_no_id_no_lock_and_lose_nothing(built, tmp_path, scaled, figure):
    amounts = {"IDS": scaled(500, 10_000), "INCREMENTS": scaled(50, 1_000), "FORKS": scaled(100, 1_000)}
    said = run(built("fork"), tmp_path, env={f"HOLDALL_{name}": str(amount) for name, amount in amounts.items()}, timeout=600)
    ids = re.findall(r"(\d+) equal among (\d+) ids", said)
    lost = re.findall(r"(\d+) of (\d+) increments lost", said)
    busy = re.findall(r"(\d+) requests in the parent beside (\d+) forks, (\d+) equal ids", said)
    assert ids == [("0", str(9 * amounts["IDS"]))] * 2
    assert lost == [("0", str(8 * amounts["INCREMENTS"]))] * 2
    assert [(forks, equal) for _, forks, equal in busy] == [(str(amounts["FORKS"]), "0")] * 2
    for driver in ["memory", "file"]:
        figure("R8", driver, "equal ids of 8 children of a warm parent, and the parent (C)", f"0 of {9 * amounts['IDS']:,}", "0")
        figure("R8", driver, "increments lost by 8 workers forked from one manager (C)", f"0 of {8 * amounts['INCREMENTS']:,}", "0")
        figure("R8", driver, "children that hung or failed, forked beside 3 busy threads (C)", f"0 of {amounts['FORKS']:,}", "0")


def storm(program, directory, threads, turns, env=None):
    amounts = {"HOLDALL_THREADS": str(threads), "HOLDALL_TURNS": str(turns)}
    said = run(program, directory, env={**amounts, **(env or {})}, timeout=600)
    assert re.findall(r"(\d+) of (\d+) lost", said) == [("0", str(threads * turns))] * 2
    return f"0 of {threads * turns:,}"


@pytest.mark.torture
def test_a_storm_of_threads_over_a_hundred_sessions_loses_no_increment(built, tmp_path, scaled, figure):
    threads, turns = scaled(8, 64), scaled(200, 2_000)
    found = storm(built("storm"), tmp_path, threads, turns)
    for driver in ["memory", "file"]:
        figure("R9", driver, f"increments of {threads} threads over 100 sessions lost or waiting for ever (C)", found, "0")


@pytest.fixture
def race_watched(built, race_watched_library, tmp_path):
    """Builds a program for ThreadSanitizer, with std_locks.c between the library and Rust's standard library.

    helgrind will not do: it knows the locks of pthread and nothing else, and reports every use of Rust's as a race.
    """
    needs("clang-19")
    symbols = run("nm", race_watched_library, stderr=subprocess.DEVNULL)
    flags = [SOURCES / "std_locks.c"]
    ends = {"LOCK_CONTENDED": "5Mutex14lock_contended", "WAIT_TIMEOUT": "7Condvar12wait_timeout", "ONCE_CALL": "4Once4call"}
    for name, end in ends.items():
        found = set(re.findall(rf" U (_R\w*3sys4sync\w*{end})$", symbols, re.M))
        assert len(found) == 1, f"Rust's standard library has another {name} now: {found}"
        flags += [f"-D{name}={min(found)}", f"-Wl,--wrap={min(found)}"]
    # The last owner of an Arc waits for the others by a fence, which ThreadSanitizer does not know, before it frees.
    (tmp_path / "suppressions").write_text("race:alloc::sync::Arc*drop_slow\n")
    env = {"TSAN_OPTIONS": f"suppressions={tmp_path / 'suppressions'} exitcode=99"}
    return lambda program: (built(program, "clang-19", "static", ["-fsanitize=thread", *flags], race_watched_library), env)


@pytest.mark.torture
def test_the_thread_sanitizer_finds_no_race_in_a_storm(race_watched, tmp_path, scaled, figure):
    program, env = race_watched("storm")
    found = storm(program, tmp_path, scaled(8, 64), scaled(50, 200), env)
    figure("R9", "memory, file", "commits after which ThreadSanitizer reported a data race", found, "0")


@pytest.mark.torture
def test_the_thread_sanitizer_finds_no_race_in_random_calls(race_watched, tmp_path, scaled, figure):
    program, env = race_watched("random_calls")
    calls = scaled(10_000, 100_000)
    run(program, tmp_path, env={"HOLDALL_RANDOM_CALLS": str(calls), **env}, timeout=600)
    figure("R9", "C", "random calls from 8 threads after which ThreadSanitizer reported a data race", f"0 of {calls:,}", "0")


# What watches can see.


def test_valgrind_sees_a_handle_used_after_its_free(built):
    needs("valgrind")
    code, said = run("valgrind", "-q", "--error-exitcode=99", built("use_after_free"), "handle", code=None)
    assert code == 99 and "Invalid read" in said and "holdall_session_is_new" in said


def test_valgrind_sees_a_buffer_that_was_never_freed(built):
    needs("valgrind")
    code, said = run(*LEAKS, built("use_after_free"), "leak", code=None)
    assert code == 99 and "definitely lost" in said
    run(*LEAKS, built("use_after_free"), "nothing")


def test_the_address_sanitizer_sees_a_view_read_after_its_session_was_freed(built):
    code, said = run(built("use_after_free", "clang", "shared", SANITIZE), "view", code=None)
    assert code != 0 and "heap-use-after-free" in said


def test_the_address_sanitizer_sees_a_handle_used_after_its_free_in_the_watched_library(built, watched_library):
    program = built("use_after_free", "clang", "static", ["-fsanitize=address"], watched_library)
    code, said = run(program, "handle", code=None)
    assert code != 0 and "heap-use-after-free" in said
    run(program, "nothing")


# An installation.


def test_what_is_installed_is_stripped_versioned_and_exports_the_same(prefix):
    version = run("cargo", "pkgid", "-p", "holdall-c", cwd=ROOT).strip().split("@")[-1]
    _, minor, patch = version.split(".")
    real = prefix / "lib" / f"libholdall.so.1.{minor}.{patch}"
    assert real.is_file() and not real.is_symlink()
    assert (prefix / "lib" / "libholdall.so").readlink() == Path("libholdall.so.1")
    assert (prefix / "lib" / "libholdall.so.1").readlink() == Path(real.name)
    assert exported_by(real) == functions_of_the_header()
    assert "[libholdall.so.1]" in run("readelf", "-d", real)
    assert ".debug_info" not in run("readelf", "-S", "-W", real)
    # 9 MB unstripped, 1 MB with fat LTO.
    assert real.stat().st_size < 2_000_000
    assert (prefix / "include" / "holdall.h").read_text() == HEADER
    assert (prefix / "include" / "holdall.hpp").is_file()


def pkg_config(prefix, *arguments):
    needs("pkg-config")
    env = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    return run("pkg-config", *arguments, "holdall", env=env).split()


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_built_by_pkg_config_runs(kind, prefix, tmp_path):
    out = tmp_path / "api"
    if kind == "static":
        flags = pkg_config(prefix, "--cflags", "--libs", "--static")
        # pkg-config does not choose between .so and .a: the caller does, here for this one library.
        flags = ["-Wl,-Bstatic,-lholdall,-Bdynamic" if flag == "-lholdall" else flag for flag in flags]
    else:
        flags = [*pkg_config(prefix, "--cflags", "--libs"), f"-Wl,-rpath,{prefix / 'lib'}"]
    run("gcc", "-std=c99", *STRICT, SOURCES / "api.c", "-o", out, *flags, "-lpthread")
    assert ("libholdall.so.1" in run("ldd", out)) == (kind == "shared")
    run(out, tmp_path)


def test_the_libraries_that_the_archive_needs_are_those_that_rustc_names(prefix, tmp_path):
    # Linking here cannot show that one is missing: this glibc has most of them inside itself.
    (tmp_path / "empty.rs").write_text("")
    said = run("rustc", "--crate-type", "staticlib", "--print", "native-static-libs", tmp_path / "empty.rs", "-o", tmp_path / "empty.a")
    assert re.search(r"native-static-libs: (.*)", said)[1].split() == STATIC_LIBS
    assert pkg_config(prefix, "--libs", "--static")[-len(STATIC_LIBS) :] == STATIC_LIBS
    assert f'"{";".join(STATIC_LIBS)}"' in (prefix / "lib/cmake/Holdall/HoldallConfig.cmake").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_built_by_cmake_runs(kind, prefix, tmp_path):
    needs("cmake")
    target = "Holdall::holdall" if kind == "shared" else "Holdall::static"
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\n"
        "project(example C)\n"
        "find_package(Holdall 0.1 REQUIRED)\n"
        f"add_executable(example {SOURCES / 'api.c'})\n"
        f"target_link_libraries(example PRIVATE {target} pthread)\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    out = tmp_path / "build" / "example"
    assert ("libholdall.so.1" in run("ldd", out)) == (kind == "shared")
    run(out, tmp_path)


@pytest.mark.parametrize("asked, suits", [("0.1.0", True), ("0.1", True), ("0.0.9", False), ("0.99", False), ("1.0", False)])
def test_cmake_takes_only_a_version_that_suits(asked, suits, prefix, tmp_path):
    needs("cmake")
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(example NONE)\nfind_package(Holdall {asked} REQUIRED)\n"
    )
    code, said = run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}", code=None)
    assert (code == 0) == suits, said


def test_an_installation_goes_below_destdir_where_one_is_given(prefix, tmp_path):
    run(ROOT / "bindings" / "c" / "install", "/opt/holdall", tmp_path, timeout=600)
    assert (tmp_path / "opt" / "holdall" / "lib" / "libholdall.so.1").exists()
    assert str(tmp_path) not in (tmp_path / "opt/holdall/lib/cmake/Holdall/HoldallConfig.cmake").read_text()


@pytest.mark.parametrize("arguments", [[], ["relative"], ["/a", "/b", "/c"]])
def test_an_installation_without_a_good_prefix_is_refused(arguments):
    code, said = run(ROOT / "bindings" / "c" / "install", *arguments, code=None)
    assert code == 1 and said.startswith("install: ")
