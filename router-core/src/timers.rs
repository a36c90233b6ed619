//! Under construction.

/// What a wake-up is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum TimerKind {
    /// An attempt's connection must stand.
    Connect,
    /// An attempt must have shown its first token.
    FirstToken,
    /// A stream must have shown a sign of life.
    Idle,
    /// An attempt must be whole.
    Total,
    /// A request's deadline.
    Deadline,
    /// A waiting request may try again.
    Retry,
}
