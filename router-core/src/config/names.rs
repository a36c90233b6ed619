//! Which group a model's name means.

use alloc::string::String;

/// The place of the group that `model` means: by its name, else by an exact alias, else by the
/// longest pattern that matches (the first of several). `groups` are names with their aliases.
pub(super) fn resolve<'a>(
    groups: impl Iterator<Item = (&'a str, &'a [String])> + Clone,
    model: &str,
) -> Option<usize> {
    let named = groups.clone().position(|(name, _)| name == model);
    let exact = || groups.clone().position(|(_, aliases)| aliases.iter().any(|a| a == model));
    let pattern = || {
        let aliases = groups
            .clone()
            .enumerate()
            .flat_map(|(place, (_, aliases))| aliases.iter().map(move |alias| (place, alias)));
        let hits = aliases.filter(|(_, alias)| matches(alias, model));
        // The last of equals wins in `max_by_key`, so the places run backwards.
        hits.max_by_key(|(place, alias)| (alias.len(), usize::MAX - place)).map(|(place, _)| place)
    };
    named.or_else(exact).or_else(pattern)
}

/// Whether a pattern with one `*`, which stands for anything, matches `name`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.split_once('*').is_some_and(|(head, tail)| {
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::ToOwned;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_most_specific_name_wins() {
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let groups = [
            ("chat", owned(&["*", "gpt-4o-mini"])),
            ("openai", owned(&["openai/*"])),
            ("mini", owned(&["openai/*-mini", "chat"])),
        ];
        let groups = || groups.iter().map(|(name, aliases)| (*name, aliases.as_slice()));
        for (model, place) in [
            ("chat", 0),
            ("gpt-4o-mini", 0),
            ("openai/gpt-4o", 1),
            ("openai/gpt-4o-mini", 2),
            ("openai/", 1),
            ("openai", 1),
            ("else", 0),
        ] {
            assert_eq!(resolve(groups(), model), Some(place), "{model}");
        }
        assert_eq!(resolve(groups().skip(1), "else"), None);
        assert!(!matches("ab*ba", "aba"), "a character is matched once");
    }
}
