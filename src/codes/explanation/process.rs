//! M100..M109: starting and stopping on this machine.

use super::Explanation;

pub(super) const IO_URING_UNAVAILABLE: Explanation = Explanation {
    meaning: "The kernel let this process have no ring, or one that lacks a request that Margay needs. The \
              facts name the call, its error, the sysctl and whether a seccomp filter is in force. Usual \
              causes: kernel.io_uring_disabled is 1 or 2 (RHEL 9 sets 2), a container's seccomp profile \
              forbids io_uring, or the kernel is older than 6.1.",
    danger: "The node does not start; its groups have one member less until it does. Data is in no danger.",
    done: "Refused before anything of the node was touched, and gave the lock of the data directory back.",
    remedy: "Run Linux 6.1 or later; set `sysctl -w kernel.io_uring_disabled=0` (and in /etc/sysctl.d, so \
             that it survives a reboot); in a container allow io_uring_setup, io_uring_enter and \
             io_uring_register in its seccomp profile. With ENOMEM raise the limit of locked memory.",
    avoid: "Do not switch seccomp off altogether or run a privileged container for these three calls. There \
            is no way to run without io_uring, so do not look for a setting.",
    concerns: &["margay run", "LimitMEMLOCK="],
};

pub(super) const DIRECT_IO_UNAVAILABLE: Explanation = Explanation {
    meaning: "The file system under the data directory does not take writes past the page cache, or only in \
              units larger than 4096 bytes, or the file that tries it could not be written: the facts say \
              which. tmpfs, overlayfs (the writable layer of a container) and most network file systems are \
              like that.",
    danger: "Through the page cache a write that the kernel called done may be gone after a crash of the \
             machine; Margay does not run so. The node does not start.",
    done: "Tried with a file of its own in the data directory and removed it. `format` leaves no manifest \
           behind.",
    remedy: "Put the data directory on ext4 or XFS on a block device. In a container mount a volume there. \
             Then `margay format --data DIR` and start again.",
    avoid: "Do not use tmpfs for anything but a trial of the command line, and do not put a loop device on \
            top of a file system that refuses: it hides the page cache, it does not remove it.",
    concerns: &["data", "--data", "margay format", "margay run"],
};

pub(super) const LISTEN_REFUSED: Explanation = Explanation {
    meaning: "The node cannot listen where `listen` tells it to: another process listens there already, or \
              the address belongs to no interface of this machine.",
    danger: "The node does not start. If the other process is a second Margay on the same port, clients may \
             reach the wrong one.",
    done: "Stopped before it took part in anything; what is in the data directory is as it was.",
    remedy: "See who has the port: `ss -ltnp`. Stop it, or set `listen` to another port, or to an address of \
             this machine; 0.0.0.0 stands for all of them.",
    avoid: "Do not change the port of a node that is part of a cluster lightly: its peers know it by the \
            address of the bootstrap.",
    concerns: &["listen", "--set", "margay config show"],
};

pub(super) const LIMIT_TOO_LOW: Explanation = Explanation {
    meaning: "The process may not have as many file descriptors as a node needs at least: for its files, its \
              peers and a few clients. A log that has grown under a higher limit needs more: each of its segments \
              is an open file. The facts give both numbers.",
    danger: "The node does not start. A limit that is barely enough lets it start with places for few \
             clients, where others are refused (M406), and with few segments (M212).",
    done: "Raised its own limit as far as the administrator allows (the hard limit), and found that too low.",
    remedy: "Raise the hard limit: `ulimit -Hn`, LimitNOFILE=1048576 of the service, or the limits of the \
             container.",
    avoid: "Do not raise only the soft limit: Margay has done that itself.",
    concerns: &["LimitNOFILE=", "M406", "margay run"],
};

pub(super) const KERNEL_REFUSED: Explanation = Explanation {
    meaning: "The kernel refused something that every server needs: a thread, a ring, a bell between cores, \
              or random numbers. The facts name what was tried and the kernel's reason.",
    danger: "The node does not start, or stops; its groups go on if a majority of each is elsewhere.",
    done: "Stopped all shards. Whatever was acknowledged is durable.",
    remedy: "The reason tells which limit it was: EAGAIN of a thread is the limit of processes (TasksMax= or \
             `ulimit -u`), ENOMEM is locked memory (LimitMEMLOCK=) or the memory of a control group, EMFILE \
             is descriptors (LimitNOFILE=). Raise it and start again.",
    avoid: "Do not restart in a tight loop: a limit that is in the way now is in the way a second later.",
    concerns: &["LimitMEMLOCK=", "LimitNOFILE=", "TasksMax=", "margay run"],
};

pub(super) const SHARD_PANICKED: Explanation = Explanation {
    meaning: "A shard found something that must never be true of its own state, and stopped rather than go \
              on with it. It is a mistake of Margay's own, or memory of this machine that changed by itself.",
    danger: "The node is down. If the cause is in what it reads at the start it stops again, and if it is in \
             what all members do, others may stop at the same place.",
    done: "Stopped the other shards of the node in good order and ended with exit code 1. Whatever was \
           acknowledged is durable; the others elect new leaders.",
    remedy: "Keep the log lines (the place of the panic stands in them) and start the node again. If it \
             comes up, watch `margay status` until it caught up. Report the lines with the version of \
             `margay --version`.",
    avoid: "Do not delete the data directory to make it start: if this happens to several nodes, it holds \
            what is needed. Do not restart all nodes at once.",
    concerns: &["margay status", "margay run"],
};

pub(super) const SHARD_FAILED: Explanation = Explanation {
    meaning: "A shard could not be made, or gave up, because of something else: the first shard of the node, \
              which reads the manifest for all, was not made. That one says why, under a code of its own.",
    danger: "The node is down as long as the reason lasts.",
    done: "Stopped the shards of the node; whatever was acknowledged is durable.",
    remedy: "Look for the code of the first shard in the lines before, remove that cause, and start the node \
             again.",
    avoid: "Do not delete the data directory: nothing says that it is at fault.",
    concerns: &["margay run", "margay status"],
};

pub(super) const BUFFERS_NOT_REGISTERED: Explanation = Explanation {
    meaning: "The kernel did not take the memory of the log's writes as registered buffers: the limit of \
              locked memory of this user is too low, usually 64 KiB or 8 MiB and shared by all processes of \
              the user.",
    danger: "None for data. Every durable write maps its pages anew, so the node does somewhat less per \
             second.",
    done: "Goes on with ordinary memory; the durable writes are the same.",
    remedy: "Set LimitMEMLOCK=infinity for the service, or `ulimit -l unlimited`, and start the node again \
             when it suits you.",
    avoid: "Do not restart nodes in the middle of the night for this.",
    concerns: &["LimitMEMLOCK=", "margay run"],
};

pub(super) const STOP_TOO_LONG: Explanation = Explanation {
    meaning: "The node was asked to stop, and a shard was not ready after ten seconds, or work on the disk \
              was waiting for what never came. The shard was dropped as it was.",
    danger: "Little: stopping so is like a crash of the process, and crashes are survived. The groups that \
             it led are without a leader until the others notice, for an election timeout.",
    done: "Closed its connections, dropped the shard and ended the process in good order with 0. What was \
           acknowledged is durable, and recovery at the next start finds it.",
    remedy: "Start the node again as usual. If it happens at every stop, look at the disk (a write that \
             hangs) and at whether the other members are reachable, since leadership is handed to them.",
    avoid: "Do not send SIGKILL after a second or two: give a service a minute to stop (TimeoutStopSec=).",
    concerns: &["TimeoutStopSec=", "margay run", "margay status"],
};
