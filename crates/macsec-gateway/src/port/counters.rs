//! What a port counts beside its SecY.

/// Counters of a port that no SecY can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames delivered to the host: validated (or on the bypass list), and taken by the TAP.
    pub tap_written: u64,
    /// TapDrop: frames for the host that the TAP did not take, or that found no TAP.
    pub tap_drop: u64,
    /// Frames of the host that could not be read whole: longer than the TAP's MTU allows.
    pub tap_too_long: u64,
    /// EAPOL frames of the host, dropped: they never cross a port.
    pub eapol_from_tap: u64,
    /// EAPOL frames of the wire. Whoever agrees the keys has a socket of their own for them.
    pub eapol_from_uplink: u64,
    /// Frames of either side dropped because the Controlled Port is closed.
    pub port_closed: u64,
    /// How often the uplink has gone down.
    pub uplink_down: u64,
    /// How often somebody had let the host's stack onto the uplink, and it was shut out again.
    pub uplink_opened: u64,
    /// Frames of the host dropped because there is no uplink, or no signal on it.
    pub no_uplink: u64,
    /// Valid frames dropped because their packet numbers could not be put on record in time.
    pub state_drop: u64,
}
