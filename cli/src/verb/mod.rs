//! The verbs, each the word a person would type.

pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod print;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod seeds;
pub(crate) mod twice;
