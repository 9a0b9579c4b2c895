//! M300..M319: the cluster as a whole, as its nodes show it together.

use super::Explanation;

pub(super) const GROUP_NOT_LED: Explanation = Explanation {
    meaning: "Enough voters of a group answer, and none of them leads it. For a second after a leader was \
              lost, or after a start, that is an election. If it stays so, the voters do not reach each other \
              although all can be reached from here, or their disks are too slow to vote in time.",
    danger: "While nobody leads, commands and linearizable reads of the group wait. Nothing is lost.",
    done: "The voters try again by themselves, each after a time of its own.",
    remedy: "Ask again: `margay health --wait`. If it stays, see in the nodes' logs whom they cannot reach \
             (M407), and in `margay group show` whether terms grow, which tells that they try.",
    avoid: "Do not restart the voters one after the other: each restart is one more election.",
    concerns: &[
        "margay health",
        "margay group show",
        "--wait",
        "M407",
        "M305",
    ],
};

pub(super) const NO_QUORUM: Explanation = Explanation {
    meaning: "Fewer voters of a group answer than it needs to decide anything: more than half of all. The text \
              names who is there and who is missing. A voter counts as missing when its node does not answer, \
              or answers and takes no part with this replica, because it is damaged or lost.",
    danger: "Commands and linearizable reads of the group wait until enough voters are back. If the missing \
             ones have lost their disks for good, what only they had is lost.",
    done: "Keeps what is there. No node decides alone, ever.",
    remedy: "Bring missing nodes back; one is enough if it makes a majority. Each has its own reason in \
             `margay health`: M141 and M142 for nodes that do not answer, M210 and M213 for replicas.",
    avoid: "Do not format a missing node's directory to start it quickly: it comes back as another node that \
            has no vote, and what it had is gone. Do not stop the voters that are left.",
    concerns: &[
        "margay health",
        "margay node list",
        "margay group list",
        "M141",
        "M142",
        "M210",
        "M213",
    ],
};
