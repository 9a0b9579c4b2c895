//! Messages that a script writes itself: late ones of long ago, or those of a replica that lies.

use super::arguments::{Answer, Arguments};
use super::{Detail, Stage};
use crate::host::{Content, Envelope};
use margay_raft::message::{
    AppendOutcome, AppendResponse, Heartbeat, HeartbeatResponse, PreVote, PreVoteResponse,
    RequestVote, RequestVoteResponse,
};
use margay_raft::{AppendEntries, Message, Round};
use margay_types::{Index, Term, Ticks};

/// What forged answers claim to honour.
const HONOURED: Ticks = Ticks::new(10);

impl Stage {
    /// The forged message is delivered at once.
    pub(super) fn inject(&mut self, arguments: &mut Arguments) -> Answer<()> {
        let from = arguments.member()?;
        arguments.take_word("to");
        let to = arguments.member()?;
        let content = forge(arguments)?;
        let cluster = self.cluster()?;
        let life = |number| cluster.members.get(&number).map_or(0, |it| it.life);
        let envelope = Envelope {
            from,
            to,
            from_life: life(from),
            to_life: life(to),
            content,
        };
        let line = envelope.to_string();
        let place = self.trace.len();
        let arrived = self.cluster()?.deliver(envelope);
        self.settle(Detail::Full)?;
        self.trace
            .insert(place, line + if arrived { "" } else { " (ignored)" });
        Ok(())
    }
}

fn forge(arguments: &mut Arguments) -> Answer<Content> {
    let kind = arguments.word()?;
    let term = arguments.term()?;
    if kind == "append" {
        let previous = arguments.position("prev")?;
        let append = AppendEntries {
            term,
            previous,
            last: previous.index,
            may_shorten: false,
            commit_index: arguments.index("commit")?,
            stable_index: Index::ZERO,
            round: Round(0),
        };
        return Ok(Content::Append {
            append,
            records: Vec::new(),
        });
    }
    forge_message(&kind, term, arguments).map(Content::Message)
}

fn forge_message(kind: &str, term: Term, arguments: &mut Arguments) -> Answer<Message> {
    let granted = arguments.take_word("granted");
    let round = Round(arguments.number("round")?.unwrap_or(0));
    let (honoured, applies) = (HONOURED, true);
    Ok(match kind {
        "prevote" => Message::PreVote(PreVote {
            term,
            last: arguments.position("last")?,
        }),
        "prevote-response" => Message::PreVoteResponse(PreVoteResponse { term, granted }),
        "vote" => Message::RequestVote(RequestVote {
            term,
            last: arguments.position("last")?,
            transfer: arguments.take_word("transfer"),
        }),
        "vote-response" => Message::RequestVoteResponse(RequestVoteResponse { term, granted }),
        "append-response" => Message::AppendResponse(AppendResponse {
            term,
            outcome: AppendOutcome::Accepted {
                proven: arguments.index("proven")?,
            },
            round,
            honoured,
            applies,
        }),
        "heartbeat" => Message::Heartbeat(Heartbeat {
            term,
            commit_index: arguments.index("commit")?,
            stable_index: Index::ZERO,
            round,
        }),
        "heartbeat-response" => Message::HeartbeatResponse(HeartbeatResponse {
            term,
            round,
            proven: arguments.index("proven")?,
            honoured,
            applies,
            wants_checkpoint: false,
        }),
        other => return Err(format!("no message that can be forged is called {other}").into()),
    })
}
