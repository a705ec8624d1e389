use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Before, Course, Figure, Reading, Step,
    gates::medians,
    step::{Place, Watched},
};

/// Readings before the first stage, from whose middle later ones may differ by so much.
pub(super) const MEASURED: usize = 3;
/// How often going back is tried.
pub(super) const ATTEMPTS: u32 = 4;

/// Where a rollout stands. It is stored before what it says is done, so that whoever comes after a crash does that again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What is under way.
    pub phase: Phase,
    /// The figures from before the first stage.
    pub before: Before,
    /// Readings in a row that failed.
    failures: u32,
    /// For how long a source has been down.
    down: Duration,
    /// The last stage of which anything may have been applied.
    pub reached: Option<usize>,
}

/// What is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The gates are read before anything is applied.
    Measuring {
        /// What they said.
        readings: Vec<Vec<Figure>>,
    },
    /// A stage is being applied.
    Applying {
        /// Its place among the stages.
        stage: usize,
    },
    /// A stage is applied, and the gates are read.
    Watching {
        /// Its place among the stages.
        stage: usize,
        /// For how long all gates have held.
        watched: Duration,
    },
    /// The settings that were in use are being applied to all.
    Returning {
        /// What for.
        why: String,
        /// How often that has failed.
        failed: u32,
    },
    /// The recommended settings are applied to all.
    Done,
    /// The settings that were in use are applied to all.
    Back {
        /// What for.
        why: String,
    },
    /// Nothing was applied.
    NotBegun {
        /// Why not.
        why: String,
    },
    /// It could not go back.
    Stuck {
        /// Why it was to go back.
        why: String,
    },
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Read the gates.
    Read,
    /// Apply a stage.
    Apply(usize),
    /// Apply the settings that were in use to all.
    Return,
    /// Nothing any more.
    Nothing,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The gates were read, so long after the reading before or after the stage was applied.
    Read(Reading, Duration),
    /// What was to be applied is applied.
    Applied,
    /// It could not be applied, or not whole.
    Failed(String),
    /// It is to go back.
    TakenBack(String),
    /// It goes on after it was stopped, or its program died.
    Resumed,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Measuring { readings: Vec::new() },
            before: Before::new(),
            failures: 0,
            down: Duration::ZERO,
            reached: None,
        }
    }
}

impl State {
    /// What is to be done next.
    #[must_use]
    pub fn task(&self) -> Task {
        match self.phase {
            Phase::Measuring { .. } | Phase::Watching { .. } => Task::Read,
            Phase::Applying { stage } => Task::Apply(stage),
            Phase::Returning { .. } => Task::Return,
            Phase::Done | Phase::Back { .. } | Phase::NotBegun { .. } | Phase::Stuck { .. } => Task::Nothing,
        }
    }

    /// What becomes of it, and what there is to tell. What does not fit to where it stands changes nothing.
    #[must_use]
    pub fn after(mut self, course: &Course, event: Event) -> (Self, Vec<Step>) {
        let mut steps = Vec::new();
        match event {
            Event::Read(reading, after) => self.read(course, reading, after, &mut steps),
            Event::Applied => self.applied(course, &mut steps),
            Event::Failed(problem) => self.failed(course, &problem, &mut steps),
            Event::TakenBack(why) => match self.phase {
                Phase::Measuring { .. } => self.give_up(why, &mut steps),
                Phase::Back { .. } | Phase::NotBegun { .. } | Phase::Returning { .. } => {}
                Phase::Stuck { .. } | Phase::Applying { .. } | Phase::Watching { .. } | Phase::Done => {
                    self.turn(why, &mut steps);
                }
            },
            Event::Resumed => self.resume(&mut steps),
        }
        (self, steps)
    }

    fn place(course: &Course, stage: usize) -> Place {
        Place { stage: stage + 1, of: course.stages.len() }
    }

