// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to do about errors that a program has boxed.

use super::party::{NOW, rng};
use noescrow::Device;
use noescrow::durable::{CommitError, LoadError, StepError};
use noescrow::error::RestoreError;
use noescrow::messenger::exchange::{ExchangeError, ExchangeFailed};
use noescrow::messenger::{Advice, Failed, OpenError, PeerError, SealError, Suspicion};
use noescrow_sqlite::{Error, Folder, Options, advice};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;

/// The server's error of most programs.
type Boxed = Box<dyn std::error::Error>;

fn advised(error: impl Into<Boxed>) -> Option<Advice> {
    advice::<Boxed>(&*error.into())
}

/// Checks that a failed step has the advice of the step's error, and of the store's, whichever it is.
fn check<E: Debug + Display + 'static>(step: E, expected: Advice) {
    assert_eq!(advised(Failed::<E, Error>::Step(step)), Some(expected));
    let save = |error| advised(Failed::<E, Error>::Save(error));
    assert_eq!(save(CommitError::NotCommitted(Error::Diverged { generation: 1 })), Some(Advice::RestoreBackup));
    assert_eq!(save(CommitError::Unknown(Error::WitnessMissing)), Some(Advice::RestoreBackup));
    assert_eq!(save(CommitError::Stale), Some(Advice::Again));
    let load = |error| advised(Failed::<E, Error>::Load(error));
    assert_eq!(load(LoadError::Store(Error::OtherDatabase)), Some(Advice::RestoreBackup));
    assert_eq!(load(LoadError::Refused(RestoreError::Rollback)), Some(Advice::RestoreBackup));
    // Control: of a disk that is full nothing is known.
    assert_eq!(save(CommitError::NotCommitted(Error::NoWriteAheadLog)), None);
    assert_eq!(load(LoadError::Store(Error::NoWriteAheadLog)), None);
}

#[test]
fn every_boxed_failure_of_stored_has_the_advice_of_its_cause() {
    check(OpenError::Suspect(Suspicion::Witness), Advice::RestoreBackup);
    check(SealError::IdentityChanged, Advice::AskUser);
    check(PeerError::UnknownPeer, Advice::Correct);
    check(StepError::Failed(Suspicion::LoginNonce), Advice::RestoreBackup);
    check(StepError::<Infallible>::NotSaved, Advice::Reload);
    check(ExchangeError::<Boxed>::Peer(PeerError::Name), Advice::Correct);
    // What `create` and `load` return.
    assert_eq!(advised(CommitError::NotCommitted(Error::WitnessMissing)), Some(Advice::RestoreBackup));
    assert_eq!(advised(CommitError::<Error>::Stale), Some(Advice::Again));
    assert_eq!(advised(LoadError::Store(Error::WitnessMissing)), Some(Advice::RestoreBackup));

    // These are all errors of steps that there are.
    let tested = ["OpenError", "SealError", "PeerError", "StepError<Suspicion>", "StepError<Infallible>"];
    let messenger = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/messenger"));
    let files = fs::read_dir(messenger).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let source: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let named = source.split("-> Result<").filter_map(|rest| {
        let error = rest.split(" {\n").next()?.split_once(", Failed<")?.1.strip_suffix(", S::Error>>")?;
        Some(error.to_owned())
    });
    // A step of the application, and a function of any step.
    let of_any = ["E".to_owned()];
    let named: BTreeSet<_> = named.filter(|name| !of_any.contains(name)).collect();
    assert_eq!(named, tested.map(str::to_owned).into());
}

#[test]
fn an_error_of_the_event_function_has_the_advice_of_its_cause() {
    let server = |error: Boxed| advised(ExchangeFailed::<Boxed, Error>::Step(ExchangeError::Server(error)));
    assert_eq!(server(Error::WitnessMissing.into()), Some(Advice::RestoreBackup));
    assert_eq!(server(Failed::<_, Error>::Step(PeerError::UnknownPeer).into()), Some(Advice::Correct));
    let sync: Box<dyn std::error::Error + Send + Sync> = Error::WitnessMissing.into();
    let failed = ExchangeFailed::<_, Error>::Step(ExchangeError::Server(sync));
    assert_eq!(advice::<Box<dyn std::error::Error + Send + Sync>>(&failed), Some(Advice::RestoreBackup));
    let failed = ExchangeFailed::<_, Error>::Step(ExchangeError::Server(Error::WitnessMissing));
    assert_eq!(advice::<Error>(&failed), Some(Advice::RestoreBackup));
    // Control: of the server's own errors nothing is known.
    assert_eq!(server("the server has failed".into()), None);
}

