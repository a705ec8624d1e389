use super::report_html;
use crate::{
    model::{Measurement, Recommendation, Setting, Settings, Value},
    report::{ReportedTrial, samples},
};

fn page(recommendation: &Recommendation, trials: &[(&str, Settings, Measurement)]) -> String {
    let reported: Vec<_> = trials
        .iter()
        .map(|(phase, settings, measurement)| ReportedTrial { phase, why: "", settings, measurement })
        .collect();
    report_html(recommendation, &reported)
}

/// Tags that are open at the end, or closed without having been opened.
fn unbalanced(page: &str) -> Vec<String> {
    const VOID: [&str; 11] =
        ["meta", "link", "rect", "line", "polyline", "polygon", "circle", "path", "br", "!DOCTYPE", "hr"];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if VOID.contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            if open.pop().as_deref() != Some(name) {
                return vec![format!("</{name}> closes what is not open")];
            }
        } else {
            open.push(name.to_owned());
        }
    }
    open
}

#[test]
fn a_page_is_whole_and_asks_for_nothing() {
    let (faults, under_faults) = samples::better_under_faults();
    for (recommendation, trials) in [
        (samples::better(), samples::trials()),
        (samples::keep(), samples::trials()),
        (samples::infeasible(), samples::trials()),
        (samples::better(), Vec::new()),
        (faults, under_faults),
    ] {
        let page = page(&recommendation, &trials);
        assert_eq!(unbalanced(&page), Vec::<String>::new());
        assert!(page.len() < 1_000_000, "{}", page.len());
        for outside in ["http://", "https://", "url(", "src=", "@import", "<script", "NaN", "#01"] {
            assert!(!page.contains(outside), "{outside}: {page}");
        }
        let charts = page.matches("<figure").count();
        assert_eq!(page.matches("role=\"img\"").count(), charts);
        assert_eq!(page.matches("<desc>").count(), charts);
        assert_eq!(page.matches("<details>").count(), charts);
        assert!(charts > 0 && page.contains("prefers-color-scheme: dark"));
    }
}

#[test]
fn a_run_with_everything_has_every_chart() {
    let page = page(&samples::better(), &samples::trials());
    for id in ["throughput", "knee", "success", "search", "effects", "verification-pairs"] {
        assert!(page.contains(&format!("<figure id=\"{id}\">")), "{id}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</title><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" | `code` **b**";
    let mut recommendation = samples::better();
    recommendation.provenance.run = hostile.to_owned();
    recommendation.provenance.server = hostile.to_owned();
    recommendation.warnings = vec![hostile.to_owned()];
    for row in recommendation.rows.iter_mut().filter(|row| row.setting == Setting::ValidationQuery) {
        row.was = Value::Sql(hostile.to_owned());
        row.why = hostile.to_owned();
    }
    let mut trials = samples::trials();
    for (_, settings, measurement) in &mut trials {
        *settings = settings.clone().with(Setting::ValidationQuery, Value::Sql(hostile.to_owned()));
        measurement.errors[0].example = hostile.to_owned();
    }
    let page = page(&recommendation, &trials);
    assert!(!page.contains("<script") && !page.contains("<img") && page.contains("&lt;script&gt;"), "{page}");
    assert_eq!(unbalanced(&page), Vec::<String>::new());
}
