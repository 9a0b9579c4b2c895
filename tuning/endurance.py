#!/usr/bin/env python3
"""What a cluster keeps over time, and how soon it is back: memory and disk under load, idle cost, failover, restart.

    cargo build --release -p margay -p loadgen
    tuning/endurance.py --binaries target/release memory idle failover restart

Each part starts three nodes of one shard on loopback in a temporary directory, and ends by itself:

  memory    1 group, 1,000 sessions, full load for --minutes: resident memory and disk use of each node, each second
  idle      8 groups, nobody asks anything: processor time of each node
  failover  the leader of the group is killed with SIGKILL under load, --times times, and comes back: the longest
            that any command waited, and whether each was applied exactly once
  restart   after --minutes/2 of full load a node is killed and started: until it listens, and until it says that the
            whole cluster is healthy, its own replicas too
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from cluster import Cluster, ended, keep, mib, parser_of, run_to_end

WAIT_SECONDS_MAX = 60
IDLE_SECONDS = 30


def disk_bytes(folder):
    """Bytes that its files take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def until(what, ask):
    """Asks until there is an answer; gives it with the seconds that it took."""
    start = time.monotonic()
    while time.monotonic() - start < WAIT_SECONDS_MAX:
        answer = ask()
        if answer:
            return answer, time.monotonic() - start
        time.sleep(0.01)
    sys.exit(f"{what} did not come in {WAIT_SECONDS_MAX} s")


def load(cluster, clients, in_flight, seconds, *more):
    return cluster.start_load(["--clients", str(clients), "--in-flight", str(in_flight), "--warmup", "1s",
                               "--duration", f"{seconds:.0f}s", *more])


def memory(options, cluster):
    seconds = options.minutes * 60
    running = load(cluster, 1000, 1, seconds, "--check")
    samples = []
    while running.poll() is None and len(samples) < seconds + 30:
        time.sleep(1)
        samples.append(([mib(node.resident_bytes()) for node in cluster.nodes],
                        [mib(disk_bytes(node.data)) for node in cluster.nodes]))
    report = ended(running, "the load")
    quarter = len(samples) // 4
    quarters = [samples[at * quarter:(at + 1) * quarter] for at in range(4)]
    resident = [max(max(sample[0]) for sample in part) for part in quarters]
    disk = [max(max(sample[1]) for sample in part) for part in quarters]
    print(f"memory    {report['operations']['write']['per_s']:,.0f}/s for {seconds:.0f} s: largest node at most "
          + ", ".join(f"{number:,.0f}" for number in resident) + " MiB in the four quarters", flush=True)
    print("disk      fullest node at most " + ", ".join(f"{number:,.0f}" for number in disk) + " MiB", flush=True)
    return {"per_s": report["operations"]["write"]["per_s"], "resident_mib": resident, "disk_mib": disk}


def idle(_, cluster):
    time.sleep(3)
    before = [node.cpu_seconds() for node in cluster.nodes]
    time.sleep(IDLE_SECONDS)
    used = [100 * (node.cpu_seconds() - start) / IDLE_SECONDS for node, start in zip(cluster.nodes, before)]
    print("idle      " + ", ".join(f"{share:.2f} %" for share in used) + " of a core", flush=True)
    return {"core_percent": used}


def leader(cluster):
    """The node that leads the one group of the keyspace."""
    done = run_to_end([cluster.margay, "group", "list", "-e", cluster.endpoints, "-o", "json"])
    groups = [group for group in json.loads(done)["groups"] if group["keyspace"]]
    address = groups[0]["leader_address"]
    return next((node for node in cluster.nodes if node.address == address), None)


def failover(options, cluster):
    waits_ms = []
    for _ in range(options.times):
        running = load(cluster, 64, 16, 8, "--check")
        time.sleep(3)
        victim, _ = until("a leader", lambda: leader(cluster))
        victim.stop()
        time.sleep(2)
        victim.start()
        report = ended(running, "the load")
        waits_ms.append(report["operations"]["write"]["latency_us"]["max"] / 1e3)
        if not report["check"]["applied_exactly_once"]:
            sys.exit("a command was lost or applied twice")
    print("failover  longest wait of any command: " + ", ".join(f"{wait:.0f}" for wait in waits_ms)
          + f" ms, median {median(waits_ms):.0f} ms; every command applied exactly once", flush=True)
    return {"longest_wait_ms": waits_ms, "median_ms": median(waits_ms)}


def restart(options, cluster):
    running = load(cluster, 64, 16, options.minutes * 30)
    time.sleep(options.minutes * 30 - 1)
    victim = cluster.nodes[2]
    victim.stop()
    ended(running, "the load")
    said = victim.log.stat().st_size
    start = time.monotonic()
    victim.start()

    _, listening_s = until("listening", lambda: "listening" in victim.log.read_text()[said:])
    _, _ = until("health", lambda: subprocess.run(
        [cluster.margay, "health", "-e", victim.address], capture_output=True, timeout=30).returncode == 0)
    healthy_s = time.monotonic() - start
    print(f"restart   listening after {listening_s:.2f} s, and the cluster healthy, by its word, after {healthy_s:.2f} s",
          flush=True)
    return {"listening_s": listening_s, "healthy_s": healthy_s}


PARTS = {"memory": (memory, 1), "idle": (idle, 8), "failover": (failover, 1), "restart": (restart, 1)}


def main():
    parser = parser_of(__doc__)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    results = {}
    for part in options.parts:
        measure, options.groups = PARTS[part]
        options.set, options.period_ms = None, None
        with tempfile.TemporaryDirectory(prefix="margay-endurance-") as directory:
            cluster = Cluster(options, Path(directory))
            try:
                results[part] = measure(options, cluster)
            finally:
                cluster.end()
    keep(options, results)


if __name__ == "__main__":
    main()
