//! The open loop in made-up time.

use super::*;
use crate::rate::{Arrival, Rate};

const MS: u64 = 1_000_000;

/// Clients with a window each, over a pacer of a thousand sends per second.
struct World {
    pacer: Pacer,
    workload: Workload,
    free: Vec<usize>,
}

impl World {
    fn new(clients: usize, window: usize) -> Self {
        let schedule = Schedule::new(Rate::new(1_000), Arrival::Constant, 0, 7);
        let mut pacer = Pacer::new(schedule, clients);
        pacer.lateness.measure_from(0);
        for client in 0..clients {
            pacer.on_room(client, 0);
        }
        Self {
            pacer,
            workload: Workload::new(8, 0.0, 7),
            free: vec![window; clients],
        }
    }

    /// One turn; the clients that were given something, and its intended time in milliseconds.
    fn turn(&mut self, now_ns: u64, left_ns: u64) -> Vec<(usize, u64)> {
        let queued = self.pacer.on_time(now_ns, &mut self.workload);
        queued.expect("there is room in the queue");
        let mut issued = Vec::new();
        while let Some((intent, client)) = self.pacer.next() {
            self.pacer.on_issued();
            self.free[client] -= 1;
            if self.free[client] > 0 {
                self.pacer.stays_in_turn(client);
            }
            issued.push((client, intent.intended_ns / MS));
        }
        self.pacer.on_left(left_ns);
        issued
    }

    fn answer(&mut self, client: usize, now_ns: u64) {
        self.free[client] += 1;
        self.pacer.on_room(client, now_ns);
    }
}

#[test]
fn clients_take_turns_and_nothing_leaves_before_its_time() {
    let mut world = World::new(2, 8);
    assert_eq!(world.turn(0, 1), [(0, 0)]);
    assert_eq!(world.pacer.due_ns(), MS);
    assert_eq!(world.turn(MS - 1, MS), []);
    assert_eq!(world.turn(3 * MS, 3 * MS), [(1, 1), (0, 2), (1, 3)]);
}

/// Look at the intended times: they are those of the schedule although the windows were full.
#[test]
fn a_full_window_delays_sends_and_drops_none() {
    let mut world = World::new(1, 2);
    assert_eq!(world.turn(5 * MS, 5 * MS), [(0, 0), (0, 1)]);
    assert_eq!(world.pacer.waiting_count(), 4);
    assert_eq!(world.pacer.due_ns(), u64::MAX, "room comes by an answer");
    world.answer(0, 20 * MS);
    assert_eq!(world.turn(20 * MS, 20 * MS), [(0, 2)]);
    world.answer(0, 21 * MS);
    world.answer(0, 21 * MS);
    assert_eq!(world.turn(21 * MS, 21 * MS), [(0, 3), (0, 4)]);
    let punctuality = world.pacer.lateness.punctuality();
    assert_eq!((punctuality.late_count, punctuality.waited_count), (5, 3));
}

#[test]
fn waiting_for_an_answer_is_not_the_generators_lateness() {
    let mut world = World::new(1, 1);
    world.turn(0, 10_000);
    for turn in 1..=100 {
        let now_ns = turn * 10 * MS;
        // The send is due, and the generator sees that there is no room.
        world.turn(now_ns - 1, now_ns - 1);
        world.answer(0, now_ns);
        assert_eq!(world.turn(now_ns, now_ns + 10_000), [(0, turn)]);
    }
    let late_us = world.pacer.lateness.punctuality().late_us_p99;
    assert!((9.9..10.1).contains(&late_us), "{late_us}");
}

#[test]
fn a_generator_that_was_away_is_late_although_there_was_room() {
    let mut world = World::new(4, 8);
    world.turn(0, 0);
    assert_eq!(world.turn(10 * MS, 10 * MS).len(), 10);
    let punctuality = world.pacer.lateness.punctuality();
    assert!(punctuality.late_us_p99 > 8_900.0, "{punctuality:?}");
    assert_eq!((punctuality.late_count, punctuality.waited_count), (8, 0));
    assert!(!punctuality.is_valid_for([20_000.0]));
}

#[test]
fn every_send_of_the_measured_span_is_issued_and_none_after_it() {
    let mut world = World::new(1, 10_000);
    world.turn(500 * MS, 500 * MS);
    world.pacer.measure(500 * MS + 1, 2_500 * MS + 1);
    let issued = world.turn(9_000 * MS, 9_000 * MS);
    assert_eq!(issued.len(), 2_000);
    assert_eq!(issued.last(), Some(&(0, 2_500)));
    assert_eq!(world.pacer.due_ns(), u64::MAX);
    assert_eq!(world.pacer.waiting_count(), 0);
}

#[test]
fn a_client_that_turns_out_to_have_no_room_leaves_the_send_to_the_next_one() {
    let mut world = World::new(2, 8);
    let queued = world.pacer.on_time(0, &mut world.workload);
    assert_eq!(queued, Ok(()));
    let (first, refused) = world.pacer.next().expect("it is due");
    let (second, taken) = world.pacer.next().expect("it is still due");
    assert_eq!((first, refused, taken), (second, 0, 1));
    assert_eq!(world.pacer.next(), None, "nobody else has room");
    world.pacer.on_room(0, MS);
    assert_eq!(world.pacer.next(), Some((first, 0)));
}

#[test]
fn a_queue_that_is_full_is_an_error_and_drops_nothing() {
    let mut world = World::new(1, 1);
    let whole_ns = QUEUE_MAX as u64 * MS;
    let queued = world.pacer.on_time(whole_ns - 1, &mut world.workload);
    assert_eq!(queued, Ok(()));
    let queued = world.pacer.on_time(whole_ns, &mut world.workload);
    assert_eq!(queued, Err(QueueFull));
    assert_eq!(world.pacer.waiting_count(), QUEUE_MAX);
}

/// A cluster that takes one send and answers nothing: what waits longer than the patience is counted once and gone.
#[test]
fn what_waits_longer_than_the_patience_is_not_sent_and_counted() {
    let mut world = World::new(1, 1);
    world.pacer = std::mem::replace(&mut world.pacer, empty()).give_up_after(10 * MS);
    assert_eq!(world.turn(0, 0), [(0, 0)]);
    assert!(world.turn(10 * MS, 10 * MS).is_empty());
    assert_eq!(world.pacer.waiting_count(), 10);
    assert!(world.turn(15 * MS, 15 * MS).is_empty());
    // Those of 1 to 4 ms are given up; that of 5 ms has waited exactly as long as it may.
    assert_eq!(world.pacer.lateness.punctuality().unsent_count, 4);
    world.answer(0, 15 * MS);
    assert_eq!(world.turn(15 * MS, 15 * MS), [(0, 5)]);
}

fn empty() -> Pacer {
    Pacer::new(Schedule::new(Rate::new(1), Arrival::Constant, 0, 7), 0)
}
