//! M400..M419: connections of a running node. Each is logged at most once a second, with how many were left out.

use super::Explanation;

pub(super) const STRANGER_CONNECTED: Explanation = Explanation {
    meaning: "Something connected to the node and its first bytes are not those of Margay's protocol: a \
              health check of a load balancer, a browser, or a scanner.",
    danger: "None for data. A stranger that can connect is in a network in which it should perhaps not be.",
    done: "Closed the connection. Nothing that the bytes said was believed.",
    remedy: "See who it is by the address in the line. Point health checks at `margay status`, or at a plain \
             connect without bytes.",
    avoid: "Do not expose the port beyond a network that you trust: this version has neither TLS nor access \
            control.",
    concerns: &["listen", "M403"],
};

pub(super) const HELLO_REFUSED: Explanation = Explanation {
    meaning: "Two sides that both speak Margay found that they do not belong together, and one refused: \
              another cluster, another node than the address promised, a peer that the cluster does not \
              know, no protocol version in common, or no place for another client. The line gives the \
              reason, and what both sides said of themselves.",
    danger: "If it goes on between two nodes of one cluster, they do not hear each other, as if one were \
             down.",
    done: "Answered with the reason, and hung up. A peer tries again by itself.",
    remedy: "By the reason. Another node: a data directory was moved, or two nodes swapped addresses; start \
             each with its own. Another cluster: correct the addresses. No version in common: bring the \
             binaries together.",
    avoid: "Do not format a node so that the others take it: it becomes one that they do not know at all.",
    concerns: &["listen", "--endpoints", "M406", "M407"],
};

pub(super) const HELLO_LATE: Explanation = Explanation {
    meaning: "A connection was made and two seconds later nothing that makes sense had come over it: a \
              health check that only connects, a scanner, or a network that loses packets.",
    danger: "None by itself. Many of them at once can take the places of others.",
    done: "Closed the connection.",
    remedy: "See who it is by the address in the line. If it is a node or a client of yours, look at the \
             network between the two.",
    avoid: "Do not silence the log because of a health check: let the check end its connection at once.",
    concerns: &["listen", "M401", "M406"],
};

pub(super) const FRAMES_BROKEN: Explanation = Explanation {
    meaning: "A connection that began well carried bytes that are no frame: a checksum is wrong, or a length \
              is above the limit. A client has a mistake, or something between the two changes bytes.",
    danger: "What was asked over that connection may or may not have been carried out; sessions find out. A \
             network that changes bytes hurts everything else, too.",
    done: "Told a client so and closed its connection; a peer dials again. Not a byte behind the break was \
           used.",
    remedy: "If the address is always the same: look at that client's library and version, or at that \
             machine's network card and memory. Take proxies out of the way.",
    avoid: "Do not put a device that rewrites streams between nodes.",
    concerns: &["listen", "M407"],
};

pub(super) const CLIENT_DOES_NOT_READ: Explanation = Explanation {
    meaning: "A client sends requests and does not read the answers: more than 8 MiB of them wait for it.",
    danger: "Only for that client. Without an end the answers would fill the memory of the node.",
    done: "Closed its connection. Commands that it had sent are carried out once at most all the same, and \
           its session can ask for the outputs over a new connection.",
    remedy: "Look at the client: a thread that hangs, or a loop that only sends. Let it read while it \
             writes, and keep less in flight.",
    avoid: "Do not count the closed connection as a failure of the command: the session knows what became of \
            it.",
    concerns: &["margay status", "SESSIONS"],
};

