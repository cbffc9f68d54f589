//! A stricter policy for a stated time, and then the usual one by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use credence_engine::clock::unix_s;
use tracing::{info, warn};

use super::carrier::Carrier;
use crate::serve::status::State;

/// Whether there is an emergency, and until when.
pub(super) struct Emergency {
    /// What the engine's lines look at.
    alarm: Arc<AtomicBool>,
    state: Arc<State>,
    longest: Duration,
    /// A time since the start.
    until: Option<Duration>,
}

impl Emergency {
    pub(super) const fn new(alarm: Arc<AtomicBool>, state: Arc<State>, longest: Duration) -> Self {
        Self { alarm, state, longest, until: None }
    }

    /// Declares one from `now` on, in place of one that may be under way, and says what was declared.
    ///
    /// # Errors
    /// When it would last longer than the configuration allows.
    pub(super) fn declare(
        &mut self,
        lasts: Duration,
        now: Duration,
        carrier: Option<&Carrier>,
    ) -> Result<String, String> {
        if lasts > self.longest {
            let longest = self.longest.as_secs();
            return Err(format!(
                "an emergency lasts at most {longest} s here (`emergency.longest_s`); declare it again when it has ended"
            ));
        }
        self.until = Some(now + lasts);
        self.alarm.store(true, Ordering::Relaxed);
        if let Some(carrier) = carrier {
            carrier.alarm(true);
        }
        self.state.emergency_ends_s.store(unix_s() + lasts.as_secs(), Ordering::Relaxed);
        warn!(seconds = lasts.as_secs(), "emergency: the policy of `[emergency]` is in force");
        Ok(format!("the policy of `[emergency]` is in force for {} s", lasts.as_secs()))
    }

    /// Ends one whose time has come at `now`.
    pub(super) fn observe(&mut self, now: Duration, carrier: Option<&Carrier>) {
        if self.until.is_some_and(|until| now >= until) {
            self.end(carrier);
        }
    }

    /// Ends one that is under way; whether one was.
    pub(super) fn end(&mut self, carrier: Option<&Carrier>) -> bool {
        let was = self.until.take().is_some();
        if was {
            self.alarm.store(false, Ordering::Relaxed);
            if let Some(carrier) = carrier {
                carrier.alarm(false);
            }
            self.state.emergency_ends_s.store(0, Ordering::Relaxed);
            info!("the emergency is over; the usual policy is in force");
        }
        was
    }

    /// How much longer one lasts at `now`.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_ends_by_itself_and_not_before() {
        let (alarm, state) = (Arc::<AtomicBool>::default(), Arc::<State>::default());
        let s = Duration::from_secs;
        let mut emergency = Emergency::new(Arc::clone(&alarm), Arc::clone(&state), s(60));
        assert!(emergency.declare(s(61), s(0), None).unwrap_err().contains("emergency.longest_s"));
        assert!(!alarm.load(Ordering::Relaxed));
        emergency.declare(s(60), s(5), None).unwrap();
        emergency.observe(s(64), None);
        assert!(alarm.load(Ordering::Relaxed) && emergency.left(s(64)) == Some(s(1)));
        assert!(state.emergency_ends_s.load(Ordering::Relaxed) > 0);
        emergency.observe(s(65), None);
        assert!(!alarm.load(Ordering::Relaxed) && emergency.left(s(65)).is_none());
        assert_eq!(state.emergency_ends_s.load(Ordering::Relaxed), 0);
        assert!(!emergency.end(None), "it is over already");
    }
}
