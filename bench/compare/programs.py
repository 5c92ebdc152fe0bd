# programs.py - who is compared: commands that print one JSON line for a workload.
# SPDX-License-Identifier: MIT
# What is fair to PyTorch 1.13 of Debian 12, from interleaved runs on 2 shared cores of an AMD EPYC
# with AVX-512, where medians of the same thing differ by up to 30% between series:
# - It calls libblas.so.3, whatever Debian's alternatives point that at. libopenblas0-openmp serves
#   it best: mlp on 2 threads 3.8 ms, with the pthread build 4.8 ms (medians of 5, one series).
# - OpenBLAS chooses its kernels by itself: OPENBLAS_CORETYPE=Haswell costs mlp on 1 thread 20%.
# - OMP_PROC_BIND=true or false: no difference beyond the noise. torch.set_num_threads is called:
#   this build starts with one thread.
# - oneDNN stays on: without it the best step of lenet on 1 thread takes 4.6 ms instead of 3.9.
# - foreach=True of the optimizers: up to 2% faster, so it is used. zero_grad(set_to_none=True) is
#   what PyTorch 2 does.
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
PEER_PYTHON = "/usr/bin/python3"  # Debian's python3-torch is installed for this one
TIMEOUT = 600                     # seconds
TOLERANCE = 1e-3                  # relative, of losses and other results
ROUNDED_TOLERANCE = 5e-2          # of those from bfloat16; PyTorch's own vgg16 differs by 2e-2


@dataclass(frozen=True)
class Program:
    name: str        # in the JSON
    label: str
    command: tuple
    env: dict = field(default_factory=dict)
    only: tuple = () # workloads; (): all
    tolerance: float = TOLERANCE
    limit_threads: int = 0  # 0: any number

    def runs(self, workload, threads):
        return (not self.only or workload in self.only) and \
            (not self.limit_threads or threads <= self.limit_threads)


class Failure(Exception):
    """A program that gave no result, and why."""


# Memory is never given back to the system, so that it need not be mapped and cleared again.
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
IMAGES = ("resnet20", "vgg16")
ROUNDED = ("resnet20", "vgg16", "gpt")
INFERENCE = ("resnet20-infer", "gpt-infer")


def ours(build):
    command = (str(build / "bench" / "workloads"),)
    return [Program("ours", "Gradus", command),
            Program("ours-bfloat16", "Gradus, bfloat16", (*command, "--bfloat16"),
                    only=ROUNDED, tolerance=ROUNDED_TOLERANCE)]


def peers():
    command = (PEER_PYTHON, str(BENCH / "peer_torch.py"))
    return [Program("peer", "PyTorch", command),
            Program("peer-channels-last", "PyTorch, channels last", (*command, "--channels-last"),
                    only=IMAGES),
            Program("peer-bfloat16", "PyTorch, bfloat16", (*command, "--bfloat16"), only=ROUNDED,
                    tolerance=ROUNDED_TOLERANCE),
            Program("peer-kept-memory", "PyTorch, memory kept", command, env=KEPT_MEMORY,
                    only=("fused",)),
            Program("peer-jit", "PyTorch, optimize_for_inference", (*command, "--jit"),
                    only=INFERENCE)]


def peer_installed():
    try:
        probe = [PEER_PYTHON, "-c", "import importlib.util as u, sys; "
                 "sys.exit(not (u.find_spec('torch') and u.find_spec('numpy')))"]
        return subprocess.run(probe, check=False).returncode == 0
    except OSError:
        return False


def environment(threads, more):
    """The same for all programs, whatever the caller's shell has set."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("OMP_", "GOMP_", "OPENBLAS_", "DNNL_", "MKL_", "GRADUS_",
                                "MALLOC_"))}
    return {**env, "OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "true", **more}


def call(command, threads, env=None):
    """The JSON line that a program prints."""
    try:
        done = subprocess.run([*command, "--threads", str(threads)], timeout=TIMEOUT, check=False,
                              env=environment(threads, env or {}), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Failure(str(problem)) from problem
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise Failure(f"status {done.returncode}: {said[-1]}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as problem:
        raise Failure(f"no JSON: {done.stdout[:80]!r}") from problem
