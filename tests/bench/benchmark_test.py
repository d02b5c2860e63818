#!/usr/bin/env python3
"""The parts of tools/bench that need neither root nor a network: statistics, tables, JSON, charts, command files, and
what a run does when something fails."""

import json
import pathlib
import re
import sys
import unittest
from unittest import mock
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

# pylint: disable=wrong-import-position
from benchmark import chart, comparison, contenders, curves, measures, report, session  # noqa: E402
from benchmark.bed import BenchError  # noqa: E402

RESULTS = {
    contenders.RAW: {"tcp-1": [10.0, 12.0, 8.0], "udp-64": [100.0], "udp-64-loss": [0.0]},
    "centipede xdp, 1 link": {"tcp-1": [4.0, 5.0, 6.0], "memory": [20.0], "udp-64-loss": [25.0]},
    contenders.WIREGUARD_GO: {"tcp-1": [2.0], "memory": [40.0]},
}
COMMANDS = 'name = "x"\naddress = "10.9.0.2"\nmtu = 1400\nlaptop = "true"\noffice = "true"\n'


def row(name, *wanted):
    return session.Row(name, contenders.raw(name), wanted)


class Statistics(unittest.TestCase):
    def test_a_summary_is_the_median_and_the_extremes(self):
        self.assertEqual(report.summary([9.0, 1.0, 2.0]), report.Summary(2.0, 1.0, 9.0, 3))
        self.assertEqual(report.summary([1.0, 2.0]).median, 1.5)

    def test_a_ratio_divides_median_by_median(self):
        summed = report.summaries(RESULTS)
        self.assertEqual(report.ratio(summed, "centipede xdp, 1 link", "tcp-1", contenders.RAW), 0.5)
        self.assertEqual(report.ratio(summed, "centipede xdp, 1 link", "tcp-1", contenders.WIREGUARD_GO), 2.5)

    def test_there_is_no_ratio_to_what_was_not_measured_or_is_nothing(self):
        summed = report.summaries(RESULTS)
        self.assertIsNone(report.ratio(summed, "centipede xdp, 1 link", "memory", contenders.RAW))
        self.assertIsNone(report.ratio(summed, contenders.RAW, "memory", contenders.WIREGUARD_GO))
        self.assertIsNone(report.ratio(summed, "centipede xdp, 1 link", "udp-64-loss", contenders.RAW))

    def test_a_percentile_is_one_of_the_values(self):
        self.assertEqual(measures.percentile(list(range(1, 201)), 0.99), 198)
        self.assertEqual(measures.percentile([3.0, 1.0], 0.5), 1.0)
        self.assertEqual(measures.percentile([7.0], 0.99), 7.0)

    def test_numbers_have_three_digits(self):
        self.assertEqual([report.number(value) for value in (0, 0.123, 9.949, 9.96, 99.4, 99.6, 12345)],
                         ["0", "0.12", "9.95", "10.0", "99.4", "100", "12345"])


class Tables(unittest.TestCase):
    def cells(self, text):
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]

    def test_lines_are_aligned(self):
        lines = report.markdown(["", "long heading"], [["name", "1"], ["longer name", "22"]]).splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertEqual(lines[1], "|-------------|-------------:|")
        self.assertEqual(lines[2], "| name        |            1 |")

    def test_a_row_has_medians_spread_and_ratios(self):
        text = report.table(RESULTS, lambda figure: figure.column, ("tcp-1", "udp-64-loss"), tuple(report.BASELINES))
        header, _, raw, ours, go = self.cells(text)
        self.assertEqual(header, ["", "1 stream", "× raw", "× wg-go", "lost %"])
        self.assertEqual(raw, [contenders.RAW, "10.0 [8.00–12.0]", "1.00", "5.00", "0"])
        self.assertEqual(ours, ["centipede xdp, 1 link", "5.00 [4.00–6.00]", "0.50", "2.50", "25.0"])
        self.assertEqual(go, [contenders.WIREGUARD_GO, "2.00", "0.20", "1.00", "–"])

    def test_figures_that_nobody_has_are_left_out(self):
        text = report.comparison_tables(RESULTS)
        self.assertIn("### Cost", text)
        self.assertNotIn("### Round trip", text)
        self.assertNotIn("processor", text)

    def test_every_figure_of_a_table_or_chart_exists(self):
        named = [name for names in (*report.TABLES.values(), *curves.CHARTED.values(), comparison.CHARTED)
                 for name in names]
        self.assertEqual([name for name in named if name not in measures.FIGURES], [])

    def test_the_document_keeps_every_round(self):
        read = json.loads(json.dumps(report.document({"rounds": 3}, RESULTS)))
        ours = read["results"]["centipede xdp, 1 link"]
        self.assertEqual(ours["tcp-1"], {"rounds": [4.0, 5.0, 6.0], "median": 5.0, "min": 4.0, "max": 6.0,
                                         "ratios": {contenders.RAW: 0.5, contenders.WIREGUARD_GO: 2.5}})
        self.assertEqual(ours["udp-64-loss"]["ratios"], {})
        self.assertEqual(set(read["figures"]), {"tcp-1", "udp-64", "udp-64-loss", "memory"})


