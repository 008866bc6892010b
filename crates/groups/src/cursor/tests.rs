//! Cursors read back, and no bytes make the reader panic.

use handbell_backend::{Class, Incarnation};
use handbell_protocol::Lane;

use super::*;
use crate::UNSETTLED_MAX;

const P: Partition = Partition(7);

/// Steele, Lea, Flood: the mixer that all of this crate's tests draw from.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Often small, sometimes anything.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            1 => 0,
            _ => self.below(1_000),
        }
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::from_millis(self.number() as i64)
    }
}

fn unsettled(random: &mut Random, mark: u64) -> Unsettled {
    let time = random.time();
    let state = match random.below(5) {
        0 => State::Open { due: None },
        1 => State::Open { due: Some(random.time()) },
        2 => State::Out(["a", "b", "c"][random.below(3) as usize].into()),
        3 => State::Moving { due: random.time(), lost: random.below(2) == 0 },
        _ => State::Dying { class: "timeout".into(), reason: "über".repeat(random.below(9) as usize) },
    };
    Unsettled {
        offset: mark.wrapping_sub(random.number()),
        time,
        failures: random.number() as u32,
        suspicion: encode::SUSPICIONS[random.below(5) as usize],
        state,
    }
}

fn cursor(random: &mut Random) -> Cursor {
    let marks = (0..random.below(5))
        .map(|_| {
            let position = Position {
                log: ["", "project.tasks"][random.below(2) as usize].into(),
                incarnation: Incarnation(random.number()),
                class: [Class::Ev, Class::Retry][random.below(2) as usize],
                lane: Lane::ALL[random.below(2) as usize],
                partition: P,
                offset: random.number(),
                time: random.time(),
            };
            let unsettled = (0..random.below(20)).map(|_| unsettled(random, position.offset)).collect();
            Mark { position, unsettled }
        })
        .collect();
    Cursor { holder: "holder".into(), released: random.below(2) == 0, number: random.number(), marks }
}

#[test]
fn a_cursor_reads_back() {
    let mut random = Random(1);
    for _ in 0..2_000 {
        let cursor = cursor(&mut random);
        assert_eq!(Cursor::decode(&cursor.encode(), P).as_ref(), Ok(&cursor));
    }
}

#[test]
fn no_bytes_make_the_reader_panic_or_ask_for_much_memory() {
    let mut random = Random(2);
    for round in 0..20_000 {
        let mut bytes = cursor(&mut random).encode().to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next() as u8;
        }
        if round % 3 == 0 {
            bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
        }
        if let Ok(read) = Cursor::decode(&bytes, P) {
            assert!(read.unsettled() <= bytes.len());
        }
    }
}

#[test]
fn a_cut_or_lengthened_cursor_is_refused() {
    let whole = cursor(&mut Random(3)).encode();
    for end in 0..whole.len() {
        assert!(Cursor::decode(&whole[..end], P).is_err(), "cut at {end}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(Cursor::decode(&longer, P), Err(BadCursor::Damaged(whole.len())));
}

#[test]
fn another_builds_format_is_named_and_not_guessed() {
    let mut bytes = cursor(&mut Random(4)).encode().to_vec();
    bytes[0] = 2;
    let error = Cursor::decode(&bytes, P).unwrap_err();
    assert_eq!(error, BadCursor::Format(2));
    assert!(error.to_string().contains("format 2"), "{error}");
}

/// Schedule 37: the cursor stays bounded, and its usual size is small.
#[test]
fn a_full_cursor_fits_a_cell_with_room_to_spare() {
    let full = |state: State| {
        let position = Position {
            log: "".into(),
            incarnation: Incarnation(u64::MAX),
            class: Class::Ev,
            lane: Lane::Regular,
            partition: P,
            offset: 1 << 40,
            time: Timestamp::from_millis(1_763_000_000_000),
        };
        let one = |n| Unsettled {
            offset: (1 << 40) - n,
            time: Timestamp::from_millis(1_763_000_000_000 - n as i64),
            failures: 3,
            suspicion: Suspicion::Holder,
            state: state.clone(),
        };
        let unsettled = (0..UNSETTLED_MAX as u64).map(one).collect();
        let marks = vec![Mark { position, unsettled }];
        Cursor { holder: "m".into(), released: false, number: 1, marks }.encode().len()
    };
    assert!(full(State::Open { due: None }) < 8 << 10);
    assert!(full(State::Dying { class: "c".repeat(64), reason: "r".repeat(200) }) < 400 << 10);
}

#[test]
fn what_is_unsettled_and_how_far_it_is_can_be_asked() {
    let cursor = cursor(&mut Random(5));
    let oldest = cursor.marks.iter().flat_map(|m| &m.unsettled).map(|u| u.time).min();
    assert_eq!(cursor.oldest(), oldest);
    for mark in &cursor.marks {
        assert!(cursor.passed(&mark.position));
    }
}
