//! What a provider has: its place for calls, its pace, its quota.

use std::collections::VecDeque;

use router_core::Span;

use crate::cache::Cache;
use crate::plan::{Abandoned, Provider, WhenFull};
use crate::quota::Book;
use crate::service::Pace;

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) connect: Span,
    pub(crate) concurrency: u32,
    pub(crate) when_full: WhenFull,
    pub(crate) abandoned: Abandoned,
    pub(crate) pace: Pace,
    /// Its context window in tokens.
    pub(crate) context: u32,
    pub(crate) book: Option<usize>,
    pub(crate) in_service: u32,
    /// What it keeps of prompts, if it does.
    pub(crate) cache: Option<Box<Cache>>,
    pub(crate) queue: VecDeque<u32>,
}

/// A server for each provider, and the books of their quotas, which several may share.
pub(crate) fn open(providers: &[Provider]) -> (Vec<Server>, Vec<Book>) {
    let mut books = Vec::new();
    let mut shared: Vec<(u16, Option<usize>)> = Vec::new();
    let mut servers = Vec::with_capacity(providers.len());
    for provider in providers {
        let quota = &provider.quota;
        let known = shared.iter().find(|(number, _)| Some(*number) == quota.shared);
        let book = if let Some(&(_, book)) = known {
            book
        } else {
            let book = Book::new(quota).map(|book| {
                books.push(book);
                books.len() - 1
            });
            shared.extend(quota.shared.map(|number| (number, book)));
            book
        };
        servers.push(Server {
            connect: provider.connect,
            concurrency: provider.concurrency.unwrap_or(u32::MAX),
            when_full: provider.when_full,
            abandoned: provider.abandoned,
            pace: Pace::new(provider),
            context: provider.context.unwrap_or(u32::MAX),
            book,
            in_service: 0,
            cache: provider.prompt_cache.map(|spec| Box::new(Cache::new(spec))),
            queue: VecDeque::new(),
        });
    }
    (servers, books)
}

impl Server {
    /// Whether no more can wait.
    pub(crate) fn is_full(&self) -> bool {
        match self.when_full {
            WhenFull::Queue { bound, .. } => self.queue.len() as u64 >= u64::from(bound),
            WhenFull::Refuse => true,
        }
    }
}
