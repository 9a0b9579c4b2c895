//! What a log was told and what it acknowledged: whatever is recovered must be the state after some prefix of what was
//! told, and never a shorter one than was acknowledged.

use margay::storage::recovery::{GroupStatus, RecoveredGroup, RecoveryReport};
use margay_raft::{HardState, Position};
use margay_types::{GroupId, Index, ReplicaNumber, Term};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Payloads are compared often and never changed.
pub(crate) type Payload = Rc<Vec<u8>>;

/// One thing that a log was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Create(GroupId, ReplicaNumber),
    Remove(GroupId),
    HardState(GroupId, HardState),
    Truncate(GroupId, Index),
    Entry(GroupId, Position, Payload),
    /// A checkpoint at this position; its chunks came before.
    Checkpoint(GroupId, Position),
}

/// A group after a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupModel {
    pub(crate) replica: ReplicaNumber,
    pub(crate) hard_state: HardState,
    pub(crate) entries: BTreeMap<Index, (Term, Payload)>,
    pub(crate) checkpoint: Position,
}

impl GroupModel {
    pub(crate) fn last(&self) -> Position {
        match self.entries.last_key_value() {
            Some((index, (term, _))) if *index > self.checkpoint.index => Position {
                term: *term,
                index: *index,
            },
            _ => self.checkpoint,
        }
    }
}

pub(crate) type State = BTreeMap<GroupId, GroupModel>;

/// The history of one log over all its lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    told: Vec<Told>,
    acknowledged: usize,
    births: u16,
    now: State,
}

impl Model {
    /// A number that no replica had before.
    pub(crate) fn next_replica(&mut self) -> ReplicaNumber {
        self.births += 1;
        ReplicaNumber::new(self.births)
    }

    pub(crate) fn tell(&mut self, told: Told) -> usize {
        apply(&mut self.now, &told);
        self.told.push(told);
        self.told.len()
    }

    /// Everything up to the `count`-th thing told is durable.
    pub(crate) fn acknowledge(&mut self, count: usize) {
        self.acknowledged = self.acknowledged.max(count);
    }

    /// The state after everything that was told.
    pub(crate) fn state(&self) -> &State {
        &self.now
    }

    /// Finds the prefix that was recovered and forgets what is behind it.
    pub(crate) fn recover(&mut self, groups: &[Found]) -> Result<(), String> {
        let found: BTreeMap<GroupId, &Found> = groups.iter().map(|it| (it.group, it)).collect();
        if let Some(bad) = groups.iter().find(|it| !it.serves) {
            return Err(format!("group {} does not serve: {}", bad.group, bad.why));
        }
        let mut state = after(&self.told[..self.acknowledged]);
        let least = describe(&state, &found);
        for end in self.acknowledged..=self.told.len() {
            if end > self.acknowledged {
                apply(&mut state, &self.told[end - 1]);
            }
            if describe(&state, &found).is_empty() {
                self.told.truncate(end);
                self.acknowledged = end;
                self.now = state;
                return Ok(());
            }
        }
        Err(format!(
            "no prefix of the {} things told, of which {} are acknowledged, fits: {}",
            self.told.len(),
            self.acknowledged,
            least.join("; ")
        ))
    }
}

impl Model {
    /// Checks a recovery from damage, with everything told acknowledged: who serves lost nothing, and who lost
    /// something is named; a group may be missing only if batches were lost that nobody can name. Gives how many are
    /// named.
    pub(crate) fn check_damaged(
        &self,
        groups: &[Found],
        report: &RecoveryReport,
    ) -> Result<usize, String> {
        assert_eq!(
            self.acknowledged,
            self.told.len(),
            "only acknowledged things can be damaged"
        );
        let serving: BTreeMap<GroupId, &Found> = groups
            .iter()
            .filter(|it| it.serves)
            .map(|it| (it.group, it))
            .collect();
        let named: Vec<GroupId> = groups
            .iter()
            .filter(|it| !it.serves)
            .map(|it| it.group)
            .collect();
        let mut state = self.now.clone();
        let is_found = |group: &GroupId| groups.iter().any(|found| found.group == *group);
        state.retain(|group, _| {
            !named.contains(group) && (report.unnamed_count == 0 || is_found(group))
        });
        let differences = describe(&state, &serving);
        match differences.is_empty() {
            true => Ok(named.len()),
            false => Err(differences.join("; ")),
        }
    }
}

