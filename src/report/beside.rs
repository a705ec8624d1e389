//! Two runs side by side: what each says, where they differ, and whether they can be compared at all.

use super::{Grid, figures, verdict_sentence, words};
use crate::model::{Estimate, Provenance, Recommendation};

/// Two runs side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// Each run's name with its verdict.
    pub verdicts: [(String, String); 2],
    /// Tables: figures, settings that differ.
    pub grids: Vec<Grid>,
    /// What makes a comparison mean little, as sentences.
    pub warnings: Vec<String>,
}

/// Sets `other` beside `one`.
#[must_use]
pub fn side_by_side(one: &Recommendation, other: &Recommendation) -> Beside {
    let both = [one, other];
    Beside {
        verdicts: both.map(|run| (words::one_line(&run.provenance.run), verdict_sentence(run))),
        grids: vec![measured(both), settings(both)],
        warnings: warnings(&one.provenance, &other.provenance),
    }
}

fn names(both: [&Recommendation; 2]) -> [String; 2] {
    both.map(|run| words::one_line(&run.provenance.run))
}

fn measured(both: [&Recommendation; 2]) -> Grid {
    let mut grid = Grid { title: "Figures, with 95 % intervals".to_owned(), ..Grid::default() };
    grid.header = std::iter::once(String::new()).chain(names(both)).collect();
    let mut row = |name: &str, figure: &dyn Fn(&Recommendation) -> Option<String>| {
        let shown = both.map(figure);
        if shown.iter().any(Option::is_some) {
            let shown = shown.map(|shown| shown.unwrap_or_else(|| figures::NONE.to_owned()));
            grid.rows.push(std::iter::once(name.to_owned()).chain(shown).collect());
        }
    };
    let change = |ratio: Estimate| {
        let mut change = ratio;
        for part in [&mut change.value, &mut change.interval.low, &mut change.interval.high] {
            *part -= 1.0;
        }
        figures::change_interval(change)
    };
    let rate = |rate: Estimate| (rate.value > 0.0).then(|| figures::rate_interval(rate));
    row("requests/s of a trial, settings in use", &|run| rate(run.throughput.was));
    row("requests/s of a trial, settings recommended", &|run| rate(run.throughput.now));
    row("verified change of throughput", &|run| {
        let counted = if run.under_faults.is_some() { " (faults counted)" } else { "" };
        run.verification.as_ref().map(|found| change(found.ratio) + counted)
    });
    row("success rate, settings in use", &|run| {
        run.verification.as_ref().map(|found| figures::share_interval(found.success_was))
    });
    row("success rate, settings set against them", &|run| {
        run.verification.as_ref().map(|found| figures::share_interval(found.success_now))
    });
    row("served in time under faults, settings in use", &|run| {
        run.under_faults.as_ref().map(|found| figures::share_interval(found.was))
    });
    row("served in time under faults, settings set against them", &|run| {
        run.under_faults.as_ref().and_then(|found| found.tried).map(figures::share_interval)
    });
    row("best number of connections by the fitted curve", &|run| {
        run.curve.as_ref().and_then(|curve| curve.optimum).map(figures::parameter_interval)
    });
    row("change of what a simulated day loses", &|run| {
        run.simulation.as_ref().and_then(|found| found.ratio).map(change)
    });
    grid
}

fn settings(both: [&Recommendation; 2]) -> Grid {
    let mut grid = Grid { title: "Settings that differ".to_owned(), ..Grid::default() };
    let [one, other] = names(both);
    grid.header = vec![
        "setting".to_owned(),
        format!("in use: {one}"),
        format!("in use: {other}"),
        format!("recommended: {one}"),
        format!("recommended: {other}"),
    ];
    for row in &both[0].rows {
        let Some(beside) = both[1].rows.iter().find(|beside| beside.setting == row.setting) else { continue };
        if row.was != beside.was || row.now != beside.now {
            let shown = [&row.was, &beside.was, &row.now, &beside.now].map(words::value);
            grid.rows.push(std::iter::once(row.setting.name().to_owned()).chain(shown).collect());
        }
    }
    grid
}

fn warnings(one: &Provenance, other: &Provenance) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut differ = |what: &str, first: &str, second: &str, so: &str| {
        if first != second {
            let [first, second] = [first, second].map(words::one_line);
            warnings.push(format!("{what} differs ({first}; {second}): {so}"));
        }
    };
    let little = "figures are not of the same thing, and their difference says little of the settings";
    differ("the machine", &one.machine, &other.machine, little);
    differ("the server", &one.server, &other.server, little);
    differ("the target", &one.target, &other.target, "what else the two databases differ in is not known");
    let [first, second] = [one, other].map(|of| of.profile_file.as_ref().unwrap_or(&of.profile));
    differ("the profile", first, second, "the loads are not the same, and neither are the figures");
    let [first, second] = [one, other].map(|of| of.workers.to_string());
    differ("the number of workers", &first, &second, "throughput and times depend on it");
    let [first, second] = [one, other].map(|of| of.instances.to_string());
    differ(
        "the number of pools that share the server",
        &first,
        &second,
        "settings are each pool's, throughput is of all",
    );
    let [first, second] = [one, other].map(|of| {
        let longest =
            of.limits.p95_query.map_or(String::new(), |longest| format!(", query p95 {}", figures::time(longest)));
        format!("success rate {}{longest}", figures::share(of.limits.success_rate))
    });
    differ("what a recommendation has to keep", &first, &second, "one may be refused what the other may recommend");
    let [first, second] = [one, other].map(|of| match searched_by(&of.flags).join(" ") {
        flags if flags.is_empty() => "none".to_owned(),
        flags => flags,
    });
    differ("what the command line changed of the profile", &first, &second, "the searches were not the same");
    differ("the version of pool-tune", &one.program, &other.program, "it may measure in another way");
    warnings
}

/// The words that change what is searched: names in a file do not.
fn searched_by(flags: &[String]) -> Vec<&str> {
    flags.chunks(2).filter(|flag| flag[0] != "--prefix").flatten().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_run_beside_itself_shows_no_difference() {
        let beside = side_by_side(&samples::better(), &samples::better());
        assert_eq!(beside.warnings, Vec::<String>::new());
        assert_eq!(beside.grids[1].rows, Vec::<Vec<String>>::new());
        assert!(beside.grids[0].rows.iter().all(|row| row[1] == row[2]), "{beside:?}");
    }

    #[test]
    fn what_differs_is_told_with_what_makes_it_mean_little() {
        let mut other = samples::better_under_faults().0;
        other.provenance.workers += 1;
        other.provenance.machine = "another\nmachine".to_owned();
        let beside = side_by_side(&samples::better(), &other);
        let rows = beside.grids.iter().flat_map(|grid| std::iter::once(&grid.header).chain(&grid.rows));
        let rows: Vec<String> = rows.map(|row| row.join(" | ")).collect();
        insta::assert_snapshot!(format!("{}\n\n{}", rows.join("\n"), beside.warnings.join("\n")));
    }
}
