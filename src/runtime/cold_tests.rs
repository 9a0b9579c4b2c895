use super::*;
use crate::storage::Block;
use std::pin::pin;
use std::task::Waker;

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn started(io: &Io) -> (Key, Operation) {
    match io.take_request() {
        Some(Request::Start(key, operation)) => (key, operation),
        Some(Request::Cancel(_)) | None => panic!("nothing was started"),
    }
}

fn completed(operation: Operation) -> Completion {
    Completion {
        purpose: super::super::operation::Purpose::Nobody,
        result: Ok(0),
        product: Product::Nothing,
        operation: Some(operation),
    }
}

fn removal() -> Operation {
    Operation::Remove {
        path: c"x".to_owned(),
    }
}

#[test]
fn a_future_ends_with_its_completion_and_its_place_is_free() {
    let io = Io::new();
    let mut future = pin!(io.run(removal()));
    assert!(poll(future.as_mut()).is_pending());
    let (key, operation) = started(&io);
    io.complete(key, completed(operation));
    assert!(io.wake_one(), "its waker was queued");
    assert!(poll(future).is_ready());
    assert_eq!(io.waiting.borrow().len(), 0);
}

/// The operation's memory must live until the kernel is done, whatever becomes of the future.
#[test]
fn a_dropped_future_leaves_an_orphan_that_its_completion_frees() {
    let io = Io::new();
    let mut block = Block::with_capacity(4096);
    block.append(&[1]);
    let future = io.run(removal());
    let (key, operation) = started(&io);
    drop(future);
    assert!(matches!(io.take_request(), Some(Request::Cancel(cancelled)) if cancelled == key));
    assert_eq!(io.waiting.borrow().len(), 1);
    io.complete(key, completed(operation));
    assert_eq!(io.waiting.borrow().len(), 0);
}

#[test]
fn after_stop_everything_answers_that_it_is_cancelled() {
    let io = Io::new();
    let mut waiting = pin!(io.run(removal()));
    assert!(poll(waiting.as_mut()).is_pending());
    let mut asking = pin!(io.ask(Job::List("/".into())));
    assert!(poll(asking.as_mut()).is_pending());
    let (key, _) = io.take_job().unwrap();
    io.stop();
    for result in [poll(waiting), poll(pin!(io.run(removal())))] {
        let Poll::Ready(finished) = result else {
            panic!("still waiting");
        };
        assert_eq!(
            finished.result.unwrap_err().raw_os_error(),
            Some(libc::ECANCELED)
        );
    }
    assert!(matches!(poll(asking), Poll::Ready(Err(_))));
    // The helper's late answer finds nobody.
    io.answer(key, JobAnswer::Listed(Ok(Vec::new())));
    assert!(io.take_request().is_none());
}

#[test]
fn tasks_are_counted_until_they_end() {
    let io = Io::new();
    io.spawn(Box::pin(std::future::ready(())));
    assert_eq!(io.live_count(), 1);
    assert!(io.has_ready());
    let mut task = io.take_spawned().unwrap();
    assert!(poll(task.as_mut()).is_ready());
    drop(task);
    assert_eq!((io.live_count(), io.polls()), (0, 1));
}
