#!/usr/bin/env python3
"""A disk that is full: what a cluster refuses, what goes on, and how it recovers.

    cargo build --release -p margay -p loadgen
    sudo tuning/full_disk.py --binaries target/release

Each of three nodes lives on a small ext4 of its own, in a file, mounted by a loop device: this needs root. In turn

  1  a file takes all that is left of each disk: the log goes round in the segments that it has
  2  a follower is killed, so that nothing of the log can be let go of: ordinary commands are refused
  3  meanwhile: reads, health, a session, and a restart of a node on its full disk
  4  the file is removed: the cluster recovers by itself
  5  again until commands are refused; the follower comes back to its disk, which is full, too: the log lets go
  6  the files are removed again

A writer in an open loop runs from the start to the end, and checks that every command is applied exactly once. The
marks of every node are looked at three times a second, all along.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster import Cluster, Node, ended, keep, parser_of, run_to_end, started_at

STEP_SECONDS_MAX = 20
REFUSING = ("soft", "hard", "reserve")


def mount(image, point, mebibytes):
    run_to_end(["truncate", "-s", f"{mebibytes}M", image])
    run_to_end(["mkfs.ext4", "-q", "-F", "-m", "0", image])
    point.mkdir()
    run_to_end(["mount", "-o", "loop", image, point])


def fill(point):
    """Takes what is left, to the last block."""
    ballast = point / "ballast"
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64K"], capture_output=True, timeout=120)
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}2", "bs=4K"], capture_output=True, timeout=120)
    return ballast.stat().st_size + (point / "ballast2").stat().st_size


def make_room(point):
    for name in ("ballast", "ballast2"):
        (point / name).unlink()


class Watched(threading.Thread):
    """What the nodes say of themselves, and how their marks changed."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.marks, self.is_over, self.begun = cluster, [], threading.Event(), time.time()

    def run(self):
        while not self.is_over.wait(0.3):
            seen = self.cluster.overview()
            if seen:
                spaces = self.spaces(seen)
                now = [spaces[node.address] or "down" for node in self.cluster.nodes]
                if not self.marks or self.marks[-1][1] != now:
                    self.marks.append((round(time.time() - self.begun, 1), now))

    def until(self, what, is_true):
        begun, last = time.monotonic(), None
        while time.monotonic() - begun < STEP_SECONDS_MAX:
            last = self.cluster.overview()
            if last and is_true(last):
                return last, time.monotonic() - begun
            time.sleep(0.1)
        for node in self.cluster.nodes:
            print(f"--- {node.name}", node.log.read_text()[-3000:], sep="\n")
        sys.exit(f"not in {STEP_SECONDS_MAX} s: {what}\n{json.dumps(last)}\n{self.marks}")

    def spaces(self, seen):
        return {node["address"]: node["space"] for node in seen["nodes"]}

    def end(self):
        self.is_over.set()
        self.join()


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--mebibytes", type=int, default=128, help="of each disk")
    parser.add_argument("--seconds", type=int, default=90, help="of the writer: longer than everything else takes")
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--size", type=int, default=16384)
    parser.add_argument("--groups", type=int, default=1)
    options = parser.parse_args()
    options.set, options.period_ms = ["log.segment_bytes=4MiB"], 10
    with tempfile.TemporaryDirectory(prefix="margay-full-disk-") as directory:
        directory = Path(directory)
        points = [directory / name for name in ("n1", "n2", "n3")]
        try:
            for point in points:
                mount(directory / f"{point.name}.img", point, options.mebibytes)
            rows = experiment(options, directory, points)
        finally:
            for point in points:
                subprocess.run(["umount", "--lazy", str(point)], capture_output=True)
    keep(options, rows)


class OnSmallDisks(Cluster):
    """Nodes whose data lie below mount points."""

    def node(self, directory, name):
        return Node(self.margay, directory / name, "data", None, self.options.set)


