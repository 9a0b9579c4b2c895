use super::*;
use proptest::prelude::*;

const SESSION: SessionId = SessionId::new(50);
const ADD: OperationId = OperationId::new(1);

fn submit(sequencer: &mut Sequencer, byte: u8) -> SequenceNumber {
    sequencer.submit(SESSION, ADD, u64::MAX, |out| out.push(byte))
}

fn unsent(sequencer: &mut Sequencer) -> Vec<u64> {
    std::iter::from_fn(|| sequencer.take_unsent(0).map(|(number, _)| number.number())).collect()
}

#[test]
fn what_is_answered_is_not_sent_again() {
    let mut sequencer = Sequencer::new();
    for byte in 0..4 {
        submit(&mut sequencer, byte);
    }
    assert_eq!(unsent(&mut sequencer), [1, 2, 3, 4]);
    sequencer.on_done(SequenceNumber::new(2), Index::new(9), b"x");
    sequencer.rewind_all();
    assert_eq!(unsent(&mut sequencer), [1, 3, 4]);
}

#[test]
fn payload_buffers_are_used_again() {
    let mut sequencer = Sequencer::new();
    submit(&mut sequencer, 1);
    let before = sequencer
        .take_unsent(0)
        .map(|(_, payload)| payload.as_ptr());
    sequencer.complete_oldest().expect("it was a command");
    submit(&mut sequencer, 2);
    let after = sequencer
        .take_unsent(0)
        .map(|(_, payload)| payload.as_ptr());
    assert_eq!(before, after);
}

#[test]
fn a_number_is_found_by_its_low_bits() {
    let mut sequencer = Sequencer::new();
    for _ in 0..300 {
        submit(&mut sequencer, 0);
        sequencer.complete_oldest().expect("it was a command");
    }
    let number = submit(&mut sequencer, 0);
    assert_eq!(number.number(), 301);
    assert_eq!(sequencer.in_flight_number(301 & 0xff, 0xff), Some(number));
    assert_eq!(sequencer.in_flight_number(302 & 0xff, 0xff), None);
    assert_eq!(sequencer.in_flight_number(300 & 0xff, 0xff), None);
}

proptest! {
    /// In whatever order answers come and however often everything is sent again, completions come in order, once,
    /// and what is acknowledged has completed.
    #[test]
    fn completions_come_in_order(steps in proptest::collection::vec((0_u8..4, 0_u64..12), 1..200)) {
        let mut sequencer = Sequencer::new();
        let mut completed = Vec::new();
        for (step, pick) in steps {
            match step {
                0 if sequencer.len() < 8 => {
                    submit(&mut sequencer, 0);
                }
                0 | 1 => {
                    let number = sequencer.acknowledged_below().number() + pick % 8;
                    sequencer.on_done(SequenceNumber::new(number), Index::new(number), b"o");
                }
                2 => sequencer.rewind(SequenceNumber::new(pick)),
                _ => {
                    let sent = unsent(&mut sequencer);
                    prop_assert!(sent.is_sorted_by(|one, next| one < next));
                }
            }
            while sequencer.take_due(|number, _| completed.push(number.number())) {}
            prop_assert_eq!(sequencer.acknowledged_below().number(), completed.len() as u64 + 1);
        }
        prop_assert!(completed.iter().copied().eq(1..=completed.len() as u64));
    }
}
