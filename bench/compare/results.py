# results.py - from the runs of all programs to ratios, floors and targets.
# SPDX-License-Identifier: MIT
"""The floor of a workload is the larger of two times: its operations at the best rate that products
of 1024x1024 matrices reach here (OpenBLAS or ours), and its bytes at the rate of triad, both on as
many threads. What else a step needs counts as free. Operations are those of the plain algorithm: by
Winograd's a convolution can go below its floor. Where neither products nor bytes take the time, the
floor is that of the same arithmetic in plain C (bare.c).
"""
import statistics

SMALL_MEMORY = 32  # MB of PyTorch, below which there is no target
BFLOAT16 = {"peer": 3.5, "peer-bfloat16": 2}  # ours in bfloat16: times as fast as these


def summary(runs, label):
    """Of the rounds of one program: medians, ranges, the result of the first."""
    times = [r["step_ms"] for r in runs]
    middle = {key: statistics.median(r[key] for r in runs)
              for key in ("step_ms", "cpu_ms", "peak_mb", "peak_minus_idle_mb")}
    return {"label": label, "version": runs[0]["version"], "blas": runs[0].get("blas"), **middle,
            "step_ms_range": [min(times), max(times)],
            "step_ms_min": min(r["step_ms_min"] for r in runs),
            "loss10": next((r["loss10"] for r in runs if "loss10" in r), None)}


def gemm_peak(peak):
    return max(peak["openblas_gflops"], peak["gradus_gflops"])


def floor_ms(workload, peak):
    """None where nothing of the kind is known."""
    if workload.name in peak.get("bare_ms", {}):
        return peak["bare_ms"][workload.name]
    ms = max(1e3 * workload.gflop / gemm_peak(peak), 1e3 * workload.gbyte / peak["triad_gbs"])
    return ms or None


def is_rival(name):
    """Of the programs beside the two: those that compute in full precision, as ours does."""
    return not name.startswith("ours") and name != "peer" and not name.endswith("bfloat16")


def judge(workload, threads, programs, peak):
    """Everything that is known of a workload on so many threads, as the JSON has it."""
    floor = floor_ms(workload, peak) if peak else None
    result = {"workload": workload.name, "tag": workload.tag, "title": workload.title,
              "threads": threads, "gflop": workload.gflop, "gbyte": workload.gbyte,
              "peak": peak, "floor_ms": floor, "target": workload.target.get(threads),
              "stretch": workload.stretch.get(threads), "programs": programs}
    ours, peer = programs.get("ours"), programs.get("peer")
    if ours and floor:
        result["over_floor"] = ours["step_ms"] / floor
    if ours and floor and workload.gemm_share:
        result["gemm_share"], result["gemm_target"] = floor / ours["step_ms"], workload.gemm_share
    if ours and peer:
        result["speedup"] = peer["step_ms"] / ours["step_ms"]
        if result["target"]:
            result["reached"] = result["speedup"] >= result["target"]
        if peer["peak_minus_idle_mb"] > SMALL_MEMORY:
            part = ours["peak_minus_idle_mb"] / peer["peak_minus_idle_mb"]
            result["memory_part"], result["memory_target"] = part, workload.memory
    if ours:
        result["behind"] = [(p["label"], ours["step_ms"] / p["step_ms"])
                            for name, p in programs.items() if is_rival(name)
                            and p["step_ms"] < ours["step_ms"]]
    rounded = programs.get("ours-bfloat16")
    if rounded:
        result["bfloat16"] = [
            (programs[name]["label"], programs[name]["step_ms"] / rounded["step_ms"], target)
            for name, target in BFLOAT16.items() if name in programs]
    return result


def disagreements(results, tolerances):
    """(workload, threads, program, relative difference) of results too far from PyTorch's, or from
    ours where PyTorch was not run."""
    found = []
    for r in results:
        programs = r["programs"]
        reference = programs.get("peer") or programs.get("ours")
        for name, p in programs.items():
            if p["loss10"] is None or not reference or reference["loss10"] is None:
                continue
            difference = abs(p["loss10"] / reference["loss10"] - 1)
            if not difference <= tolerances.get(name, 0):
                found.append((r["workload"], r["threads"], p["label"], difference))
    return found
