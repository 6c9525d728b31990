//! What keeps a port from working, told once when it begins and once when it ends.

use std::fmt;

use macsec_io::{
    interface::InterfaceError, netlink::NetlinkError, packet::PacketError, tap::TapError,
};
use tracing::{info, warn};

use crate::{port::PortError, uplink::UplinkError};

/// Which part of a port a problem is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Uplink,
    /// The host's stack being kept off the uplink.
    Isolation,
    Port,
    Mka,
    Tap,
    Keys,
    Controls,
    /// The record of packet numbers.
    State,
}

impl Where {
    const ALL: [Self; 8] = [
        Self::Uplink,
        Self::Isolation,
        Self::Port,
        Self::Mka,
        Self::Tap,
        Self::Keys,
        Self::Controls,
        Self::State,
    ];
}

/// A problem, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    text: String,
    /// Whether it may pass by itself: a link that is not there yet, say. If not, there is no point in
    /// starting with it.
    pub(super) passing: bool,
}

impl Problem {
    pub(super) fn passing(text: String) -> Self {
        Self { text, passing: true }
    }

    pub(super) fn lasting(text: String) -> Self {
        Self { text, passing: false }
    }

    /// Of a thread that does not answer.
    pub(super) fn silent() -> Self {
        Self::passing("the thread of the port does not answer".to_owned())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<UplinkError> for Problem {
    fn from(error: UplinkError) -> Self {
        let passing = matches!(error, UplinkError::Missing(_));
        Self { text: error.to_string(), passing }
    }
}

impl From<NetlinkError> for Problem {
    fn from(error: NetlinkError) -> Self {
        // The link has gone between two looks.
        let passing = matches!(error, NetlinkError::Interface(InterfaceError::NotFound(_)));
        Self { text: error.to_string(), passing }
    }
}

impl From<PacketError> for Problem {
    fn from(error: PacketError) -> Self {
        let passing = matches!(
            error,
            PacketError::InterfaceDown
                | PacketError::InterfaceGone
                | PacketError::Interface(InterfaceError::NotFound(_))
        );
        Self { text: error.to_string(), passing }
    }
}

impl From<TapError> for Problem {
    fn from(error: TapError) -> Self {
        Self::lasting(error.to_string())
    }
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Uplink(error) => error.into(),
            PortError::Controls(_) => Self::lasting(error.to_string()),
            error => Self::lasting(error.to_string()),
        }
    }
}

/// The present problems of a port, one at most for each part.
pub(super) struct Problems {
    port: String,
    present: [Option<Problem>; Where::ALL.len()],
}

impl Problems {
    pub(super) fn new(port: String) -> Self {
        Self { port, present: [const { None }; Where::ALL.len()] }
    }

    /// Says that a part has a problem, or none. It is logged when that is news.
    pub(super) fn set(&mut self, place: Where, problem: Option<Problem>) {
        let present = &mut self.present[place as usize];
        if *present == problem {
            return;
        }
        match (&problem, &present) {
            (Some(problem), _) => warn!(port = self.port, "{problem}"),
            (None, Some(former)) => info!(port = self.port, "solved: {former}"),
            (None, None) => {}
        }
        *present = problem;
    }

    pub(super) fn all(&self) -> Vec<Problem> {
        self.present.iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_for_each_part() {
        let mut problems = Problems::new("wan0".to_owned());
        for place in Where::ALL {
            problems.set(place, Some(Problem::lasting(format!("first of {place:?}"))));
            problems.set(place, Some(Problem::passing(format!("{place:?}"))));
        }
        let texts: Vec<_> = problems.all().iter().map(ToString::to_string).collect();
        assert_eq!(texts, Where::ALL.map(|place| format!("{place:?}")));
        problems.set(Where::Tap, None);
        assert_eq!(problems.all().len(), Where::ALL.len() - 1);
    }

    #[test]
    fn what_is_not_there_may_come() {
        assert!(Problem::from(UplinkError::Missing("eth1".to_owned())).passing);
        assert!(!Problem::from(UplinkError::NotEthernet("lo".to_owned())).passing);
        assert!(Problem::from(PacketError::InterfaceDown).passing);
        assert!(!Problem::from(PacketError::PermissionDenied).passing);
    }
}
