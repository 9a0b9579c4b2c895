//! Messages that no legal peer sends: whatever arrives, a replica neither panics nor contradicts itself.

use crate::entry::{EntryKind, EntryView, Position};
use crate::message::{
    AppendEntries, AppendOutcome, AppendResponse, Heartbeat, HeartbeatResponse, Message, PreVote,
    PreVoteResponse, ReadIndex, ReadIndexResponse, RequestVote, RequestVoteResponse, Round,
    TimeoutNow,
};
use crate::stage::{Stage, members, voters};
use crate::types::{Index, Term, Ticks};
use alloc::vec::Vec;
use margay_types::Random;

struct Hostile(Random);

impl Hostile {
    /// Mostly small, so that it means something; sometimes as large as it gets.
    fn number(&mut self) -> u64 {
        match self.0.between(0, 50) {
            0 => u64::MAX,
            1 => u64::MAX - 1,
            _ => u64::from(self.0.between(0, 9)),
        }
    }

    fn term(&mut self) -> Term {
        match self.0.between(0, 400) {
            0 => Term::new(u32::MAX),
            1 => Term::new(u32::MAX - 1),
            _ => Term::new(self.0.between(0, 6)),
        }
    }

    fn flag(&mut self) -> bool {
        self.0.between(0, 2) == 0
    }

    fn index(&mut self) -> Index {
        Index::new(self.number())
    }

    fn position(&mut self) -> Position {
        Position {
            term: self.term(),
            index: self.index(),
        }
    }

    fn round(&mut self) -> Round {
        Round(self.number())
    }

    fn ticks(&mut self) -> Ticks {
        Ticks::new(self.0.between(0, 100))
    }

    fn outcome(&mut self) -> AppendOutcome {
        if self.flag() {
            AppendOutcome::Accepted {
                proven: self.index(),
            }
        } else {
            AppendOutcome::Refused {
                previous: self.index(),
                hint: self.position(),
            }
        }
    }

    fn message(&mut self) -> Message {
        let term = self.term();
        match self.0.between(0, 10) {
            0 => Message::PreVote(PreVote {
                term,
                last: self.position(),
            }),
            1 => Message::PreVoteResponse(PreVoteResponse {
                term,
                granted: self.flag(),
            }),
            2 => {
                let (last, transfer) = (self.position(), self.flag());
                Message::RequestVote(RequestVote {
                    term,
                    last,
                    transfer,
                })
            }
            3 => Message::RequestVoteResponse(RequestVoteResponse {
                term,
                granted: self.flag(),
            }),
            4 => Message::AppendResponse(AppendResponse {
                term,
                outcome: self.outcome(),
                round: self.round(),
                honoured: self.ticks(),
                applies: self.flag(),
            }),
            5 => Message::Heartbeat(Heartbeat {
                term,
                commit_index: self.index(),
                stable_index: self.index(),
                round: self.round(),
            }),
            6 => Message::HeartbeatResponse(HeartbeatResponse {
                term,
                round: self.round(),
                proven: self.index(),
                honoured: self.ticks(),
                applies: self.flag(),
                wants_checkpoint: self.flag(),
            }),
            7 => Message::TimeoutNow(TimeoutNow { term }),
            8 => Message::ReadIndex(ReadIndex {
                term,
                request: self.number(),
            }),
            _ => {
                let (request, index) = (self.number(), self.flag().then(|| self.index()));
                Message::ReadIndexResponse(ReadIndexResponse {
                    term,
                    request,
                    index,
                })
            }
        }
    }

    fn append(&mut self) -> AppendEntries {
        AppendEntries {
            term: self.term(),
            previous: self.position(),
            last: self.index(),
            may_shorten: self.flag(),
            commit_index: self.index(),
            stable_index: self.index(),
            round: self.round(),
        }
    }

    /// Entries that often fit the append, else anything.
    fn entries<'a>(&mut self, append: &AppendEntries, payload: &'a [u8]) -> Vec<EntryView<'a>> {
        let mut entries: Vec<EntryView<'a>> = Vec::new();
        let mut position = append.previous;
        for _ in 0..self.0.between(0, 4) {
            position = match self.0.between(0, 10) {
                0 => self.position(),
                _ => Position {
                    index: Index::new(position.index.number().saturating_add(1)),
                    term: position.term.max(Term::new(self.0.between(0, 4))),
                },
            };
            let kind = if self.flag() {
                EntryKind::Configuration
            } else {
                EntryKind::CommandPlain
            };
            let payload = if self.flag() { payload } else { &payload[1..] };
            entries.push(EntryView {
                position,
                kind,
                size_bytes: 40,
                payload,
            });
        }
        entries
    }

    fn torment(&mut self, stage: &mut Stage, payload: &[u8]) {
        let from = u16::try_from(self.0.between(0, 6)).unwrap();
        if self.0.between(0, 3) == 0 {
            let mut append = self.append();
            let entries = self.entries(&append, payload);
            if self.0.between(0, 10) != 0 {
                let last = append
                    .previous
                    .index
                    .number()
                    .saturating_add(entries.len() as u64);
                append.last = Index::new(last);
            }
            stage.on_append(from, append, &entries);
        } else {
            let message = self.message();
            stage.step(from, message);
        }
        match self.0.between(0, 6) {
            0 => stage.tick(1),
            1 => stage.write_all(),
            2 => stage.flush(),
            _ => {}
        }
    }
}

#[test]
fn nothing_that_arrives_makes_a_replica_panic_or_contradict_itself() {
    let mut payload = Vec::new();
    let mut configuration = voters(&[1, 2, 4]);
    configuration.outgoing_voters = members(&[1, 2, 3]);
    configuration.encode(&mut payload);
    for seed in 0..600 {
        let mut hostile = Hostile(Random::new(seed));
        let mut stage = match seed % 3 {
            0 => Stage::follower(voters(&[1, 2, 3]), &[1, 1, 2]),
            1 => Stage::candidate(voters(&[1, 2, 3]), &[1, 1, 2]),
            _ => Stage::leader(voters(&[1, 2, 3]), &[1, 1, 2]),
        };
        for _ in 0..300 {
            hostile.torment(&mut stage, &payload);
        }
    }
}
