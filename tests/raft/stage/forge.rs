//! Messages that a script writes itself: late ones of long ago, or those of a replica that lies.

use super::arguments::{Answer, Arguments};
use super::{Detail, Stage};
use crate::host::{Content, Envelope};
use margay_raft::message::{
    AppendOutcome, AppendResponse, Heartbeat, HeartbeatResponse, PreVote, PreVoteResponse,
    ReadIndex, ReadIndexResponse, RequestVote, RequestVoteResponse, TimeoutNow,
};
use margay_raft::{AppendEntries, Message, Round};
use margay_types::Ticks;

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
    let granted = arguments.take_word("granted");
    let round = Round(arguments.number("round")?.unwrap_or(0));
    let commit_index = arguments.index("commit")?;
    let stable_index = arguments.index("stable")?;
    let last = arguments.position("last")?;
    let message = match kind.as_str() {
        "append" => {
            let previous = arguments.position("prev")?;
            let append = AppendEntries {
                term,
                previous,
                last: previous.index,
                may_shorten: false,
                commit_index,
                stable_index,
                round,
            };
            return Ok(Content::Append {
                append,
                records: Vec::new(),
            });
        }
        "prevote" => Message::PreVote(PreVote { term, last }),
        "prevote-response" => Message::PreVoteResponse(PreVoteResponse { term, granted }),
        "vote" => {
            let transfer = arguments.take_word("transfer");
            Message::RequestVote(RequestVote {
                term,
                last,
                transfer,
            })
        }
        "vote-response" => Message::RequestVoteResponse(RequestVoteResponse { term, granted }),
        "append-response" => {
            let proven = arguments.index("proven")?;
            let outcome = AppendOutcome::Accepted { proven };
            let applies = true;
            Message::AppendResponse(AppendResponse {
                term,
                outcome,
                round,
                honoured: HONOURED,
                applies,
            })
        }
        "heartbeat" => Message::Heartbeat(Heartbeat {
            term,
            commit_index,
            stable_index,
            round,
        }),
        "heartbeat-response" => {
            let (proven, applies) = (arguments.index("proven")?, true);
            Message::HeartbeatResponse(HeartbeatResponse {
                term,
                round,
                proven,
                honoured: HONOURED,
                applies,
            })
        }
        "timeout-now" => Message::TimeoutNow(TimeoutNow { term }),
        "read-index" => {
            let request = arguments.number("request")?.unwrap_or(0);
            Message::ReadIndex(ReadIndex { term, request })
        }
        "read-index-response" => {
            let request = arguments.number("request")?.unwrap_or(0);
            let index = Some(arguments.index("index")?);
            Message::ReadIndexResponse(ReadIndexResponse {
                term,
                request,
                index,
            })
        }
        other => return Err(format!("no message is called {other}").into()),
    };
    Ok(Content::Message(message))
}
