//! M110..M119: the data directory.

use super::Explanation;

pub(super) const DIRECTORY_LOCKED: Explanation = Explanation {
    meaning: "Another process has the data directory. The facts name its process id, which the lock file \
              holds. It may have ended: the kernel keeps the lock for as long as writes of it are under way, and \
              a start waits ten seconds for that.",
    danger: "Two processes on one directory would ruin it; the lock keeps that from happening.",
    done: "Changed nothing, and left the other process alone.",
    remedy: "If the other process is this node, it runs already: look at `margay status`. If it should not \
             run, stop it and start again. If it has ended, its disk hangs: look at the device. Two nodes on \
             one machine need a directory and a port each.",
    avoid: "Do not delete the file `lock`: it holds no lock by itself. The kernel does, and lets go when the \
            process has ended, however it ended, and nothing of it is under way.",
    concerns: &["data", "--data", "margay run", "margay format"],
};

pub(super) const NOT_FORMATTED: Explanation = Explanation {
    meaning: "The data directory does not exist, or there is no manifest in it: no node lives there.",
    danger: "If a node did live there, its disk is probably not mounted. A node that is formatted anew is \
             another node: it does not have what the old one had promised.",
    done: "Changed nothing, and made nothing.",
    remedy: "For a new node: `margay format --data DIR`. For an old one: see that its disk is mounted at the \
             path that `margay config show --sources` tells.",
    avoid: "Do not put `format` into the script that starts the service: with a disk that is not mounted it \
            would make a stranger of a member of your cluster.",
    concerns: &["data", "--data", "margay format", "margay config show"],
};

pub(super) const FOREIGN_FILE: Explanation = Explanation {
    meaning: "Something lies in the data directory that Margay did not make. The facts name it. Usually the \
              path is one level too high, or somebody keeps copies or notes there.",
    danger: "A node that runs in a directory of something else may be removed together with it, or fill its \
             disk.",
    done: "Changed nothing: a directory with foreign files is left alone.",
    remedy: "See whether the path is the one that was meant; if it is, move what is not Margay's elsewhere. \
             Margay's are manifest.a, manifest.b, manifest.new, lock, probe and folders called log- and \
             a number; lost+found may stay.",
    avoid: "Do not move files called manifest or log- out of the way: they are the node.",
    concerns: &["data", "--data", "margay run"],
};

pub(super) const NEWER_FORMAT: Explanation = Explanation {
    meaning: "A later version of Margay wrote the manifest of this node, in a format that this binary does \
              not know. The facts name both formats.",
    danger: "A binary that guesses at a format it does not know would destroy it. The node does not start.",
    done: "Read the manifest's version and changed nothing.",
    remedy: "Start the version that wrote it, or a later one. `margay --version` tells which one a binary \
             is.",
    avoid: "Do not edit the manifest, and do not format the directory in order to go back: the node would be \
            a stranger without data.",
    concerns: &["margay run", "data"],
};

pub(super) const OTHER_CLUSTER: Explanation = Explanation {
    meaning: "The data directory belongs to another cluster than the one that this node was to serve. This \
              version finds that out when nodes connect, and reports it as M402 there; it does not raise \
              this code.",
    danger: "A directory of one cluster in another could not do harm, because every message names its \
             cluster; but one of the two clusters is without a node.",
    done: "Nothing: the directories are as they were.",
    remedy: "Start the node with its own data directory, or name the addresses of its own cluster.",
    avoid: "Do not format the directory: it may be the only copy of what the other cluster needs.",
    concerns: &["data", "--data", "M402", "--endpoints"],
};

pub(super) const DIRECTORY_NOT_EMPTY: Explanation = Explanation {
    meaning: "`format` makes a blank node out of an empty directory, and this one has something in it. The \
              facts name what.",
    danger: "If a node lives there, formatting would be the loss of all that it has. That is why it is \
             refused.",
    done: "Changed nothing.",
    remedy: "If manifest files are named, a node lives there: start it with `margay run --data DIR`. \
             Otherwise name another directory, or empty this one yourself if you know what is in it.",
    avoid: "Do not empty the directory of a node to give it a fresh start: it may be the member that the \
            majority of a group rests on.",
    concerns: &["data", "--data", "margay format", "margay run"],
};

pub(super) const PERMISSION_DENIED: Explanation = Explanation {
    meaning: "This user may not do what is needed: enter or write the data directory, or listen on a port \
              below 1024. The facts name the path or the address, and the number of the user.",
    danger: "The node does not start. Nothing else is at stake.",
    done: "Changed nothing.",
    remedy: "For a path: give the directory and all in it to the user that runs the server (`chown -R`), or \
             run as its owner. For a port: take one above 1023. `id -u` shows the number of a user.",
    avoid: "Do not run the server as root because it works, and do not open the directory to everyone: \
            whoever writes in it writes past all that Margay promises.",
    concerns: &["data", "listen", "margay run", "margay format"],
};

pub(super) const READ_ONLY: Explanation = Explanation {
    meaning: "The file system of the data directory is mounted for reading only, or the kernel made it so \
              after an error of the device.",
    danger: "The node cannot remember anything, so it does not start. If the kernel made it so, the device \
             may be dying.",
    done: "Changed nothing.",
    remedy: "Look at `dmesg` for errors of the device first. If there are none, mount the file system for \
             writing (`mount -o remount,rw`) and start again. If there are, check the file system, or \
             replace the device.",
    avoid: "Do not remount a file system for writing that the kernel took away because of errors before it \
            was checked.",
    concerns: &["data", "margay run", "M201"],
};

pub(super) const IDENTITY_DAMAGED: Explanation = Explanation {
    meaning: "Neither copy of the node's manifest can be used. They say who the node is and how far it got; \
              without them nobody knows what it promised.",
    danger: "This node is lost as a member. Its groups go on as long as a majority of each is well, with one \
             failure less to spare.",
    done: "Refused to start, and changed nothing. One damaged copy alone is no harm: it is written anew from \
           the other.",
    remedy: "See that the other nodes are well (`margay status`), keep a copy of the directory, and look for \
             what damaged both copies: the device, or somebody's hand. The node has to join anew on an empty \
             directory; its data is on the others.",
    avoid: "Do not copy the manifest of another node here: two nodes with one identity break every promise. \
            Do not stop another node meanwhile.",
    concerns: &["data", "margay status", "margay format"],
};

pub(super) const DIRECTORY_FAILED: Explanation = Explanation {
    meaning: "The data directory cannot be used, for a reason that stands beside the code: the operating \
              system refused a file, there is no room for the first write of a new life, the manifests of a \
              log are missing or damaged, a cluster of one node found damage in its log, or a group in it cannot \
              be read by this version.",
    danger: "The node does not start, or stops. What it holds is there and may be the only copy: of a \
             cluster of one node it is.",
    done: "Changed nothing that was durable before, and stopped.",
    remedy: "By the reason: make room on the disk; mount it; put back what was moved; start the version of \
             Margay that wrote the group. For damage with other members: leave the node down and see that \
             they are well (`margay status`). For damage without other members: keep a copy of the \
             directory before anything else.",
    avoid: "Do not delete single files or folders inside the directory: a log without one of its segments is \
            damaged.",
    concerns: &["data", "margay status", "margay run", "M210"],
};
