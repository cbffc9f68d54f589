//! How much each anomaly weighs.

use credence_flow::{Anomalies, Anomaly};

/// What an anomaly says of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Seen in sound networks too. APNIC measured in 2023 how often extension headers are lost; using one is no offence.
    Unusual,
    /// No sound stack sends it; a broken one may.
    Invalid,
    /// It hides what follows from inspection, or makes two readers of the same bytes disagree.
    Evasive,
}

impl Severity {
    /// The severity of an anomaly.
    pub const fn of(anomaly: Anomaly) -> Self {
        use Anomaly as A;
        match anomaly {
            A::ExtHeaderLimit
            | A::ExtHeaderDuplicate
            | A::HopByHopNotFirst
            | A::RoutingType0
            | A::FragmentNested
            | A::FragmentOverlap
            | A::FragmentExcess
            | A::FragmentPastEnd
            | A::FirstFragmentIncomplete
            | A::NdFragmented
            | A::NdHopLimit
            | A::TunnelDepth
            | A::SourceIsDestination
            | A::LoopbackAddress
            | A::SourceMulticast
            | A::MappedAddress => Self::Evasive,
            A::ExtHeaderTruncated
            | A::OptionLimit
            | A::PaddingLimit
            | A::PaddingNotZero
            | A::OptionTruncated
            | A::JumboInvalid
            | A::PayloadTruncated
            | A::RoutingInvalid
            | A::FragmentLength
            | A::FragmentEmpty
            | A::AhInvalid
            | A::UpperTruncated
            | A::TcpOffset
            | A::TcpNull
            | A::TcpFlagsContradict
            | A::TcpXmas
            | A::PortZero
            | A::UdpLength
            | A::UdpChecksumZero
            | A::SctpTag
            | A::QuoteMismatch
            | A::UnspecifiedAddress
            | A::TunnelTruncated
            | A::HopLimitZero
            | A::MulticastScope => Self::Invalid,
            A::ExtHeaderOrder
            | A::OptionUnknown
            | A::PayloadLengthZero
            | A::TrailingBytes
            | A::RoutingUnknown
            | A::FragmentAtomic
            | A::NoNextHeaderPayload
            | A::NdExtHeader
            | A::Icmpv6Unknown
            | A::SourceReserved
            | A::SourceSiteLocal
            | A::ExperimentalHeader => Self::Unusual,
        }
    }

    /// All anomalies of this severity.
    pub fn set(self) -> Anomalies {
        let mut set = Anomalies::NONE;
        Anomaly::ALL.iter().filter(|&&a| Self::of(a) == self).for_each(|&a| set.insert(a));
        set
    }

    /// Loss of points for each different anomaly of this severity, and the most that all of them together take.
    pub(crate) const fn weight(self) -> (i32, i32) {
        match self {
            Self::Unusual => (10, 30),
            Self::Invalid => (60, 180),
            Self::Evasive => (150, 300),
        }
    }

    /// How many different anomalies of this severity are in a set.
    pub(crate) fn count(self, anomalies: Anomalies) -> u32 {
        let of_severity = anomalies.iter().filter(|&a| Self::of(a) == self).count();
        u32::try_from(of_severity).unwrap_or(u32::MAX)
    }
}
