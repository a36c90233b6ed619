//! The router files that take effect while a scenario runs.

use scenarios::diagnostic::Diagnostic;
use scenarios::router::{self, RouterFile};
use scenarios::written::Mistake;
use scenarios::{file, scenario};

use crate::source::{Kind, Source, beside};

/// What `scenario` says that `first` becomes, one after the other. Of a scenario that cannot be
/// read it is nothing: that is said where it is read.
///
/// # Errors
/// What the scenario names and is not there, at its place; else what is wrong with it.
pub(crate) fn later(
    scenario: &Source,
    first: &RouterFile,
) -> Result<Vec<(Source, RouterFile)>, Vec<Diagnostic>> {
    let written = scenario::read(&scenario.name, &scenario.text);
    let written = written.map(|scenario| scenario.reloads).unwrap_or_default();
    let mut absent = Vec::new();
    let mut sources = Vec::new();
    for reload in written {
        let word = &reload.router;
        match Kind::Router.source(&beside(scenario, &word.value)) {
            Ok(source) => sources.push(source),
            Err(_) => {
                let (message, hint) = Kind::Router.unknown(&word.value);
                absent.push(Mistake { at: word.at.clone(), message, hint: Some(hint) });
            }
        }
    }
    if !absent.is_empty() {
        return Err(file::show(&scenario.name, &scenario.text, &absent));
    }
    let mut read: Vec<(Source, RouterFile)> = Vec::new();
    for source in sources {
        let running = read.last().map_or(first, |(_, router)| router);
        let next = router::revise(running, &source.name, &source.text)?;
        read.push((source, next));
    }
    Ok(read)
}
