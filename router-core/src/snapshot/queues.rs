//! What a snapshot says of those that wait: every queue's lanes, with who is in them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::RestoreError;
use super::words::{Lines, Words};
use crate::flight::NEVER;
use crate::queue::Kin;
use crate::router::Router;
use crate::{GroupId, RequestId, Span};

/// How many classes there may be.
const CLASSES: usize = 8;

impl Router {
    pub(super) fn write_queues(&self, out: &mut String) -> fmt::Result {
        for (group, queue) in self.queues.all() {
            let (departed, interval) = (queue.departed.as_nanos(), queue.interval.as_nanos());
            writeln!(out, "queue {} {departed} {interval} {}", group.index(), queue.sequence)?;
            for lane in &queue.lanes {
                let Kin { class, region, subject, tags } = lane.kin;
                write!(out, "lane {class} {region} {subject} {tags} {} {}", lane.cost, lane.start)?;
                writeln!(out)?;
            }
            for (index, lane) in queue.lanes.iter().enumerate().filter(|(_, lane)| lane.len > 0) {
                write!(out, "line {index} {}", queue.turn(index as u32))?;
                let mut slots = queue.slots(lane);
                slots.try_for_each(|slot| write!(out, " {}", self.flight(slot).id))?;
                writeln!(out)?;
            }
            write!(out, "empty")?;
            queue.remembered().try_for_each(|lane| write!(out, " {lane}"))?;
            write!(out, "\nclocks")?;
            let clocks = queue.classes.iter();
            clocks
                .clone()
                .try_for_each(|class| write!(out, " {} {}", class.clock, class.latest))?;
            writeln!(out)?;
        }
        let (stirred, asleep) = (u8::from(self.queues.stirred), self.queues.asleep.as_nanos());
        writeln!(out, "asleep {stirred} {asleep}")
    }

    pub(super) fn read_queues(&mut self, lines: &mut Lines<'_>) -> Result<(), RestoreError> {
        let groups: Vec<GroupId> = self.queues.all().map(|(group, _)| group).collect();
        for group in groups {
            self.read_queue(group, lines)?;
        }
        let mut words = lines.must("asleep")?;
        let placed = |slot: &u32| {
            let flight = self.flight(*slot);
            !flight.is_queued() || flight.lead.seen != NEVER
        };
        if !(0..self.flights.len() as u32).all(|slot| placed(&slot)) {
            return Err(words.error("every waiting request in a line"));
        }
        self.queues.stirred = words.number::<u8>()? != 0;
        self.queues.asleep = words.time()?;
        Ok(())
    }

    fn read_queue(&mut self, group: GroupId, lines: &mut Lines<'_>) -> Result<(), RestoreError> {
        let mut words = lines.must("queue")?;
        words.below(self.config.groups().len(), "the group of the queue")?;
        let (departed, interval) = (words.time()?, Span::from_nanos(words.number()?));
        let sequence = words.number()?;
        while let Some(mut words) = lines.may("lane") {
            let kin = Kin {
                class: words.below(CLASSES, "a class")? as u8,
                region: words.number()?,
                subject: words.number()?,
                tags: words.number()?,
            };
            let costs = (words.number()?, words.number()?);
            let lane = self.queues.of_mut(group).restore_lane(kin, costs);
            lane.ok_or_else(|| words.error("no more lanes than there may be, each once"))?;
        }
        while let Some(words) = lines.may("line") {
            self.read_line(group, words)?;
        }
        let mut words = lines.must("empty")?;
        while let Some(lane) = words.maybe_number()? {
            let queue = self.queues.of_mut(group);
            queue.restore_memory(lane).ok_or_else(|| words.error("lanes that are empty"))?;
        }
        let mut words = lines.must("clocks")?;
        let queue = self.queues.of_mut(group);
        for class in &mut queue.classes {
            (class.clock, class.latest) = (words.number()?, words.number()?);
        }
        (queue.departed, queue.interval, queue.sequence) = (departed, interval, sequence);
        if !queue.is_empty() {
            self.queues.waiting |= 1 << group.index();
        }
        Ok(())
    }

    fn read_line(&mut self, group: GroupId, mut words: Words<'_>) -> Result<(), RestoreError> {
        let lane = words.number()?;
        let turn = words.number()?;
        let error = words.error("requests that wait for the group, each once");
        while let Some(id) = words.maybe_parsed::<RequestId>("a request")? {
            let slot = self.slot_of(id).filter(|slot| {
                let flight = self.flight(*slot);
                flight.is_queued() && flight.home() == group && flight.lead.seen == NEVER
            });
            let slot = slot.ok_or_else(|| error.clone())?;
            let place = self.queues.of_mut(group).restore_slot(lane, slot, turn);
            self.flight_mut(slot).lead.seen = place.ok_or_else(|| error.clone())?;
        }
        Ok(())
    }
}
