//! `HOST:PORT`, as people name a node.

use std::fmt;
use std::str::FromStr;

/// The port of a node when only its host is named.
const PORT: u16 = 7400;

/// How a node is called: a name or an address, and a port. IPv6 addresses stand in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.matches(':').count() > 1 && !text.starts_with('[') {
            return Err(format!("an IPv6 address stands in brackets: [::1]:{PORT}"));
        }
        let has_port = !text.ends_with(']') && text.contains(':');
        let (host, port) = if has_port {
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            let port = port.parse().ok().filter(|port| *port != 0);
            (
                host,
                port.ok_or_else(|| "a port of 1 to 65535 stands behind the colon".to_owned())?,
            )
        } else {
            (text, PORT)
        };
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || host.contains(':') && !is_bracketed {
            return Err("a node is named by HOST:PORT, such as n1:7400".to_owned());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_be_left_out_and_brackets_hold_an_ipv6_address() {
        for (text, name) in [
            ("n1:7401", "n1:7401"),
            ("n1", "n1:7400"),
            (" 127.0.0.1:1 ", "127.0.0.1:1"),
            ("[::1]:7402", "[::1]:7402"),
            ("[::1]", "[::1]:7400"),
        ] {
            let endpoint: Endpoint = text.parse().expect("it names a node");
            assert_eq!(endpoint.to_string(), name);
        }
    }

    #[test]
    fn what_names_no_node_is_refused() {
        for text in ["", ":7400", "n1:", "n1:0", "n1:99999", "::1", "::1:7400"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
