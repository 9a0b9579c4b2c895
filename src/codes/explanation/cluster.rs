//! M150..M159: what a cluster refuses.

use super::Explanation;

pub(super) const NODE_NOT_BLANK: Explanation = Explanation {
    meaning: "A node that a bootstrap names is part of a cluster already: of another one, or of an earlier \
              attempt with another name or another list.",
    danger: "A node that could be talked out of its cluster would forget what it promised there. It cannot.",
    done: "The nodes are all asked who they are before any is formed, so usually nothing was changed \
           anywhere; a node that holds a genesis keeps it.",
    remedy: "To complete an earlier attempt repeat it with its very name and list. To use the node \
             elsewhere, stop it and start it on an empty, formatted directory. If a cluster is named beside \
             the code, look at it first: `margay status --endpoints NODE`.",
    avoid: "Do not format directories until it works: one of them may hold a cluster that somebody uses.",
    concerns: &[
        "--nodes",
        "--name",
        "margay bootstrap",
        "margay format",
        "margay status",
    ],
};

pub(super) const DUPLICATE_NODE: Explanation = Explanation {
    meaning: "The list of a bootstrap names a node twice: by the same address, or by two addresses at which \
              the same incarnation answers. The latter also happens when a data directory was copied.",
    danger: "A cluster that counts one node twice believes in a majority that is none.",
    done: "Formed nothing.",
    remedy: "Name each node once, by the address that it keeps. For a second node run `margay format` on a \
             directory of its own.",
    avoid: "Do not copy a data directory to make another node: the copy is the same node.",
    concerns: &["--nodes", "margay bootstrap", "margay format"],
};

pub(super) const REFUSED: Explanation = Explanation {
    meaning: "The cluster understood the request and said no; the reason stands beside the code. Usual ones: \
              a keyspace of that name exists and was made otherwise, no server has the machine, more groups \
              or members than the cluster takes, or the nodes named belong to different clusters.",
    danger: "None: a request that is refused has changed nothing.",
    done: "Nothing but to say why.",
    remedy: "Remove the reason and repeat. `margay keyspace list` shows what exists; `margay status` shows \
             the nodes and their versions.",
    avoid: "Do not repeat it as it is: the answer stays the same.",
    concerns: &[
        "--machine",
        "--groups",
        "--replicas",
        "margay keyspace list",
        "margay status",
    ],
};

pub(super) const NO_LEADER: Explanation = Explanation {
    meaning: "All nodes took the genesis, so the cluster is formed, but nobody led group 0 before the time \
              was over. Most often the nodes do not reach each other at the addresses of the list.",
    danger: "Until there is a leader no keyspace can be created. Nothing is lost.",
    done: "Waited until --timeout was over. The nodes go on trying by themselves.",
    remedy: "See from each machine that it reaches the others' addresses, and look at the nodes' logs for \
             M407 and M402. Then repeat this very command: it is safe, and waits again.",
    avoid: "Do not form it anew with other addresses: the nodes hold a genesis now, and would answer with \
            M150.",
    concerns: &[
        "--nodes",
        "--timeout",
        "margay bootstrap",
        "margay status",
        "M407",
        "M402",
    ],
};

pub(super) const NOT_FORMED: Explanation = Explanation {
    meaning: "The node is blank: formatted and running, and part of no cluster.",
    danger: "If it should be a member of one, somebody formatted its directory anew, or it runs on the wrong \
             one.",
    done: "The node waits for a bootstrap. It never forms a cluster by itself.",
    remedy: "For a new cluster: `margay bootstrap --name NAME --nodes LIST`, once. Otherwise name a node \
             that belongs to the cluster by --endpoints.",
    avoid: "Do not bootstrap a single node because it is the one that answers: it would be a cluster of its \
            own, and cannot become part of yours.",
    concerns: &[
        "--endpoints",
        "MARGAY_ENDPOINTS",
        "margay bootstrap",
        "data",
    ],
};
