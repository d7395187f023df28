// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store whose operations are futures, which may be dropped at any time.

use super::disk::Fault;
use super::{Session, key, pair};
use noescrow::durable::{CommitError, Durable, StepError};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls a future until it is complete.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    poll_times(future, usize::MAX).unwrap()
}

/// Polls a future so many times, and drops it.
fn poll_times<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

#[test]
fn a_store_of_futures_saves_and_loads_as_a_blocking_one() {
    let mut pair = pair();
    pair.disks[0].waits = (2, 3);
    let message = block_on(pair.alice.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.disks[0])).unwrap();
    assert_eq!(pair.receive(false, &message), b"text");
    let (subject, newest) = (pair.alice.subject(), pair.alice.generation());
    let key = key();
    let load = Durable::<Session>::load_async(&mut pair.disks[0], &key, &subject, newest, &mut pair.rng);
    assert_eq!(block_on(load).unwrap().generation(), newest);
    // Control: a failure arrives, too.
    pair.disks[0].faults = vec![Fault::Refuses];
    let failed = block_on(pair.alice.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.disks[0]));
    assert!(matches!(failed.unwrap_err().error, CommitError::NotCommitted(_)));
}

#[test]
fn the_future_of_a_save_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let mut pair = pair();
    let unsaved = pair.alice.encrypt(b"text", &mut pair.rng).unwrap();
    let batch = is_send(unsaved.batch().unwrap());
    let message = block_on(is_send(unsaved.save_async(&mut pair.disks[0]))).unwrap();
    // A batch is owned, so that it may outlive the step.
    let sent = std::thread::spawn(move || batch.sent.unwrap().message.clone()).join().unwrap();
    assert_eq!(sent, message);
}

#[test]
fn a_cancelled_save_blocks_the_next_step_until_it_is_saved() {
    let mut pair = pair();
    // Cancelled before anything is written, and after all of it is.
    for (waits, is_written) in [((1, 0), false), ((0, 1), true)] {
        pair.disks[0].waits = waits;
        let before = pair.disks[0].outbox.len();
        let save = pair.alice.encrypt(b"cancelled", &mut pair.rng).unwrap().save_async(&mut pair.disks[0]);
        assert!(poll_times(save, 1).is_none());
        assert_eq!(pair.disks[0].outbox.len() > before, is_written);
        assert_eq!(pair.alice.encrypt(b"next", &mut pair.rng).unwrap_err(), StepError::NotSaved);
        block_on(pair.alice.unsaved().unwrap().save_async(&mut pair.disks[0])).unwrap();
        assert_eq!(pair.disks[0].outbox.len(), before + 1, "once");
        let message = pair.disks[0].outbox.last().unwrap().clone();
        assert_eq!(pair.receive(false, &message), b"cancelled");
    }
    // Control: the same save, polled once more, is complete.
    let save = pair.alice.encrypt(b"text", &mut pair.rng).unwrap().save_async(&mut pair.disks[0]);
    let message = poll_times(save, 2).unwrap().unwrap();
    assert!(pair.alice.is_saved());
    assert_eq!(pair.receive(false, &message), b"text");
}