#[test]
fn an_error_after_the_message_was_sealed_hides_no_restored_store() {
    let failed = |error: Boxed| ExchangeFailed::<Boxed, Error>::Step(ExchangeError::Waiting(error));
    let waiting = |error: Boxed| advised(failed(error));
    let restored = Some(Advice::RestoreBackup);
    assert_eq!(waiting(Error::Rollback { database: 1, witness: 2 }.into()), restored);
    assert_eq!(waiting(Failed::<_, Error>::Step(OpenError::Suspect(Suspicion::Witness)).into()), restored);
    // In a box within a box, too.
    assert_eq!(waiting(failed(Error::WitnessMissing.into()).into()), restored);
    // Control: whatever else has failed, the message is not to be sealed again.
    for error in ["the server has failed".into(), Error::NoPeer.into(), Error::LogInUse.into()] {
        assert_eq!(waiting(error), Some(Advice::Flush));
    }
}

#[test]
fn an_error_of_a_step_that_is_not_of_stored_is_advised() {
    assert_eq!(advised(Suspicion::Witness), Some(Advice::RestoreBackup));
    assert_eq!(advised(StepError::Failed(Suspicion::LoginNonce)), Some(Advice::RestoreBackup));
    assert_eq!(advised(StepError::<Suspicion>::NotSaved), Some(Advice::Reload));
    assert_eq!(advised(StepError::<Infallible>::NotSaved), Some(Advice::Reload));
    // Control: of others nothing is known.
    assert_eq!(advised(std::fmt::Error), None);
}

#[test]
fn a_messenger_that_does_not_load_is_not_told_to_end_a_session() {
    let (temporary, mut rng) = (tempfile::tempdir().unwrap(), rng(1));
    let home = temporary.path().join("home");
    let folder = Folder::new(&home, None);
    folder.create(b"", Device::generate(NOW, &mut rng), &mut rng).unwrap();
    let key = fs::read(home.join("storage.key")).unwrap();
    fs::write(home.join("storage.key"), [0; 32]).unwrap();
    let error = folder.open(Options::new(), &mut rng).unwrap_err();
    assert!(matches!(error, LoadError::Refused(_)));
    assert_eq!((error.advice(), advised(error)), (Some(Advice::Unreadable), Some(Advice::Unreadable)));
    // No session can be ended, and no step be saved, without a messenger.
    let says = Advice::Unreadable.to_string();
    assert!(!says.contains("session") && says.contains("key") && says.contains("device"), "{says}");
    // Control: with its key it loads; and one that was put back is another matter.
    fs::write(home.join("storage.key"), key).unwrap();
    let _ = folder.open(Options::new(), &mut rng).unwrap();
    assert_eq!(advised(LoadError::<Error>::Refused(RestoreError::Rollback)), Some(Advice::RestoreBackup));
}

#[test]
fn a_wrong_safety_number_is_compared_again() {
    let (temporary, mut rng) = (tempfile::tempdir().unwrap(), rng(1));
    let folder = Folder::new(temporary.path().join("home"), None);
    folder.create(b"", Device::generate(NOW, &mut rng), &mut rng).unwrap();
    let mut alice = folder.open(Options::new(), &mut rng).unwrap();
    let peer = alice.find_or_add_peer(b"bob", NOW, &mut rng).unwrap();
    let number = "1".repeat(60);
    // No identity claims to be this peer, so that there is none to accept or to reject.
    assert_eq!(advised(alice.verify(&peer, &number, NOW, &mut rng).unwrap_err()), Some(Advice::CompareAgain));
    assert_eq!(advised(alice.accept(&peer, &number, NOW, &mut rng, |_| {}).unwrap_err()), Some(Advice::CompareAgain));
    assert_eq!(advised(alice.reject(&peer, &number, NOW, &mut rng).unwrap_err()), Some(Advice::CompareAgain));
    // Control: a message to a peer with another identity asks the user which one it is.
    assert_eq!(advised(SealError::IdentityChanged), Some(Advice::AskUser));
}
