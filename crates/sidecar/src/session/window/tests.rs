//! The window's rules, one by one.

use handbell_backend::{Class, Incarnation, Partition, Position};
use handbell_protocol::{Lane, Timestamp};

use super::*;

fn stored() -> Result<Stored, PublishError> {
    let position = Position {
        log: "".into(),
        incarnation: Incarnation(1),
        class: Class::Ev,
        lane: Lane::Regular,
        partition: Partition(0),
        offset: 7,
        time: Timestamp::default(),
    };
    Ok(Stored { position, id: "e".into(), duplicate: false })
}

fn hand(window: &mut Window, seq: u64) {
    assert_eq!(window.admit(seq, seq), Admission::Hand(None), "seq {seq}");
    window.handed(seq, Sent { digest: seq, output: None });
}

fn code(admission: Admission) -> Code {
    match admission {
        Admission::Refuse(refusal) => refusal.code,
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn a_gap_stores_nothing_and_the_missing_one_stays_due() {
    let mut window = Window::new(8, false);
    hand(&mut window, 1);
    assert_eq!(code(window.admit(3, 3)), Code::SeqGap);
    hand(&mut window, 2);
    hand(&mut window, 3);
}

#[test]
fn a_repeat_gets_its_first_answer_and_other_content_is_told() {
    let mut window = Window::new(8, false);
    hand(&mut window, 1);
    assert_eq!(window.admit(1, 1), Admission::UnderWay);
    assert_eq!(code(window.admit(1, 9)), Code::DuplicateSeq);
    window.receipt(1, &stored()).unwrap().unwrap();
    assert!(matches!(window.admit(1, 1), Admission::Stored { .. }));
    assert_eq!(code(window.admit(1, 9)), Code::DuplicateSeq);
}

/// Schedule 19: seq 5 is busy; the agent goes on, then sends 5 again.
#[test]
fn schedule_19_everything_above_an_open_seq_waits_for_it() {
    let mut window = Window::new(8, false);
    for seq in 1..=3 {
        hand(&mut window, seq);
    }
    window.receipt(1, &stored()).unwrap().unwrap();
    let failed = window.receipt(2, &Err(PublishError::InDoubt("gone".into()))).unwrap().unwrap_err();
    assert_eq!(failed.code, Code::InDoubt);
    assert_eq!(code(window.admit(4, 4)), Code::InDoubt);
    assert_eq!(code(window.admit(3_000, 3_000)), Code::InDoubt);
    assert_eq!(code(window.admit(2, 9)), Code::DuplicateSeq);
    assert!(matches!(window.admit(2, 2), Admission::Hand(Some(_))));
    window.handed(2, Sent { digest: 2, output: None });
    hand(&mut window, 4);
}

#[test]
fn a_full_window_is_busy_and_what_follows_is_busy_too_until_it_comes_again() {
    let mut window = Window::new(2, false);
    hand(&mut window, 1);
    hand(&mut window, 2);
    assert_eq!(code(window.admit(3, 3)), Code::Busy);
    assert_eq!(code(window.admit(4, 4)), Code::Busy);
    window.receipt(1, &stored()).unwrap().unwrap();
    assert_eq!(code(window.admit(4, 4)), Code::Busy);
    hand(&mut window, 3);
}

#[test]
fn other_content_may_come_in_place_of_what_was_not_stored() {
    let mut window = Window::new(8, false);
    hand(&mut window, 1);
    window.receipt(1, &Err(PublishError::Unavailable("full".into()))).unwrap().unwrap_err();
    assert_eq!(window.admit(1, 9), Admission::Hand(None));
}

#[test]
fn of_old_repeats_the_backend_knows_by_the_id_that_they_keep() {
    let mut window = Window::new(100, false);
    for seq in 1..=100 {
        assert_eq!(window.admit(seq, seq), Admission::Hand(None));
        window.handed(seq, Sent { digest: seq, output: (seq < 3).then_some(seq + 10) });
        window.receipt(seq, &stored()).unwrap().unwrap();
    }
    assert!(matches!(window.admit(100, 100), Admission::Stored { .. }));
    assert_eq!(window.admit(50, 50), Admission::Hand(None));
    assert_eq!(window.admit(2, 2), Admission::Hand(Some(Sent { digest: 2, output: Some(12) })));
    assert_eq!(window.answered.len(), ANSWERS);
}

#[test]
fn after_a_resume_elsewhere_only_what_was_unanswered_comes_again() {
    let mut window = Window::new(3, true);
    hand(&mut window, 41);
    hand(&mut window, 44);
    window.receipt(41, &stored()).unwrap().unwrap();
    hand(&mut window, 46);
    assert_eq!(code(window.admit(48, 48)), Code::SeqGap, "more than a window can't have been unanswered");
    hand(&mut window, 47);
}

#[test]
fn after_a_resume_nothing_leaps_over_what_was_refused() {
    let mut window = Window::new(8, true);
    hand(&mut window, 41);
    window.receipt(41, &Err(PublishError::InDoubt("gone".into()))).unwrap().unwrap_err();
    for seq in [43, 45] {
        assert_eq!(code(window.admit(seq, seq)), Code::InDoubt);
    }
    assert!(matches!(window.admit(41, 41), Admission::Hand(Some(_))));
    window.handed(41, Sent { digest: 41, output: None });
    for seq in [46, 47] {
        assert_eq!(code(window.admit(seq, seq)), Code::InDoubt, "43 is due");
    }
    hand(&mut window, 43);
    assert_eq!(code(window.admit(46, 46)), Code::InDoubt, "45 is due");
    hand(&mut window, 45);
    assert_eq!(code(window.admit(48, 48)), Code::InDoubt, "46 is due");
    hand(&mut window, 46);
}

#[test]
fn a_window_that_is_full_after_a_resume_keeps_the_order() {
    let mut window = Window::new(2, false);
    hand(&mut window, 1);
    hand(&mut window, 2);
    window.resumed();
    assert_eq!(window.admit(1, 1), Admission::UnderWay);
    assert_eq!(code(window.admit(3, 3)), Code::Busy);
    window.receipt(1, &stored()).unwrap().unwrap();
    assert_eq!(code(window.admit(4, 4)), Code::Busy, "3 comes first");
    hand(&mut window, 3);
}

#[test]
fn what_can_not_be_read_ends_its_seq_only_where_it_is_due() {
    let mut window = Window::new(8, false);
    hand(&mut window, 1);
    window.receipt(1, &Err(PublishError::Unavailable("full".into()))).unwrap().unwrap_err();
    let unreadable = || Refusal::new(Code::Protocol, "unreadable");
    assert_eq!(window.refuse(2, unreadable()).code, Code::BackendUnavailable, "1 is open");
    assert!(matches!(window.admit(1, 1), Admission::Hand(Some(_))));
    window.handed(1, Sent { digest: 1, output: None });
    assert_eq!(window.refuse(3, unreadable()).code, Code::SeqGap, "2 is due");
    assert_eq!(window.refuse(2, unreadable()).code, Code::Protocol);
    assert_eq!(window.refuse(2, unreadable()).code, Code::Protocol, "the same answer again");
    hand(&mut window, 3);
}

#[test]
fn other_content_that_came_first_does_not_stand_for_the_right_one() {
    let mut window = Window::new(8, true);
    assert_eq!(window.admit(7, 70), Admission::Hand(None));
    window.handed(7, Sent { digest: 70, output: None });
    window.receipt(7, &Err(PublishError::Conflict)).unwrap().unwrap_err();
    assert_eq!(window.admit(7, 7), Admission::Hand(None), "the backend knows which was first");
}

#[test]
fn a_refused_seq_is_over_and_the_next_goes_on() {
    let mut window = Window::new(8, false);
    assert_eq!(window.admit(1, 1), Admission::Hand(None));
    window.ended(1, 1, Refusal::envelope("bad"));
    assert_eq!(code(window.admit(1, 1)), Code::InvalidEnvelope);
    hand(&mut window, 2);
}