class Charts(unittest.TestCase):
    def parse(self, text):
        root = ElementTree.fromstring(text)
        return root, lambda tag: list(root.iter("{http://www.w3.org/2000/svg}" + tag))

    def test_the_comparison_is_well_formed_whatever_names_hold(self):
        root, all_of = self.parse(comparison.draw('a < b & "c"', RESULTS | {'<x> & "y"': {"tcp-1": [3.0]}}))
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        self.assertIn('<x> & "y"', [text.text for text in all_of("text")])

    def test_bars_are_in_proportion_ours_in_our_colour_and_none_leaves_its_panel(self):
        rates = {name: {"tcp-1": found["tcp-1"]} for name, found in RESULTS.items()}
        _, all_of = self.parse(comparison.draw("", rates))
        bars = all_of("rect")[1:]
        widths = [float(bar.get("width")) for bar in bars]
        self.assertAlmostEqual(widths[0] / widths[1], 2, places=2)
        self.assertEqual([bar.get("fill") == chart.COLOURS[0] for bar in bars], [False, True, False])
        ends = [float(line.get("x2")) for line in all_of("line")]
        self.assertLessEqual(max(ends), chart.GAP + chart.PANEL - chart.VALUES + 0.1)

    def test_curves_have_a_point_for_each_place_in_ascending_order(self):
        results = {f"peers {peers}, xdp": {"memory": [float(peers)]} for peers in (1000, 1, 10)}
        results |= {"size all, udp": {"udp-64": [5.0], "udp-1400": [3.0]}}
        _, all_of = self.parse(curves.draw("title", results))
        memory, sizes = ([tuple(map(float, point.split(","))) for point in line.get("points").split()]
                         for line in all_of("polyline"))
        self.assertEqual((len(memory), len(sizes)), (3, 2))
        self.assertEqual(memory, sorted(memory, key=lambda point: (point[0], -point[1])))
        self.assertGreater(sizes[1][1], sizes[0][1], "less is lower, and y grows downwards")

    def test_an_axis_ends_at_a_round_number_above_its_values(self):
        self.assertEqual([chart.round_up(value) for value in (0, 1, 1.01, 8.5, 61, 12345)], [1, 1, 2, 10, 80, 20000])

    def test_nothing_measured_is_an_empty_chart(self):
        for draw in (comparison.draw, curves.draw):
            root, _ = self.parse(draw("", {}))
            self.assertGreater(int(root.get("width")), chart.PANEL)


class CommandFiles(unittest.TestCase):
    def complains(self, text, about):
        with self.assertRaisesRegex(BenchError, re.escape(about)):
            contenders.parse(text, "file")

    def test_what_is_said_is_what_is_meant(self):
        found = contenders.parse(COMMANDS + 'links = 2\ncheck = "c"\nprepare = "p"\nready = "r"\nnote = "n"\n', "file")
        self.assertEqual(found, contenders.Contender("x", "10.9.0.2", 1400, "true", "true", 2, "c", "p", "r", "n"))
        self.assertEqual(contenders.parse(COMMANDS, "file").links, 1)

    def test_mistakes_are_named(self):
        self.complains("name = \n", "file: ")
        self.complains(COMMANDS + 'mut = 1\n', "unknown key 'mut'")
        self.complains(COMMANDS + 'links = "2"\n', "'links' must be a number")
        self.complains(COMMANDS + 'links = true\n', "'links' must be a number")
        self.complains(COMMANDS + 'check = 1\n', "'check' must be text")
        self.complains(COMMANDS + 'links = 5\n', "'links' must be 1 to 4")
        self.complains(COMMANDS.replace("1400", "100"), "'mtu' must be 576 to 65535")
        self.complains(COMMANDS.replace("address", "note"), "lacks address")
        with self.assertRaisesRegex(BenchError, "No such file"):
            contenders.load("/nonexistent.toml")

    def test_the_ones_that_come_along_can_be_read_and_have_names_of_their_own(self):
        files = sorted(contenders.FOLDER.glob("*.toml"))
        names = [contender.name for contender in contenders.built_in()]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual({contenders.load(file).name for file in files}, set(names))
        with self.assertRaisesRegex(BenchError, "two contenders are called"):
            comparison.rows(files[:1])

    def test_the_example_in_the_documentation_can_be_read(self):
        example = re.search(r"```toml\n(.*?)```", (ROOT / "docs/performance.md").read_text(encoding="utf-8"), re.DOTALL)
        self.assertTrue(contenders.parse(example[1], "docs/performance.md").laptop)

    def test_scripts_find_the_addresses_of_their_links(self):
        self.assertEqual(contenders.variables(contenders.centipede("x", "udp", 2)),
                         {"MTU": "1420", "LINKS": "2", "LAPTOP_1": "10.1.0.1", "LAPTOP_2": "10.2.0.1",
                          "OFFICE_1": "10.1.0.2", "OFFICE_2": "10.2.0.2"})

    def test_many_peers_have_keys_and_networks_of_their_own(self):
        script = contenders.centipede("x", "udp", peers=600).office
        self.assertEqual(len(set(re.findall(r'^public_key = "([\w+/]{43}=)"', script, re.MULTILINE))), 599)
        self.assertEqual(len(set(re.findall(r"10\.64\.\d+\.\d+/32", script))), 599)


