#!/usr/bin/env python3
"""Ten times too much load on three servers that are held to a part of a core.

    cargo build --release -p margay -p loadgen
    sudo tuning/overload.py --binaries target/release

What it does, on loopback only, in a temporary directory, and for a bounded time:

  1  three nodes start in a control group that gives all of them together --quota of a core
  2  a closed loop measures the maximum, in that group too
  3  --factor times the maximum is offered in an open loop for --seconds; sends that find no room within --patience
     are not sent, and counted
  4  beside it, from before until after, a small open loop (the probe) shows when latency is normal again

The generators run outside the group: what they use is not taken from the servers. A control group needs root, and
either version of the cpu controller.
"""

import tempfile
import threading
import time
from pathlib import Path

from cluster import Cluster, ended, keep, mib, parser_of, started_at

NORMAL_FACTOR = 2.0


class Watch(threading.Thread):
    """Resident memory and processor time of the servers, ten times a second."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.samples, self.is_over = cluster, [], threading.Event()

    def run(self):
        while not self.is_over.wait(0.1):
            nodes = self.cluster.nodes
            resident = [node.resident_bytes() for node in nodes]
            cpu = sum(node.cpu_seconds() for node in nodes)
            self.samples.append((time.time(), resident, cpu))

    def end(self):
        self.is_over.set()
        self.join()

    def between(self, start, end):
        return [sample for sample in self.samples if start <= sample[0] <= end]


def measure(options, directory):
    cluster = Cluster(options, directory, options.quota)
    try:
        closed = ["--clients", str(options.clients), "--in-flight", str(options.in_flight),
                  "--warmup", "2s", "--duration", f"{options.maximum_seconds}s"]
        before = sum(node.cpu_seconds() for node in cluster.nodes), time.time()
        report = cluster.run_load(closed)
        after = sum(node.cpu_seconds() for node in cluster.nodes), time.time()
        maximum = report["operations"]["write"]["per_s"]
        print(f"maximum   {maximum:,.0f}/s in a closed loop, p99 "
              f"{report['operations']['write']['latency_us']['p99'] / 1e3:,.1f} ms, servers used "
              f"{(after[0] - before[0]) / (after[1] - before[1]):.2f} of a core meanwhile", flush=True)
        return overload(options, directory, cluster, maximum)
    finally:
        cluster.end()


def overload(options, directory, cluster, maximum):
    offered = int(maximum * options.factor)
    calm, after = 5, 12
    watch = Watch(cluster)
    watch.start()
    probe_out, flood_out = directory / "probe", directory / "flood"
    probe_seconds = calm + options.seconds + after
    probe = cluster.start_load(
        ["--clients", "8", "--in-flight", "64", "--rate", str(options.probe_rate), "--patience", "1s",
         "--warmup", "1s", "--duration", f"{probe_seconds}s", "--out", str(probe_out)])
    time.sleep(calm + 1)
    flood_clients = options.flood_clients or options.clients
    flood_in_flight = options.flood_in_flight or options.in_flight
    flood = cluster.start_load(
        ["--clients", str(flood_clients), "--in-flight", str(flood_in_flight), "--rate", str(offered),
         "--patience", options.patience, "--warmup", "0s", "--duration", f"{options.seconds}s",
         "--out", str(flood_out)])
    report = ended(flood, "the flood")
    probed = ended(probe, "the probe")
    watch.end()
    start = started_at(flood_out)
    end = start + options.seconds
    write, generator = report["operations"]["write"], report["generator"]
    done = [second["per_s"] for second in report["per_second"][: options.seconds]]
    done_per_s = sum(done) / options.seconds
    share = done_per_s / maximum
    resident = [max(sample[1]) for sample in watch.between(start, end)]
    calm_resident = [max(sample[1]) for sample in watch.between(start - calm, start - 1)]
    used = watch.between(start, end)
    cpu = (used[-1][2] - used[0][2]) / (used[-1][0] - used[0][0])
    probe_start = started_at(probe_out)
    p99s = [(probe_start + at, second["p99_us"]) for at, second in enumerate(probed["per_second"])]
    calm_p99s = sorted(p99 for at, p99 in p99s if at + 1 < start - 0.5)
    normal = calm_p99s[len(calm_p99s) // 2]
    worst_calm = calm_p99s[-1]
    bound = max(normal * NORMAL_FACTOR, worst_calm)
    # A second of the probe counts what was answered in it; the first normal one begins when all is well again.
    well = [at for at, p99 in p99s if at + 1 > end and p99 <= bound]
    recovered = max(min(well, default=float("inf")) - end, 0.0)
    late = sum(1 for at, p99 in p99s if at > end + 2 and p99 > bound)
    result = {
        "maximum_per_s": maximum, "offered_per_s": offered, "done_per_s": done_per_s, "share": share,
        "done_by_second": [round(number) for number in done],
        "latency_us": write["latency_us"], "unsent": generator["unsent_count"], "refused": generator["refused_count"],
        "late": generator["late_count"], "cpu_of_servers": cpu,
        "resident_mib_calm": mib(max(calm_resident)), "resident_mib_max": mib(max(resident)),
        "probe_p99_ms_calm": normal / 1e3, "probe_p99_ms_bound": bound / 1e3,
        "probe_p99_ms": [round(p99 / 1e3, 1) for _, p99 in p99s],
        "recovered_s": recovered, "late_seconds_after": late,
    }
    print(f"offered   {offered:,}/s for {options.seconds} s over {flood_clients} x {flood_in_flight} places: "
          f"{done_per_s:,.0f}/s done, {share:.0%} of the maximum; servers used {cpu:.2f} of a core")
    print(f"          p50 {write['latency_us']['p50'] / 1e3:,.0f} ms, p99 {write['latency_us']['p99'] / 1e3:,.0f} ms of "
          f"what was sent; {generator['unsent_count']:,} not sent, {generator['refused_count']:,} refusals")
    print(f"memory    largest server {mib(max(calm_resident)):,.0f} MiB before, at most {mib(max(resident)):,.0f} MiB")
    print(f"recovery  normal is p99 <= {bound / 1e3:.1f} ms; the first such second began {recovered:.1f} s after the "
          f"load, and {late} behind the second second were above it", flush=True)
    return result


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--quota", type=float, default=0.3, help="of a core, for all servers together")
    parser.add_argument("--period-ms", type=float, default=10, help="in which the quota is given")
    parser.add_argument("--factor", type=float, default=10)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--maximum-seconds", type=int, default=10)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--flood-clients", type=int, help="default: as for the maximum")
    parser.add_argument("--flood-in-flight", type=int, help="default: as for the maximum")
    parser.add_argument("--patience", default="500ms")
    parser.add_argument("--probe-rate", type=int, default=100)
    parser.add_argument("--set", action="append", help="setting of the nodes, key=value")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="margay-overload-") as directory:
        result = measure(options, Path(directory))
    keep(options, result)


if __name__ == "__main__":
    main()
