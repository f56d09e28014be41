//! How many pods the traffic needs: the peak of what is asked for, with a reserve, over what one pod gets done when it has more to do
//! than it can.
//!
//! Time is cut into spans. A span says how many requests a second were finished, and how many were asked for (finished ones and
//! what the engine has more of than before). A span in which requests waited at every look was a saturated one: what it
//! finished is what a pod can. Nothing is guessed: without such spans there is no capacity, and before an hour there is no peak.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Shortest and longest window of the peak.
pub const LEAST_WINDOW: Duration = Duration::from_secs(60);
/// See [`LEAST_WINDOW`].
pub const MOST_WINDOW: Duration = Duration::from_secs(90 * 86_400);
/// Longest span.
const SPAN: Duration = Duration::from_secs(60);
/// A peak is told once so much was seen, or a whole window.
const LEAST_SEEN: Duration = Duration::from_secs(3600);
/// Peaks that are kept of a window: it moves in steps.
const STEPS: u32 = 168;
/// Saturated spans that the capacity is the median of, and the fewest.
const SATURATED: usize = 120;
const FEWEST_SATURATED: usize = 3;
/// The fewest looks that tell a span from a moment.
const FEWEST_LOOKS: u32 = 3;

/// What is seen at one look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Requests finished so far: a counter.
    pub finished: f64,
    /// Requests that the engine works on, where it says so.
    pub running: Option<f64>,
    /// Requests that wait in its queue, where it says so.
    pub waiting: Option<f64>,
}

impl Look {
    fn inside(&self) -> Option<f64> {
        Some(self.running? + self.waiting?)
    }
}

/// What is watched, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacitySettings {
    /// The peak is that of the last so long.
    pub window: Duration,
    /// Pods for so many times the peak, at least 1.
    pub reserve: f64,
    /// Requests a second that a pod can, where somebody knows better.
    pub configured: Option<f64>,
}

impl CapacitySettings {
    /// How often to look.
    pub fn interval(&self) -> Duration {
        self.span() / 12
    }

    fn span(&self) -> Duration {
        (self.window / 10).min(SPAN)
    }

    fn step(&self) -> Duration {
        (self.window / STEPS).max(self.span())
    }
}

/// What can be told; what cannot is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// Requests a second that were asked for at most.
    pub peak: Option<f64>,
    /// Requests a second that a pod can.
    pub capacity: Option<f64>,
    /// Pods that this pod's own traffic takes: `reserve * peak / capacity`. Add it over pods and round up.
    pub replicas: Option<f64>,
}

