//! The driver over real sockets, against a server that keeps one session in memory.

use super::limits::{
    MAP_CALLS_MAX, QUERIES_MAX, QUEUE_PLACES, REQUESTS_PER_TURN, SESSIONS_MAX, WAITING_BYTES_MAX,
    WAITING_COMMANDS_MAX,
};
use super::typed;
use super::{Call, Client};
use crate::error::{ClientError, Conclusion, SubmitError};
use crate::fake_server::{
    Add, Counter, GROUP, Get, Manner, Memory, TIMEOUT, WINDOW, dead_address, serve, serve_from,
};
use crate::options::Options;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use margay_types::{Index, OperationId};
use margay_wire::Refusal;
use margay_wire::client::QueryLevel;
use std::sync::Mutex;
use std::time::Duration;

type Counting = typed::Session<Counter>;

const ADD: OperationId = OperationId::new(1);
const SHORT: Duration = Duration::from_millis(30);

/// A client that asks often whether its connections are alive.
async fn connect(address: &str) -> Client {
    let options = Options {
        silence_ns: 400_000_000,
        ..Options::default()
    };
    Client::connect(&[address.to_owned()], options, TIMEOUT)
        .await
        .expect("a client")
}

async fn open(address: &str) -> (Client, Counting) {
    let client = connect(address).await;
    let session = Counting::open(&client, "hits").await.expect("a session");
    (client, session)
}

/// A server that never answers a command.
fn serve_deaf() -> (String, std::sync::Arc<Mutex<Memory>>) {
    serve_from(Memory {
        manner: Manner::Deaf,
        ..Memory::default()
    })
}

