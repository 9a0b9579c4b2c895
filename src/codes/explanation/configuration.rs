//! M120..M129: the configuration.

use super::Explanation;

pub(super) const FILE_UNREADABLE: Explanation = Explanation {
    meaning: "The configuration file, the file of a profile, or a file that an option names, such as the \
              options of a machine, is not there or may not be read. The facts give its path and the reason.",
    danger: "None: a node does not start with half of its settings.",
    done: "Changed nothing, and asked nobody.",
    remedy: "Correct the path, or let this user read the file. A relative path counts from where the command \
             was started; under a service manager that is `/`, so give a whole one there.",
    avoid: "Do not leave the option out to get going: the node would run with other settings than you think.",
    concerns: &["--config", "--profile", "--options", "margay check config"],
};

pub(super) const FILE_MALFORMED: Explanation = Explanation {
    meaning: "The file is not TOML, or a value in it is of a kind that no setting has, such as a list. The \
              line stands beside the code.",
    danger: "None: a node does not start with half of its settings.",
    done: "Read the rest of the file all the same, so that everything that is wrong can be told at once.",
    remedy: "Correct the line. Texts stand in quotation marks (`listen = \"0.0.0.0:7400\"`), whole numbers \
             do not. `margay check config -c FILE` lists all problems of a file.",
    avoid: "Do not restart the service to see whether it is right now; check first.",
    concerns: &["--config", "--profile", "margay check config"],
};

pub(super) const UNKNOWN_SETTING: Explanation = Explanation {
    meaning: "There is no setting of that name: a slip of the finger, a table that was forgotten, a setting \
              of another version, or, in a profile, a line outside of its table [node]. The nearest name is \
              proposed.",
    danger: "A setting that is skipped silently is one that somebody believes in. That is why it is refused.",
    done: "Changed nothing, and looked at all other settings.",
    remedy: "Correct the name. `margay config reference` lists all there are. In the environment the names \
             are upper case with underscores: MARGAY_LOG_SPARES stands for log.spares.",
    avoid: "Do not delete the line before you know what it was meant to do.",
    concerns: &[
        "--config",
        "--set",
        "margay config reference",
        "margay check config",
    ],
};

pub(super) const VALUE_REFUSED: Explanation = Explanation {
    meaning: "A value cannot be what it was set to: out of its range, in another form, a core that this \
              process may not use, more shards than a node can have; of a bootstrap, a number of nodes \
              that no cluster has; or a request that fits into no frame. The facts give the place and the \
              reason.",
    danger: "None: what cannot be taken is not rounded to something that can.",
    done: "Changed nothing, and asked nobody.",
    remedy: "Correct the value; `margay config reference` lists units and ranges. A value must be right also \
             where another stands above it: a wrong line in a file is refused, whatever the environment \
             says.",
    avoid: "Do not set what you have no reason to set. The defaults are what is tested most.",
    concerns: &[
        "--set",
        "--cores",
        "margay config reference",
        "margay config show",
        "margay bootstrap",
    ],
};

pub(super) const UNKNOWN_PROFILE: Explanation = Explanation {
    meaning: "The binary brings no profile of that name, and there is no file of that name either.",
    danger: "None: a node does not start without the settings that its profile was to give.",
    done: "Changed nothing, and looked at all other settings.",
    remedy: "Take one of the names that are listed, or the path of a file with a table [node].",
    avoid: "Do not leave the profile out to get going: it was chosen for this kind of machine.",
    concerns: &["--profile", "margay check config"],
};

pub(super) const VALUE_MISSING: Explanation = Explanation {
    meaning: "A setting that has no default was given by nobody. There is one: `data`, where everything lies \
              that the node remembers.",
    danger: "None. A directory that nobody named would be the wrong one on the day when it counts.",
    done: "Changed nothing.",
    remedy: "Give it as --data, as MARGAY_DATA, or as `data` in the file. `margay config show --sources` \
             shows what is set, and by whom.",
    avoid: "Do not name a directory on the disk of the operating system for a node that matters: other \
            programs' writes stand in the way of the log's.",
    concerns: &["data", "--data", "MARGAY_DATA", "margay config show"],
};

pub(super) const OTHER_SHARD_COUNT: Explanation = Explanation {
    meaning: "The node was to run with another number of shards than its data directory was made for. The first \
              start of a node makes one log for each shard, and a group lies in the log of its id modulo that \
              number, so another number would look for groups where they are not.",
    danger: "None: nothing was started.",
    done: "Read the manifest, and changed nothing.",
    remedy: "Start it with as many shards as the message names: so many cores, or `anywhere:` and the number. \
             Without --cores, and with `auto`, a node takes the number from its directory. This version cannot \
             move groups between logs; a node with more shards is a new node.",
    avoid: "Do not format the directory to get another number: that throws the node's replicas away.",
    concerns: &["--cores", "shards.cores", "margay run"],
};

pub(super) const UNKNOWN_MACHINE: Explanation = Explanation {
    meaning: "The binary does not bring the machine that was asked for. This version tells it where it is \
              found: `keyspace create` is refused with M152, a group that exists is named by M210 or M214; \
              it does not raise this code.",
    danger: "A group without its machine does not move: nothing is applied, nobody is answered.",
    done: "Nothing was created.",
    remedy: "Correct the name of the machine, or run a server binary that registers it, on every node.",
    avoid: "Do not create the keyspace with another machine to get going: a keyspace keeps its machine.",
    concerns: &[
        "--machine",
        "margay keyspace create",
        "M152",
        "M210",
        "M214",
    ],
};
