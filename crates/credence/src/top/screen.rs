//! The terminal while the live view has it. However that ends, the terminal is as it was.
//!
//! The view is text, line by line, so that what a terminal shows and what is printed elsewhere are one; crossterm alone
//! does for that, at ten packages, where a library of widgets would bring fifty.

use std::io::{self, Stdout, Write, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, poll, read};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};

use super::picture::clipped;

/// How long a signal may go unnoticed.
const TICK: Duration = Duration::from_millis(100);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// The time is over.
    Due,
    /// The terminal has another size.
    Resized,
    /// The view is to end.
    Quit,
}

/// A terminal whose screen is ours until this value is dropped.
pub(super) struct Screen(Stdout);

impl Screen {
    /// Takes over the terminal on standard output.
    ///
    /// # Errors
    /// When it is none that can be drawn on.
    pub(super) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on it is given back, whatever fails.
        let mut screen = Self(stdout());
        execute!(screen.0, EnterAlternateScreen, Hide)?;
        give_back_before_a_panic_is_told();
        Ok(screen)
    }

    /// Draws these lines, as many and as much of them as there is room for.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (width, height) = room()?;
        queue!(self.0, MoveTo(0, 0))?;
        for (row, line) in (0..height).zip(lines) {
            let line = clipped(line, width.into());
            queue!(self.0, MoveTo(0, row), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        if lines.len() < height.into() {
            queue!(self.0, MoveTo(0, lines.len() as u16), Clear(ClearType::FromCursorDown))?;
        }
        self.0.flush()
    }

    /// Waits for the end of `time`, for a key that ends the view, for another size, or for `stop`.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub(super) fn wait(&self, time: Duration, stop: &AtomicBool) -> io::Result<Wake> {
        let mut left = time;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(Wake::Quit);
            }
            if poll(left.min(TICK))? {
                match read()? {
                    Event::Resize(..) => return Ok(Wake::Resized),
                    Event::Key(key) if is_end(key) => return Ok(Wake::Quit),
                    _ => {}
                }
            } else if left <= TICK {
                return Ok(Wake::Due);
            } else {
                left -= TICK;
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Whether a key ends the view. Ctrl-C is a key like others while the terminal is ours.
fn is_end(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || control && key.code == KeyCode::Char('c')
}

/// Columns and rows of the terminal. One that does not know, such as a serial line, is taken for the usual.
fn room() -> io::Result<(u16, u16)> {
    Ok(match size()? {
        (0, _) | (_, 0) => (80, 24),
        known => known,
    })
}

/// Gives the terminal back. Where that fails it has gone, and nobody is left to be told.
fn give_back() {
    let _ = execute!(stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// What a panic says belongs on the screen that stays.
fn give_back_before_a_panic_is_told() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        give_back();
        told(panic);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_ends_at_q_escape_and_control_c_alone() {
        let key = |code, modifiers| is_end(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE) && key(KeyCode::Esc, KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE) && !key(KeyCode::Enter, KeyModifiers::NONE));
    }
}
