//! The page `report.html`: what `summary.md` says, with charts. One file that asks for nothing else.

mod chart;
mod charts;
mod from_markdown;
mod history;
mod html;
mod svg;
#[cfg(test)]
mod tests;

use super::{ReportedTrial, summary, verdict_sentence};
use crate::model::Recommendation;
use chart::Chart;
pub use history::{Past, history_html};

/// What pages look like, as a style sheet.
pub const STYLE: &str = include_str!("style.css");

/// A section that has charts beside its words, or nothing but charts.
const EFFECTS: &str = "Effect of each setting";
const KNEE: &str = "Latency and success";
const TRIED: &str = "What the search tried";

/// The page that tells a run to a person, as HTML that needs no network and can be printed.
///
/// `trials` are all trials of the run, in order. The same run gives the same bytes.
#[must_use]
pub fn report_html(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> String {
    let run = html::text(&recommendation.provenance.run);
    let mut sections = summary::sections(recommendation, trials);
    // What decides comes first; what only charts tell has no words in the summary.
    if let Some(place) = sections.iter().position(|(heading, _)| *heading == summary::CURVE) {
        let curve = sections.remove(place);
        let place = sections.len().min(2);
        sections.splice(place..place, [curve, (KNEE, String::new()), (TRIED, String::new())]);
    }
    sections.insert(sections.len().min(1), (EFFECTS, String::new()));
    let told: Vec<(&str, String)> = sections
        .iter()
        .map(|(heading, words)| {
            let charts: String = charts(heading, recommendation, trials).iter().map(Chart::html).collect();
            // A chart of throughput says more than its table, and is what a reader comes for.
            let words = from_markdown::html(words);
            (*heading, if *heading == summary::CURVE { charts + &words } else { words + &charts })
        })
        .filter(|(_, inside)| !inside.is_empty())
        .collect();
    let places = || (1..).zip(&told);
    let link =
        |(place, (heading, _)): (u32, &(&str, String))| format!("<li><a href=\"#s{place}\">{heading}</a></li>\n");
    let contents = html::all(places().map(link));
    let body = html::all(places().map(|(place, (heading, inside))| {
        format!("<section id=\"s{place}\">\n<h2>{heading}</h2>\n{inside}</section>\n")
    }));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>Connection pool settings: run {run}</title>\n<style>\n{style}</style>\n\
         </head>\n<body>\n<header>\n<h1>Connection pool settings: run {run}</h1>\n<p class=\"verdict\">{verdict}</p>\n{warnings}\
         <nav aria-label=\"Sections\"><ul>\n{contents}</ul></nav>\n</header>\n<main>\n{body}</main>\n</body>\n</html>\n",
        style = STYLE,
        verdict = html::text(&verdict_sentence(recommendation)),
        warnings = warnings(recommendation),
    )
}

/// Throughput against connections of the trials of a run that is under way, as a figure of a page; none before the first trial.
#[must_use]
pub fn trials_html(trials: &[ReportedTrial<'_>]) -> Option<String> {
    charts::throughput(None, trials).map(|chart| chart.html())
}

fn warnings(recommendation: &Recommendation) -> String {
    let item = |warning: &String| format!("<li>{}</li>\n", html::text(warning));
    let items = html::all(recommendation.warnings.iter().map(item));
    if items.is_empty() {
        return items;
    }
    format!("<div class=\"warnings\"><p><strong>Before trusting this:</strong></p><ul>\n{items}</ul></div>\n")
}

/// The charts of a section.
fn charts(heading: &str, recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Vec<Chart> {
    let found = match heading {
        EFFECTS => vec![charts::on_throughput(recommendation), charts::on_loss(recommendation)],
        KNEE => vec![charts::knee(recommendation, trials), charts::success(recommendation, trials)],
        TRIED => vec![charts::tried(recommendation, trials)],
        summary::CURVE => vec![charts::throughput(recommendation.curve.as_ref(), trials)],
        summary::VERIFICATION => vec![charts::pairs(recommendation, trials)],
        summary::FAULTS => vec![charts::under_faults(recommendation, trials)],
        summary::DAYS => {
            vec![charts::lost(recommendation), charts::recovery(recommendation), charts::predictions(recommendation)]
        }
        _ => Vec::new(),
    };
    found.into_iter().flatten().collect()
}
