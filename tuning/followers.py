#!/usr/bin/env python3
"""A follower that is slow, stopped, or away: what the others notice of it.

    cargo build --release -p margay -p loadgen
    sudo tuning/followers.py --binaries target/release

Three nodes on loopback take an open loop at a fixed rate. One follower of the driven group is then

  slow      held to a small part of a core by a control group of its own
  stopped   stopped by SIGSTOP, and let go on
  away      killed, and started again

for some time. A row is printed for each: p99 of the writes before, meanwhile, while it catches up, and afterwards, each
the median over the seconds of that time; the memory of the leader; how long the follower took to have everything, and
how much that was. All bounded, all in a temporary directory. A control group needs root.
"""

import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster import Cluster, Group, ended, keep, mib, parser_of, started_at

CALM_SECONDS = 12
CATCH_UP_SECONDS = 25


def node_now(cluster, at):
    """What the nodes say of one of them."""
    seen = cluster.overview() or {"nodes": []}
    address = cluster.nodes[at].address
    return next((node for node in seen["nodes"] if node["address"] == address), None)


def median(numbers):
    numbers = sorted(numbers)
    return numbers[len(numbers) // 2] if numbers else float("nan")


class Fault:
    """What is done to the follower, and undone."""

    def __init__(self, kind, node, quota):
        self.kind, self.node, self.quota, self.group = kind, node, quota, None

    def begin(self):
        if self.kind == "slow":
            self.group = Group(self.quota, 200)
            (self.group.path / "cgroup.procs").write_text(str(self.node.process.pid))
        elif self.kind == "stopped":
            self.node.process.send_signal(signal.SIGSTOP)
        else:
            self.node.stop()

    def remove(self):
        if self.group:
            self.group.remove()

    def end(self):
        if self.kind == "slow":
            self.group.set_quota(16, 200)
        elif self.kind == "stopped":
            self.node.process.send_signal(signal.SIGCONT)
        else:
            self.node.start()


class Memory(threading.Thread):
    """Resident memory of one node, each second."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.mib, self.is_over = node, [], threading.Event()

    def run(self):
        while not self.is_over.wait(1):
            self.mib.append(round(mib(self.node.resident_bytes())))

    def end(self):
        self.is_over.set()
        self.join()
        return self.mib


def measure(options, kind, seconds, directory):
    directory.mkdir()
    cluster = Cluster(options, directory)
    fault = None
    try:
        out = directory / "load"
        total = CALM_SECONDS + seconds + CATCH_UP_SECONDS
        load = cluster.start_load(["--clients", str(options.clients), "--in-flight", str(options.in_flight), "--rate",
                                   str(options.rate), "--patience", "2s", "--warmup", "2s", "--duration", f"{total}s",
                                   "--check", "--out", str(out)])
        time.sleep(CALM_SECONDS)
        if load.poll() is not None:
            sys.exit(f"the load ended: {load.communicate()}")
        leader, follower = find(cluster)
        memory = Memory(cluster.nodes[leader])
        memory.start()
        fault = Fault(kind, cluster.nodes[follower], options.slow_quota)
        leader_before = cluster.nodes[leader].resident_bytes()
        node = cluster.nodes[follower]
        cpu = [node.cpu_seconds()]
        time.sleep(3)
        cpu.append(node.cpu_seconds())
        begun = time.time()
        fault.begin()
        time.sleep(seconds)
        cpu = {"before": (cpu[1] - cpu[0]) / 3,
               "meanwhile": (node.cpu_seconds() - cpu[1]) / seconds if node.process else 0}
        lag = lag_of(cluster, follower) if kind == "slow" else int(options.rate * seconds)
        over = time.time()
        fault.end()
        caught_up = wait_until_caught_up(cluster, follower, load)
        caught = time.time()
        report = ended(load, "the load")
        leader_mib = memory.end()
        start = started_at(out)
        ends = start + len(report["per_second"])
        seconds_of = [(start + at, second["p99_us"] / 1e3) for at, second in enumerate(report["per_second"])]

        def p99s(since, until):
            whole = [p99 for at, p99 in seconds_of if at >= since and at + 1 <= until]
            return whole or [p99 for at, p99 in seconds_of if at + 1 > since and at < until] or [float("nan")]

        times = {"before": p99s(start, begun), "meanwhile": p99s(begun + 1, over), "catching": p99s(over, caught),
                 "after": p99s(caught + 1, ends)}
        row = {
            "kind": kind, "seconds": seconds, "rate_per_s": options.rate, "lag_entries": lag,
            "p99_ms": {name: median(values) for name, values in times.items()},
            "p99_ms_worst": {name: max(values) for name, values in times.items()},
            "p99_ms_by_second": [round(p99, 2) for _, p99 in seconds_of],
            "follower_cpu": cpu, "begun": begun - start, "over": over - start, "caught": caught - start,
            "leader_mib_before": round(mib(leader_before)), "leader_mib_by_second": leader_mib,
            "caught_up_s": caught - over if caught_up else float("inf"),
            "done": report["operations"]["write"]["count"], "errors": report["operations"]["write"]["errors"],
            "unsent": report["generator"]["unsent_count"], "checked": report["check"]["applied_exactly_once"],
            "agree": report["check"]["replicas_agree"],
        }
        p99, worst = row["p99_ms"], row["p99_ms_worst"]
        print(f"{kind:<8} {seconds:>4} s at {options.rate:,}/s, {lag:,} entries behind, caught up in "
              f"{row['caught_up_s']:.1f} s; {row['unsent']} not sent, each applied once: {row['checked']}, replicas "
              f"agree: {row['agree']}; the follower used {cpu['before']:.3f} of a core before, {cpu['meanwhile']:.3f} "
              "meanwhile")
        for name, values in times.items():
            print(f"         p99 {p99[name]:8.2f} ms, worst second {worst[name]:8.2f}   {name}, {len(values)} seconds")
        print(f"         leader {row['leader_mib_before']} MiB, then at most {max(leader_mib)}, at the end "
              f"{leader_mib[-1]}; catching up / before = {p99['catching'] / p99['before']:.2f}, meanwhile / before = "
              f"{p99['meanwhile'] / p99['before']:.2f}", flush=True)
        return row
    finally:
        cluster.end()
        if fault:
            fault.remove()


def find(cluster):
    """The node that leads what is driven works the most; a follower that leads nothing."""
    used = [node.cpu_seconds() for node in cluster.nodes]
    time.sleep(2)
    used = [node.cpu_seconds() - before for node, before in zip(cluster.nodes, used)]
    leads = [node_now(cluster, at)["leads"] for at in range(len(cluster.nodes))]
    leader = max((at for at, count in enumerate(leads) if count > 0), key=lambda at: used[at])
    return leader, leads.index(0)


def lag_of(cluster, follower):
    node = node_now(cluster, follower)
    return node["lag_entries"] if node else 0


def wait_until_caught_up(cluster, follower, load):
    """Within a fifth of a second of the others, while the load goes on."""
    while load.poll() is None:
        node = node_now(cluster, follower)
        if node and node["state"] == "ok" and node["lag_entries"] < cluster.options.rate / 5:
            return True
        time.sleep(0.2)
    return False


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--slow-quota", type=float, default=0.005, help="of a core, for the slow follower")
    parser.add_argument("--slow-seconds", type=int, default=30)
    parser.add_argument("--stopped-seconds", type=int, default=30)
    parser.add_argument("--away-seconds", type=int, default=120)
    parser.add_argument("--only", choices=["slow", "stopped", "away"])
    parser.add_argument("--set", action="append", help="setting of the nodes, key=value")
    options = parser.parse_args()
    kinds = {"slow": options.slow_seconds, "stopped": options.stopped_seconds, "away": options.away_seconds}
    rows = []
    with tempfile.TemporaryDirectory(prefix="margay-followers-") as directory:
        for kind, seconds in kinds.items():
            if options.only in (None, kind):
                rows.append(measure(options, kind, seconds, Path(directory) / kind))
    keep(options, rows)


if __name__ == "__main__":
    main()