    fn read(&mut self, course: &Course, reading: Reading, after: Duration, steps: &mut Vec<Step>) {
        // A machine that slept has not watched meanwhile.
        let counted = after.min(course.every);
        let (place, due) = match self.phase {
            Phase::Measuring { .. } => (None, None),
            Phase::Watching { stage, .. } => match course.stages.get(stage) {
                Some(of) => (Some(Self::place(course, stage)), Some(of.watch)),
                None => return,
            },
            _ => return,
        };
        self.down = if reading.down.is_empty() { Duration::ZERO } else { self.down + after };
        // While a source is down nobody knows whether its gate would hold: what failed before has not mended.
        match (reading.failed.is_empty(), reading.down.is_empty()) {
            (false, _) => self.failures += 1,
            (true, true) => self.failures = 0,
            (true, false) => {}
        }
        let is_good = reading.failed.is_empty() && reading.down.is_empty() && reading.refused.is_empty();
        let mut watched_for = None;
        match &mut self.phase {
            Phase::Measuring { readings } if is_good => readings.push(reading.figures.clone()),
            Phase::Watching { watched, .. } => {
                if is_good {
                    *watched += counted;
                }
                watched_for =
                    due.map(|of| Watched { for_seconds: watched.as_secs_f64(), of_seconds: of.as_secs_f64() });
            }
            _ => {}
        }
        let why = if !reading.refused.is_empty() {
            // Asked again it is refused again: there is nothing to wait for.
            Some(reading.refused.join("; "))
        } else if self.failures >= course.failures {
            Some(reading.failed.join("; "))
        } else if !reading.down.is_empty() && self.down >= course.patience {
            let down = reading.down.join("; ");
            Some(format!("a source has been down for longer than the plan's patience: {down}"))
        } else {
            None
        };
        let (failures, down) = (self.failures, self.down.as_secs_f64());
        steps.push(Step::Read { place, reading, watched: watched_for, failures, down_seconds: down });
        if let Some(why) = why {
            match place {
                Some(_) => self.turn(why, steps),
                None => self.give_up(why, steps),
            }
            return;
        }
        match &self.phase {
            Phase::Measuring { readings } if readings.len() >= MEASURED => {
                self.before = medians(readings);
                steps.push(Step::Measured { before: self.before.clone() });
                self.enter(course, 0, steps);
            }
            Phase::Watching { stage, watched } if is_good && due.is_some_and(|due| *watched >= due) => {
                let stage = *stage;
                steps.push(Step::Passed { place: Self::place(course, stage) });
                self.enter(course, stage + 1, steps);
            }
            _ => {}
        }
    }

    /// Goes on to a stage, or is done where there is none.
    fn enter(&mut self, course: &Course, stage: usize, steps: &mut Vec<Step>) {
        (self.failures, self.down) = (0, Duration::ZERO);
        if stage < course.stages.len() {
            self.reached = Some(stage);
            self.phase = Phase::Applying { stage };
        } else {
            self.phase = Phase::Done;
            steps.push(Step::Done);
        }
    }

    fn applied(&mut self, course: &Course, steps: &mut Vec<Step>) {
        match &self.phase {
            Phase::Applying { stage } => {
                let stage = *stage;
                steps.push(Step::Applied { place: Self::place(course, stage) });
                (self.failures, self.down) = (0, Duration::ZERO);
                self.phase = Phase::Watching { stage, watched: Duration::ZERO };
            }
            Phase::Returning { why, .. } => {
                self.phase = Phase::Back { why: why.clone() };
                steps.push(Step::Returned);
            }
            _ => {}
        }
    }

    fn failed(&mut self, course: &Course, problem: &str, steps: &mut Vec<Step>) {
        match &mut self.phase {
            Phase::Applying { stage } => {
                let place = Self::place(course, *stage);
                let why = format!("stage {} could not be applied: {problem}", place.stage);
                self.turn(why, steps);
            }
            Phase::Returning { why, failed } => {
                *failed += 1;
                let (attempt, why) = (*failed, why.clone());
                steps.push(Step::ReturnFailed { attempt, of: ATTEMPTS, problem: problem.to_owned() });
                if attempt >= ATTEMPTS {
                    self.phase = Phase::Stuck { why };
                    steps.push(Step::Stuck { reached: self.reached.map(|stage| Self::place(course, stage)) });
                }
            }
            _ => {}
        }
    }

    fn turn(&mut self, why: String, steps: &mut Vec<Step>) {
        steps.push(Step::Returning { why: why.clone() });
        self.phase = Phase::Returning { why, failed: 0 };
    }

