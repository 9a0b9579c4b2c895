//! What a node does that can be seen from outside: it hangs up, or says something.

use super::node::Node;
use super::waiting::eventually;
use std::io::Read;
use std::net::TcpStream;

/// Waits until the node hangs up; an answer before that is read and dropped.
pub(crate) fn demand_hangup(mut socket: TcpStream) {
    let mut bytes = [0; 4096];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                return;
            }
        }
    }
}

/// Waits until a line of the node's log has all these words.
pub(crate) fn demand_printed(node: &Node, words: &[&str]) {
    eventually("a line in the log of the node", || {
        let printed = node.printed();
        let found = printed
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)));
        found.then_some(()).ok_or(printed)
    });
}
