//! What a provider keeps of prompts, so that the next turn of a conversation need not be read anew.
//!
//! The prompts of a conversation are taken to be prefixes of each other, and those of different
//! conversations to share nothing. What is kept can be read from the first token of an answer on:
//! <https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>.

use std::collections::BTreeMap;

use router_core::{Counter, Key, Purpose, RequestId, Time};

use crate::plan::{Plan, PromptCache};

/// Prompts match by so many tokens: <https://platform.openai.com/docs/guides/prompt-caching>.
const STEP: u32 = 128;

/// How many conversations are kept at least. Whatever they are, memory stays below 8 MB.
const ROOM: usize = 1 << 16;

/// The prompts that one provider keeps.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    spec: PromptCache,
    /// By conversation, what was used since `old` was `young`.
    young: BTreeMap<u64, Kept>,
    old: BTreeMap<u64, Kept>,
    room: usize,
    /// By place, how much of its prompt each call had here that is not over, or was dropped and its
    /// place not taken since.
    found: BTreeMap<u32, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    /// The longest prompt.
    tokens: u32,
    until: Time,
}

impl Cache {
    pub(crate) const fn new(spec: PromptCache) -> Self {
        Self {
            spec,
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            room: ROOM,
            found: BTreeMap::new(),
        }
    }

    fn kept(&self, now: Time, conversation: u64) -> u32 {
        let kept = self.young.get(&conversation).or_else(|| self.old.get(&conversation));
        kept.filter(|kept| now < kept.until).map_or(0, |kept| kept.tokens)
    }

    /// How many tokens of a prompt it has, in whole steps.
    fn read(&self, now: Time, conversation: u64, prompt: u32) -> u32 {
        let found = self.kept(now, conversation).min(prompt);
        if found < self.spec.least { 0 } else { found / STEP * STEP }
    }

    /// Work begins on a call: how many tokens of its prompt need not be read.
    pub(crate) fn find(&mut self, now: Time, slot: u32, conversation: u64, prompt: u32) -> u32 {
        let found = if conversation == 0 { 0 } else { self.read(now, conversation, prompt) };
        if found == 0 {
            self.found.remove(&slot);
        } else {
            self.found.insert(slot, found);
        }
        found
    }

    /// A call that work had begun on is over: how many tokens of its prompt were not read.
    pub(crate) fn found(&mut self, slot: u32) -> u32 {
        self.found.remove(&slot).unwrap_or(0)
    }

    /// Keeps a prompt, or what is kept of it for longer. If there are many, those used last stay.
    pub(crate) fn write(&mut self, now: Time, conversation: u64, prompt: u32) {
        if prompt < self.spec.least || conversation == 0 {
            return;
        }
        let tokens = self.kept(now, conversation).max(prompt);
        self.young.insert(conversation, Kept { tokens, until: now + self.spec.lasts });
        if self.young.len() >= self.room {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

/// Which conversation each call belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Conversations {
    key: Key,
    /// How many each demand has.
    counts: Vec<u32>,
}

/// Which of a client's draws; `client.rs` has the others.
const CONVERSATION: u32 = 1;

impl Conversations {
    pub(crate) fn new(plan: &Plan) -> Self {
        let counts = plan.demands.iter().map(|demand| demand.conversations).collect();
        Self { key: plan.seed.key(Purpose::Client), counts }
    }

    /// The conversation that a call belongs to, whatever its try. Each demand has its own; zero
    /// is none.
    pub(crate) fn of(&self, request: RequestId) -> u64 {
        let source = request.source();
        let count = self.counts[usize::from(source)];
        if count == 0 {
            return 0;
        }
        let call =
            Counter { request: request.call().as_u64(), index: CONVERSATION, ..Counter::default() };
        u64::from(source) << 32 | (self.key.below(count.into(), call) + 1)
    }
}

#[cfg(test)]
mod tests {
    use router_core::Span;

    use super::*;

    fn cache() -> Cache {
        Cache::new(PromptCache { lasts: Span::from_secs(300), least: 1_024 })
    }

    #[test]
    fn a_prompt_is_kept_until_it_was_not_used_for_so_long() {
        let mut cache = cache();
        let at = Time::from_secs;
        assert_eq!(cache.read(at(0), 7, 2_000), 0);
        cache.write(at(0), 7, 2_000);
        assert_eq!(cache.read(at(299), 7, 2_000), 1_920, "in whole steps");
        assert_eq!((cache.read(at(300), 7, 2_000), cache.read(at(0), 8, 2_000)), (0, 0));
        cache.write(at(299), 7, 1_100);
        assert_eq!(cache.read(at(598), 7, 2_500), 1_920, "the longest, as long as the last");
        assert_eq!(cache.read(at(598), 7, 1_100), 1_024, "never more than there is");
        assert_eq!(cache.read(at(598), 7, 1_023), 0, "nor of what is too short");
        cache.write(at(600), 9, 1_023);
        assert_eq!(cache.read(at(600), 9, 2_000), 0);
        cache.write(at(700), 7, 1_300);
        assert_eq!(cache.read(at(700), 7, 2_500), 1_280, "what had expired is gone");
    }

    #[test]
    fn those_used_last_stay_whatever_there_is() {
        let mut cache = Cache { room: 10, ..cache() };
        for conversation in 1..=1_000 {
            cache.write(Time::ZERO, conversation, 1_024);
            cache.write(Time::ZERO, 1, 1_024);
            assert!(cache.young.len() + cache.old.len() <= 20);
            assert_eq!(cache.read(Time::ZERO, 1, 1_024), 1_024);
            let recent = (conversation.saturating_sub(8)).max(1)..=conversation;
            assert!(recent.into_iter().all(|c| cache.read(Time::ZERO, c, 1_024) > 0));
        }
        assert_eq!(cache.read(Time::ZERO, 500, 1_024), 0);
    }
}
