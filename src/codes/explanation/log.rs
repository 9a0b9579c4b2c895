//! M200..M219: the log of a running node.

use super::Explanation;

pub(super) const LOG_DEVICE_FAILED: Explanation = Explanation {
    meaning: "A durable write of the log failed or was short, or the log could not be read at the start. The \
              line above names file, place and what the device said.",
    danger: "The device may be dying or full. After a failed write nobody knows what is on the disk and what \
             is not, so nothing more may be promised on top of it.",
    done: "Acknowledged nothing of that write, latched, stopped all shards and ended with exit code 22. The \
           others elect new leaders; whatever was acknowledged is on a majority.",
    remedy: "Look at `dmesg`, the device's SMART data and the free space. When the device is well, start the \
             node: recovery cuts what was torn, and the node catches up. If the device is bad, leave the \
             node down and see that the others are well (`margay status`).",
    avoid: "Do not restart in a loop, and do not run fsck or copy the directory onto a new disk while the \
            node runs.",
    concerns: &["data", "margay status", "log.in_flight_writes", "M212"],
};

pub(super) const REPLICA_DIVERGED: Explanation = Explanation {
    meaning: "A replica computed something else than the others from the same log: its machine is not \
              deterministic, two binaries differ where they must not, or memory is bad. Every replica keeps a \
              hash over everything that applying produced; `margay group show` and the load generator compare \
              them.",
    danger: "Answers depend on who leads. A copy that is wrong must not be copied further.",
    done: "Nothing beyond keeping the hashes: servers of this version do not compare them by themselves, and do \
           not stop.",
    remedy: "Find out which replica is alone with its hash (the column CHAIN of `margay group show`). \
             Stop the node that has it, keep its directory, and look at the machine's code for clocks, \
             randomness, addresses and the order of hash maps.",
    avoid: "Do not go on and hope: every entry builds on the one before. Do not delete the replica that \
            differs before it was compared.",
    concerns: &["margay group show", "M211"],
};

pub(super) const DIRECTORY_GONE: Explanation = Explanation {
    meaning: "While the node ran, its data directory was deleted, moved or unmounted, or another one was put in its \
              place. The facts name what was missed first.",
    danger: "Files that are open can be written to after their names are gone, so the node could have gone on to \
             acknowledge what no start would ever find. What it acknowledged is on the other members, unless they \
             lost theirs, too.",
    done: "Noticed it within about a second, closed all connections, wrote nothing more and ended with exit code 22. \
           The others elect new leaders.",
    remedy: "If the directory was moved or unmounted: put it back at its path, and start the node. If it was deleted: \
             leave the node down and see that the others are well (`margay status`); this member is lost, and has to \
             be replaced by a new one.",
    avoid: "Do not format a directory at the same path so that the node starts: it would be another node, which the \
            cluster does not know. Do not restore an old copy of the directory: it has forgotten what it promised.",
    concerns: &["data", "margay status", "margay format", "M111", "M213"],
};

pub(super) const DAMAGED_REPLICA: Explanation = Explanation {
    meaning: "A replica takes no part in its group: recovery found records of it damaged that had been \
              acknowledged, or this binary cannot host it (it lacks the machine, has another version of it, or \
              does not read what another version of Margay wrote). The text says which.",
    danger: "The group has one member less that counts; with one more failure it may stop. While records are \
             damaged the log frees no space, so M212 may follow.",
    done: "Keeps the replica out of votes and acknowledgements, keeps what can be read, and serves the \
           node's other groups. The other members go on.",
    remedy: "If the binary lacks the machine, or does not read the group: start one that does. If records are \
             damaged: look for the cause (SMART, memory, `dmesg`) and see that the other members of the group \
             are well (`margay status`); the damaged member has to be replaced by a new one, filled from the \
             others.",
    avoid: "Do not stop another member of the group while this lasts. Do not delete the log's files: what is \
            left may be needed if others fail.",
    concerns: &["margay status", "REPLICAS", "M212", "M211"],
};

