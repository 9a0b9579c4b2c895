//! M160..M169: the nodes of `dev`.

use super::Explanation;

pub(super) const NODE_ENDED: Explanation = Explanation {
    meaning: "A node that `margay dev` started has ended, and nobody had asked it to: it refused to start, \
              somebody killed it, or it failed. The lines beside the code tell how it ended and what it said \
              last; a code among these has an explanation of its own.",
    danger: "Groups live with one member less. Of three nodes one may be missing; of one or two none.",
    done: "While the cluster starts, all other nodes are stopped, too. Later the others go on, and the whole \
           ends with an exit code that is not 0, so that scripts notice.",
    remedy: "Remove the cause that its last lines name. While the others run, the command line beside the code \
             starts the node again in another terminal; or stop all and run `margay dev` again.",
    avoid: "Do not delete the node's directory: a cluster that was formed with it has no other node in its \
            place.",
    concerns: &["margay dev", "--data", "--keep", "margay health"],
};

pub(super) const NODE_KILLED: Explanation = Explanation {
    meaning: "A node that `margay dev` had told to stop was killed: it did not end within ten seconds, most \
              often because its process was stopped or the disk hangs, or a second signal asked for haste.",
    danger: "None for what was acknowledged: the node recovers as after a crash.",
    done: "Told all nodes to stop, waited, and then killed those that were left.",
    remedy: "Nothing has to be done after a second Ctrl-C. Otherwise look at the end of the node's log, and \
             at the disk that its folder lies on.",
    avoid: "Do not begin a new cluster because of it: the old folder is as good as before.",
    concerns: &["margay dev", "--data", "M109"],
};

pub(super) const PARENT_ENDED: Explanation = Explanation {
    meaning: "This process was to end together with the one that started it, and that one had ended before \
              this one could ask the kernel for it.",
    danger: "None: nothing was done.",
    done: "Ended at once, before it read or wrote anything.",
    remedy: "Start `margay dev`, or the load generator, again.",
    avoid: "Do not give the hidden option by hand: it is for programs that start nodes as their children.",
    concerns: &["margay dev"],
};
