//! The live view: a full screen on a terminal, a line every few seconds elsewhere. Always on standard error, so that
//! standard output holds the result alone.

use std::io::{self, BufWriter, IsTerminal as _, Stderr, Write as _};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Once};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::board::{Board, SharedBoard};
use super::scene::Act;
use super::{board, draw};
use crate::shutdown::Shutdown;

/// Between two pictures on a terminal.
const PICTURE: Duration = Duration::from_millis(250);
/// Between two lines elsewhere.
const LINE: Duration = Duration::from_secs(5);

/// What the view says that is not on the board.
#[derive(Clone, Debug)]
pub(crate) struct Show {
    /// Acts last this many times as long.
    pub(crate) duration_scale: f64,
    /// What is played against.
    pub(crate) engine: String,
}

impl Show {
    /// Seconds an act is expected to take.
    pub(crate) fn expected(&self, act: Act) -> f64 {
        act.length().0.as_secs_f64() * self.duration_scale
    }
}

/// The view while it lives; dropped, the terminal is as it was.
#[derive(Debug)]
pub(crate) struct Screen {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Shows `board` from a thread of its own (drawing and reading keys both block). `q` and Ctrl-C begin shutdown.
    pub(crate) fn start(board: SharedBoard, show: Show, shutdown: Shutdown) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || {
            let drawn = io::stderr().is_terminal() && full_screen(&board, &show, &shutdown, &stopped).is_ok();
            if !drawn {
                lines(&board, &show, &stopped);
            }
        };
        let thread = std::thread::Builder::new().name("demo-view".to_owned()).spawn(run).ok();
        Self { stop, thread }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic hook has put the terminal right.
            let _ = thread.join();
        }
    }
}

/// Puts the terminal right when dropped, however that comes about.
struct FullScreen(Terminal<CrosstermBackend<BufWriter<Stderr>>>);

impl FullScreen {
    fn enter() -> io::Result<Self> {
        restore_on_panic();
        enable_raw_mode()?;
        let entered = execute!(io::stderr(), EnterAlternateScreen, cursor::Hide);
        let terminal = entered.and_then(|()| Terminal::new(CrosstermBackend::new(BufWriter::new(io::stderr()))));
        if terminal.is_err() {
            restore();
        }
        terminal.map(Self)
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // There is nobody left to tell if the terminal is gone.
    let _ = disable_raw_mode();
    let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
}

/// A panic in any thread first leaves the full screen, so that its message can be read.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

fn full_screen(board: &SharedBoard, show: &Show, shutdown: &Shutdown, stop: &AtomicBool) -> io::Result<()> {
    let mut screen = FullScreen::enter()?;
    while !stop.load(Relaxed) {
        let now = board.lock().clone();
        screen.0.draw(|frame| draw::picture(frame, &now, show, board::now()))?;
        if event::poll(PICTURE)? && asks_to_quit(&event::read()?) {
            shutdown.begin();
        }
    }
    Ok(())
}

fn asks_to_quit(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (ctrl_c || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc))
}

fn lines(board: &SharedBoard, show: &Show, stop: &AtomicBool) {
    let mut told = 0;
    let mut said_at: Option<Instant> = None;
    while !stop.load(Relaxed) {
        let now = board.lock().clone();
        for note in &now.notes[told..] {
            say(&format!("note: {note}"));
        }
        told = now.notes.len();
        if said_at.is_none_or(|at| at.elapsed() >= LINE) {
            say(&progress(&now, show, board::now()));
            said_at = Some(Instant::now());
        }
        std::thread::sleep(PICTURE);
    }
}

/// A closed standard error is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The scene in one line.
fn progress(board: &Board, show: &Show, now: f64) -> String {
    let Some(span) = board.acts.last() else { return "demo: looking at the machine before the scene".to_owned() };
    let start = board.acts.first().map_or(now, |first| first.started_at);
    let firing: Vec<&str> = board
        .showing
        .iter()
        .filter(|alert| alert.firing)
        .filter_map(|alert| alert.labels.get("alertname"))
        .map(String::as_str)
        .collect();
    let firing = if firing.is_empty() { "none".to_owned() } else { firing.join(", ") };
    let (place, title) = (board.acts.len(), span.act.title());
    let (since, expected) = (now - span.started_at, show.expected(span.act));
    format!(
        "demo: {:>3.0} s  act {place}/{} {title} ({since:.0} of about {expected:.0} s); firing: {firing}; {}",
        now - start,
        Act::ALL.len(),
        board.status
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn q_escape_and_control_c_quit() {
        for (why, code, modifiers, expected) in [
            ("q", KeyCode::Char('q'), KeyModifiers::NONE, true),
            ("escape", KeyCode::Esc, KeyModifiers::NONE, true),
            ("control c", KeyCode::Char('c'), KeyModifiers::CONTROL, true),
            ("c alone", KeyCode::Char('c'), KeyModifiers::NONE, false),
        ] {
            assert_eq!(asks_to_quit(&Event::Key(KeyEvent::new(code, modifiers))), expected, "{why}");
        }
    }

    #[test]
    fn the_line_names_act_and_alerts() {
        let show = Show { duration_scale: 1.0, engine: "stand-in".to_owned() };
        let mut board = Board::default();
        assert!(progress(&board, &show, 0.0).contains("before the scene"));
        board.enter(Act::Calm, 100.0);
        assert!(progress(&board, &show, 107.0).contains("7 s  act 1/5 calm (7 of about 58 s); firing: none"));
    }
}
