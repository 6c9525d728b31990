//! What can happen to a frame on its way from one member to another.

use std::time::Duration;

/// One direction between two members. Chances are per mille, for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// No frame arrives.
    pub cut: bool,
    /// The frame gets lost.
    pub loss: u16,
    /// How long a frame takes at the least.
    pub delay: Duration,
    /// How much longer it may take. Frames closer together than that may overtake each other.
    pub jitter: Duration,
    /// The frame is held up so long that later ones overtake it.
    pub reorder: u16,
    /// For how long.
    pub reorder_by: Duration,
    /// The frame arrives twice.
    pub duplicate: u16,
    /// One bit of the frame is another.
    pub corrupt: u16,
    /// The frame comes back to its sender as well.
    pub reflect: u16,
}

impl Link {
    /// A link that loses and changes nothing and takes a millisecond.
    pub const CLEAN: Self = Self {
        cut: false,
        loss: 0,
        delay: Duration::from_millis(1),
        jitter: Duration::ZERO,
        reorder: 0,
        reorder_by: Duration::from_millis(300),
        duplicate: 0,
        corrupt: 0,
        reflect: 0,
    };
}

impl Default for Link {
    fn default() -> Self {
        Self::CLEAN
    }
}
