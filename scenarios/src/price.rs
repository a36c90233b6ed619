//! What tokens cost, by provider and model, on a stated day.

use router_core::Price;

/// The day of the table: when LiteLLM 1.106.2 was built.
///
/// The figures are those of its `model_prices_and_context_window` file (MIT licence,
/// <https://github.com/BerriAI/litellm>), on-demand, without batch, priority or long-context rates.
pub const DATED: &str = "2026-10-21";

/// Provider family, model, then USD per million tokens times 10,000: prompt, cached, completion.
type Row = (&'static str, &'static str, u32, u32, u32);

const ROWS: &[Row] = &[
    ("anthropic", "claude-haiku-4-5", 10_000, 1_000, 50_000),
    ("anthropic", "claude-opus-4-5", 50_000, 5_000, 250_000),
    ("anthropic", "claude-sonnet-4-5", 30_000, 3_000, 150_000),
    ("azure-openai", "gpt-4.1", 20_000, 5_000, 80_000),
    ("azure-openai", "gpt-4.1-mini", 4_000, 1_000, 16_000),
    ("azure-openai", "gpt-4.1-nano", 1_000, 250, 4_000),
    ("azure-openai", "gpt-4o", 25_000, 12_500, 100_000),
    ("azure-openai", "gpt-4o-mini", 1_500, 750, 6_000),
    ("azure-openai", "gpt-5", 12_500, 1_250, 100_000),
    ("azure-openai", "gpt-5-mini", 2_500, 250, 20_000),
    ("azure-openai", "gpt-5-nano", 500, 50, 4_000),
    ("azure-openai", "o3", 20_000, 5_000, 80_000),
    ("azure-openai", "o4-mini", 11_000, 2_750, 44_000),
    ("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0", 10_000, 1_000, 50_000),
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", 30_000, 3_000, 150_000),
    ("cerebras", "llama-3.3-70b", 8_500, 8_500, 12_000),
    ("cerebras", "llama3.1-70b", 6_000, 6_000, 6_000),
    ("deepseek", "deepseek-chat", 2_800, 280, 4_200),
    ("gemini", "gemini-2.5-flash", 3_000, 300, 25_000),
    ("gemini", "gemini-2.5-flash-lite", 1_000, 100, 4_000),
    ("gemini", "gemini-2.5-pro", 12_500, 1_250, 100_000),
    ("groq", "openai/gpt-oss-120b", 1_500, 750, 6_000),
    ("groq", "openai/gpt-oss-20b", 750, 375, 3_000),
    ("mistral", "mistral-large-latest", 5_000, 500, 15_000),
    ("mistral", "mistral-small-latest", 1_500, 150, 6_000),
    ("openai", "gpt-4.1", 20_000, 5_000, 80_000),
    ("openai", "gpt-4.1-mini", 4_000, 1_000, 16_000),
    ("openai", "gpt-4.1-nano", 1_000, 250, 4_000),
    ("openai", "gpt-4o", 25_000, 12_500, 100_000),
    ("openai", "gpt-4o-mini", 1_500, 750, 6_000),
    ("openai", "gpt-5", 12_500, 1_250, 100_000),
    ("openai", "gpt-5-mini", 2_500, 250, 20_000),
    ("openai", "gpt-5-nano", 500, 50, 4_000),
    ("openai", "o3", 20_000, 5_000, 80_000),
    ("openai", "o4-mini", 11_000, 2_750, 44_000),
    ("vertex", "claude-haiku-4-5", 10_000, 1_000, 50_000),
    ("vertex", "claude-sonnet-4-5", 30_000, 3_000, 150_000),
    ("vertex", "gemini-2.5-flash", 3_000, 300, 25_000),
    ("vertex", "gemini-2.5-pro", 12_500, 1_250, 100_000),
];

/// The providers of the table, each as often as it has models.
pub(crate) fn providers() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.0)
}

/// The models of `provider` in the table; none if it is not there.
pub(crate) fn models(provider: &str) -> impl Iterator<Item = &'static str> {
    let provider = family(provider);
    ROWS.iter().filter(move |row| row.0 == provider).map(|row| row.1)
}

fn family(provider: &str) -> &str {
    if provider == "azure" { "azure-openai" } else { provider }
}

/// What `provider` asks for `model`, in pico-dollars per token; `None` if the table does not
/// know. A model's dated name (`gpt-4o-mini-2024-07-18`) costs what its plain one does; where the
/// source names no cached price, cached tokens cost what others do.
pub fn lookup(provider: &str, model: &str) -> Option<Price> {
    let provider = family(provider);
    let find = |model: &str| ROWS.iter().find(|row| row.0 == provider && row.1 == model);
    let &(_, _, input, cached, output) = find(model).or_else(|| find(undated(model)))?;
    let pico = |price: u32| u64::from(price) * 100;
    Some(Price { input: pico(input), cached: pico(cached), output: pico(output) })
}

/// `model` without a trailing `-YYYYMMDD` or `-YYYY-MM-DD`.
fn undated(model: &str) -> &str {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    for shape in [&[8][..], &[4, 2, 2]] {
        let mut rest = model;
        let dated = shape.iter().rev().all(|&length| match rest.rsplit_once('-') {
            Some((before, part)) if part.len() == length && digits(part) => {
                rest = before;
                true
            }
            Some(_) | None => false,
        });
        if dated {
            return rest;
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_in_pico_dollars_per_token() {
        let mini = Price { input: 150_000, cached: 75_000, output: 600_000 };
        assert_eq!(lookup("openai", "gpt-4o-mini"), Some(mini));
        assert_eq!(lookup("azure-openai", "gpt-4o-mini"), Some(mini));
        assert_eq!(lookup("groq", "openai/gpt-oss-20b").map(|p| p.cached), Some(37_500));
    }

    #[test]
    fn a_dated_model_costs_what_its_plain_name_does() {
        let plain = lookup("anthropic", "claude-haiku-4-5");
        assert!(plain.is_some());
        assert_eq!(lookup("anthropic", "claude-haiku-4-5-20251001"), plain);
        assert_eq!(lookup("openai", "gpt-4o-mini-2024-07-18"), lookup("openai", "gpt-4o-mini"));
    }

    #[test]
    fn an_unknown_model_has_no_price() {
        assert_eq!(lookup("openai", "gpt-4o-mini-2024-07"), None);
        assert_eq!(lookup("nobody", "gpt-4o-mini"), None);
        assert_eq!(lookup("openai", ""), None);
    }

    #[test]
    fn the_table_is_sorted_so_that_nothing_is_there_twice() {
        assert!(ROWS.windows(2).all(|w| (w[0].0, w[0].1) < (w[1].0, w[1].1)));
    }
}
