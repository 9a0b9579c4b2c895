"""Three servers on loopback and a load, for the experiments of this folder: each starts them in a temporary directory,
measures, and ends them.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Time that any one command may take before an experiment gives up.
STEP_SECONDS_MAX = 180
# What `loadgen run` ends with when the generator itself was late.
INVALID_RUN = 11


class Group:
    """A control group with a quota of processor time."""

    def __init__(self, quota, period_ms):
        name = f"margay-tuning-{os.getpid()}"
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


def is_done(code, what):
    """A run whose generator was late has its report all the same; whoever reads it is told."""
    if code == INVALID_RUN:
        print(f"{what}: the generator itself was late: the latencies show it too", file=sys.stderr)
    return code in (0, INVALID_RUN)


def run_to_end(command, **options):
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS_MAX, **options)
    if not is_done(done.returncode, command[0]):
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
                [self.margay, "bootstrap", "--name", "tuning", "--nodes", self.endpoints, "-e", self.endpoints,
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

    def overview(self):
        """What the nodes say of themselves, as `status` prints it; nothing when nobody answers."""
        done = subprocess.run([self.margay, "status", "-e", self.endpoints, "-o", "json", "--timeout", "5s"],
                              capture_output=True, text=True, timeout=STEP_SECONDS_MAX)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def end(self):
        for node in self.nodes:
            node.stop()
        if self.group:
            self.group.remove()


def ended(process, what):
    out, said = process.communicate(timeout=STEP_SECONDS_MAX)
    if not is_done(process.returncode, what):
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


def parser_of(about):
    """The options that every experiment has; `about` is what it says of itself."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, help="folder with margay and loadgen")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    return parser


def keep(options, numbers):
    """Writes what was measured where it is wanted."""
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1) + "\n")
