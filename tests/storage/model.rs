//! What a log was told and what it acknowledged: whatever is recovered must be the state after some prefix of what was
//! told, and never a shorter one than was acknowledged.

use margay::storage::recovery::{GroupStatus, RecoveredGroup};
use margay_raft::{HardState, Position};
use margay_types::{GroupId, Index, Term};
use std::collections::BTreeMap;

/// One thing that a log was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Create(GroupId),
    Remove(GroupId),
    HardState(GroupId, HardState),
    Truncate(GroupId, Index),
    Entry(GroupId, Position, Vec<u8>),
    /// A checkpoint at this position; its chunks came before.
    Checkpoint(GroupId, Position),
}

/// A group after a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupModel {
    pub hard_state: HardState,
    pub entries: BTreeMap<Index, (Term, Vec<u8>)>,
    pub checkpoint: Position,
}

impl GroupModel {
    pub fn last(&self) -> Position {
        match self.entries.last_key_value() {
            Some((index, (term, _))) if *index > self.checkpoint.index => Position {
                term: *term,
                index: *index,
            },
            _ => self.checkpoint,
        }
    }
}

pub type State = BTreeMap<GroupId, GroupModel>;

/// The history of one log over all its lives.
#[derive(Clone, Debug, Default)]
pub struct Model {
    told: Vec<Told>,
    acknowledged: usize,
}

impl Model {
    pub fn tell(&mut self, told: Told) -> usize {
        self.told.push(told);
        self.told.len()
    }

    /// Everything up to the `count`-th thing told is durable.
    pub fn acknowledge(&mut self, count: usize) {
        self.acknowledged = self.acknowledged.max(count);
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub fn told_count(&self) -> usize {
        self.told.len()
    }

    /// The state after everything that was told.
    pub fn state(&self) -> State {
        after(&self.told)
    }

    /// Finds the prefix that was recovered and forgets what is behind it.
    pub fn recover(&mut self, groups: &[Found]) -> Result<(), String> {
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

/// A group as it was recovered, with the payloads that its places hold.
#[derive(Clone, Debug)]
pub struct Found {
    pub group: GroupId,
    pub serves: bool,
    pub why: String,
    pub hard_state: HardState,
    pub last: Position,
    pub floor: Position,
    pub checkpoint: Position,
    pub entries: BTreeMap<Index, (Term, Vec<u8>)>,
}

impl Found {
    pub fn of(group: &RecoveredGroup, payload: impl Fn(Index) -> Vec<u8>) -> Self {
        let entries = group.entries.iter();
        let entries = entries
            .map(|(index, entry)| (*index, (entry.term, payload(*index))))
            .collect();
        Self {
            group: group.group,
            serves: group.status == GroupStatus::Serves,
            why: format!("{:?}", group.status),
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
        Told::Create(group) => {
            state.insert(*group, GroupModel::default());
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
            entries.insert(position.index, (position.term, payload.clone()));
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
