//! The terminal: its modes, its keys, and when it is drawn.

use std::{
    io::{self, Stderr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        event::{self, KeyCode, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use tokio_util::sync::CancellationToken;

use super::{draw::draw, state::State};
use crate::{
    cli::{exit::code, out},
    stress::Event,
    trial::Watch,
};

/// The least time between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// How often keys are looked for.
const KEYS: Duration = Duration::from_millis(50);

/// A picture in the terminal; gone when dropped.
pub(in crate::cli) struct Live {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    state: State,
    drawn: Option<Instant>,
    keys: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    finish: CancellationToken,
}

impl Live {
    /// Takes the terminal over.
    pub(super) fn start(cancel: CancellationToken, finish: CancellationToken) -> io::Result<Self> {
        enable_raw_mode()?;
        let restored = execute!(io::stderr(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())))
            .inspect_err(|_| restore());
        let terminal = restored?;
        // A panic's message would be lost with the picture.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        out::hold();
        let over = Arc::new(AtomicBool::new(false));
        let keys = {
            let (over, finish) = (Arc::clone(&over), finish.clone());
            thread::spawn(move || keys(&over, &cancel, &finish))
        };
        Ok(Self { terminal, state: State::default(), drawn: None, keys: Some(keys), over, finish })
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        self.state.take(event);
        self.state.finishing = self.finish.is_cancelled();
        let now = Instant::now();
        let due = self.drawn.is_none_or(|drawn| now.saturating_duration_since(drawn) >= FRAME);
        if due || !matches!(event, Event::Trial(Watch::Point { .. })) {
            self.drawn = Some(now);
            // A terminal that cannot be drawn to must not end the test.
            if let Err(error) = self.terminal.draw(|frame| draw(&self.state, frame)) {
                tracing::debug!("the display was not drawn: {error}");
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(keys) = self.keys.take() {
            drop(keys.join());
        }
        restore();
    }
}

/// Gives the terminal back as it was.
pub(super) fn restore() {
    drop(execute!(io::stderr(), LeaveAlternateScreen));
    drop(disable_raw_mode());
    out::release();
}

/// Looks for keys until the display is over.
fn keys(over: &AtomicBool, cancel: &CancellationToken, finish: &CancellationToken) {
    while !over.load(Ordering::Relaxed) {
        let key = match event::poll(KEYS) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let key = match key {
            Ok(event::Event::Key(key)) => key,
            Ok(_) => continue,
            // The terminal has gone; asking it at once again would take a processor from what is measured.
            Err(_) => {
                thread::sleep(KEYS);
                continue;
            }
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            // In raw mode the terminal sends no signal for it.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                if cancel.is_cancelled() {
                    restore();
                    #[expect(clippy::exit, reason = "the user asked twice; the next start removes what is left")]
                    std::process::exit(i32::from(code::INTERRUPTED));
                }
                cancel.cancel();
            }
            KeyCode::Char('q') | KeyCode::Esc => finish.cancel(),
            _ => {}
        }
    }
}
