//! What people know from LiteLLM's configuration, and what it is called here.

/// A key of theirs, and what to write instead.
const KEYS: [(&[&str], &str); 27] = [
    (
        &["model_list", "litellm_params"],
        "write each entry as a `[deployment.NAME]` with `provider`, `model` and `keys`, and each \
         `model_name` as a `[group.NAME]` with `members`",
    ),
    (&["model_name"], "write `[group.NAME]`: its `members` are deployments"),
    (
        &["router_settings", "litellm_settings", "general_settings"],
        "write `[router]` for the whole router, and `[group.NAME]` for what each group does",
    ),
    (&["model_info"], "write `context`, `price` and `tags` in `[deployment.NAME]`"),
    (&["api_key"], "write `keys = \"env:NAME\"` in `[deployment.NAME]`"),
    (&["api_base", "base_url"], "write `endpoint` in `[deployment.NAME]`"),
    (&["region_name"], "write `region` in `[deployment.NAME]`"),
    (&["model_group_alias"], "write `aliases = [\"NAME\"]` in `[group.NAME]`"),
    (
        &["num_retries", "max_retries"],
        "write `attempts` in `[router]`, which counts the first try: 2 retries are `attempts = 3`",
    ),
    (
        &["retry_policy", "model_group_retry_policy"],
        "write `retry = { rate_limit = 2, server = 1 }` in `[group.NAME]`",
    ),
    (&["retry_after"], "write `backoff = { base = \"1 s\" }` in `[group.NAME]`"),
    (
        &["allowed_fails", "allowed_fails_policy"],
        "write `cooldown = { server = 4 }` in `[group.NAME]`: the fourth failure in the window \
         rests, as with `allowed_fails = 3`",
    ),
    (&["cooldown_time"], "write `cooldown = { rest = \"30 s\" }` in `[group.NAME]`"),
    (&["disable_cooldowns"], "write `cooldown = \"off\"` in `[group.NAME]`"),
    (
        &["routing_strategy", "routing_strategy_args"],
        "write `strategy` in `[group.NAME]`: `weighted` is `simple-shuffle`",
    ),
    (
        &["rpm"],
        "write `limit = { requests = \"500/min\" }` in `[deployment.NAME]`, which holds; shares are \
         weights of a group's `members`",
    ),
    (
        &["tpm"],
        "write `limit = { tokens = \"200k/min\" }` in `[deployment.NAME]`, which holds; shares are \
         weights of a group's `members`",
    ),
    (
        &["max_parallel_requests", "default_max_parallel_requests"],
        "write `limit = { parallel = 10 }` in `[deployment.NAME]`",
    ),
    (
        &["order"],
        "write `members = { NAME = { weight = 1, tier = 1 } }` in `[group.NAME]`: the lowest tier \
         serves first",
    ),
    (&["weight"], "write `members = { NAME = 3 }` in `[group.NAME]`"),
    (
        &["fallbacks", "default_fallbacks"],
        "write `fallbacks = [\"NAME\"]` in `[group.NAME]`, or in `[router]` for groups without",
    ),
    (
        &["context_window_fallbacks"],
        "write `fallbacks = { context_window = [\"NAME\"] }` in `[group.NAME]` or `[router]`",
    ),
    (
        &["content_policy_fallbacks"],
        "write `fallbacks = { content_policy = [\"NAME\"] }` in `[group.NAME]` or `[router]`",
    ),
    (
        &["max_fallbacks"],
        "write `attempts` in `[router]`: it bounds all calls of a request, and each group is tried \
         once",
    ),
    (
        &["enable_pre_call_checks", "enable_tag_filtering", "optional_pre_call_checks"],
        "leave it out: `context`, `limit`, `tags` and `region` of a deployment always hold",
    ),
    (
        &["timeout", "request_timeout", "stream_timeout"],
        "write `timeouts = { first_token = \"30 s\", total = \"10 min\" }` in `[group.NAME]`, or \
         `deadline` in `[router]` for all attempts together",
    ),
    (
        &["input_cost_per_token", "output_cost_per_token"],
        "write `price = { input = \"0.15 USD/Mtok\", output = \"0.6 USD/Mtok\" }` in \
         `[deployment.NAME]`",
    ),
];

/// A word of theirs, and ours.
const WORDS: [(&str, &str); 6] = [
    ("simple-shuffle", "weighted"),
    ("least-busy", "least-in-flight"),
    ("usage-based-routing", "usage"),
    ("usage-based-routing-v2", "usage"),
    ("latency-based-routing", "latency"),
    ("cost-based-routing", "cost"),
];

/// What to write instead of a key that only they have.
pub(crate) fn key(name: &str) -> Option<&'static str> {
    let found = KEYS.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, hint)| *hint)
}

/// What to write instead of a value that only they have.
pub(crate) fn word(text: &str) -> Option<String> {
    let found = WORDS.iter().find(|(word, _)| *word == text);
    found.map(|(_, ours)| format!("write `{ours}`"))
}

/// Where a file in YAML, as theirs is, says `model_list:`.
pub(crate) fn yaml(text: &str) -> Option<core::ops::Range<usize>> {
    let word = "model_list:";
    let starts_line = |at: usize| at == 0 || text[..at].ends_with('\n');
    let at = text.match_indices(word).map(|(at, _)| at).find(|&at| starts_line(at))?;
    Some(at..at + word.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic;
    use crate::router;

    const ROUTER: &str = "[deployment.a]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\n";

    fn hints(text: &str) -> Vec<String> {
        let found: Vec<Diagnostic> = router::read("r.toml", text).expect_err("it is refused");
        found.into_iter().filter_map(|found| found.hint).collect()
    }

    #[test]
    fn a_key_of_theirs_is_answered_with_ours_wherever_it_stands() {
        for name in KEYS.iter().flat_map(|(names, _)| *names) {
            let hint = key(name).expect("it is known");
            for place in ["router", "deployment.a", "group.chat"] {
                let known = match place {
                    "router" | "group.chat" => *name == "fallbacks",
                    _ => false,
                };
                let text = if place == "deployment.a" {
                    format!("{ROUTER}{name} = 1\n[group.chat]\nmembers = {{ a = 1 }}\n")
                } else {
                    format!("{ROUTER}[group.chat]\nmembers = {{ a = 1 }}\n{place}.{name} = 1\n")
                        .replace("\ngroup.chat.", "\n")
                        .replace("\nrouter.", "\n[router]\n")
                };
                let said = hints(&text);
                assert!(known || said.iter().any(|said| said == hint), "{text}{said:#?}");
            }
        }
    }

    #[test]
    fn a_word_of_theirs_is_answered_with_ours() {
        for (theirs, ours) in WORDS {
            let text = |word: &str| {
                format!("{ROUTER}[group.chat]\nmembers = {{ a = 1 }}\nstrategy = \"{word}\"\n")
            };
            assert_eq!(hints(&text(theirs)), [format!("write `{ours}`")]);
            router::read("r.toml", &text(ours)).expect("it is a word of ours");
        }
    }

    #[test]
    fn their_file_is_known_as_a_whole() {
        for text in ["model_list:\n  - model_name: gpt\n", "# ours\nmodel_list:\n- x: [1\n"] {
            let found = router::read("config.yaml", text).expect_err("it is no TOML");
            let said: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
            assert_eq!(said, ["this is YAML, as LiteLLM has it; a router is written in TOML"]);
        }
        assert_eq!(yaml("x = \"model_list:\""), None);
    }
}