/// A group as it was recovered, with the payloads that its places hold.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) group: GroupId,
    pub(crate) serves: bool,
    pub(crate) why: String,
    pub(crate) replica: ReplicaNumber,
    pub(crate) hard_state: HardState,
    pub(crate) last: Position,
    pub(crate) floor: Position,
    pub(crate) checkpoint: Position,
    pub(crate) entries: BTreeMap<Index, (Term, Payload)>,
}

impl Found {
    pub(crate) fn of(group: &RecoveredGroup, payload: impl Fn(Index) -> Vec<u8>) -> Self {
        let entries = group
            .entries
            .iter()
            .filter(|(_, entry)| entry.place.is_some());
        let entries = entries
            .map(|(index, entry)| (*index, (entry.term, Rc::new(payload(*index)))))
            .collect();
        Self {
            group: group.group,
            serves: group.status == GroupStatus::Serves,
            why: format!("{:?}", group.status),
            replica: group
                .identity
                .map_or(ReplicaNumber::default(), |it| it.replica),
            hard_state: group.hard_state,
            last: group.last,
            floor: group.floor,
            checkpoint: group
                .checkpoint
                .as_ref()
                .map_or(Position::ZERO, |it| it.pointer.at),
            entries,
        }
    }
}

fn after(told: &[Told]) -> State {
    let mut state = State::new();
    for told in told {
        apply(&mut state, told);
    }
    state
}

fn apply(state: &mut State, told: &Told) {
    match told {
        Told::Create(group, replica) => {
            state.insert(
                *group,
                GroupModel {
                    replica: *replica,
                    ..GroupModel::default()
                },
            );
        }
        Told::Remove(group) => {
            state.remove(group);
        }
        Told::HardState(group, hard_state) => {
            state.entry(*group).or_default().hard_state = *hard_state;
        }
        Told::Truncate(group, from) => {
            state.entry(*group).or_default().entries.split_off(from);
        }
        Told::Entry(group, position, payload) => {
            let entries = &mut state.entry(*group).or_default().entries;
            entries.insert(position.index, (position.term, Rc::clone(payload)));
        }
        Told::Checkpoint(group, at) => state.entry(*group).or_default().checkpoint = *at,
    }
}

/// What differs. Entries at or below the checkpoint may be there or not.
fn describe(state: &State, found: &BTreeMap<GroupId, &Found>) -> Vec<String> {
    let mut differences = Vec::new();
    for group in state.keys().filter(|group| !found.contains_key(group)) {
        differences.push(format!("group {group} is missing"));
    }
    for (group, found) in found {
        let Some(model) = state.get(group) else {
            differences.push(format!("group {group} should not be there"));
            continue;
        };
        if model.replica != found.replica {
            differences.push(format!("group {group} is replica {}", found.replica));
        }
        if model.hard_state != found.hard_state {
            differences.push(format!(
                "group {group}: {:?}, told {:?}",
                found.hard_state, model.hard_state
            ));
        }
        if model.checkpoint != found.checkpoint {
            differences.push(format!(
                "group {group}: checkpoint {:?}, told {:?}",
                found.checkpoint, model.checkpoint
            ));
        }
        if model.last() != found.last {
            differences.push(format!(
                "group {group}: {:?}, told {:?}",
                found.last,
                model.last()
            ));
        }
        if found.floor.index > found.checkpoint.index {
            differences.push(format!("group {group}: floor {:?}", found.floor));
        }
        for (index, told) in &model.entries {
            let is_here = found.entries.get(index);
            let may_be_gone = *index <= model.checkpoint.index && is_here.is_none();
            if !may_be_gone && is_here != Some(told) {
                differences.push(format!("group {group} entry {index} differs"));
            }
        }
    }
    differences
}
