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

PROGRAMS = ["api", "abuse", "time", "fork"]
COMPILERS = ["gcc", "clang"]
KINDS = ["shared", "static"]
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
# What a Rust archive needs besides itself; bindings/c/install has the same list.
STATIC_LIBS = "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc".split()

# Functions that take no pointer, or whose only misuse is undefined: no row in abuse.c's table.
WITHOUT_A_ROW = {
    "holdall_abi_version", "holdall_version", "holdall_status_name", "holdall_event_name", "holdall_last_error_message",
    "holdall_last_error_flags", "holdall_buf_free", "holdall_manager_free", "holdall_session_free", "holdall_commit_free",
}  # fmt: skip


def run(*command, env=None, timeout=120, code=0, **more):
    """Runs a command, wants this exit code of it (None: any), and gives what it printed."""
    command = [str(part) for part in command]
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )
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
    target = "x86_64-unknown-linux-gnu"
    if os.uname().machine != "x86_64":
        pytest.skip("only tried on x86-64")
    env = {"RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": "-Zsanitizer=address", "CARGO_TARGET_DIR": str(TARGET / "asan")}
    run("cargo", "rustc", "-p", "holdall-c", "--crate-type", "staticlib", "--target", target, env=env, timeout=600, cwd=ROOT)
    return TARGET / "asan" / target / "debug" / "libholdall.a"


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


def test_every_function_has_its_ordinary_use_in_api_and_its_row_in_abuse():
    api, abuse = (SOURCES / "api.c").read_text(), (SOURCES / "abuse.c").read_text()
    used = set(re.findall(r"\b(holdall_\w+)\(", api + (SOURCES / "check.h").read_text()))
    rows = {"holdall_" + name for name in re.findall(r"ROW\((\w+),", abuse)} | set(re.findall(r'{"(holdall_\w+)", c_', abuse))
    assert functions_of_the_header() - used == set()
    assert functions_of_the_header() - rows == WITHOUT_A_ROW


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


@pytest.mark.parametrize("program", PROGRAMS)
def test_valgrind_finds_no_wrong_access_and_no_leak(program, built, tmp_path):
    needs("valgrind")
    # A child abandons the memory sessions of its parent on purpose: one of their locks may be held by a thread it does not have.
    leaks = ["--leak-check=no"] if program == "fork" else ["--leak-check=full", "--errors-for-leak-kinds=definite"]
    watch = ["valgrind", "-q", "--error-exitcode=99", *leaks]
    fewer = {"HOLDALL_RANDOM_CALLS": "8000", "HOLDALL_FORKS": "12"}
    run(*watch, built(program), tmp_path, env=fewer)


def without_busy_forks(program):
    """The checks of a program that AddressSanitizer bears: its own allocator hangs in a child of a busy parent (seen with LLVM 14)."""
    if program != "fork":
        return []
    names = re.findall(r"^    A\((\w+)\),", (SOURCES / "fork.c").read_text(), re.M)
    return [name for name in names if name != "children_of_a_busy_parent_finish"]


SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_sanitizers_find_nothing_in_program_and_header(program, built, tmp_path):
    run(built(program, "clang", "shared", SANITIZE), tmp_path, *without_busy_forks(program))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_address_sanitizer_finds_nothing_in_the_library(program, built, watched_library, tmp_path):
    run(built(program, "clang", "static", ["-fsanitize=address"], watched_library), tmp_path, *without_busy_forks(program))


# What watches can see.


def test_valgrind_sees_a_handle_used_after_its_free(built):
    needs("valgrind")
    code, said = run("valgrind", "-q", "--error-exitcode=99", built("use_after_free"), "handle", code=None)
    assert code == 99 and "Invalid read" in said and "holdall_session_is_new" in said


def test_valgrind_sees_a_buffer_that_was_never_freed(built):
    needs("valgrind")
    watch = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]
    code, said = run(*watch, built("use_after_free"), "leak", code=None)
    assert code == 99 and "definitely lost" in said
    run(*watch, built("use_after_free"), "nothing")


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
