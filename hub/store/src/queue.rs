//! Operations on their way to the writer, and their answers on the way back.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::batch::Want;
use crate::{StoreError, Write};

/// What an operation is: a future that borrows the [`Write`] it was given.
pub type Op<'w, T, E> = BoxFuture<'w, Result<T, E>>;

/// Operations in the order in which they came.
pub(crate) struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    messages: mpsc::Receiver<Message>,
    /// The store was closed.
    closed: bool,
}

impl Queue {
    pub(crate) fn new(messages: mpsc::Receiver<Message>) -> Queue {
        Queue { jobs: VecDeque::new(), messages, closed: false }
    }

    /// Waits for an operation. False when the store was closed or nobody is left who could ask.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.jobs.is_empty() && !self.closed {
            match self.messages.recv().await {
                Some(Message::Run(job)) => self.jobs.push_back(job),
                Some(Message::Close) | None => self.closed = true,
            }
        }
        !self.closed
    }

    /// Takes in what is waiting, until there are so many. False when there are none.
    pub(crate) fn fill(&mut self, most: usize) -> bool {
        while !self.closed && self.jobs.len() < most {
            match self.messages.try_recv() {
                Ok(Message::Run(job)) => self.jobs.push_back(job),
                Ok(Message::Close) => self.closed = true,
                Err(_) => break,
            }
        }
        most > 0 && !self.jobs.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Box<dyn Job>> {
        self.jobs.pop_front()
    }

    /// What those that are here read first.
    pub(crate) fn wants(&self) -> Vec<Want> {
        self.jobs.iter().filter_map(|job| job.want().cloned()).collect()
    }

    /// Tells everyone else that the store is closed.
    pub(crate) async fn refuse_the_rest(mut self) {
        self.messages.close();
        self.jobs.into_iter().for_each(|job| job.fail(StoreError::Closed));
        while let Some(message) = self.messages.recv().await {
            if let Message::Run(job) = message {
                job.fail(StoreError::Closed);
            }
        }
    }
}

pub(crate) enum Message {
    Run(Box<dyn Job>),
    Close,
}

/// An operation without its types.
pub(crate) trait Job: Send {
    /// Runs it. What comes back waits for the commit; nothing comes back when the operation
    /// refused, which its caller has then been told already.
    fn run<'w>(self: Box<Self>, write: &'w mut Write) -> BoxFuture<'w, Ran>;

    /// What it reads first.
    fn want(&self) -> Option<&Want>;

    /// It could not even start.
    fn fail(self: Box<Self>, error: StoreError);
}

/// An operation that was run, before the commit.
pub(crate) struct Ran {
    pub(crate) answer: Box<dyn Answer>,
    pub(crate) keep: bool,
}

pub(crate) trait Answer: Send {
    fn send(self: Box<Self>, committed: Result<(), StoreError>);
}

pub(crate) struct TypedJob<T, E, F> {
    want: Option<Want>,
    operation: F,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> TypedJob<T, E, F> {
    pub(crate) fn new(
        want: Option<Want>,
        operation: F,
        answer: oneshot::Sender<Result<T, E>>,
    ) -> TypedJob<T, E, F> {
        TypedJob { want, operation, answer }
    }
}

impl<T, E, F> Job for TypedJob<T, E, F>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: for<'w> FnOnce(&'w mut Write) -> Op<'w, T, E> + Send + 'static,
{
    fn run<'w>(self: Box<Self>, write: &'w mut Write) -> BoxFuture<'w, Ran> {
        async move {
            let TypedJob { operation, answer, .. } = *self;
            let future = AssertUnwindSafe(async { operation(write).await });
            let result = future.catch_unwind().await.unwrap_or_else(|panic| {
                tracing::error!(panic = panic_text(&*panic), "an operation panicked");
                Err(StoreError::BrokeOff.into())
            });
            let keep = result.is_ok();
            Ran { answer: Box::new(TypedAnswer { answer, result }), keep }
        }
        .boxed()
    }

    fn want(&self) -> Option<&Want> {
        self.want.as_ref()
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error.into()));
    }
}

struct TypedAnswer<T, E> {
    answer: oneshot::Sender<Result<T, E>>,
    result: Result<T, E>,
}

impl<T: Send, E: From<StoreError> + Send> Answer for TypedAnswer<T, E> {
    fn send(self: Box<Self>, committed: Result<(), StoreError>) {
        // A caller that no longer listens is no reason to fail.
        let _ = self.answer.send(self.result.and_then(|value| match committed {
            Ok(()) => Ok(value),
            Err(error) => Err(error.into()),
        }));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
