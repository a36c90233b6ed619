//! Names of things. Numbers, so that they fit in table slots and records.

use core::fmt;
use core::str::FromStr;

/// A client's request, numbered by the driver and never reused.
///
/// The number says where the request came from and nothing of the configuration, so the same
/// call has the same number (and the same keyed draws) under every router: source (16 bits),
/// sequence within that source (40 bits), client try (8 bits). Written `r17`, `2:r17` from
/// source 2, `r17.1` for the client's first repetition.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(u64);

impl RequestId {
    /// The `sequence`-th call of `source`, in its `client_try`-th repetition (zero: the first try).
    ///
    /// # Panics
    /// If `sequence` needs more than 40 bits.
    pub const fn new(source: u16, sequence: u64, client_try: u8) -> Self {
        assert!(sequence < 1 << 40, "a source numbers at most 2^40 calls");
        Self((source as u64) << 48 | sequence << 8 | client_try as u64)
    }

    /// All of it in one word.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// From [`Self::as_u64`].
    pub const fn from_u64(word: u64) -> Self {
        Self(word)
    }

    /// Where it came from.
    pub const fn source(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Its place in its source.
    pub const fn sequence(self) -> u64 {
        self.0 >> 8 & 0xFF_FFFF_FFFF
    }

    /// How often the client had tried before.
    pub const fn client_try(self) -> u8 {
        self.0 as u8
    }

    /// The user's call that this is a try of: the number of its first try.
    pub const fn call(self) -> Self {
        Self(self.0 & !0xFF)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source() != 0 {
            write!(f, "{}:", self.source())?;
        }
        write!(f, "r{}", self.sequence())?;
        if self.client_try() != 0 {
            write!(f, ".{}", self.client_try())?;
        }
        Ok(())
    }
}

impl FromStr for RequestId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (source, rest) = match text.split_once(':') {
            Some((source, rest)) => (source.parse().map_err(|_| BadId)?, rest),
            None => (0, text),
        };
        let rest = rest.strip_prefix('r').ok_or(BadId)?;
        let (sequence, client_try) = match rest.split_once('.') {
            Some((sequence, client_try)) => (sequence, client_try.parse().map_err(|_| BadId)?),
            None => (rest, 0),
        };
        let sequence: u64 = sequence.parse().map_err(|_| BadId)?;
        if sequence >= 1 << 40 {
            return Err(BadId);
        }
        Ok(Self::new(source, sequence, client_try))
    }
}

/// One dispatch of one request: `r17#2` is the second attempt of request 17.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AttemptId {
    /// Whose attempt this is.
    pub request: RequestId,
    /// Counted from one.
    pub ordinal: u8,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.request, self.ordinal)
    }
}

impl FromStr for AttemptId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (request, ordinal) = text.split_once('#').ok_or(BadId)?;
        Ok(Self { request: request.parse()?, ordinal: ordinal.parse().map_err(|_| BadId)? })
    }
}

/// A text that names no request or attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadId;

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a request such as `r17` or an attempt such as `r17#2`")
    }
}

impl core::error::Error for BadId {}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(u16);

        impl $name {
            /// The one at `index` of the configuration's list.
            ///
            /// # Panics
            /// Above 65,535, which no checked configuration reaches.
            pub const fn at(index: usize) -> Self {
                assert!(index <= u16::MAX as usize, "a configuration's lists are short");
                Self(index as u16)
            }

            /// Its place in the configuration's list.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index!(
    /// A model group.
    GroupId
);
index!(
    /// A deployment.
    DeploymentId
);
index!(
    /// A limit, a deployment's own or shared.
    LimitId
);