    fn give_up(&mut self, why: String, steps: &mut Vec<Step>) {
        steps.push(Step::NotBegun { why: why.clone() });
        self.phase = Phase::NotBegun { why };
    }

    /// What was under way begins anew: nobody knows how far it came, or what happened meanwhile.
    fn resume(&mut self, steps: &mut Vec<Step>) {
        let phase = match &self.phase {
            Phase::Measuring { .. } => Phase::Measuring { readings: Vec::new() },
            Phase::Applying { stage } | Phase::Watching { stage, .. } => Phase::Applying { stage: *stage },
            Phase::Returning { why, .. } | Phase::Stuck { why } => Phase::Returning { why: why.clone(), failed: 0 },
            Phase::Done | Phase::Back { .. } | Phase::NotBegun { .. } => return,
        };
        (self.failures, self.down, self.phase) = (0, Duration::ZERO, phase);
        steps.push(Step::Resumed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{Setting, Settings, Value},
        rollout::Stage,
    };

    const EVERY: Duration = Duration::from_secs(1);

    fn course(stages: u32, watch: u32, failures: u32, patience: u32) -> Course {
        let of = |number: u32| Stage {
            share: f64::from(number) / f64::from(stages),
            settings: Settings::default().with(Setting::MaxConnections, Value::Count(20)),
            watch: EVERY * watch,
        };
        let stages = (1..=stages).map(of).collect();
        Course { from: Settings::default(), stages, every: EVERY, failures, patience: EVERY * patience }
    }

    /// 0: all is well; 1: a gate fails; 2: a source is down; 3: both.
    fn reading(kind: u8) -> Reading {
        let told = |is: bool| if is { vec!["it".to_owned()] } else { Vec::new() };
        Reading { failed: told(kind & 1 != 0), down: told(kind & 2 != 0), ..Reading::default() }
    }

    /// Carries a rollout out in a world that behaves as it is told, again and again.
    struct World {
        state: State,
        /// What all instances have, or nobody knows.
        in_force: Option<(Settings, f64)>,
        turned: bool,
    }

    impl World {
        fn new(course: &Course) -> Self {
            Self { state: State::default(), in_force: Some((course.from.clone(), 1.0)), turned: false }
        }

        fn tell(&mut self, course: &Course, event: Event) {
            self.state = std::mem::take(&mut self.state).after(course, event).0;
            self.turned |= matches!(self.state.phase, Phase::Returning { .. } | Phase::NotBegun { .. });
        }

        fn go(&mut self, course: &Course, kind: u8, works: bool) {
            let event = match self.state.task() {
                Task::Read => Event::Read(reading(kind), EVERY),
                Task::Apply(stage) => {
                    assert!(!self.turned, "it went forward after it had turned");
                    let Stage { settings, share, .. } = course.stages[stage].clone();
                    self.in_force = works.then_some((settings, share));
                    if works { Event::Applied } else { Event::Failed("no".to_owned()) }
                }
                Task::Return => {
                    self.in_force = works.then(|| (course.from.clone(), 1.0));
                    if works { Event::Applied } else { Event::Failed("no".to_owned()) }
                }
                Task::Nothing => return,
            };
            self.tell(course, event);
        }
    }

    proptest! {
        #[test]
        fn it_ends_with_all_instances_alike_and_never_goes_forward_after_it_turned(
            stages in 1_u32..5, watch in 1_u32..4, failures in 1_u32..4, patience in 0_u32..4,
            happens in prop::collection::vec((0_u8..4, prop::bool::weighted(0.8), 0_u8..20), 1..60),
        ) {
            let course = course(stages, watch, failures, patience);
            let mut world = World::new(&course);
            // What happens, happens over and over; being told to stop and go on only once.
            for (step, (kind, works, told)) in happens.iter().copied().cycle().take(20_000).enumerate() {
                if world.state.task() == Task::Nothing {
                    break;
                }
                match told {
                    0 if step < happens.len() => world.tell(&course, Event::Resumed),
                    1 if step < happens.len() => world.tell(&course, Event::TakenBack("asked".to_owned())),
                    _ => {}
                }
                world.go(&course, kind, works);
            }
            let in_use = Some((course.from.clone(), 1.0));
            match &world.state.phase {
                Phase::Done => {
                    prop_assert!(!world.turned);
                    let last = course.stages.last().unwrap();
                    prop_assert_eq!(&world.in_force, &Some((last.settings.clone(), 1.0)));
                }
                Phase::Back { .. } | Phase::NotBegun { .. } => prop_assert_eq!(&world.in_force, &in_use),
                Phase::Stuck { .. } => {
                    // Whoever tries once more, and it works, is back.
                    world.tell(&course, Event::Resumed);
                    world.go(&course, 0, true);
                    prop_assert_eq!(&world.in_force, &in_use);
                    let is_back = matches!(world.state.phase, Phase::Back { .. });
                    prop_assert!(is_back);
                }
                other => prop_assert!(false, "it did not end: {other:?}"),
            }
            // What is done can be taken back, too.
            if world.state.phase == Phase::Done {
                world.tell(&course, Event::TakenBack("asked".to_owned()));
                world.go(&course, 0, true);
                prop_assert_eq!(&world.in_force, &in_use);
            }
        }
    }

    /// At the first stage, after so many readings of these kinds.
    fn watching(course: &Course, kinds: &[u8]) -> World {
        let mut world = World::new(course);
        for _ in 0..=MEASURED {
            world.go(course, 0, true);
        }
        for kind in kinds {
            world.go(course, *kind, true);
        }
        world
    }

    #[test]
    fn a_gate_has_to_fail_in_a_row_and_a_source_that_is_down_mends_nothing() {
        let course = course(2, 5, 2, 3);
        let phase = |kinds: &[u8]| watching(&course, kinds).state.phase;
        let watched = |seconds| Phase::Watching { stage: 0, watched: EVERY * seconds };
        assert_eq!(phase(&[0, 1, 0, 1]), watched(2));
        assert!(matches!(phase(&[1, 1]), Phase::Returning { .. }));
        assert!(matches!(phase(&[1, 2, 1]), Phase::Returning { .. }));
        assert_eq!(phase(&[2, 2, 0]), watched(1));
        assert!(matches!(phase(&[2, 2, 2]), Phase::Returning { .. }));
        assert_eq!(phase(&[0, 0, 0, 0, 0]), Phase::Applying { stage: 1 });
    }

    #[test]
    fn a_reading_counts_for_no_longer_than_the_time_between_two() {
        let course = course(1, 2, 2, 3);
        let mut world = watching(&course, &[]);
        world.tell(&course, Event::Read(reading(0), EVERY * 1000));
        assert_eq!(world.state.phase, Phase::Watching { stage: 0, watched: EVERY });
    }

    #[test]
    fn what_fails_before_the_first_stage_begins_nothing() {
        let course = course(1, 1, 2, 3);
        let mut world = World::new(&course);
        world.go(&course, 1, true);
        world.go(&course, 1, true);
        assert!(matches!(world.state.phase, Phase::NotBegun { .. }));
        assert_eq!(world.state.reached, None);
    }

    #[test]
    fn a_question_that_is_refused_is_not_asked_again() {
        let course = course(2, 5, 3, 1000);
        let refused = || Event::Read(Reading { refused: vec!["it".to_owned()], ..Reading::default() }, EVERY);
        let mut world = watching(&course, &[0]);
        world.tell(&course, refused());
        assert_eq!(world.state.phase, Phase::Returning { why: "it".to_owned(), failed: 0 });
        let mut world = World::new(&course);
        world.tell(&course, refused());
        assert_eq!(world.state.phase, Phase::NotBegun { why: "it".to_owned() });
    }

    #[test]
    fn who_goes_on_applies_and_watches_a_stage_anew() {
        let course = course(2, 5, 2, 3);
        let mut world = watching(&course, &[0, 0, 1]);
        world.tell(&course, Event::Resumed);
        assert_eq!(world.state.task(), Task::Apply(0));
        world.go(&course, 0, true);
        world.go(&course, 1, true);
        assert_eq!(world.state.phase, Phase::Watching { stage: 0, watched: Duration::ZERO });
        let stored = serde_json::to_string(&world.state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), world.state);
    }
}
