# test_compare.py - bench/run on canned results and on programs that only pretend.
# SPDX-License-Identifier: MIT
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

BENCH = Path(os.environ["BENCH"])
sys.path.insert(0, str(BENCH))

from compare import foreign, page, results, table  # noqa: E402
from compare import programs as programs_of  # noqa: E402
from compare.workloads import WORKLOADS, Workload  # noqa: E402

PEAK = {"threads": 1, "fma_gflops": {"avx2": 100.0}, "openblas_gflops": 80.0,
        "gradus_gflops": 100.0, "bare_ms": {"chain": 4.0}, "triad_gbs": 10.0, "core": "Test"}
MACHINE = {"cpu": "A & B", "cores": 2, "load": 0.5, "peaks": [PEAK]}

# Prints what a workload would, or fails: `workloads broken` is how a program ends that crashes.
PRETENDER = """#!/bin/sh
[ "$1" != tiny ] || { echo "out of luck" >&2; exit 3; }
echo '{"workload": "'"$1"'", "threads": 1, "steps": 2, "step_ms": 2.0, "step_ms_min": 1.5,
 "cpu_ms": 2.0, "loss10": 0.5, "peak_mb": 50.0, "peak_minus_idle_mb": 40.0,
 "version": "Gradus test"}'
"""


def run_of(ms, memory=40.0, loss=0.5):
    return {"step_ms": ms, "step_ms_min": ms / 2, "cpu_ms": ms, "loss10": loss, "peak_mb": memory,
            "peak_minus_idle_mb": memory, "version": "1"}


def programs(**times):
    return {name.replace("_", "-"): results.summary([run_of(ms)], name)
            for name, ms in times.items()}


def judged(work, **times):
    return results.judge(work, 1, programs(**times), PEAK)


WORK = Workload("net", "W0", "a net", gflop=1.0, target={1: 2}, gemm_share=0.75, memory=0.7)


class Judging(unittest.TestCase):
    def test_floor_is_the_slower_of_operations_and_bytes(self):
        self.assertAlmostEqual(results.floor_ms(WORK, PEAK), 10)
        self.assertAlmostEqual(results.floor_ms(Workload("a", "", "", 1.0, 0.5), PEAK), 50)
        self.assertEqual(results.floor_ms(WORKLOADS["chain"], PEAK), 4)
        self.assertIsNone(results.floor_ms(Workload("a", "", ""), PEAK))

    def test_target_is_reached_at_the_ratio_of_medians(self):
        self.assertTrue(judged(WORK, ours=20.0, peer=40.0)["reached"])
        self.assertFalse(judged(WORK, ours=20.0, peer=39.9)["reached"])
        self.assertNotIn("reached", judged(WORK, ours=20.0))

    def test_rate_of_products_is_floor_over_time(self):
        self.assertAlmostEqual(judged(WORK, ours=20.0)["gemm_share"], 0.5)

    def test_memory_is_judged_only_where_the_peer_needs_much(self):
        runs = {"ours": results.summary([run_of(1, 30)], ""),
                "peer": results.summary([run_of(1, 33)], "")}
        self.assertAlmostEqual(results.judge(WORK, 1, runs, PEAK)["memory_part"], 30 / 33)
        runs["peer"]["peak_minus_idle_mb"] = 31
        self.assertNotIn("memory_part", results.judge(WORK, 1, runs, PEAK))

    def test_bfloat16_is_compared_with_both_precisions_of_the_peer(self):
        r = judged(WORK, ours=20.0, peer=40.0, ours_bfloat16=10.0, peer_bfloat16=30.0)
        self.assertEqual(r["bfloat16"], [("peer", 4.0, 3.5), ("peer_bfloat16", 3.0, 2)])

    def test_rivals_that_are_faster_are_named(self):
        r = judged(WORK, ours=20.0, peer=10.0, peer_jit=16.0, adolc=30.0, peer_bfloat16=1.0)
        self.assertEqual(r["behind"], [("peer_jit", 1.25)])
        self.assertIn("peer_jit is 1.25x as fast", table.shortfalls(r))

    def test_summary_takes_medians_and_keeps_the_first_result(self):
        runs = [run_of(3.0), run_of(1.0, loss=None), run_of(2.0)]
        del runs[1]["loss10"]
        got = results.summary(runs, "x")
        self.assertEqual((got["step_ms"], got["step_ms_range"], got["step_ms_min"], got["loss10"]),
                         (2.0, [1.0, 3.0], 0.5, 0.5))

    def test_results_that_differ_are_found_and_so_is_nan(self):
        for loss, found in ((0.5, 0), (0.5002, 0), (0.51, 1), (float("nan"), 1)):
            r = judged(WORK, ours=1.0, peer=1.0)
            r["programs"]["ours"]["loss10"] = loss
            got = results.disagreements([r], {"ours": 1e-3, "peer": 1e-3})
            self.assertEqual(len(got), found, f"loss {loss} against 0.5: {got}")

    def test_operations_of_networks_are_those_of_their_papers(self):
        # He et al.: 41 million multiply-adds forward; VGG-16 on 32x32: 313 million.
        self.assertAlmostEqual(WORKLOADS["resnet20-infer"].gflop, 2 * 0.0409, delta=0.001)
        self.assertAlmostEqual(WORKLOADS["vgg16"].gflop, 3 * 2 * 0.313 * 16, delta=0.3)


