//! The words and keys behind a command's name.

use goldenscript::{Argument, Command};
use margay_raft::Position;
use margay_types::{Index, ReplicaNumber, Term};
use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

pub(crate) type Answer<T> = Result<T, Box<dyn Error>>;

/// Positional words in order, keys by name. Whoever takes a word or a key removes it; what is left at the
/// end is a mistake in the script.
pub(crate) struct Arguments {
    words: Vec<String>,
    keys: BTreeMap<String, String>,
}

/// Which messages a command is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub(crate) from: Option<ReplicaNumber>,
    pub(crate) to: Option<ReplicaNumber>,
    /// Both directions between `from` and `to`.
    pub(crate) both: bool,
    pub(crate) kind: Option<String>,
    pub(crate) count: Option<usize>,
}

impl Arguments {
    pub(crate) fn new(command: &Command) -> Self {
        let (mut words, mut keys) = (Vec::new(), BTreeMap::new());
        for argument in &command.args {
            match argument {
                Argument::Positional(word) => words.push(word.clone()),
                Argument::KeyValue(key, value) => {
                    keys.insert(key.clone(), value.clone());
                }
                other => unreachable!("goldenscript has no argument like {other}"),
            }
        }
        Self { words, keys }
    }

    pub(crate) fn word(&mut self) -> Answer<String> {
        if self.words.is_empty() {
            return Err("a word is missing".into());
        }
        Ok(self.words.remove(0))
    }

    pub(crate) fn words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }

    pub(crate) fn take_word(&mut self, expected: &str) -> bool {
        let place = self.words.iter().position(|word| word == expected);
        place.map(|place| self.words.remove(place)).is_some()
    }

    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    pub(crate) fn member(&mut self) -> Answer<ReplicaNumber> {
        let word = self.word()?;
        member_name(&word)
    }

    pub(crate) fn key(&mut self, name: &str) -> Option<String> {
        self.keys.remove(name)
    }

    pub(crate) fn number<T: FromStr>(&mut self, name: &str) -> Answer<Option<T>>
    where
        T::Err: Error + 'static,
    {
        Ok(self.key(name).map(|value| value.parse()).transpose()?)
    }

    pub(crate) fn index(&mut self, name: &str) -> Answer<Index> {
        Ok(Index::new(self.number(name)?.unwrap_or(0)))
    }

    pub(crate) fn term(&mut self) -> Answer<Term> {
        Ok(Term::new(self.number("term")?.ok_or("term= is missing")?))
    }

    /// `index@term`.
    pub(crate) fn position(&mut self, name: &str) -> Answer<Position> {
        let text = self.key(name).unwrap_or_else(|| "0@0".to_owned());
        let (index, term) = text.split_once('@').ok_or("a position is index@term")?;
        Ok(Position {
            term: Term::new(term.parse()?),
            index: Index::new(index.parse()?),
        })
    }

    /// Numbers of members, as in `voters="1 2 3"`.
    pub(crate) fn numbers(&mut self, name: &str) -> Answer<Vec<u16>> {
        let text = self.key(name).unwrap_or_default();
        text.split_whitespace()
            .map(|word| Ok(word.parse()?))
            .collect()
    }

    /// `n1 to n2`, `n1 n2` (both ways), `from n1`, `to n2`, or nothing: everything.
    pub(crate) fn selector(&mut self) -> Answer<Selector> {
        let mut selector = Selector {
            kind: self.key("kind"),
            count: self.number("count")?,
            ..Selector::default()
        };
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => {}
            ["from", from] => selector.from = Some(member_name(from)?),
            ["to", to] => selector.to = Some(member_name(to)?),
            [from, "to", to] => {
                selector.from = Some(member_name(from)?);
                selector.to = Some(member_name(to)?);
            }
            [one, other] => {
                selector.from = Some(member_name(one)?);
                selector.to = Some(member_name(other)?);
                selector.both = true;
            }
            other => return Err(format!("no way to select messages: {other:?}").into()),
        }
        Ok(selector)
    }

    pub(crate) fn finish(self) -> Answer<()> {
        if self.words.is_empty() && self.keys.is_empty() {
            return Ok(());
        }
        Err(format!("not understood: {:?} {:?}", self.words, self.keys).into())
    }
}

impl Selector {
    pub(crate) fn takes(&self, from: ReplicaNumber, to: ReplicaNumber, kind: &str) -> bool {
        let fits = |wanted: Option<ReplicaNumber>, it| wanted.is_none_or(|wanted| wanted == it);
        let forward = fits(self.from, from) && fits(self.to, to);
        let backward = self.both && fits(self.from, to) && fits(self.to, from);
        (forward || backward) && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
    }
}

/// `n3` is replica 3.
pub(crate) fn member_name(word: &str) -> Answer<ReplicaNumber> {
    let number = word
        .strip_prefix('n')
        .and_then(|digits| digits.parse().ok());
    number
        .map(ReplicaNumber::new)
        .ok_or_else(|| format!("{word} is no member's name").into())
}
