# foreign.py - other libraries: small programs of ours, compiled against what the user downloaded.
# SPDX-License-Identifier: MIT
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .programs import BENCH, Failure, Program

MEASURE = ("measure.c", "numbers.c")


@dataclass(frozen=True)
class Library:
    option: str
    label: str
    workloads: tuple
    source: str       # in bench/peers
    headers: str      # where they lie below the folder that the user names
    libraries: str    # likewise; "": none to link with
    link: tuple       # of the linker
    sources: tuple = ()  # of the library, below the folder; compiled along


LIBRARIES = [
    Library("kann", "KANN", ("mlp", "tiny"), "peer_kann.c", "", "", ("-lm", "-lpthread"),
            ("kann.c", "kautodiff.c")),
    Library("dynet", "DyNet", ("mlp", "tiny", "chain"), "peer_dynet.cpp", "include", "lib",
            ("-ldynet",)),
    Library("adolc", "ADOL-C", ("chain",), "peer_adolc.cpp", "include", "lib", ("-ladolc",)),
]
HELP = {
    "kann": "its sources",
    "dynet": "where it is installed; Eigen is found by the compiler",
    "adolc": "where it is installed: /usr with Debian's libadolc-dev",
}


def compile_with(compiler, arguments):
    try:
        done = subprocess.run([*compiler, *map(str, arguments)], stderr=subprocess.PIPE, text=True,
                              check=False)
    except OSError as problem:
        raise Failure(str(problem)) from problem
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise Failure(f"{compiler[0]}: {said[0]}")


def objects(sources, folder, includes):
    """C sources as object files: C++ programs are linked with them too."""
    made = []
    for source in sources:
        made.append(folder / (source.stem + ".o"))
        compile_with(["cc", "-std=gnu11", "-O3", *includes],
                     ["-c", source, "-o", made[-1]])
    return made


def build(library, where, out):
    """The program, compiled; raises Failure."""
    if not where.is_dir():
        raise Failure(f"{where} is no folder")
    out.mkdir(parents=True, exist_ok=True)
    includes = [f"-I{BENCH}", f"-I{where / library.headers}"]
    made = objects([*(BENCH / name for name in MEASURE),
                    *(where / name for name in library.sources)], out, includes)
    binary, source = out / library.source.split(".")[0], BENCH / "peers" / library.source
    compiler = ["c++", "-std=c++14"] if source.suffix == ".cpp" else ["cc", "-std=gnu11"]
    paths = [f"-L{where / library.libraries}", f"-Wl,-rpath,{where / library.libraries}"]
    compile_with([*compiler, "-O3", *includes],
                 [source, *made, "-o", binary, *(paths if library.libraries else []),
                  *library.link])
    return binary


def programs(args, failures):
    """Those that the command line names; one that does not compile is a failure, no more."""
    found = []
    for library in LIBRARIES:
        where = getattr(args, library.option)
        if not where:
            continue
        try:
            binary = build(library, Path(where).resolve(), args.build / "bench" / "peers")
        except Failure as problem:
            failures.append(f"{library.label}: {problem}")
            continue
        found.append(Program(library.option, library.label, (str(binary),),
                             only=library.workloads, limit_threads=1))
    return found