def experiment(options, directory, points):
    cluster = OnSmallDisks(options, directory)
    rows = []

    def tell(step, text):
        rows.append({"step": step, "text": text})
        print(f"{step:<12} {text}", flush=True)

    watched = Watched(cluster)
    try:
        watched.start()
        out = directory / "writer"
        writer = cluster.start_load(["--clients", "16", "--in-flight", "4", "--rate", str(options.rate), "--patience",
                                     "1s", "--warmup", "0s", "--duration", f"{options.seconds}s",
                                     "--check", "--out", str(out)])
        time.sleep(4)
        if writer.poll() is not None:
            sys.exit(f"the writer ended: {writer.communicate()}")
        taken = [fill(point) for point in points]
        time.sleep(8)
        seen = cluster.overview()
        tell("disk full", f"{sum(taken) >> 20} MiB taken, nothing left; 8 s later space is "
             f"{sorted(watched.spaces(seen).values())}: the log goes round in what it has")
        leads = {node["address"]: node["leads"] for node in seen["nodes"]}
        away = next(node for node in cluster.nodes if leads[node.address] == 0)
        others = [node.address for node in cluster.nodes if node is not away]
        away.stop()
        killed = time.time()
        seen, took = watched.until("refused", lambda seen: any(
            node["space"] in REFUSING for node in seen["nodes"]))
        reasons = [f"M{reason['code']} {reason['text']}" for reason in seen["health"] if reason["code"] == 212]
        tell("refused", f"{took:.1f} s after a follower was killed: {sorted(watched.spaces(seen).values())}; health: "
             f"{reasons}")
        reads = cluster.run_load(["--clients", "4", "--in-flight", "4", "--reads", "1", "--rate", "200", "--warmup", "0s",
                                  "--duration", "3s"])["operations"]["read"]
        tell("reads", f"{reads['count']} of 600 answered, {reads['errors']} errors, p99 "
             f"{reads['latency_us']['p99'] / 1e3:.1f} ms, by sessions that were opened for them")
        restarted = next(node for node in cluster.nodes if node is not away)
        restarted.stop()
        restarted.start()
        _, took = watched.until("an answer of the restarted node", lambda seen: all(
            node["state"] != "down" for node in seen["nodes"] if node["address"] == restarted.address))
        tell("restart", f"a node was killed and started again on its full disk: it answers after {took:.1f} s")
        room = time.time()
        for point in points:
            make_room(point)
        _, took = watched.until("free", lambda seen: all(
            node["space"] == "free" for node in seen["nodes"] if node["address"] in others))
        tell("room", f"the files are gone: free {took:.1f} s later")
        time.sleep(3)
        refilled = time.time()
        for point in points:
            fill(point)
        _, took = watched.until("refused again", lambda seen: any(
            node["space"] in REFUSING for node in seen["nodes"] if node["address"] in others))
        time.sleep(3)
        tell("again", f"refused {took:.1f} s after the disks were filled again; 3 s later "
             f"{sorted(watched.spaces(cluster.overview()).values())}")
        away.start()
        back = time.time()
        _, took = watched.until("free again", lambda seen: all(
            node["space"] == "free" and node["lag_entries"] < options.rate for node in seen["nodes"]))
        tell("back", f"the follower is back on a full disk of its own: free everywhere, and caught up, {took:.1f} s later")
        time.sleep(5)
        for point in points:
            make_room(point)
        report = ended(writer, "the writer")
        start = started_at(out)
        per_second = [(start + at, second["per_s"]) for at, second in enumerate(report["per_second"])]

        def first_after(moment):
            seconds = (at - moment for at, per_s in per_second if at >= moment and per_s > options.rate * 0.5)
            return next(seconds, float("inf"))

        tell("writer", f"{report['operations']['write']['count']} done, {report['generator']['unsent_count']} never "
             f"left, {report['generator']['refused_count']} refusals; each applied once: "
             f"{report['check']['applied_exactly_once']}, replicas agree: {report['check']['replicas_agree']}; back at "
             f"half its rate in the second that began {first_after(room):.1f} s after there was room, and "
             f"{first_after(back):.1f} s after the follower was back")
        watched.end()
        rows.append({"per_second": [round(per_s) for _, per_s in per_second], "killed": killed - start,
                     "room": room - start, "refilled": refilled - start, "back": back - start,
                     "marks": watched.marks})
        print("marks       ", ", ".join(f"{at} s {'/'.join(marks)}" for at, marks in watched.marks), flush=True)
        return rows
    finally:
        watched.is_over.set()
        cluster.end()


if __name__ == "__main__":
    main()
