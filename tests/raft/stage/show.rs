//! What scripts can look at beside the trace.

use super::Stage;
use super::arguments::{Answer, Arguments, member_name};
use crate::host::event::Entry;
use margay_types::ReplicaNumber;

impl Stage {
    pub(super) fn show_state(&mut self, name: &str, arguments: &mut Arguments) -> Answer<()> {
        match name {
            "status" => {
                let mut named = Vec::new();
                for word in arguments.words() {
                    named.push(member_name(&word)?);
                }
                let all = if named.is_empty() {
                    self.cluster()?.members.keys().copied().collect()
                } else {
                    named
                };
                for number in all {
                    self.show_status(number)?;
                }
            }
            "queue" => {
                let lines: Vec<String> = self.queue.iter().map(ToString::to_string).collect();
                self.trace.extend(lines);
            }
            "progress" => {
                let number = arguments.member()?;
                let mut lines = Vec::new();
                for it in self.cluster()?.core(number).progress() {
                    let (number, way, sent) = (it.number, it.way, it.under_way_messages);
                    lines.push(format!(
                        "n{number} {way:?} match={} next={} under way={sent}",
                        it.match_index, it.next_index
                    ));
                }
                self.trace.extend(lines);
            }
            _ => {
                let number = arguments.member()?;
                let member = &self.cluster()?.members[&number];
                let entries = member.log.records().iter();
                let entries: Vec<String> = entries.map(|it| Entry(it).to_string()).collect();
                self.show(format!("n{number} log: {}", entries.join(", ")));
            }
        }
        Ok(())
    }

    pub(super) fn show_status(&mut self, number: ReplicaNumber) -> Answer<()> {
        let line = self.cluster()?.members[&number].to_string();
        self.show(line);
        Ok(())
    }
}
