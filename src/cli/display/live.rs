//! The terminal: its modes, its keys, and when it is drawn.

use std::{
    io::{self, Stderr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    draw::draw,
    palette::Palette,
    state::{State, Wish},
};
use crate::{
    cli::{exit::code, out},
    stress::Event,
};

/// The longest time between two pictures; a key is answered at once.
const FRAME: Duration = Duration::from_millis(200);

/// A picture in the terminal; gone when dropped. A thread of its own draws it by the clock and looks for keys, so that
/// seconds count down while nothing happens, and a slow terminal holds up no test.
pub(in crate::cli) struct Live {
    shared: Arc<Shared>,
    painter: Option<JoinHandle<()>>,
}

/// What the test and the painter share.
struct Shared {
    state: Mutex<State>,
    over: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let state = Mutex::new(State::new(Palette::of_environment()));
        let shared = Arc::new(Shared { state, over: AtomicBool::new(false) });
        let painter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || paint(terminal, &shared, &cancel, &finish))
        };
        Ok(Self { shared, painter: Some(painter) })
    }

    pub(super) fn show(&self, event: &Event<'_>) {
        self.shared.state().take(event, Instant::now());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(painter) = self.painter.take() {
            drop(painter.join());
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

/// Draws and answers keys until the display is over.
fn paint(
    mut terminal: Terminal<CrosstermBackend<Stderr>>,
    shared: &Shared,
    cancel: &CancellationToken,
    finish: &CancellationToken,
) {
    while !shared.over.load(Ordering::Relaxed) {
        let drawn = terminal.draw(|frame| {
            let mut state = shared.state();
            state.wish = match (cancel.is_cancelled(), finish.is_cancelled()) {
                (true, _) => Wish::GiveUp,
                (false, true) => Wish::EndEarly,
                (false, false) => Wish::GoOn,
            };
            draw(&state, Instant::now(), frame);
        });
        // A terminal that cannot be drawn to must not end the test.
        if let Err(error) = drawn {
            tracing::debug!("the display was not drawn: {error}");
        }
        let event = match event::poll(FRAME) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        match event {
            Ok(event::Event::Key(key)) if key.kind != KeyEventKind::Release => answer(key, shared, cancel, finish),
            Ok(_) => {}
            // The terminal has gone; asking it at once again would take a processor from what is measured.
            Err(_) => thread::sleep(FRAME),
        }
    }
}

fn answer(key: KeyEvent, shared: &Shared, cancel: &CancellationToken, finish: &CancellationToken) {
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
        KeyCode::Char('?') => {
            let mut state = shared.state();
            state.help = !state.help;
        }
        // Who reads the help and presses Esc wants the picture back, not the end of the test.
        KeyCode::Esc if shared.state().help => shared.state().help = false,
        KeyCode::Char('q') | KeyCode::Esc => finish.cancel(),
        _ => {}
    }
}
