#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""libretort as somebody who installed it finds it: header, library, pkg-config file and manual page
agree, and the example is compiled against the installed tree and talks to the real daemon."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from daemon import DEADLINE, RETORTD, TOP, Daemon

CONFIG = 'listeners: ( { name = "chat"; service = "chat"; listen = "unix:chat.sock"; } );'
CC = os.environ.get("CC") or "gcc"
PREFIX = "/opt/retort"
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAIL {name}: {detail}")


def run(*command, **options):
    """Returns the status and what was printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE, check=False, **options)
    return done.returncode, done.stdout


def install(tree):
    """What the build above this test is made with comes by $MAKEFLAGS."""
    status, output = run("make", "--no-print-directory", "-C", str(TOP), "install",
                         f"DESTDIR={tree}", f"prefix={PREFIX}")
    check("install", status == 0, output)
    return tree / PREFIX[1:]


def flags(tree, prefix, *wanted):
    environment = dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"),
                       PKG_CONFIG_SYSROOT_DIR=str(tree))
    status, output = run("pkg-config", *wanted, "retort", env=environment)
    check(f"pkg-config {wanted}", status == 0, output)
    return shlex.split(output)


def sanitizer():
    wanted = os.environ.get("SANITIZE")
    return [f"-fsanitize={wanted}"] if wanted else []


def check_names(prefix):
    """What the header declares is what the library exports and the manual page describes."""
    header = (prefix / "include/retort.h").read_text()
    bare = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    declared = set(re.findall(r"\b(retort_\w+)\(", bare))
    status, symbols = run("nm", "-D", "--defined-only", str(prefix / "lib/libretort.so"))
    exported = set(re.findall(r" T (\w+)", symbols))
    page = (prefix / "share/man/man3/retort.3").read_text()
    described = set(re.findall(r"^\.F[no] (retort_\w+)", page.split(".Sh DESCRIPTION")[0], re.M))
    named = set(re.findall(r"^\.Nm (retort_\w+)", page, re.M))
    check("functions", len(declared) > 20, sorted(declared))
    check("exports", status == 0 and exported == declared, exported ^ declared)
    check("synopsis", described == declared, described ^ declared)
    check("names", named == declared, named ^ declared)
    events = set(re.findall(r"^\t(RETORT_\w+)[, ]", bare.split("enum retort_event_kind")[1]
                            .split("}")[0], re.M)) | {"RETORT_RESTARTED"}
    missing = [event for event in events if not re.search(rf"\b{event}\b", page)]
    check("events", len(events) > 10 and not missing, missing)


def check_header(prefix):
    """It needs nothing else, in any dialect of C and in C++."""
    header = f'#include "{prefix}/include/retort.h"\n'
    for compiler in ([CC, "-x", "c", "-std=c99"], [CC, "-x", "c", "-std=gnu17"],
                     ["clang", "-x", "c++", "-std=c++11", "-nostdinc++"]):
        status, output = run(*compiler, "-pedantic", "-Wall", "-Wextra", "-Werror",
                             "-fsyntax-only", "-", input=header)
        check(f"header with {compiler}", status == 0, output)


def check_version(tree, prefix):
    output = run(RETORTD, "--version")[1]
    version = flags(tree, prefix, "--modversion")
    check("version", version and version[0] in output, (version, output))
    status, output = run("readelf", "-d", str(prefix / "lib/libretort.so"))
    check("soname", status == 0 and "[libretort.so.0]" in output, output)


def compile_example(tree, prefix, directory):
    program = directory / "example"
    source = prefix / "share/doc/retort/retort-example.c"
    lines = [line for line in source.read_text().splitlines() if line.strip()]
    check("length of the example", len(lines) <= 45, len(lines))
    status, output = run(CC, "-std=c99", "-Wall", "-Wextra", "-Werror", *sanitizer(),
                         "-o", str(program), str(source), *flags(tree, prefix, "--cflags", "--libs"))
    check("compile the example", status == 0, output)
    return program


def run_example(program, prefix, directory):
    text = "hello\nstraße\n\x1b[1m\n"
    environment = dict(os.environ, LD_LIBRARY_PATH=str(prefix / "lib"),
                       RETORT_ADDRESS=f"unix:{directory}/chat.sock")
    status, output = run(str(program), "ops", input=text, env=environment)
    check("nobody is there", status == 1 and "no such socket" in output, output)
    daemon = Daemon(directory, CONFIG)
    try:
        status, output = run(str(program), "ops", input=text, env=environment)
        said = [line.partition(": ") for line in output.splitlines()]
        check("the example", status == 0 and [line[2] for line in said] == text.split("\n")[:-1],
              output)
        check("who said it", len({line[0] for line in said}) == 1 and said[0][0], output)
        environment["RETORT_ADDRESS"] = "nonsense"
        status, output = run(str(program), input=text, env=environment)
        check("a wrong address", status == 1 and "transport is missing" in output, output)
    finally:
        daemon.stop()


def main():
    with tempfile.TemporaryDirectory(prefix="retort-test-") as name:
        directory = Path(name)
        tree = directory / "tree"
        prefix = install(tree)
        if not failed:
            check_names(prefix)
            check_header(prefix)
            check_version(tree, prefix)
            program = compile_example(tree, prefix, directory)
        if not failed:
            run_example(program, prefix, directory)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