pub(super) const TOO_MANY_CONNECTIONS: Explanation = Explanation {
    meaning: "More connections stand than the node has places for. It takes at most 8192 clients for a \
              shard, fewer when the limit of descriptors is lower; the line gives the number. From there on \
              clients are refused at the greeting (M402); 16 operators still get in. This code says that the \
              256 places beside them, for peers and for greetings, are taken, too.",
    danger: "Clients do not get in until others leave. Connections that stand go on, and so do files: neither \
             can take the descriptors of the other.",
    done: "Hung up on whoever had been silent longest after connecting, so that the newcomer, which may be a \
           peer, is heard; or on the newcomer, when nobody was silent.",
    remedy: "Find out who opens so many (`ss -tn`), and let clients share connections: one carries up to \
             65536 sessions. If the number is below 8192, raise LimitNOFILE= and start the node again when \
             it suits you.",
    avoid: "Do not open a connection for each command, and do not retry at once in a loop.",
    concerns: &["LimitNOFILE=", "SESSIONS", "margay status", "M104"],
};

pub(super) const PEER_UNREACHABLE: Explanation = Explanation {
    meaning: "This node cannot reach another node of its cluster: nobody listens there, or the network lies \
              between. The line names address and reason, and comes once for each reason while the peer is \
              away. In `margay health` it names a leader that does not hear from a member, although both answer.",
    danger: "If the other node is down or cut off, groups with a member there live with one failure less to \
             spare; without a majority they stand still.",
    done: "Dials again all the time, with pauses of up to one second, and sends what was missed when it is \
           back.",
    remedy: "Look at `margay status`, and start the node if it is down. If it runs: see from this machine \
             that its address is reachable on both its sides, firewall and names included.",
    avoid: "Do not restart this node: it is the one that works.",
    concerns: &[
        "listen",
        "margay status",
        "margay health",
        "M141",
        "M402",
        "M410",
    ],
};

pub(super) const ACCEPT_FAILED: Explanation = Explanation {
    meaning: "The kernel does not give this process any new connection, most often because it has no \
              descriptor or no memory left. The line gives the reason.",
    danger: "Neither new clients nor peers that dial get in; connections that stand go on.",
    done: "Tries again at every tick, ten milliseconds later, and takes connections again as soon as it can.",
    remedy: "For EMFILE raise LimitNOFILE= of the service; for ENFILE raise the sysctl fs.file-max; for \
             ENOMEM look who uses the memory. Then start the node again.",
    avoid: "Do not wait for it to pass while clients come and go: a limit that is reached is reached again.",
    concerns: &["LimitNOFILE=", "M104", "M406"],
};

pub(super) const CONNECTION_VANISHED: Explanation = Explanation {
    meaning: "The machine at the other end of a connection, or the way to it, was gone without a word: nothing \
              that was sent to it was acknowledged for five seconds, probes of a connection without \
              traffic included. The line names the peer, or the client's address.",
    danger: "Of a client: none to the cluster; its sessions wait for it as long as their timeout says. Of a peer: \
             groups with a member there live with one failure less to spare.",
    done: "Closed the connection, so that it holds no place. A peer is dialed again all the time; a client's \
           session goes on over any new connection.",
    remedy: "For a peer: see whether its machine runs and whether the network between the two works. For \
             clients that do it again and again: look for a firewall or a translation of addresses that \
             forgets connections.",
    avoid: "Do not restart this node: it has given up what was lost already.",
    concerns: &["margay status", "margay health", "M405", "M407"],
};

pub(super) const NAME_UNRESOLVED: Explanation = Explanation {
    meaning: "A peer that was given by name is to be dialed, and this machine finds no address for the name. The \
              line gives the name, the reason, and where the peer is dialed instead. It is told once for each \
              time that the peer is away.",
    danger: "A peer that still is where it was last is reached all the same. One that moved, and any peer when \
             this node has just started, is not: groups with a member there live with one failure less to spare.",
    done: "Dials the address at which the peer was last, if it was reached in this life of the process, and looks \
           the name up again before every try, with pauses of up to one second.",
    remedy: "Make the name resolve on this machine (`getent hosts NAME`, /etc/hosts, the name service). The node \
             takes the address by itself, without a restart.",
    avoid: "Do not restart this node: it would forget where its peers were last.",
    concerns: &["margay status", "margay health", "M407"],
};
