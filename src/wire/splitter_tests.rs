use super::*;
use crate::frame::{FrameWriter, header};
use proptest::prelude::*;

fn frames_of(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (request, body) in bodies.iter().enumerate() {
        let mut frame = FrameWriter::begin(&mut stream, FrameKind::Command, request as u64);
        frame.body().extend_from_slice(body);
        frame.finish();
    }
    stream
}

fn fault_of(stream: &[u8]) -> FrameError {
    let mut splitter = Splitter::default();
    let error = splitter
        .split(stream)
        .find_map(Result::err)
        .expect("the stream is broken");
    assert!(
        splitter.split(stream).next().is_none(),
        "nothing comes out of a broken stream"
    );
    error
}

/// Sets bytes of a good header and makes the checksum right again.
fn forged(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut stream = header(FrameKind::Command, 1, 0).to_vec();
    stream[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&stream[..16]);
    stream[16..20].copy_from_slice(&crc.to_le_bytes());
    stream
}

#[test]
fn a_whole_frame_in_one_piece_is_lent_from_the_piece() {
    let stream = frames_of(&[b"payload".to_vec()]);
    let mut splitter = Splitter::default();
    let frame = splitter
        .split(&stream)
        .next()
        .expect("a frame")
        .expect("a good one");
    assert!(stream.as_ptr_range().contains(&frame.body.as_ptr()));
    assert_eq!(splitter.partial_bytes(), 0);
}

#[test]
fn a_length_above_the_limit_is_refused_before_anything_is_kept() {
    let stream = forged(0, &u32::MAX.to_le_bytes());
    let error = fault_of(&stream);
    assert_eq!(error.at, 0);
    assert_eq!(
        error.fault,
        FrameFault::BadLength {
            length: u32::MAX,
            max: FRAME_BYTES_MAX
        }
    );
    let mut splitter = Splitter::default();
    for byte in &stream {
        let _ = splitter.split(std::slice::from_ref(byte)).count();
    }
    assert_eq!(splitter.partial_bytes(), 0);
}

#[test]
fn a_length_below_the_header_is_refused() {
    let error = fault_of(&forged(0, &23_u32.to_le_bytes()));
    assert_eq!(
        error.fault,
        FrameFault::BadLength {
            length: 23,
            max: FRAME_BYTES_MAX
        }
    );
}

#[test]
fn an_unknown_kind_and_reserved_bits_are_refused() {
    assert_eq!(
        fault_of(&forged(4, &[0xff, 0xff])).fault,
        FrameFault::UnknownKind { kind: 0xffff }
    );
    assert_eq!(fault_of(&forged(6, &[1, 0])).fault, FrameFault::Reserved);
    assert_eq!(
        fault_of(&forged(20, &[1, 0, 0, 0])).fault,
        FrameFault::Reserved
    );
}

#[test]
fn an_error_names_the_place_in_the_stream() {
    let mut stream = frames_of(&[vec![1; 10], vec![2; 3]]);
    let at = stream.len() as u64;
    stream.extend_from_slice(&[0; HEADER_BYTES]);
    let error = fault_of(&stream);
    assert_eq!(error.at, at);
    assert!(matches!(
        error.fault,
        FrameFault::BadChecksum { stored: 0, .. }
    ));
}

#[test]
fn an_abandoned_frame_leaves_nothing() {
    let mut out = frames_of(&[vec![1]]);
    let before = out.clone();
    let mut frame = FrameWriter::begin(&mut out, FrameKind::Query, 1);
    frame.body().push(1);
    assert_eq!(frame.body_bytes(), 1);
    frame.abandon();
    assert_eq!(out, before);
}

proptest! {
    /// Whatever the pieces, the frames are those that were written.
    #[test]
    fn pieces_do_not_matter(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..20),
        pieces in proptest::collection::vec(1_usize..120, 1..40),
    ) {
        let stream = frames_of(&bodies);
        let mut splitter = Splitter::default();
        let mut taken = Vec::new();
        let mut rest = stream.as_slice();
        for piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*piece).min(rest.len()));
            rest = behind;
            for frame in splitter.split(piece) {
                let frame = frame.expect("a good stream");
                prop_assert_eq!(frame.request, taken.len() as u64);
                taken.push(frame.body.to_vec());
            }
        }
        prop_assert_eq!(taken, bodies);
        prop_assert_eq!(splitter.partial_bytes(), 0);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        start in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut stream = if start { frames_of(&[vec![7; 5]]) } else { Vec::new() };
        stream.extend(bytes);
        let mut splitter = Splitter::default();
        for piece in stream.chunks(17) {
            let _ = splitter.split(piece).count();
            prop_assert!(splitter.partial_bytes() <= stream.len());
        }
    }
}
