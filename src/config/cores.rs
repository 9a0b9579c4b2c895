//! The cores that shards run on, as people write them: `auto`, `3`, `2-15`, `0,2,4-7`, `anywhere:2`.

use super::setting::Setting;
use std::fmt;

/// Highest core number believed; above it a list is a slip of the finger.
const CORE_MAX: usize = 4095;

/// What stands before the number of shards that are not pinned.
const ANYWHERE: &str = "anywhere:";

/// Which cores get a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Every core that the process may use.
    Auto,
    /// So many shards, wherever the scheduler puts them: where many nodes share a machine.
    Anywhere(usize),
    /// These, ascending, each once, at least one. Shard n runs on the n-th.
    List(Vec<usize>),
}

impl Cores {
    /// What the text means.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(super) fn parse(_: &Setting, text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if let Some(count) = text.strip_prefix(ANYWHERE) {
            let count = count
                .parse()
                .ok()
                .filter(|count| (1..=CORE_MAX).contains(count));
            return count
                .map(Self::Anywhere)
                .ok_or_else(|| "behind `anywhere:` stands the number of shards".to_owned());
        }
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (core(first)?, core(last)?);
            if first > last {
                return Err(format!("`{part}` goes backwards"));
            }
            cores.extend(first..=last);
        }
        let count = cores.len();
        cores.sort_unstable();
        cores.dedup();
        if cores.len() < count {
            return Err("a core is named twice".to_owned());
        }
        Ok(Self::List(cores))
    }
}

fn core(text: &str) -> Result<usize, String> {
    let number = text.trim().parse();
    number
        .ok()
        .filter(|core| *core <= CORE_MAX)
        .ok_or_else(|| format!("`{text}` is no core"))
}

impl fmt::Display for Cores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Anywhere(count) => write!(formatter, "{ANYWHERE}{count}"),
            Self::List(cores) => {
                let texts: Vec<String> = cores.iter().map(usize::to_string).collect();
                formatter.write_str(&texts.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting::CORES;
    use super::*;

    #[test]
    fn ranges_and_single_cores_become_an_ascending_list() {
        let cores = Cores::parse(&CORES, "4-6,0, 2");
        assert_eq!(cores, Ok(Cores::List(vec![0, 2, 4, 5, 6])));
        assert_eq!(Cores::parse(&CORES, "auto"), Ok(Cores::Auto));
        assert_eq!(Cores::parse(&CORES, "anywhere:2"), Ok(Cores::Anywhere(2)));
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused() {
        for text in [
            "",
            "5-3",
            "1,1",
            "0-2,2",
            "a",
            "-1",
            "99999",
            "anywhere",
            "anywhere:0",
        ] {
            assert!(Cores::parse(&CORES, text).is_err(), "{text}");
        }
    }
}
