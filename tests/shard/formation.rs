//! A cluster is formed once, whatever is asked at the same time and wherever the power goes off.

use crate::client::{Client, Told, leader_of};
use crate::world::World;
use margay::limits::WAITING_FOUNDERS_MAX;
use margay_simulation::disk_fault::FaultPlan;
use margay_types::GroupId;
use margay_wire::admin::{Bootstrap, BootstrapAnswer, read_answer};
use margay_wire::genesis::Genesis;
use margay_wire::refusal::Refusal;

fn bootstrap(genesis: &Genesis) -> Bootstrap {
    Bootstrap {
        genesis: genesis.encode(),
    }
}

/// The same nodes under another name: another attempt.
fn other(genesis: &Genesis) -> Genesis {
    Genesis::new("other".to_owned(), genesis.nodes().to_vec()).unwrap()
}

#[test]
fn an_attempt_goes_on_after_a_power_cut_and_no_other_takes_its_place() {
    for crash_after in 0..16 {
        let mut world = World::blank(1);
        let genesis = world.genesis();
        let disk = world.nodes[0].disk.clone();
        disk.set_plan(FaultPlan::crash_at(disk.operation_count() + crash_after));
        let mut operator = Client::connect(&mut world, 0, 1);
        let request = operator.send_admin(&mut world, &bootstrap(&genesis));
        world.steps(50);
        let was_told = operator.answer(&world, request).is_some();
        world.crash(0);
        world.start(0);
        let is_formed = world.shard(0).membership().is_some();
        assert!(
            is_formed || !was_told,
            "forgotten after operation {crash_after}"
        );
        let mut operator = Client::connect(&mut world, 0, 2);
        let answer = operator.admin(&mut world, &bootstrap(&genesis));
        assert!(
            matches!(
                answer,
                BootstrapAnswer::Formed | BootstrapAnswer::SameAttempt
            ),
            "{answer:?}"
        );
        let answer = operator.admin(&mut world, &bootstrap(&other(&genesis)));
        assert!(
            matches!(answer, BootstrapAnswer::OtherCluster { .. }),
            "{answer:?}"
        );
        world.until("it leads", |world| leader_of(world, GroupId::SYSTEM));
    }
}

#[test]
fn of_two_attempts_at_once_the_first_counts_and_the_other_is_told_so() {
    let mut world = World::blank(1);
    let genesis = world.genesis();
    let mut operators = [1, 2, 3].map(|number| Client::connect(&mut world, 0, number));
    let lists = [&genesis, &other(&genesis), &genesis];
    let requests: Vec<u64> = operators
        .iter_mut()
        .zip(lists)
        .map(|(operator, list)| operator.send_admin(&mut world, &bootstrap(list)))
        .collect();
    let answers: Vec<BootstrapAnswer> = operators
        .iter()
        .zip(requests)
        .map(
            |(operator, request)| match operator.wait(&mut world, request) {
                Told::Done(output) => read_answer::<Bootstrap>(&output).unwrap(),
                Told::Refused(refusal) => panic!("refused: {refusal:?}"),
            },
        )
        .collect();
    assert!(
        matches!(
            answers[..],
            [
                BootstrapAnswer::Formed,
                BootstrapAnswer::OtherCluster { .. },
                BootstrapAnswer::Formed
            ]
        ),
        "{answers:?}"
    );
}

/// The disk is slow, and bootstraps come without end: so many wait for the formation, and no more.
#[test]
fn founders_who_wait_are_bounded() {
    let mut world = World::blank(1);
    let genesis = world.genesis();
    world.node(0).holds_writes = true;
    let mut operator = Client::connect(&mut world, 0, 1);
    let waiting: Vec<u64> = (0..WAITING_FOUNDERS_MAX)
        .map(|_| operator.send_admin(&mut world, &bootstrap(&genesis)))
        .collect();
    let beyond = operator.send_admin(&mut world, &bootstrap(&genesis));
    let answer = operator.wait(&mut world, beyond);
    assert!(
        matches!(answer, Told::Refused(Refusal::Overloaded { .. })),
        "{answer:?}"
    );
    world.node(0).holds_writes = false;
    for request in waiting {
        let answer = operator.wait(&mut world, request);
        assert!(matches!(answer, Told::Done(_)), "{answer:?}");
    }
}
