//! M140..M149: reaching another node.

use super::Explanation;

pub(super) const NAME_NOT_RESOLVED: Explanation = Explanation {
    meaning: "The name of a node has no address: the resolver of this machine answered with nothing, or with \
              an error.",
    danger: "Only this command: nothing was asked. If nodes cannot resolve each other's names, they log \
             M407.",
    done: "Changed nothing.",
    remedy: "Check the spelling; try `getent hosts NAME`; give the IP address instead.",
    avoid: "Do not form a cluster of names that only your own machine resolves: nodes call each other by \
            them.",
    concerns: &["--endpoints", "MARGAY_ENDPOINTS", "--nodes", "M407"],
};

pub(super) const UNREACHABLE: Explanation = Explanation {
    meaning: "Nobody answers at the address: the connection was refused (the machine is there, nothing \
              listens), or there is no way to it (the machine, a firewall or the network). In `margay \
              status` it names a node of the cluster that does not answer.",
    danger: "Of a command: none, nothing was changed. Of a node in `margay status`: its groups live with one \
             failure less to spare, or with too few members if more nodes are down.",
    done: "Tried every node that was named. Between servers a lost peer is tried again all the time, at \
           least once a second.",
    remedy: "Start the node, or correct the address. `ss -ltn` on its machine shows whether it listens, and \
             on which interface. Without --endpoints the node of this machine is asked.",
    avoid: "Do not restart the nodes that do answer: they may be the majority that is left.",
    concerns: &[
        "--endpoints",
        "MARGAY_ENDPOINTS",
        "listen",
        "margay status",
        "M407",
    ],
};

pub(super) const TIMED_OUT: Explanation = Explanation {
    meaning: "No answer came in time, and it is known that the request changed nothing and never will: it \
              was a question, or every node said so.",
    danger: "None by itself. A cluster that cannot answer may lack a leader: too few of its nodes are up, or \
             they do not reach each other.",
    done: "Asked again, wherever the answer may change, until --timeout was over.",
    remedy: "Look at `margay status`: groups without a leader and nodes that are down stand there. Repeat \
             the command, with a longer --timeout if the nodes are merely busy.",
    avoid: "Do not conclude from it that the node is dead, and do not restart nodes one after the other to \
            see whether it helps: each restart is another election.",
    concerns: &["--timeout", "--endpoints", "margay status"],
};

pub(super) const OTHER_PROTOCOL: Explanation = Explanation {
    meaning: "The other side is Margay and speaks no version of the protocol that this binary speaks. The \
              facts say which it speaks.",
    danger: "None: not a byte of it was misread.",
    done: "Hung up after the greeting; nothing was asked.",
    remedy: "Use the binary of the cluster's version; `margay --version` tells what this one is.",
    avoid: "Do not replace the binaries of the cluster in order to run a command.",
    concerns: &["--endpoints", "margay status"],
};

pub(super) const NOT_MARGAY: Explanation = Explanation {
    meaning: "Something answers at the address, and it does not speak Margay's protocol: a web server, a \
              proxy, or another program that has the port.",
    danger: "None: nothing was asked of it. The other program may have logged a strange request.",
    done: "Sent a greeting, and hung up when the answer was none.",
    remedy: "Give the address of a Margay node; the port is 7400 unless `listen` says something else.",
    avoid: "Do not put a proxy that speaks HTTP in front of a node: clients need the connection itself.",
    concerns: &["--endpoints", "MARGAY_ENDPOINTS", "listen"],
};

pub(super) const OUTCOME_UNKNOWN: Explanation = Explanation {
    meaning: "The request left, and no answer came that says what became of it: the connection broke, or the \
              leader lost its office meanwhile. It may have been carried out, may still be, or never will \
              be.",
    danger: "Whoever takes it for refused and does something else instead may end up with both.",
    done: "Asked on until --timeout was over, because such a request may be repeated, and nobody could tell.",
    remedy: "Repeat the very same command: bootstrap and keyspace create may be repeated safely, and say \
             whether it was done before. Or look: `margay keyspace list`, `margay status`.",
    avoid: "Do not change the name or an option when you repeat it: that is another request, and then there \
            are two.",
    concerns: &["--timeout", "margay keyspace list", "margay status"],
};