class Choice(unittest.TestCase):
    rows = [row("one", "tcp-1", "memory"), row("two", "tcp-1")]

    def test_only_chooses_contenders_and_measures(self):
        self.assertEqual(session.chosen(self.rows, ""), self.rows)
        self.assertEqual([found.name for found in session.chosen(self.rows, "^one/")], ["one"])
        self.assertEqual([found.measures for found in session.chosen(self.rows, "/tcp")], [("tcp-1",), ("tcp-1",)])

    def test_choosing_nothing_is_an_error(self):
        for expression in ("three", "("):
            with self.assertRaises(BenchError):
                session.chosen(self.rows, expression)


class Runs(unittest.TestCase):
    """With a bed on which starting succeeds, fails or is refused, by name."""

    def run_rows(self, *names, rounds=2):
        def start(_, contender, __):
            self.started.append(contender.name)
            if contender.name == "absent":
                raise contenders.Skipped("not here")
            if contender.name == "broken":
                raise BenchError("does not start")
            return 0.5

        self.started, self.order = [], []

        def measure(_, contender, __):
            self.order.append(contender.name)
            return {"tcp-1": float(len(self.order))}

        bed = mock.Mock()
        with mock.patch.object(contenders, "start", start), mock.patch.object(session, "say"), \
                mock.patch.dict(measures.MEASURES, {"tcp-1": measure}):
            found = session.run(bed, [row(name, "start", "tcp-1") for name in names], rounds, measures.Settings(1))
        self.assertEqual(bed.method_calls[-1], mock.call.down(), "the bed is gone in the end")
        return found

    def test_contenders_take_turns(self):
        results, problems, skipped = self.run_rows("one", "two")
        self.assertEqual(self.order, ["one", "two", "one", "two"])
        self.assertEqual(results, {"one": {"start": [0.5, 0.5], "tcp-1": [1.0, 3.0]},
                                   "two": {"start": [0.5, 0.5], "tcp-1": [2.0, 4.0]}})
        self.assertEqual((problems, skipped), ([], {}))

    def test_one_that_fails_does_not_keep_the_others_from_running(self):
        results, problems, _ = self.run_rows("broken", "two")
        self.assertEqual(list(results), ["two"])
        self.assertEqual(problems, ["does not start"] * 2)

    def test_one_that_this_machine_lacks_is_asked_once_and_is_no_problem(self):
        results, problems, skipped = self.run_rows("absent", "two")
        self.assertEqual((list(results), problems, skipped), (["two"], [], {"absent": "not here"}))
        self.assertEqual(self.started, ["absent", "two", "two"])

    def test_packets_above_the_mtu_are_not_measured(self):
        taken = []
        small = contenders.Contender("x", "10.9.0.2", 1300, "", "")
        probes = {f"udp-{size}": lambda *_, size=size: taken.append(size) or {} for size in (512, 1400)}
        with mock.patch.object(contenders, "start"), mock.patch.dict(measures.MEASURES, probes):
            session.take(mock.Mock(), session.Row("x", small, ("udp-512", "udp-1400")), measures.Settings(1), {})
        self.assertEqual(taken, [512])

    def test_the_first_ping_follows_no_silence_and_does_not_count(self):
        bed = mock.Mock()
        bed.run.return_value = "".join(f"64 bytes from x: time={time} ms\n" for time in (9.0, 0.1, 0.2, 0.3))
        found = measures.rtt_after_silence(bed, contenders.raw(), measures.Settings(1, 3))
        self.assertAlmostEqual(found["rtt-silence"], 200)
        bed.run.return_value = "0 received"
        with self.assertRaises(BenchError):
            measures.rtt_idle(bed, contenders.raw(), measures.Settings(1))


if __name__ == "__main__":
    unittest.main()
