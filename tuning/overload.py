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

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Time that any one command may take before the experiment gives up.
STEP_SECONDS_MAX = 180
NORMAL_FACTOR = 2.0


class Group:
    """A control group with a quota of processor time."""

    def __init__(self, quota, period_ms):
        name = f"margay-overload-{os.getpid()}"
        period_us = int(period_ms * 1000)
        quota_us = int(period_us * quota)
        if Path("/sys/fs/cgroup/cgroup.controllers").exists():
            root = Path("/sys/fs/cgroup")
            (root / "cgroup.subtree_control").write_text("+cpu")
            self.path = root / name
            self.path.mkdir()
            (self.path / "cpu.max").write_text(f"{quota_us} {period_us}")
        else:
            self.path = Path("/sys/fs/cgroup/cpu") / name
            self.path.mkdir()
            (self.path / "cpu.cfs_period_us").write_text(str(period_us))
            (self.path / "cpu.cfs_quota_us").write_text(str(quota_us))

    def join(self):
        """Called in a child, before it becomes a server."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def set_quota(self, quota, period_ms):
        """Another quota for what runs there."""
        period_us = int(period_ms * 1000)
        if (self.path / "cpu.max").exists():
            (self.path / "cpu.max").write_text(f"{int(period_us * quota)} {period_us}")
        else:
            (self.path / "cpu.cfs_quota_us").write_text(str(int(period_us * quota)))

    def remove(self):
        """Once everything in it has ended."""
        for _ in range(100):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.05)


def free_port():
    """One that the kernel gives to no outgoing connection: a node that is started again finds it free."""
    while True:
        with socket.socket() as probe:
            try:
                port = random.randrange(20_000, 32_000)
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until_free(address):
    """The kernel lets go of the sockets of a ring some time after its process was killed."""
    host, port = address.split(":")
    for _ in range(100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
                return
            except OSError:
                time.sleep(0.05)
    sys.exit(f"{address} stays in use")


class Node:
    """One server process."""

    def __init__(self, margay, directory, name, group, settings=()):
        self.margay, self.name, self.group = margay, name, group
        self.data = directory / name
        self.log = directory / f"{name}.log"
        self.settings = list(settings)
        self.address = f"127.0.0.1:{free_port()}"
        self.process = None
        run_to_end([margay, "format", "--data", self.data])

    def start(self):
        wait_until_free(self.address)
        command = [self.margay, "run", "--cores", "anywhere:1", "--data", str(self.data)]
        command += ["--set", f"listen={self.address}"]
        for setting in self.settings:
            command += ["--set", setting]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=self.group.join if self.group else None)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.process = None


def run_to_end(command, **options):
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS_MAX, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Cluster:
    """Three nodes in one control group, with a keyspace to drive."""

    def __init__(self, options, directory, quota=None):
        self.margay = str(Path(options.binaries) / "margay")
        self.loadgen = str(Path(options.binaries) / "loadgen")
        self.directory = directory
        self.options = options
        self.group = Group(1.0, options.period_ms) if quota else None
        self.nodes = [self.node(directory, name) for name in ("n1", "n2", "n3")]
        for node in self.nodes:
            node.start()
        self.endpoints = ",".join(node.address for node in self.nodes)
        deadline = time.monotonic() + 30
        while True:
            done = subprocess.run(
                [self.margay, "bootstrap", "--name", "overload", "--nodes", self.endpoints, "-e", self.endpoints,
                 "--timeout", "20s"], capture_output=True, text=True, timeout=STEP_SECONDS_MAX)
            if done.returncode == 0:
                break
            if time.monotonic() > deadline:
                sys.exit(f"bootstrap: {done.stdout}{done.stderr}")
            time.sleep(0.2)
        self.run_load(["--clients", "2", "--in-flight", "1", "--duration", "1s", "--warmup", "0s"])
        if quota:
            self.group.set_quota(quota, options.period_ms)

    def node(self, directory, name):
        return Node(self.margay, directory, name, self.group, self.options.set or ())

    def load_command(self, arguments):
        shape = ["--size", str(self.options.size), "--groups", str(self.options.groups), "-o", "json"]
        return [self.loadgen, "run", "-e", self.endpoints, *shape, *arguments]

    def run_load(self, arguments):
        return json.loads(run_to_end(self.load_command(arguments)))

    def start_load(self, arguments):
        return subprocess.Popen(self.load_command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        for node in self.nodes:
            node.stop()
        if self.group:
            self.group.remove()


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


def ended(process, what):
    out, said = process.communicate(timeout=STEP_SECONDS_MAX)
    if process.returncode != 0:
        sys.exit(f"{what} ended {process.returncode}\n{out}{said}")
    return json.loads(out)


def started_at(directory, kind="write"):
    """Seconds since the epoch at which a run began to measure, as its log of histograms says."""
    for line in (directory / f"{kind}.hlog").read_text().splitlines():
        if line.startswith("#[StartTime:"):
            return float(line.split(":")[1].split()[0])
    sys.exit(f"{directory} does not say when it was started")


def mib(number):
    return number / (1 << 20)


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, help="folder with margay and loadgen")
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
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="margay-overload-") as directory:
        result = measure(options, Path(directory))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
