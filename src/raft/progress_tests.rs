use super::*;

const WINDOW: Window = Window {
    messages_max: 2,
    bytes_max: 100,
};

fn index(number: u64) -> Index {
    Index::new(number)
}

fn replicating() -> Progress {
    let mut progress = Progress::new(index(7));
    progress.on_sent(index(7), 0);
    progress.on_proof(index(7));
    assert_eq!(progress.way(), Way::Replicate);
    progress
}

#[test]
fn a_probe_waits_for_its_answer_and_is_repeated_at_heartbeat_pace() {
    let mut progress = Progress::new(index(7));
    progress.on_sent(index(8), 10);
    progress.count_ticks(1, 2);
    assert!(!progress.can_send(WINDOW));
    progress.count_ticks(1, 2);
    assert!(progress.can_send(WINDOW));
}

#[test]
fn a_member_that_takes_no_entries_proves_what_it_holds_and_is_asked_no_faster() {
    let mut progress = Progress::new(index(7));
    progress.on_sent(index(9), 10);
    progress.on_proof(index(7));
    assert_eq!(progress.match_index(), index(7));
    assert_eq!(progress.way(), Way::Probe);
    assert!(!progress.can_send(WINDOW));
    progress.count_ticks(2, 2);
    progress.on_sent(index(9), 10);
    progress.on_proof(index(8));
    assert_eq!(progress.way(), Way::Replicate);
    assert_eq!(progress.next_index(), index(9));
}

#[test]
fn a_full_window_closes_and_a_proof_opens_it() {
    let mut progress = replicating();
    progress.on_sent(index(8), 10);
    progress.on_sent(index(9), 10);
    assert!(!progress.can_send(WINDOW));
    progress.on_proof(index(9));
    assert!(progress.can_send(WINDOW));
    assert!(progress.is_idle());
}

#[test]
fn a_window_closes_on_bytes_too() {
    let mut progress = replicating();
    progress.on_sent(index(8), 100);
    assert!(!progress.can_send(WINDOW));
}

#[test]
fn a_late_proof_never_moves_match_back() {
    let mut progress = replicating();
    progress.on_sent(index(9), 10);
    progress.on_proof(index(9));
    progress.on_proof(index(8));
    assert_eq!(progress.match_index(), index(9));
}

#[test]
fn a_late_proof_below_the_probe_does_not_end_it() {
    let mut progress = Progress::new(index(7));
    progress.on_proof(index(3));
    assert_eq!(progress.way(), Way::Probe);
    assert_eq!(progress.match_index(), index(3));
}

#[test]
fn a_refusal_moves_the_probe_back_but_never_below_what_is_proven() {
    let mut progress = replicating();
    progress.on_sent(index(9), 10);
    progress.on_refusal(index(9), index(3));
    assert_eq!(progress.way(), Way::Probe);
    assert_eq!(progress.next_index(), index(8));
}

#[test]
fn a_late_refusal_changes_nothing() {
    let mut progress = replicating();
    progress.on_refusal(index(6), index(3));
    assert_eq!(progress.way(), Way::Replicate);
    let mut probing = Progress::new(index(7));
    probing.on_refusal(index(5), index(2));
    assert_eq!(probing.next_index(), index(8));
}

#[test]
fn a_refusal_that_teaches_nothing_is_not_asked_again_at_once() {
    let mut progress = Progress::new(index(7));
    progress.on_sent(index(8), 10);
    progress.on_refusal(index(7), index(7));
    assert!(!progress.can_send(WINDOW));
}

#[test]
fn requests_without_answer_are_sent_again_from_where_the_member_is() {
    let mut progress = replicating();
    progress.on_sent(index(8), 10);
    progress.on_sent(index(12), 10);
    progress.on_agreement(index(8), 2);
    assert_eq!(progress.way(), Way::Replicate, "too early to call it lost");
    progress.count_ticks(1, 1);
    progress.count_ticks(1, 1);
    progress.on_agreement(index(8), 2);
    assert_eq!(progress.way(), Way::Probe);
    assert_eq!(progress.next_index(), index(9));
}

#[test]
fn a_new_life_forgets_what_was_proven() {
    let mut progress = replicating();
    progress.on_new_life();
    assert_eq!(progress.match_index(), Index::ZERO);
    assert_eq!(progress.next_index(), index(8));
    assert_eq!(progress.way(), Way::Probe);
    progress.on_new_life();
    assert_eq!(
        progress.next_index(),
        index(8),
        "the guess where to ask stays"
    );
}

#[test]
fn only_a_newer_round_is_news() {
    let heard = |round| Heard {
        round: Round(round),
        honoured: Ticks::new(30),
        applies: true,
    };
    let mut progress = replicating();
    progress.on_heard(heard(3));
    progress.count_ticks(1, 1);
    progress.on_heard(heard(3));
    progress.on_heard(heard(2));
    assert_eq!(progress.silent_ticks(), 1);
    progress.on_heard(heard(4));
    assert_eq!(progress.silent_ticks(), 0);
}

#[test]
fn a_member_that_was_refilled_is_probed_again() {
    let mut progress = Progress::new(index(7));
    progress.become_stream(index(10));
    assert!(!progress.can_send(WINDOW));
    progress.on_agreement(index(8), 2);
    assert_eq!(progress.way(), Way::Stream);
    progress.on_agreement(index(9), 2);
    assert_eq!(progress.way(), Way::Probe);
    assert_eq!(progress.next_index(), index(10));
}
