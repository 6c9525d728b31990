//! The Logon Process: whether a port may be open, and how (802.1X clause 12.5).
//!
//! [`LogonPolicy::connect`] is a pure function of the policy and of how MKA and EAP fare. The first
//! line that applies decides:
//!
//! | MKA | EAP | policy | connect |
//! |---|---|---|---|
//! | secured | any | any | `Secure` |
//! | key server chose plain | any | `unsecured` is not `Never` | `Authenticated` |
//! | any | succeeded, or not used at all | `unsecured` is `Immediate`, or `MkaFail` and MKA failed | `Authenticated` |
//! | any | any | `unauthenticated` is `Immediate` | `Unauthenticated` |
//! | any | failed | `unauthenticated` is `AuthFail` | `Unauthenticated` |
//! | else | | | `Pending`: closed |
//!
//! A port that does not use EAP has nobody to authenticate but by its CAK. There `unsecured` alone says
//! whether it may open without MACsec; public sources do not settle this.

/// What the upper layer wants of the Controlled Port: the variable `connect` (802.1X clause 12.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Connect {
    /// Closed: nothing is decided yet, or nothing is allowed.
    #[default]
    Pending,
    /// Open in clear, to anybody.
    Unauthenticated,
    /// Open in clear, to a peer that has been authenticated.
    Authenticated,
    /// Open with MACsec only.
    Secure,
}

impl Connect {
    /// All four.
    pub const ALL: [Self; 4] =
        [Self::Pending, Self::Unauthenticated, Self::Authenticated, Self::Secure];
}

/// When a port may open to a peer that is not authenticated (`unauthAllowed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnauthenticatedAllowed {
    /// Never.
    #[default]
    Never,
    /// At once.
    Immediate,
    /// Once EAP has failed.
    AuthFail,
}

/// When a port may open without MACsec (`unsecuredAllowed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnsecuredAllowed {
    /// Never.
    #[default]
    Never,
    /// At once, until MKA has secured it.
    Immediate,
    /// Once MKA has failed: a Life Time without a session. Or the key server may say so.
    MkaFail,
    /// Only if an authenticated key server says so.
    MkaServer,
}

/// When a port uses EAP (`useEAP`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UseEap {
    /// Never: the CAK is pre-shared.
    #[default]
    Never,
    /// At once.
    Immediate,
    /// Once MKA has failed with the CAKs there are.
    MkaFail,
}

/// How MKA fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MkaOutcome {
    /// No session, but that may come.
    #[default]
    Pending,
    /// `MKA.failed`: a Life Time has passed since the newest participant was made, and none has a
    /// session.
    Failed,
    /// `MKA.authenticated`: the principal participant's key server chose to go without MACsec.
    Plain,
    /// `MKA.secured`: a SAK has been distributed.
    Secured,
}

impl MkaOutcome {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Failed, Self::Plain, Self::Secured];
}

/// How EAP fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EapOutcome {
    /// Not run, or running.
    #[default]
    Pending,
    /// The peer has been authenticated.
    Succeeded,
    /// It has not.
    Failed,
}

impl EapOutcome {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Succeeded, Self::Failed];
}

/// What a port may do without MACsec. The default is [`Self::MUST_SECURE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogonPolicy {
    /// `useEAP`.
    pub use_eap: UseEap,
    /// `unauthAllowed`.
    pub unauthenticated: UnauthenticatedAllowed,
    /// `unsecuredAllowed`.
    pub unsecured: UnsecuredAllowed,
}

impl LogonPolicy {
    /// Closed unless secured: no peer, no attacker and no key server can open it in clear.
    pub const MUST_SECURE: Self = Self {
        use_eap: UseEap::Never,
        unauthenticated: UnauthenticatedAllowed::Never,
        unsecured: UnsecuredAllowed::Never,
    };
    /// Secured if there is a peer to do so, and in clear once MKA has failed.
    ///
    /// Whoever can drop MKPDUs for a Life Time opens such a port: it is for the time of a roll-out.
    pub const SHOULD_SECURE: Self =
        Self { unsecured: UnsecuredAllowed::MkaFail, ..Self::MUST_SECURE };

    /// What the Controlled Port is to be.
    #[must_use]
    pub fn connect(&self, mka: MkaOutcome, eap: EapOutcome) -> Connect {
        let authenticated = eap == EapOutcome::Succeeded || self.use_eap == UseEap::Never;
        let unsecured = match self.unsecured {
            UnsecuredAllowed::Immediate => true,
            UnsecuredAllowed::MkaFail => mka == MkaOutcome::Failed,
            UnsecuredAllowed::Never | UnsecuredAllowed::MkaServer => false,
        };
        let unauthenticated = match self.unauthenticated {
            UnauthenticatedAllowed::Immediate => true,
            UnauthenticatedAllowed::AuthFail => eap == EapOutcome::Failed,
            UnauthenticatedAllowed::Never => false,
        };
        match mka {
            MkaOutcome::Secured => Connect::Secure,
            MkaOutcome::Plain if self.accepts_plain() => Connect::Authenticated,
            _ if authenticated && unsecured => Connect::Authenticated,
            _ if unauthenticated => Connect::Unauthenticated,
            _ => Connect::Pending,
        }
    }

    /// Whether a key server's choice to go without MACsec counts: a Distributed SAK without a key is
    /// neither taken nor sent otherwise (802.1X clause 11.11.1).
    #[must_use]
    pub fn accepts_plain(&self) -> bool {
        self.unsecured != UnsecuredAllowed::Never
    }

    /// Whether EAP is to run now.
    #[must_use]
    pub fn wants_eap(&self, mka: MkaOutcome) -> bool {
        match self.use_eap {
            UseEap::Never => false,
            UseEap::Immediate => true,
            UseEap::MkaFail => mka == MkaOutcome::Failed,
        }
    }
}
