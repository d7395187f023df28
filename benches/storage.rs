// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an application does for each message that arrives: load the session, open the message, save both. In memory, for
//! comparison, and in SQLite. README.md describes what is measured.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that panics fails, as it should")]

mod processor_time;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BatchSize, BenchmarkId, Criterion};
use noescrow::durable::{Batch, CommitAction, CommitError, Durable, Row, RowName, Store, Subject};
use noescrow::{Bundle, Device, InitiateOptions, Session, StorageKey, UnixSeconds};
use noescrow_sqlite::{Options, Synchronous};
use processor_time::ProcessorTime;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// The length of a short message.
const TEXT: [u8; 32] = [0x6E; 32];
const SKIPPED: [usize; 3] = [0, 100, 2_000];
/// Messages made at a time, outside the clock.
const AT_ONCE: u64 = 16;

fn main() {
    cycles(Criterion::default().with_measurement(ProcessorTime), "processor");
    // With the time of the disk.
    cycles(Criterion::default().with_measurement(WallTime), "wall clock");
}

fn cycles<M: Measurement + 'static>(criterion: Criterion<M>, clock: &str) {
    // Short by default; criterion's options make it longer.
    let mut criterion = criterion
        .output_directory(&folder().join("criterion"))
        .without_plots()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for skipped in SKIPPED {
        let group = format!("load, decrypt, save with {skipped} skipped keys, {clock}");
        cycle(&mut criterion, (&group, skipped), "in memory", Memory::default());
        let open = |name: &str, options: Options| {
            let path = folder().join(format!("storage-{skipped}-{name}.db"));
            for suffix in ["", "-wal", "-shm", "-witness"] {
                _ = std::fs::remove_file(path.with_extension(format!("db{suffix}")));
            }
            options.open(path).unwrap()
        };
        let normal = || Options::new().synchronous(Synchronous::Normal);
        cycle(&mut criterion, (&group, skipped), "NORMAL, no witness", open("bare", normal().without_witness()));
        cycle(&mut criterion, (&group, skipped), "NORMAL", open("normal", normal()));
        cycle(&mut criterion, (&group, skipped), "FULL", open("full", Options::new()));
    }
    criterion.final_summary();
}

/// On the disk that has the build.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).into()
}

/// A store that keeps nothing after the process.
#[derive(Default)]
struct Memory {
    rows: BTreeMap<(Subject, RowName), Vec<u8>>,
    inbox: Vec<Batch>,
}

impl Store for Memory {
    type Error = Infallible;

    fn load(&mut self, subject: &Subject) -> Result<Vec<Row>, Infallible> {
        let rows = self.rows.iter().filter(|((of, _), _)| of == subject);
        Ok(rows.map(|((_, name), sealed)| Row { name: *name, sealed: sealed.clone() }).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CommitError<Infallible>> {
        let action = batch.commit_action(|subject| self.rows.get(&(*subject, RowName::CORE)));
        assert_eq!(action, CommitAction::Write);
        for change in &batch.changes {
            for name in &change.deleted {
                self.rows.remove(&(change.subject, *name));
            }
            for row in &change.rows {
                self.rows.insert((change.subject, row.name), row.sealed.clone());
            }
        }
        self.inbox.push(batch);
        Ok(())
    }
}

fn cycle<M: Measurement + 'static, S: Store>(
    criterion: &mut Criterion<M>,
    (group, skipped): (&str, usize),
    name: &str,
    mut store: S,
) where
    S::Error: std::error::Error + 'static,
{
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let alice = Device::generate(NOW, &mut rng);
    let mut bob = Device::generate(NOW, &mut rng);
    let published = bob.publish(0, NOW, &mut rng).unwrap();
    let bundle = Bundle::new(published.identity, published.signed_prekey, None).unwrap();
    let (mut alice, hello) = alice.initiate(bundle, &TEXT, InitiateOptions::unverified(NOW), &mut rng).unwrap();
    let (mut bob, _) = bob.open(&hello).unwrap().accept(b"").unwrap();
    let reply = bob.encrypt(&TEXT, &mut rng).unwrap();
    alice.decrypt(&reply).unwrap();
    for _ in 0..skipped {
        alice.encrypt(&TEXT, &mut rng).unwrap();
    }
    bob.decrypt(&alice.encrypt(&TEXT, &mut rng).unwrap()).unwrap();
    let key = StorageKey::new([7; 32]);
    let bob = Durable::<Session>::new(bob, &key, &mut rng).save(&mut store).unwrap();
    let subject = bob.subject();
    let mut random = rng.clone();
    let mut group = criterion.benchmark_group(group);
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter_batched(
            || alice.encrypt(&TEXT, &mut rng).unwrap(),
            |message| {
                let mut bob = Durable::<Session>::load(&mut store, &key, &subject, 0, &mut random).unwrap();
                bob.decrypt(&message).unwrap().save(&mut store).unwrap().plaintext
            },
            BatchSize::NumIterations(AT_ONCE),
        );
    });
    group.finish();
}
