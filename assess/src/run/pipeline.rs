//! Leaves on their way from the walk into the state of the run: examined by several threads,
//! taken in the order of the walk, so that the same input gives the same report however many
//! threads there are.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    examine::{Examined, Wanted, examine},
    state::State,
};
use crate::{
    blob::{Blob, SPOOL_IN_MEMORY},
    unpack::Fact,
    walk::{Consumer, Leaf, LeafKind, Place},
};

/// Runs `walk` with a consumer that brings what it is handed into `state`. With one thread
/// everything happens on the caller's.
pub(super) fn through<R>(
    state: &mut State<'_>,
    threads: usize,
    wanted: Wanted,
    walk: impl FnOnce(&mut dyn Consumer) -> R,
) -> R {
    if threads < 2 {
        return walk(&mut Alone { state, wanted });
    }
    let queue = Queue::default();
    thread::scope(|scope| {
        // The walking thread examines too, whenever the others have enough to do.
        for _ in 1..threads {
            scope.spawn(|| queue.work(wanted));
        }
        let _closed_at_the_end = Closer(&queue);
        let mut feeder = Feeder { state, queue: &queue, wanted, next: 0, taken: 0, held: 0 };
        let result = walk(&mut feeder);
        feeder.take_until(|feeder| feeder.taken == feeder.next);
        result
    })
}

struct Alone<'s, 'k> {
    state: &'s mut State<'k>,
    wanted: Wanted,
}

impl Consumer for Alone<'_, '_> {
    fn leaf(&mut self, leaf: &Leaf<'_>) {
        let examined = examine(leaf, self.wanted);
        self.state.take(leaf, examined);
    }

    fn fact(&mut self, place: &Place, content: &Blob, fact: Fact) {
        self.state.fact(place, content, fact);
    }
}

/// A leaf that owns its place; its bytes are shared.
struct Job {
    number: u64,
    place: Place,
    base: u64,
    blob: Blob,
    kind: LeafKind,
    mode: Option<u32>,
}

impl Job {
    fn leaf(&self) -> Leaf<'_> {
        let (base, kind, mode) = (self.base, self.kind, self.mode);
        Leaf { place: &self.place, base, blob: &self.blob, kind, mode }
    }

    /// Memory that it keeps from being freed, at most.
    fn weight(&self) -> u64 {
        self.blob.len().min(SPOOL_IN_MEMORY as u64) + 512
    }
}

struct Feeder<'q, 's, 'k> {
    state: &'s mut State<'k>,
    queue: &'q Queue,
    wanted: Wanted,
    /// Number of the next leaf to hand out.
    next: u64,
    /// Number of the next leaf to take into the state.
    taken: u64,
    /// Memory held by leaves between the two.
    held: u64,
}

impl Consumer for Feeder<'_, '_, '_> {
    fn leaf(&mut self, leaf: &Leaf<'_>) {
        let job = Job {
            number: self.next,
            place: leaf.place.clone(),
            base: leaf.base,
            blob: leaf.blob.clone(),
            kind: leaf.kind,
            mode: leaf.mode,
        };
        self.next += 1;
        self.held += job.weight();
        self.queue.push(job);
        self.take_until(|feeder| {
            feeder.held <= MAX_HELD_BYTES && feeder.next - feeder.taken <= MAX_HELD_LEAVES
        });
    }

    /// Facts only fill sets and counters that no leaf touches: their order says nothing.
    fn fact(&mut self, place: &Place, content: &Blob, fact: Fact) {
        self.state.fact(place, content, fact);
    }
}

impl Feeder<'_, '_, '_> {
    /// Takes what is finished; examines or waits until `enough` holds.
    fn take_until(&mut self, enough: impl Fn(&Self) -> bool) {
        loop {
            while let Some((job, examined)) = self.queue.finished(self.taken) {
                self.taken += 1;
                self.held -= job.weight();
                self.state.take(&job.leaf(), examined);
            }
            if enough(self) {
                return;
            }
            match self.queue.job_or_news(self.taken) {
                News::Job(job) => {
                    let examined = examine(&job.leaf(), self.wanted);
                    self.queue.finish(job, examined);
                }
                News::Finished => {}
                // A worker panicked: leaving the scope passes that on.
                News::Broken => return,
            }
        }
    }
}

enum News {
    Job(Job),
    Finished,
    Broken,
}

#[derive(Default)]
struct Queue {
    inner: Mutex<Inner>,
    /// There is a job, or there will be none.
    work: Condvar,
    /// A leaf is finished, or a worker is lost.
    done: Condvar,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    finished: BTreeMap<u64, (Job, Examined)>,
    closed: bool,
    broken: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.work.notify_one();
    }

    fn finish(&self, job: Job, examined: Examined) {
        self.lock().finished.insert(job.number, (job, examined));
        self.done.notify_one();
    }

    fn finished(&self, number: u64) -> Option<(Job, Examined)> {
        self.lock().finished.remove(&number)
    }

    /// For the walking thread: something to do, or word that `number` is finished.
    fn job_or_news(&self, number: u64) -> News {
        let mut inner = self.lock();
        loop {
            if inner.broken {
                return News::Broken;
            }
            if inner.finished.contains_key(&number) {
                return News::Finished;
            }
            if let Some(job) = inner.jobs.pop_front() {
                return News::Job(job);
            }
            inner = self.done.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A worker's life.
    fn work(&self, wanted: Wanted) {
        let _alarm = Alarm(self);
        loop {
            let mut inner = self.lock();
            let job = loop {
                match inner.jobs.pop_front() {
                    Some(job) => break job,
                    None if inner.closed => return,
                    None => {
                        inner = self.work.wait(inner).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(inner);
            let examined = examine(&job.leaf(), wanted);
            self.finish(job, examined);
        }
    }
}

/// Sends the workers home, also when the walk panics.
struct Closer<'q>(&'q Queue);

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
    }
}

/// Wakes the walking thread when a worker is lost, which would otherwise wait for ever.
struct Alarm<'q>(&'q Queue);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().broken = true;
            self.0.done.notify_all();
        }
    }
}

const MAX_HELD_BYTES: u64 = 8 << 20;
const MAX_HELD_LEAVES: u64 = 256;

#[cfg(test)]
mod tests {
    use crate::{Input, Options, report, run, testing::tar};

    /// Findings, keys, components and damage in many files, large and small.
    fn inputs() -> Vec<Input> {
        let mut archive = Vec::new();
        for number in 0..300u32 {
            let name = format!("etc/app-{number}.conf");
            let text = format!(
                "{}password = Gw4y-{number:04}x\nBusyBox v1.36.{number}\n",
                "# padding\n".repeat((number as usize * 37) % 900)
            );
            let one = tar(&name, text.as_bytes());
            archive.extend_from_slice(&one[..one.len() - 1024]);
            let binary =
                tar(&format!("bin/tool-{number}"), format!("\0\x01\0\x02{text}").as_bytes());
            archive.extend_from_slice(&binary[..binary.len() - 1024]);
        }
        archive.resize(archive.len() + 1024, 0);
        let mut other = archive.clone();
        other.truncate(archive.len() / 2 + 100);
        vec![Input::Bytes("a.tar".into(), archive), Input::Bytes("b.tar".into(), other)]
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let of = |threads: usize| {
            let options = Options { threads, today: "2026-11-22".into(), ..Options::default() };
            let found = run(&inputs(), &options, &mut ());
            assert!(found.findings.len() > 100 && found.components.len() > 100);
            report::json(&found).unwrap()
        };
        let alone = of(1);
        for threads in [2, 3, 8] {
            assert!(of(threads) == alone, "{threads} threads");
        }
    }
}