class Shown(unittest.TestCase):
    report = {"date": "today", "rounds": 1, "machine": MACHINE, "failures": ["a < b"],
              "disagreements": [],
              "results": [judged(WORK, ours=20.0, peer=30.0, peer_jit=25.0),
                          results.judge(WORKLOADS["tiny"], 1, {}, PEAK)]}

    def test_rows_keep_to_the_columns_of_the_header(self):
        head = table.header()
        row = table.rows(self.report["results"][0])[0]
        for name, value in (("ratio", "1.50x"), ("target", "2.00x missed"), ("floor ms", "10.0"),
                            ("of GEMM", "50%")):
            end = head.index(name) + len(name)
            self.assertTrue(row[:end].endswith(value), f"{value} does not end at {end} in {row!r}")

    def test_missing_results_are_dashes(self):
        row = table.rows(self.report["results"][1])[0].split()
        self.assertEqual(row[:5], ["W8", "tiny", "1", "-", "-"])

    def test_other_programs_stand_below_with_their_ratio(self):
        self.assertEqual(table.rows(self.report["results"][0])[1].strip(),
                         "peer_jit: 25.0 ms, 40.0 MB; Gradus is 1.25x as fast")

    def test_numbers_have_three_digits_and_no_exponent(self):
        got = [table.number(x) for x in (None, 0, 0.0066, 1.234, 45.67, 789.1, 2460.0)]
        self.assertEqual(got, ["-", "0", "0.00660", "1.23", "45.7", "789", "2460"])

    def test_color_and_progress_are_for_terminals(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        def seen(stream, **env):
            with mock.patch.dict(os.environ, env):
                progress = table.Progress(2, stream)
                progress.show("mlp")
                return table.may_color(stream), "mlp" in stream.getvalue()

        self.assertEqual(seen(Terminal(), TERM="xterm", NO_COLOR=""), (True, True))
        self.assertEqual(seen(Terminal(), TERM="xterm", NO_COLOR="1"), (False, True))
        self.assertEqual(seen(Terminal(), TERM="dumb", NO_COLOR=""), (False, False))
        self.assertEqual(seen(io.StringIO(), TERM="xterm", NO_COLOR=""), (False, False))

    def test_charts_are_well_formed(self):
        for chart in (page.speed_chart, page.floor_chart):
            svg = ElementTree.fromstring(chart(self.report["results"]))
            self.assertTrue(svg.findall("{http://www.w3.org/2000/svg}rect"), chart.__name__)

    def test_page_closes_what_it_opens_and_escapes_what_it_shows(self):
        text = page.page(self.report)
        self.assertIn("a &lt; b", text)
        self.assertIn("A &amp; B", text)
        opened = []

        class Checker(HTMLParser):
            def handle_starttag(self, tag, _):
                if tag not in ("meta", "br"):
                    opened.append(tag)

            def handle_endtag(checker, tag):
                self.assertEqual(opened.pop(), tag)
        Checker().feed(text)
        self.assertEqual(opened, [])


class Running(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.build = Path(self.folder.name)
        (self.build / "bench").mkdir()
        self.program("workloads", PRETENDER)
        self.program("machine", f"#!/bin/sh\necho '{json.dumps(PEAK)}'\n")

    def program(self, name, text):
        path = self.build / "bench" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run_it(self, *options):
        command = [sys.executable, BENCH / "run", "--build", self.build, "--no-peer", "--threads",
                   "1", "--json", self.build / "r.json", "--page", self.build / "r.html", *options]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        return done, json.loads((self.build / "r.json").read_text(encoding="utf-8"))

    def test_all_goes_well(self):
        done, report = self.run_it("--rounds", "2", "--workloads", "mlp", "lenet")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual([r["workload"] for r in report["results"]], ["mlp", "lenet"])
        self.assertEqual(report["results"][0]["programs"]["ours"]["step_ms"], 2.0)
        self.assertNotIn("\033", done.stdout)

    def test_a_program_that_fails_costs_its_own_result_only(self):
        done, report = self.run_it("--workloads", "tiny", "mlp")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(report["failures"],
                         ["tiny, 1 thread(s), Gradus: status 3: out of luck"])
        self.assertIn("FAILED: tiny", done.stdout)
        self.assertEqual(report["results"][1]["programs"]["ours"]["step_ms"], 2.0)

    def test_a_program_that_prints_nonsense_is_a_failure(self):
        self.program("workloads", "#!/bin/sh\necho nonsense\n")
        done, report = self.run_it("--workloads", "mlp")
        self.assertEqual((done.returncode, len(report["failures"])), (1, 1))

    def test_a_library_that_does_not_compile_costs_nothing_else(self):
        done, report = self.run_it("--workloads", "mlp", "--kann", str(self.build))
        self.assertEqual(done.returncode, 1)
        self.assertTrue(report["failures"][0].startswith("KANN: "), report["failures"])
        self.assertEqual(len(report["results"]), 1)

    def test_without_peaks_there_are_no_floors(self):
        self.program("machine", "#!/bin/sh\nexit 1\n")
        done, report = self.run_it("--workloads", "mlp")
        self.assertEqual(done.returncode, 1)
        self.assertIsNone(report["results"][0]["floor_ms"])

    def test_an_earlier_run_is_shown_as_it_was(self):
        first, _ = self.run_it("--workloads", "mlp")
        again, _ = self.run_it("--from", str(self.build / "r.json"))
        self.assertEqual(again.stdout, first.stdout)

    def refusal(self, *options):
        """What is said of options that nothing can be done with."""
        command = [sys.executable, BENCH / "run", *options]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("Traceback", done.stderr)
        return done.stderr

    def test_what_cannot_be_shown_is_named(self):
        for text in ("", "[]", "{}", "7"):
            path = self.build / "other.json"
            path.write_text(text, encoding="utf-8")
            self.assertIn("expected the JSON that bench/run writes", self.refusal("--from", path))
        self.assertIn("No such file", self.refusal("--from", self.build / "none"))

    def test_what_cannot_be_measured_is_named(self):
        for option in ("--rounds", "--threads", "--seconds"):
            self.assertIn("expected a number above 0, got 0", self.refusal(option, "0"))
        self.assertIn("above 0, got inf", self.refusal("--seconds", "inf"))
        self.assertIn("has no bench/workloads", self.refusal("--build", self.build / "none"))
        self.assertIn("nobody is left", self.refusal("--no-ours", "--no-peer"))
        done, _ = self.run_it("--workloads", "mlp", "--kann", str(self.build / "none"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("none is no folder", done.stdout + done.stderr)


class Names(unittest.TestCase):
    def test_other_libraries_have_only_workloads_that_there_are(self):
        named = {w for library in foreign.LIBRARIES for w in library.workloads}
        self.assertLessEqual(named, set(WORKLOADS))
        self.assertLessEqual({w for p in programs_of.peers() for w in p.only}, set(WORKLOADS))

    def test_the_program_has_every_workload(self):
        listed = subprocess.run([os.environ["WORKLOADS"], "--list"], stdout=subprocess.PIPE,
                                text=True, check=True).stdout.split()
        self.assertEqual(sorted(listed), sorted(WORKLOADS))


if __name__ == "__main__":
    unittest.main()
