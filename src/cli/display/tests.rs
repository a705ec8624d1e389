use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use proptest::prelude::*;
use ratatui::{Terminal, backend::TestBackend};

use super::{draw::draw, state::State};
use crate::{
    model::{BreakerState, ErrorClass, Fault, FaultKind, Latency, Pacing, Point, Settings},
    stress::{Event, Test},
    trial::{Load, Watch},
};

fn fault(at: u64, lasts: u64, kind: FaultKind) -> Fault {
    Fault { at: Duration::from_secs(at), lasts: Duration::from_secs(lasts), share: 0.5, kind }
}

fn test() -> Test {
    let delay = FaultKind::Latency { delay: Duration::from_millis(20), jitter: Duration::from_millis(5) };
    Test {
        name: "brown-out".to_owned(),
        about: "the network gets slow".to_owned(),
        load: Load {
            pacing: Pacing::closed(25),
            faults: vec![
                fault(3, 0, FaultKind::Terminate),
                fault(11, 3, delay),
                fault(16, 2, FaultKind::Refuse),
                fault(18, 1, FaultKind::Stall),
            ],
            ..Load::closed(25, None, Duration::from_secs(20), 0.99)
        },
        settings: Settings::default(),
        thresholds: Vec::new(),
    }
}

/// Twelve seconds into the test, with the moment that it is then.
fn state() -> (State, Instant) {
    let start = Instant::now();
    let mut state = State::default();
    state.take(&Event::Began { test: &test(), index: 2, of: 13 }, start);
    state.take(&Event::Trial(Watch::WarmUp), start);
    state.take(&Event::Trial(Watch::Measuring), start);
    for second in 1..=12_u32 {
        let mut response = Histogram::<u32>::new(3).unwrap();
        response.record_n(4_000, 900).unwrap();
        response.record_n(200_000, 100).unwrap();
        let times = Latency { count: 1000, p50: 4e-4, p95: 0.02, p99: 0.02, ..Latency::default() };
        let point = Point {
            at: f64::from(second),
            seconds: 1.0,
            throughput: 1000.0 + f64::from(second) * 10.0,
            failures: if second > 10 { 40.0 } else { 0.0 },
            errors: if second > 10 { vec![(ErrorClass::ConnectionLost, 40)] } else { vec![] },
            response: times,
            active: 8,
            idle: 2,
            waiting: 15,
            breaker: if second > 11 { BreakerState::Open } else { BreakerState::Closed },
            ..Point::default()
        };
        state.take(&Event::Trial(Watch::Point { point: &point, response: &response }), start);
    }
    (state, start + Duration::from_secs(12))
}

fn picture(state: &State, now: Instant, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, now, frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn it_looks_well_in_small_and_large_terminals() {
    let (state, now) = state();
    insta::assert_snapshot!("80x24", picture(&state, now, 80, 24));
    insta::assert_snapshot!("120x40", picture(&state, now, 120, 40));
    insta::assert_snapshot!("60x15", picture(&state, now, 60, 15));
    insta::assert_snapshot!("empty", picture(&State::default(), now, 80, 24));
}

#[test]
fn help_fits_a_small_terminal() {
    let (mut state, now) = state();
    state.help = true;
    insta::assert_snapshot!("help", picture(&state, now, 60, 15));
}

#[test]
fn seconds_go_on_while_no_points_come() {
    let (mut state, now) = state();
    let later = |seconds: f64| now + Duration::from_secs_f64(seconds);
    let shown = |state: &State, at| picture(state, at, 80, 24);
    assert!(shown(&state, now).contains("12.0 of 20 s · 8.0 s left"), "{}", shown(&state, now));
    assert!(shown(&state, later(2.5)).contains("14.5 of 20 s · 5.5 s left"), "{}", shown(&state, later(2.5)));
    state.take(&Event::Trial(Watch::Draining), later(8.0));
    assert!(shown(&state, later(8.7)).contains("letting requests end · 0.7 s"), "{}", shown(&state, later(8.7)));
}

proptest! {
    #[test]
    fn no_size_is_too_small(width in 1_u16..200, height in 1_u16..60, empty in any::<bool>(), help in any::<bool>()) {
        let (mut state, now) = if empty { (State::default(), Instant::now()) } else { state() };
        state.help = help;
        picture(&state, now, width, height);
    }
}
