use ratatui::style::{Color, Modifier, Style};

/// What colours mean. They are the ones of Okabe and Ito (2002) that are nearest in the 256 of a terminal: told apart with
/// any colour vision, on black and on white. None carries anything alone; a shape or a word says the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Palette {
    /// What is usual: throughput, the median, the bars.
    pub(super) usual: Style,
    /// The slow end of response times.
    pub(super) slow: Style,
    /// Faults.
    pub(super) fault: Style,
    /// What failed.
    pub(super) failure: Style,
}

impl Palette {
    /// Sky blue, orange, reddish purple, vermillion.
    fn coloured() -> Self {
        let of = |index| Style::new().fg(Color::Indexed(index));
        Self { usual: of(74), slow: of(214), fault: of(175), failure: of(166).add_modifier(Modifier::BOLD) }
    }

    /// No colours where `NO_COLOR` says so (<https://no-color.org>).
    pub(super) fn of_environment() -> Self {
        let off = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if off { Self::default() } else { Self::coloured() }
    }
}
