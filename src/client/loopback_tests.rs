//! The drivers over real sockets, against a server that keeps one session in memory.

use crate::blocking::Client;
use crate::error::{ClientError, Conclusion};
use crate::fake_server::{Add, Counter, GROUP, Get, TIMEOUT, dead_address, keyspace, serve};
use crate::operator::{self, OperatorError};
use crate::options::Options;
use crate::typed::Session;
use margay_types::{Index, OperationId};
use margay_wire::Refusal;
use margay_wire::admin::{self, Formation, KeyspaceCreate, KeyspaceCreated};
use margay_wire::client::QueryLevel;
use std::time::Duration;

fn connect(address: &str) -> Client {
    Client::connect(&[address.to_owned()], Options::default(), TIMEOUT).expect("a client")
}

#[test]
fn a_typed_call_gives_the_output_of_its_command() {
    let mut client = connect(&serve(None));
    let session = Session::<Counter>::open(&mut client, "hits").expect("a session");
    assert_eq!(session.call(&mut client, &Add { by: 3 }), Ok(3));
    assert_eq!(session.call(&mut client, &Add { by: 4 }), Ok(7));
    let answered = session
        .ask(&mut client, &Get, QueryLevel::Linearizable)
        .expect("an answer");
    assert_eq!(answered.value(), Ok(7));
    assert_eq!(answered.index(), Index::new(9));
    assert_eq!(session.close(&mut client), Ok(()));
}

/// The server applies the second command and dies before it answers: the call comes back with the first output.
#[test]
fn a_connection_cut_before_the_answer_costs_no_second_execution() {
    let mut client = connect(&serve(Some(2)));
    let session = Session::<Counter>::open(&mut client, "hits").expect("a session");
    assert_eq!(session.call(&mut client, &Add { by: 3 }), Ok(3));
    assert_eq!(session.call(&mut client, &Add { by: 4 }), Ok(7));
    assert_eq!(session.call(&mut client, &Add { by: 1 }), Ok(8));
}

#[test]
fn an_output_that_is_gone_is_an_error_that_says_so() {
    let mut client = connect(&serve(None));
    let key = client.open(GROUP).expect("a session");
    let result = client.command(key, OperationId::new(9), &[]);
    assert_eq!(result, Err(ClientError::NoOutput(Refusal::OutputGone)));
}

#[test]
fn a_keyspace_that_does_not_exist_is_named() {
    let mut client = connect(&serve(None));
    assert_eq!(client.groups("hits"), Ok(vec![GROUP]));
    assert_eq!(
        client.groups("nope"),
        Err(ClientError::NoKeyspace("nope".to_owned()))
    );
}

#[test]
fn the_second_address_is_used_when_nobody_listens_on_the_first() {
    let endpoints = [dead_address(), serve(None)];
    let client = Client::connect(&endpoints, Options::default(), TIMEOUT).expect("a client");
    assert_eq!(client.map().nodes.len(), 1);
}

#[test]
fn nobody_listening_is_not_reached() {
    let address = dead_address();
    let short = Duration::from_millis(50);
    let error = Client::connect(std::slice::from_ref(&address), Options::default(), short).err();
    let conclusion = error.as_ref().map(ClientError::conclusion);
    assert_eq!(conclusion, Some(Conclusion::NotApplied), "{error:?}");
    let error = operator::node_info(&address, short).expect_err("nobody listens");
    assert!(
        matches!(error, OperatorError::NotReached { .. }),
        "{error:?}"
    );
}

#[test]
fn operators_ask_nodes_and_leaders() {
    let address = serve(None);
    let info = operator::node_info(&address, TIMEOUT).expect("an answer");
    assert_eq!(info.formation, Formation::Blank);
    let asked = KeyspaceCreate {
        name: "hits".to_owned(),
        machine: "counter".to_owned(),
        machine_version: 1,
        options: vec![],
        groups: 1,
        replicas: 0,
    };
    let endpoints = [dead_address(), address.clone()];
    let created = operator::keyspace_create(&endpoints, &asked, TIMEOUT);
    assert_eq!(created, Ok(KeyspaceCreated::Existed(keyspace())));
    let refused = operator::chain(&address, GROUP, TIMEOUT);
    let refusal = refused.as_ref().err().and_then(OperatorError::refusal);
    assert_eq!(refusal, Some(&Refusal::BadRequest));
    assert_eq!(
        refused.map_err(|error| error.conclusion()),
        Err(Conclusion::Refused)
    );
}

/// A request that changes something was sent, and the connection ended without an answer.
#[test]
fn a_change_without_an_answer_has_an_unknown_outcome() {
    let address = serve(Some(0));
    let request = admin::Bootstrap { genesis: vec![] };
    let error = operator::bootstrap(&address, &request, TIMEOUT).expect_err("no answer");
    assert_eq!(error.conclusion(), Conclusion::Unknown, "{error:?}");
}
