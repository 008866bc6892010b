//! A sign of life on standard error for what takes longer than a second.

use std::{io, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::Screen;

/// So long nobody needs to be told.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);

/// What `work` comes to. From its second second on, a line says what is being
/// done and for how long; it is wiped away at the end. Nothing is shown where
/// standard error is no terminal, or with `-q`.
pub(crate) async fn waiting<T>(screen: Screen, doing: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if screen.quiet || !io::stderr().is_terminal() {
        return work.await;
    }
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    let line = Line::show(doing);
    let done = work.await;
    drop(line);
    done
}

/// The line; dropped, it is wiped away.
struct Line(ProgressBar);

impl Line {
    fn show(doing: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_elapsed(PATIENCE).with_message(doing.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
