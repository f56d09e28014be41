//! The play: its acts, how long each lasts, what it does to the pod, and which alerts that must raise.

use std::time::Duration;

/// The built-in rules are played this much faster than they are written: 5 minutes become 10 seconds.
pub(crate) const FAST_MOTION: f64 = 1.0 / 30.0;

/// One act of the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing happens; every alert is false.
    Calm,
    /// Prompts are three times as long.
    LongerPrompts,
    /// Fewer tasks are completed, fewer users are content.
    FallingCompletion,
    /// Every core is busy.
    CpuLoad,
    /// As calm as before; every alert must resolve.
    Recovery,
}

/// What the traffic is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conditions {
    /// Prompt lengths are multiplied by this.
    pub(crate) prompt_factor: f64,
    /// Share of tasks that are completed.
    pub(crate) completion: f64,
    /// Share of users that are content.
    pub(crate) satisfaction: f64,
}

impl Act {
    /// All acts in their order.
    pub(crate) const ALL: [Self; 5] =
        [Self::Calm, Self::LongerPrompts, Self::FallingCompletion, Self::CpuLoad, Self::Recovery];

    /// Its name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::LongerPrompts => "longer prompts",
            Self::FallingCompletion => "falling completion",
            Self::CpuLoad => "CPU load",
            Self::Recovery => "recovery",
        }
    }

    /// Its name for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::LongerPrompts => "longer_prompts",
            Self::FallingCompletion => "falling_completion",
            Self::CpuLoad => "cpu_load",
            Self::Recovery => "recovery",
        }
    }

    /// How long it lasts at least and at most; it ends in between as soon as what it waits for has come.
    ///
    /// Calm has to fill enough of the baseline that the next act's own windows in it (a fifth would do) do not widen
    /// it before the rule fires.
    pub(crate) fn length(self) -> (Duration, Duration) {
        let (least, most) = match self {
            Self::Calm => (58, 58),
            Self::LongerPrompts => (20, 30),
            Self::FallingCompletion => (20, 45),
            Self::CpuLoad => (20, 45),
            Self::Recovery => (25, 75),
        };
        (Duration::from_secs(least), Duration::from_secs(most))
    }

    /// The traffic in it.
    pub(crate) fn conditions(self) -> Conditions {
        let calm = Conditions { prompt_factor: 1.0, completion: 0.97, satisfaction: 0.96 };
        match self {
            Self::LongerPrompts => Conditions { prompt_factor: 3.0, ..calm },
            Self::FallingCompletion => Conditions { completion: 0.7, satisfaction: 0.72, ..calm },
            Self::Calm | Self::CpuLoad | Self::Recovery => calm,
        }
    }
}

/// Something wrong that the scene plants and the agent has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// Input length leaves its mean.
    LongerPrompts,
    /// Task completion falls below 90 %.
    Completion,
    /// User satisfaction falls below 90 %.
    Satisfaction,
    /// CPU use rises above 85 %.
    CpuLoad,
}

impl Planted {
    /// All of them in the order of their acts.
    pub(crate) const ALL: [Self; 4] = [Self::LongerPrompts, Self::Completion, Self::Satisfaction, Self::CpuLoad];

    /// Its name for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LongerPrompts => "longer_prompts",
            Self::Completion => "falling_completion",
            Self::Satisfaction => "falling_satisfaction",
            Self::CpuLoad => "cpu_load",
        }
    }

    /// What is planted, in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::LongerPrompts => "prompts 3x as long",
            Self::Completion => "task completion 97 % -> 70 %",
            Self::Satisfaction => "satisfaction 96 % -> 72 %",
            Self::CpuLoad => "every core busy",
        }
    }

    /// The act that plants it.
    pub(crate) fn act(self) -> Act {
        match self {
            Self::LongerPrompts => Act::LongerPrompts,
            Self::Completion | Self::Satisfaction => Act::FallingCompletion,
            Self::CpuLoad => Act::CpuLoad,
        }
    }

    /// The built-in alert that finds it.
    pub(crate) fn alert(self) -> &'static str {
        match self {
            Self::LongerPrompts => "PlimsollInputLengthShift",
            Self::Completion => "PlimsollTaskCompletionLow",
            Self::Satisfaction => "PlimsollUserSatisfactionLow",
            Self::CpuLoad => "PlimsollCpuHigh",
        }
    }

    /// Another built-in alert that may find it too.
    pub(crate) fn also(self) -> Option<&'static str> {
        (self == Self::Completion).then_some("PlimsollTaskCompletionFell")
    }

    /// The drift signal that may find it too.
    pub(crate) fn signal(self) -> Option<&'static str> {
        match self {
            Self::LongerPrompts => Some("input_tokens"),
            Self::Completion => Some("task_completion"),
            Self::Satisfaction => Some("user_satisfaction"),
            Self::CpuLoad => None,
        }
    }
}

#[cfg(test)]
#[path = "scene_tests.rs"]
mod tests;
