//! One thread that owns something which must not be used from several.

use std::sync::mpsc;
use std::thread;

use crate::Error;

/// Hands work to the thread that owns a `D`, one piece after the other.
///
/// When the last handle goes, what the thread owned is gone too: a device that serves one client
/// is free for the next.
pub(crate) struct Worker<D> {
    name: &'static str,
    jobs: Option<mpsc::Sender<Job<D>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<D: 'static> Worker<D> {
    /// Starts the thread and makes the `D` on it.
    pub(crate) fn start(
        name: &'static str,
        make: impl FnOnce() -> Result<D, Error> + Send + 'static,
    ) -> Result<Worker<D>, Error> {
        let (jobs, queue) = mpsc::channel::<Job<D>>();
        let (ready, made) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let mut owned = match make() {
                    Ok(owned) => owned,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(()));
                queue.into_iter().for_each(|job| job(&mut owned));
            })
            .map_err(|error| Error::Module(format!("{name}: {error}")))?;
        made.recv().map_err(|_| ended(name))??;
        Ok(Worker { name, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs work on the thread and waits for its result.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut D) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = mpsc::channel();
        let job: Job<D> = Box::new(move |owned| drop(reply.send(work(owned))));
        let jobs = self.jobs.as_ref().ok_or_else(|| ended(self.name))?;
        jobs.send(job).map_err(|_| ended(self.name))?;
        answer.recv().map_err(|_| ended(self.name))?
    }
}

impl<D> Drop for Worker<D> {
    fn drop(&mut self) {
        // The thread ends when nobody can send any more.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Job<D> = Box<dyn FnOnce(&mut D) + Send>;

fn ended(name: &str) -> Error {
    Error::Module(format!("the thread of {name} ended"))
}