pub(super) const STOPPED_MACHINE: Explanation = Explanation {
    meaning: "The machine of a group cannot apply an entry: its code panicked, or it does not have the \
              command because the leader runs another binary. Nothing of the group is applied here any more. \
              The text names the entry and, of a panic, the message.",
    danger: "An entry that makes the machine panic does so on every member: then the group as a whole stands \
             still, and whoever waits gets no answer.",
    done: "Gave leadership to a member that still applies, if there is one; refused whoever waited; goes on \
           to store and acknowledge entries, so that nothing that was promised is lost.",
    remedy: "See in `margay status` on how many nodes it stopped. If only this binary lacks the command: \
             start the newer one here. If the machine panics: correct its code, and start the corrected \
             binary on every node; each applies the entry anew.",
    avoid: "Do not restart with the same binary and expect another result: the entry is in the log, and is \
            applied again. Do not delete data to get past it.",
    concerns: &["margay status", "LAG", "M210", "M214"],
};

pub(super) const LITTLE_SPACE: Explanation = Explanation {
    meaning: "No new segment can be made, and few spare ones are left: the disk is full, the limit of \
              descriptors allows no more files, or the log cannot let go of its oldest segment. The text says \
              how bad it is, and which group, member or damaged replica holds the oldest segment.",
    danger: "At the first mark leaders refuse ordinary commands; at the second followers take no appends, so \
             groups may lose their majority; behind it only the reserve is left, for elections and \
             checkpoints.",
    done: "Asked the groups that hold the oldest segment for a checkpoint, refuses what would make it worse \
           with a time after which to ask again, and takes commands again by itself when there is room.",
    remedy: "Free space on the disk, or grow it; with a low LimitNOFILE= raise that. If a member is named \
             that is behind: bring its node back. If a damaged replica is named, see M210: nothing is freed \
             while it is there.",
    avoid: "Do not delete segments: every one that is left is needed. Do not raise log.spares now: it asks \
            for more of what is missing.",
    concerns: &[
        "SPACE",
        "LimitNOFILE=",
        "log.spares",
        "log.segment_bytes",
        "data",
        "margay status",
        "M210",
    ],
};

pub(super) const LOST_REPLICA: Explanation = Explanation {
    meaning: "Group 0 says that a replica lives on this node, the node had created it, and no log of the \
              node knows of it: its records are lost. A log directory was removed, or replaced by an older \
              copy.",
    danger: "The group has one member less. What this replica once acknowledged it does not know any more, \
             so it must never vote as if it did.",
    done: "Creates no replica in its place: a member without memory could undo what a majority rested on.",
    remedy: "See that the other members are well (`margay status`). If the log directory was moved, stop the \
             node and put it back. Otherwise the member has to be replaced under a new number.",
    avoid: "Do not restore the node from an old copy of its directory: it would vote against its own \
            promises.",
    concerns: &["data", "margay status", "REPLICAS", "M210"],
};

pub(super) const UNFIT_BINARY: Explanation = Explanation {
    meaning: "A group was created that should have a replica here, and this binary cannot run it: it has no \
              such machine, or the machine does not take the options.",
    danger: "The replica is missing until then, and what was created after it waits behind it, because \
             creations are done in order.",
    done: "Named it, keeps the creation in mind, and serves all other groups.",
    remedy: "Start a server binary with that machine here; it goes on where this one waits. `margay keyspace \
             list` shows which machine a keyspace has.",
    avoid: "Do not create the keyspace again under another name: that one would wait, too.",
    concerns: &["--machine", "--options", "margay keyspace list", "M152"],
};

pub(super) const SHARD_SILENT: Explanation = Explanation {
    meaning: "A shard of the node did not answer the first one for a second: it still recovers its log, or its \
              loop hangs. The status is the one of the others.",
    danger: "While it is silent, the groups that live on it are not served by this node. Their other members elect \
             a leader elsewhere.",
    done: "Answered without it.",
    remedy: "Ask again after some seconds: recovery of a large log takes a while after a start. If it stays so, \
             look for slow writes (M201) and for a machine whose callbacks take long, and restart the node.",
    avoid: "Do not remove the log of the shard: its replicas are in it.",
    concerns: &["margay status", "M201"],
};
