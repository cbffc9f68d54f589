//! What a score is made of.

use credence_flow::Level;

/// Name and version of the rules in this crate, cited by every assessment. Any change of the arithmetic changes it.
pub const RULES: &str = "credence-local/1";

/// The rule behind a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The source has a credit score: the sum starts there.
    Credit,
    /// The source is unrated: the sum starts at the policy's neutral score.
    Unrated,
    /// Anomalies that hide traffic from inspection.
    AnomalyEvasive,
    /// Anomalies that no sound stack sends.
    AnomalyInvalid,
    /// Anomalies that are merely unusual.
    AnomalyUnusual,
    /// Flows begun a second.
    FlowRate,
    /// Packets a second.
    PacketRate,
    /// Share of openings in vain: unanswered, or refused.
    Unanswered,
    /// Different destinations tried in vain.
    Targets,
    /// Different ports tried in vain.
    Ports,
    /// Flows with anomalies a second.
    AnomalyRate,
    /// No score is below 0: what the other terms take beyond that is given back.
    Floor,
}

impl Rule {
    /// The name in outputs, a contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Unrated => "unrated",
            Self::AnomalyEvasive => "anomaly_evasive",
            Self::AnomalyInvalid => "anomaly_invalid",
            Self::AnomalyUnusual => "anomaly_unusual",
            Self::FlowRate => "flow_rate",
            Self::PacketRate => "packet_rate",
            Self::Unanswered => "unanswered",
            Self::Targets => "targets",
            Self::Ports => "ports",
            Self::AnomalyRate => "anomaly_rate",
            Self::Floor => "floor",
        }
    }

    /// One sentence for the operator.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Credit => "the source's credit score, where the sum starts",
            Self::Unrated => "the source is unrated: the sum starts at the neutral score",
            Self::AnomalyEvasive => "the flow showed anomalies that hide traffic from inspection",
            Self::AnomalyInvalid => "the flow showed anomalies that no sound stack sends",
            Self::AnomalyUnusual => "the flow showed unusual but possibly harmless anomalies",
            Self::FlowRate => "the source begins flows faster than the threshold",
            Self::PacketRate => "the source sends packets faster than the threshold",
            Self::Unanswered => {
                "most of what the source opens is unanswered or refused although answers would pass here"
            }
            Self::Targets => "the source tries many destinations in vain",
            Self::Ports => "the source tries many ports in vain",
            Self::AnomalyRate => "many flows of the source show anomalies",
            Self::Floor => "no score is below 0",
        }
    }
}

/// One summand of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Why.
    pub rule: Rule,
    /// How much; negative terms are losses.
    pub points: i32,
    /// What was measured: a count or a rate, in the rule's unit.
    pub measured: u64,
    /// Of which prefix of the source, for what the source does across flows.
    pub level: Option<Level>,
}

/// The summands of one score, in a fixed order. They add up exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    terms: [Term; Self::MAX],
    len: u8,
}

impl Terms {
    /// A start, three kinds of anomalies, six kinds of behaviour, the floor.
    const MAX: usize = 11;

    pub(crate) const fn start(first: Term) -> Self {
        Self { terms: [first; Self::MAX], len: 1 }
    }

    /// Adds a term; a term of no points says nothing and is left out.
    pub(crate) fn push(&mut self, term: Term) {
        if term.points != 0
            && let Some(place) = self.terms.get_mut(usize::from(self.len))
        {
            *place = term;
            self.len += 1;
        }
    }

    /// The sum.
    pub fn sum(&self) -> i32 {
        self.as_slice().iter().map(|t| t.points).sum()
    }

    /// The sum of those that are not about what the source does across flows.
    pub(crate) fn own(&self) -> i32 {
        self.as_slice().iter().filter(|t| t.level.is_none()).map(|t| t.points).sum()
    }

    /// One by one.
    pub fn as_slice(&self) -> &[Term] {
        self.terms.get(..usize::from(self.len)).unwrap_or_default()
    }
}