/// Learns from looks. What was learned can be saved (serde) and goes on after a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// The span under way; the program that looks may have begun anew since it was saved.
    #[serde(skip)]
    open: Option<Open>,
    /// Start of a step of the window, its peak, and seconds seen of it.
    peaks: VecDeque<(Timestamp, f64, f64)>,
    /// End of a saturated span and what it finished a second.
    saturated: VecDeque<(Timestamp, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Open {
    since: Timestamp,
    first: Look,
    looked: Timestamp,
    looks: u32,
    waited: u32,
}

impl Open {
    fn at(now: Timestamp, look: Look) -> Self {
        Self { since: now, first: look, looked: now, looks: 0, waited: 0 }
    }
}

impl Capacity {
    /// Takes a look at `now`. After a gap, or a counter that fell, a new span begins.
    pub fn take(&mut self, now: Timestamp, look: Look, settings: &CapacitySettings) {
        let span = settings.span();
        let Some(mut open) = self.open.take() else {
            self.open = Some(Open::at(now, look));
            return;
        };
        if look.finished < open.first.finished || now.since(open.looked) > span {
            self.open = Some(Open::at(now, look));
            return;
        }
        (open.looked, open.looks) = (now, open.looks + 1);
        open.waited += u32::from(look.waiting.is_some_and(|waiting| waiting >= 1.0));
        if now.since(open.since) < span {
            self.open = Some(open);
            return;
        }
        self.close(now, &open, look, settings);
        self.open = Some(Open::at(now, look));
    }

    fn close(&mut self, now: Timestamp, open: &Open, look: Look, settings: &CapacitySettings) {
        let seconds = now.since(open.since).as_secs_f64();
        let finished = look.finished - open.first.finished;
        let more = look.inside().zip(open.first.inside()).map_or(0.0, |(after, before)| after - before);
        let asked = (finished + more).max(0.0) / seconds;
        match self.peaks.back_mut() {
            Some((start, peak, seen)) if now.since(*start) < settings.step() => {
                (*peak, *seen) = (peak.max(asked), *seen + seconds);
            }
            _ => self.peaks.push_back((open.since, asked, seconds)),
        }
        if open.looks >= FEWEST_LOOKS && open.waited == open.looks && finished > 0.0 {
            self.saturated.push_back((now, finished / seconds));
        }
        let old = |at: &Timestamp| now.since(*at) > settings.window;
        while self.peaks.front().is_some_and(|(start, ..)| old(start)) && self.peaks.len() > 1 {
            self.peaks.pop_front();
        }
        // old ones count until there are newer: a pod with a reserve has seldom too much to do
        let is_old = |at: Option<&(Timestamp, f64)>| at.is_some_and(|(at, _)| old(at));
        while self.saturated.len() > SATURATED
            || (self.saturated.len() > FEWEST_SATURATED && is_old(self.saturated.front()))
        {
            self.saturated.pop_front();
        }
    }

    /// What can be told of what was seen.
    pub fn need(&self, settings: &CapacitySettings) -> Need {
        let seen: f64 = self.peaks.iter().map(|(.., seconds)| seconds).sum();
        let enough = LEAST_SEEN.min(settings.window.mul_f64(0.9)).as_secs_f64();
        let peak = (seen >= enough).then(|| self.peaks.iter().map(|(_, peak, _)| *peak).fold(0.0, f64::max));
        let capacity = settings.configured.or_else(|| self.measured());
        let replicas = peak.zip(capacity).map(|(peak, capacity)| settings.reserve * peak / capacity);
        Need { peak, capacity, replicas }
    }

    fn measured(&self) -> Option<f64> {
        let mut all: Vec<f64> = self.saturated.iter().map(|(_, rate)| *rate).collect();
        all.sort_by(f64::total_cmp);
        (all.len() >= FEWEST_SATURATED).then(|| all[all.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: CapacitySettings =
        CapacitySettings { window: Duration::from_secs(7 * 86_400), reserve: 1.5, configured: None };

    /// Looks every five seconds: so many seconds at so many finished a second, so many waiting.
    struct Pod {
        capacity: Capacity,
        settings: CapacitySettings,
        second: u64,
        look: Look,
    }

    impl Pod {
        fn new(settings: CapacitySettings) -> Self {
            let look = Look { finished: 0.0, running: Some(0.0), waiting: Some(0.0) };
            Self { capacity: Capacity::default(), settings, second: 1_700_000_000, look }
        }

        fn play(&mut self, seconds: u64, rate: f64, waiting: f64) -> Need {
            for _ in 0..seconds / 5 {
                self.second += 5;
                self.look.finished += 5.0 * rate;
                self.look.waiting = Some(waiting);
                let now = Timestamp::from_millis(0) + Duration::from_secs(self.second);
                self.capacity.take(now, self.look, &self.settings);
            }
            self.capacity.need(&self.settings)
        }
    }

    fn close(value: Option<f64>, expected: f64) {
        assert!((value.unwrap() - expected).abs() < 0.05 * expected, "{value:?}, expected {expected}");
    }

    #[test]
    fn nothing_is_told_before_it_is_known() {
        let mut pod = Pod::new(SETTINGS);
        assert_eq!(pod.play(3000, 4.0, 0.0), Need::default(), "less than an hour");
        let need = pod.play(900, 4.0, 0.0);
        close(need.peak, 4.0);
        assert_eq!((need.capacity, need.replicas), (None, None), "it never had too much to do");
        let need = pod.play(125, 10.0, 3.0);
        assert_eq!(need.capacity, None, "two minutes are too few");
        let need = pod.play(200, 10.0, 3.0);
        close(need.capacity, 10.0);
        close(need.peak, 10.0);
        close(need.replicas, 1.5);
    }

    #[test]
    fn what_somebody_knows_counts_for_what_was_measured() {
        let mut pod = Pod::new(CapacitySettings { configured: Some(2.0), reserve: 2.0, ..SETTINGS });
        let need = pod.play(4000, 4.0, 5.0);
        assert_eq!(need.capacity, Some(2.0));
        close(need.replicas, 4.0);
    }

    #[test]
    fn a_queue_that_grows_was_asked_for_too() {
        let mut pod = Pod::new(SETTINGS);
        pod.play(3600, 4.0, 0.0);
        for waiting in 1..=120 {
            pod.play(5, 10.0, f64::from(waiting) * 50.0); // ten more a second than it gets done
        }
        let need = pod.capacity.need(&SETTINGS);
        close(need.capacity, 10.0);
        close(need.peak, 20.0);
        close(need.replicas, 3.0);
    }

    #[test]
    fn a_queue_now_and_then_is_no_saturation_and_a_restart_no_traffic() {
        let mut pod = Pod::new(SETTINGS);
        for _ in 0..400 {
            pod.play(5, 6.0, 4.0);
            pod.play(5, 6.0, 0.0);
        }
        pod.look.finished = 0.0;
        let need = pod.play(600, 6.0, 0.0);
        assert_eq!(need.capacity, None);
        close(need.peak, 6.0);
        pod.second += 3600; // nobody looked
        pod.look.finished += 1e6;
        close(pod.play(600, 6.0, 0.0).peak, 6.0);
    }

    #[test]
    fn a_peak_is_forgotten_after_the_window_and_a_save_forgets_nothing() {
        let settings = CapacitySettings { window: Duration::from_secs(2 * 86_400), ..SETTINGS };
        let mut pod = Pod::new(settings);
        pod.play(3600, 40.0, 2.0);
        close(pod.play(86_400, 3.0, 0.0).peak, 40.0);
        let saved = serde_json::to_string(&pod.capacity).unwrap();
        pod.capacity = serde_json::from_str(&saved).unwrap();
        let need = pod.play(3600, 3.0, 0.0);
        close(need.peak, 40.0);
        close(need.capacity, 40.0);
        let need = pod.play(2 * 86_400, 3.0, 0.0);
        close(need.peak, 3.0);
        close(need.capacity, 40.0);
        assert_eq!(pod.capacity.saturated.len(), FEWEST_SATURATED);
        close(pod.play(300, 20.0, 2.0).capacity, 20.0);
        assert!(pod.capacity.peaks.len() <= STEPS as usize + 2);
    }
}
