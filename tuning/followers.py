#!/usr/bin/env python3
"""A follower that is slow, stopped, or away: what the others notice of it.

    cargo build --release -p margay -p loadgen
    sudo tuning/followers.py --binaries target/release

Three nodes on loopback take an open loop at a fixed rate. One follower of the driven group is then

  slow      held to a small part of a core by a control group of its own
  stopped   stopped by SIGSTOP, and let go on
  away      killed, and started again

for some time. A row is printed for each: p99 of the writes before, meanwhile, and while it catches up; the memory of
the leader; how long the follower took to have everything. All bounded, all in a temporary directory.
"""

import argparse
import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from overload import Cluster, Group, ended, mib, started_at

CALM_SECONDS = 8
CATCH_UP_SECONDS = 60


def overview(cluster):
    """What the nodes say of themselves, by address."""
    done = subprocess.run([cluster.margay, "status", "-e", cluster.endpoints, "-o", "json", "--timeout", "3s"],
                          capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        return {}
    return {node["address"]: node for node in json.loads(done.stdout)["nodes"]}


def median(numbers):
    numbers = sorted(numbers)
    return numbers[len(numbers) // 2] if numbers else float("nan")


class Fault:
    """What is done to the follower, and undone."""

    def __init__(self, kind, node, quota):
        self.kind, self.node, self.quota, self.group = kind, node, quota, None

    def begin(self):
        if self.kind == "slow":
            self.group = Group(self.quota, 10)
            (self.group.path / "cgroup.procs").write_text(str(self.node.process.pid))
        elif self.kind == "stopped":
            self.node.process.send_signal(signal.SIGSTOP)
        else:
            self.node.stop()

    def end(self):
        if self.kind == "slow":
            self.group.set_quota(16, 10)
        elif self.kind == "stopped":
            self.node.process.send_signal(signal.SIGCONT)
        else:
            self.node.start()


def measure(options, kind, seconds, directory):
    directory.mkdir()
    cluster = Cluster(options, directory)
    try:
        out = directory / "load"
        total = CALM_SECONDS + seconds + CATCH_UP_SECONDS
        load = cluster.start_load(["--clients", str(options.clients), "--in-flight", str(options.in_flight), "--rate",
                                   str(options.rate), "--patience", "2s", "--warmup", "2s", "--duration", f"{total}s",
                                   "--check", "--out", str(out)])
        time.sleep(CALM_SECONDS + 1)
        leader, follower = find(cluster)
        fault = Fault(kind, cluster.nodes[follower], options.slow_quota)
        leader_before = cluster.nodes[leader].resident_bytes()
        begun = time.time()
        fault.begin()
        leader_max = sample(cluster.nodes[leader], seconds)
        fault.end()
        over = time.time()
        caught_up = wait_until_caught_up(cluster, follower, load)
        caught = time.time()
        report = ended(load, "the load")
        leader_max = max(leader_max, peak_bytes(cluster.nodes[leader]))
        start = started_at(out)
        seconds_of = [(start + at, second) for at, second in enumerate(report["per_second"])]

        def p99s(since, until):
            return [second["p99_us"] / 1e3 for at, second in seconds_of if at >= since and at + 1 <= until]

        before = p99s(start, begun)
        meanwhile = p99s(begun + 1, over)
        catching = p99s(over, max(caught, over + 2))
        row = {
            "kind": kind, "seconds": seconds, "rate_per_s": options.rate,
            "p99_ms_before": median(before), "p99_ms_meanwhile": median(meanwhile),
            "p99_ms_catching_up": median(catching), "p99_ms_worst_before": max(before),
            "p99_ms_worst_meanwhile": max(meanwhile), "p99_ms_worst_catching_up": max(catching),
            "leader_mib_before": mib(leader_before), "leader_mib_max": mib(leader_max),
            "caught_up_s": caught - over if caught_up else float('inf'),
            "done": report["operations"]["write"]["count"], "errors": report["operations"]["write"]["errors"],
            "unsent": report["generator"]["unsent_count"], "checked": report["check"]["applied_exactly_once"],
        }
        print(f"{kind:<8} {seconds:>4} s   p99 {row['p99_ms_before']:.1f} ms before, {row['p99_ms_meanwhile']:.1f} "
              f"meanwhile, {row['p99_ms_catching_up']:.1f} while it catches up (worst second {max(before):.1f}, "
              f"{max(meanwhile):.1f}, {max(catching):.1f})   leader {mib(leader_before):.0f} -> {mib(leader_max):.0f} MiB"
              f"   caught up in {row['caught_up_s']:.1f} s   {row['unsent']} not sent, every command applied once: "
              f"{row['checked']}", flush=True)
        return row
    finally:
        cluster.end()


def find(cluster):
    """The node that leads what is driven works the most; a follower that leads nothing."""
    used = [node.cpu_seconds() for node in cluster.nodes]
    time.sleep(2)
    used = [node.cpu_seconds() - before for node, before in zip(cluster.nodes, used)]
    seen = overview(cluster)
    leads = [seen[node.address]["leads"] for node in cluster.nodes]
    leader = max((at for at, count in enumerate(leads) if count > 0), key=lambda at: used[at])
    return leader, leads.index(0)


def peak_bytes(node):
    for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def sample(node, seconds):
    most, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, node.resident_bytes())
        time.sleep(0.2)
    return most


def wait_until_caught_up(cluster, follower, load):
    """Close behind the others, while the load goes on."""
    while load.poll() is None:
        node = overview(cluster).get(cluster.nodes[follower].address)
        if node and node["state"] != "down" and node["lag_entries"] < cluster.options.rate:
            return True
        time.sleep(0.1)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, help="folder with margay and loadgen")
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--slow-quota", type=float, default=0.02, help="of a core, for the slow follower")
    parser.add_argument("--slow-seconds", type=int, default=30)
    parser.add_argument("--stopped-seconds", type=int, default=30)
    parser.add_argument("--away-seconds", type=int, default=120)
    parser.add_argument("--only", choices=["slow", "stopped", "away"])
    parser.add_argument("--set", action="append", help="setting of the nodes, key=value")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args()
    kinds = {"slow": options.slow_seconds, "stopped": options.stopped_seconds, "away": options.away_seconds}
    rows = []
    with tempfile.TemporaryDirectory(prefix="margay-followers-") as directory:
        for kind, seconds in kinds.items():
            if options.only in (None, kind):
                rows.append(measure(options, kind, seconds, Path(directory) / kind))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