/// Lets others run until the server's memory is as wanted.
async fn until(memory: &Mutex<Memory>, is_so: impl Fn(&Memory) -> bool) {
    let waited = tokio::time::timeout(TIMEOUT, async {
        while !is_so(&memory.lock().expect("no server thread panics")) {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the server comes to that");
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

#[tokio::test]
async fn a_typed_call_gives_the_output_of_its_command() {
    let (client, session) = open(&serve(None)).await;
    assert_eq!(session.call(&Add { by: 3 }).await, Ok(3));
    assert_eq!(session.call(&Add { by: 4 }).await, Ok(7));
    let answered = session
        .ask(&Get, QueryLevel::Linearizable)
        .await
        .expect("an answer");
    assert_eq!(answered.value(), Ok(7));
    assert_eq!(answered.index(), Index::new(9));
    let alone = client.query(GROUP, ADD, QueryLevel::Sequential, []).await;
    assert_eq!(alone.map(|reply| reply.index), Ok(Index::new(9)));
    assert_eq!(session.close().await, Ok(()));
    assert_eq!(client.close().await, Ok(()));
}

/// More than the window of the server lets in flight, awaited from the last to the first.
#[tokio::test]
async fn a_hundred_commands_are_applied_in_the_order_in_which_they_were_submitted() {
    let (address, memory) = serve_from(Memory::default());
    let (_client, session) = open(&address).await;
    let calls: Vec<_> = (1..=100)
        .map(|by| (by, session.call(&Add { by })))
        .collect();
    for (by, call) in calls.into_iter().rev() {
        assert_eq!(call.await, Ok(by * (by + 1) / 2));
    }
    let memory = memory.lock().expect("no server thread panics");
    assert_eq!(memory.added, (1..=100).collect::<Vec<_>>());
}

/// Tasks that share a session: each sees its own outputs, and together they add up.
#[tokio::test]
async fn clones_of_a_session_are_used_in_many_tasks() {
    let (address, memory) = serve_from(Memory::default());
    let (_client, session) = open(&address).await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move {
                let mut before = 0;
                for _ in 0..10 {
                    let sum = session.call(&Add { by: 1 }).await.expect("an output");
                    assert!(sum > before, "{sum} after {before}");
                    before = sum;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    assert_eq!(memory.lock().expect("no server thread panics").sum, 100);
}

/// The server applies fifty commands and dies before it answers the last ones of them.
#[tokio::test]
async fn a_connection_cut_under_many_commands_costs_no_second_execution() {
    let (address, memory) = serve_from(Memory {
        cut_after: Some(50),
        ..Memory::default()
    });
    let (_client, session) = open(&address).await;
    let calls: Vec<_> = (0..100).map(|_| session.call(&Add { by: 1 })).collect();
    let mut outputs = Vec::new();
    for call in calls {
        outputs.push(call.await.expect("an output"));
    }
    // A repeated command gets the sum as it is now from this server, so outputs never fall, and the last is exact.
    assert!(outputs.is_sorted(), "{outputs:?}");
    assert_eq!(outputs.last(), Some(&100));
    let memory = memory.lock().expect("no server thread panics");
    assert_eq!((memory.sum, memory.applied), (100, 100));
    assert!(memory.received > 100, "some were sent again");
}

#[tokio::test]
async fn a_command_that_is_not_answered_in_time_has_an_unknown_outcome() {
    let (address, memory) = serve_deaf();
    let (_client, session) = open(&address).await;
    let session = session.untyped().within(SHORT);
    let error = session.submit(ADD, [2]).await.expect_err("no answer");
    assert_eq!(error.conclusion(), Conclusion::Unknown, "{error:?}");
    until(&memory, |memory| memory.received > 0).await;
}

#[tokio::test]
async fn a_query_that_is_not_answered_in_time_is_given_up() {
    let (address, _memory) = serve_deaf();
    let (client, session) = open(&address).await;
    let level = QueryLevel::Linearizable;
    let hasty = Counting::of(session.untyped().within(SHORT));
    let late = hasty.ask(&Get, level).await.map(|_| ());
    assert_eq!(late, Err(ClientError::TimedOut));
    let alone = client.within(SHORT).query(GROUP, ADD, level, []).await;
    assert_eq!(alone, Err(ClientError::TimedOut));
}

/// What has no number yet is withdrawn at its deadline, and is known not to be applied.
#[tokio::test]
async fn a_command_that_was_not_sent_in_time_changes_nothing() {
    let (address, _memory) = serve_deaf();
    let (_client, session) = open(&address).await;
    let session = session.untyped();
    let window: Vec<Call> = (0..WINDOW).map(|_| session.submit(ADD, [2])).collect();
    let behind = session.within(SHORT).submit(ADD, [2]).await;
    assert_eq!(behind, Err(ClientError::TimedOut));
    drop(window);
}

/// A late command goes on; when the server hears again, it is applied once.
#[tokio::test]
async fn a_late_command_is_carried_out_all_the_same() {
    let (address, memory) = serve_deaf();
    let (_client, session) = open(&address).await;
    let hasty = Counting::of(session.untyped().within(SHORT));
    let error = hasty.call(&Add { by: 5 }).await.expect_err("no answer");
    assert_eq!(error.conclusion(), Conclusion::Unknown, "{error:?}");
    memory.lock().expect("no server thread panics").manner = Manner::Kind;
    assert_eq!(session.call(&Add { by: 1 }).await, Ok(6));
    let memory = memory.lock().expect("no server thread panics");
    assert_eq!(memory.added, [5, 1]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_nothing_of_it_is_sent() {
    let (_client, session) = open(&serve(None)).await;
    // Nothing is awaited, so the task does not run meanwhile. The session itself holds one place.
    let mut calls: Vec<Call> = (0..QUEUE_PLACES)
        .map(|_| session.untyped().submit(ADD, [2]))
        .collect();
    let last = calls.last_mut().expect("there are many");
    let full = Err(ClientError::Submit(SubmitError::QueueFull));
    assert_eq!(poll_once(last).await, Poll::Ready(full));
}

/// The task takes requests in portions; what exceeds a session's own queue is refused, the others are carried out.
#[tokio::test]
async fn a_session_with_too_much_waiting_refuses_the_newest() {
    let (address, memory) = serve_deaf();
    let (_client, session) = open(&address).await;
    let room = WINDOW as usize + WAITING_COMMANDS_MAX;
    let calls: Vec<Call> = (0..room + REQUESTS_PER_TURN)
        .map(|_| session.untyped().submit(ADD, [2]))
        .collect();
    let mut calls = calls.into_iter();
    let kept: Vec<Call> = calls.by_ref().take(room).collect();
    for call in calls {
        let full = Err(ClientError::Submit(SubmitError::QueueFull));
        assert_eq!(call.await, full);
    }
    memory.lock().expect("no server thread panics").manner = Manner::Kind;
    // The server ends the connection on which it lost some, and they are sent again.
    for call in kept {
        assert!(call.await.is_ok());
    }
    let applied = memory.lock().expect("no server thread panics").applied;
    assert_eq!(usize::try_from(applied), Ok(room));
}

/// The last of these calls finds no room, and the one before it waits.
async fn demand_last_refused(mut calls: Vec<Call>) {
    let beyond = calls.pop().expect("there are many");
    let full = Err(ClientError::Submit(SubmitError::QueueFull));
    assert_eq!(beyond.await, full);
    let mut last = calls.pop().expect("there are many");
    assert!(poll_once(&mut last).await.is_pending(), "it waits");
}

/// Few commands, but large ones.
#[tokio::test]
async fn what_waits_for_a_window_is_bounded_in_bytes() {
    let (address, _memory) = serve_deaf();
    let (_client, session) = open(&address).await;
    let large = vec![2; WAITING_BYTES_MAX / 16];
    let room = WINDOW as usize + 16;
    let calls: Vec<Call> = (0..=room)
        .map(|at| {
            let bytes = if at < WINDOW as usize {
                &[2][..]
            } else {
                &large
            };
            session.untyped().submit(ADD, bytes)
        })
        .collect();
    demand_last_refused(calls).await;
}

#[tokio::test]
async fn a_query_beside_too_many_without_an_answer_is_refused() {
    let (address, _memory) = serve_deaf();
    let (client, _session) = open(&address).await;
    let level = QueryLevel::Linearizable;
    let calls: Vec<Call> = (0..=QUERIES_MAX)
        .map(|_| client.query(GROUP, ADD, level, []))
        .collect();
    demand_last_refused(calls).await;
}

/// The server opens them; what counts is that they are open.
#[tokio::test]
async fn a_client_with_many_sessions_opens_no_more_until_one_has_ended() {
    let client = connect(&serve(None)).await;
    let mut sessions = Vec::new();
    while sessions.len() < SESSIONS_MAX {
        sessions.push(client.open(GROUP).await.expect("a session"));
    }
    let full = ClientError::Submit(SubmitError::QueueFull);
    let beyond = client.open(GROUP).await.map(|_| ());
    assert_eq!(beyond, Err(full));
    let last = sessions.pop().expect("there are many");
    assert_eq!(last.close().await, Ok(()));
    assert!(client.open(GROUP).await.is_ok(), "there is room again");
}

#[tokio::test]
async fn a_call_for_a_map_beside_too_many_that_wait_is_refused() {
    let (address, memory) = serve_from(Memory::default());
    let client = connect(&address).await;
    memory.lock().expect("no server thread panics").manner = Manner::Mute;
    let mut calls: Vec<_> = (0..=MAP_CALLS_MAX)
        .map(|_| Box::pin(client.refresh_map()))
        .collect();
    for call in &mut calls {
        assert!(poll_once(call).await.is_pending());
    }
    let beyond = calls.pop().expect("there are many");
    let full = ClientError::Submit(SubmitError::QueueFull);
    assert_eq!(beyond.await, Err(full));
    memory.lock().expect("no server thread panics").manner = Manner::Kind;
    for call in calls {
        assert!(call.await.is_ok(), "it waited");
    }
}

#[tokio::test]
async fn a_command_whose_call_is_dropped_is_applied_once_and_in_its_place() {
    let (address, memory) = serve_from(Memory::default());
    let (_client, session) = open(&address).await;
    drop(session.call(&Add { by: 1 }));
    let mut polled = session.call(&Add { by: 2 });
    assert!(poll_once(&mut polled).await.is_pending());
    drop(polled);
    assert_eq!(session.call(&Add { by: 4 }).await, Ok(7));
    let memory = memory.lock().expect("no server thread panics");
    assert_eq!(memory.added, [1, 2, 4]);
}

/// A call that lost a race against a timeout is still the call.
#[tokio::test]
async fn a_call_is_awaited_again_after_a_timeout_of_the_application() {
    let (_client, session) = open(&serve(None)).await;
    let mut call = session.call(&Add { by: 3 });
    let early = tokio::time::timeout(Duration::ZERO, &mut call).await;
    assert!(early.is_err() || early == Ok(Ok(3)));
    if early.is_err() {
        assert_eq!(call.await, Ok(3));
    }
}

#[tokio::test]
async fn a_session_whose_last_handle_is_dropped_is_closed_behind_its_last_command() {
    let (address, memory) = serve_from(Memory::default());
    let (_client, session) = open(&address).await;
    let other = session.clone();
    drop(session);
    drop(other.call(&Add { by: 1 }));
    drop(other);
    until(&memory, |memory| memory.closed == 1).await;
    assert_eq!(memory.lock().expect("no server thread panics").applied, 1);
}

#[tokio::test]
async fn a_session_that_nobody_waited_for_is_closed() {
    let (address, memory) = serve_from(Memory::default());
    let client = connect(&address).await;
    let mut opening = Box::pin(client.open(GROUP));
    assert!(poll_once(&mut opening).await.is_pending());
    drop(opening);
    until(&memory, |memory| memory.closed == 1).await;
}

#[tokio::test]
async fn a_client_whose_last_handle_is_dropped_finishes_and_closes() {
    let (address, memory) = serve_from(Memory::default());
    let (client, session) = open(&address).await;
    let call = session.call(&Add { by: 3 });
    drop(session);
    drop(client);
    assert_eq!(call.await, Ok(3));
    until(&memory, |memory| memory.closed == 1).await;
}

#[tokio::test]
async fn a_closed_client_answers_what_its_other_handles_ask() {
    let (address, memory) = serve_from(Memory::default());
    let (client, session) = open(&address).await;
    let other = client.clone();
    let before = session.call(&Add { by: 3 });
    assert_eq!(client.close().await, Ok(()));
    assert_eq!(before.await, Ok(3));
    assert_eq!(memory.lock().expect("no server thread panics").closed, 1);
    let error = session.call(&Add { by: 1 }).await.expect_err("it is over");
    assert_eq!(error.conclusion(), Conclusion::NotApplied, "{error:?}");
    let error = other.open(GROUP).await.expect_err("it is over");
    assert_eq!(error.conclusion(), Conclusion::NotApplied, "{error:?}");
    assert_eq!(session.close().await, Err(error));
    assert_eq!(other.close().await, Ok(()));
}

/// The server confirms nothing: the client ends at its deadline, and each call says what is known.
#[tokio::test]
async fn a_client_that_cannot_close_its_sessions_ends_at_its_deadline() {
    let (address, _memory) = serve_deaf();
    let (client, session) = open(&address).await;
    let mut sent: Vec<_> = (0..WINDOW).map(|_| session.call(&Add { by: 1 })).collect();
    let unsent = session.call(&Add { by: 1 });
    assert_eq!(
        client.within(SHORT).close().await,
        Err(ClientError::TimedOut)
    );
    let last = sent.pop().expect("a window has room").await;
    let conclusion = last.as_ref().map_err(ClientError::conclusion);
    assert_eq!(conclusion, Err(Conclusion::Unknown), "{last:?}");
    assert_eq!(unsent.await, Err(ClientError::TimedOut));
}

#[tokio::test]
async fn errors_are_those_of_the_blocking_driver() {
    let client = connect(&serve(None)).await;
    assert_eq!(client.groups("hits").await, Ok(vec![GROUP]));
    let none = Err(ClientError::NoKeyspace("nope".to_owned()));
    assert_eq!(client.groups("nope").await, none);
    let session = client.open_in("hits").await.expect("a session");
    let gone = session.submit(OperationId::new(9), []).await;
    assert_eq!(gone, Err(ClientError::NoOutput(Refusal::OutputGone)));
    let bytes_max = Options::default().command_bytes_max;
    let large = session.submit(ADD, vec![0; bytes_max + 1]).await;
    let too_large = matches!(
        large,
        Err(ClientError::Submit(SubmitError::TooLarge { .. }))
    );
    assert!(too_large, "{large:?}");
}

#[tokio::test]
async fn nobody_listening_is_not_reached_and_the_second_address_is_used() {
    let address = dead_address();
    let dead = std::slice::from_ref(&address);
    let error = Client::connect(dead, Options::default(), SHORT)
        .await
        .expect_err("nobody listens");
    assert_eq!(error.conclusion(), Conclusion::NotApplied, "{error:?}");
    let endpoints = [address, serve(None)];
    let client = Client::connect(&endpoints, Options::default(), TIMEOUT).await;
    assert!(client.is_ok(), "{client:?}");
}
