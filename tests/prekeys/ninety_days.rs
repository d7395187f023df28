// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ninety days of a device whose prekeys strangers and its server attack, with the shipped policy and with faulty ones.
//!
//! Every six hours the device connects: it uploads what is due and reads its mail. Twice a day somebody who never wrote
//! before fetches a bundle and writes; the message takes up to a day and a half. The handshakes are real, except that the
//! KEM and the signatures cost nothing.

use noescrow::device::policy::{AT_SERVER, MADE_A_DAY, ROTATION_INTERVAL, SERVER_BURST, SERVER_INTERVAL};
use noescrow::device::{Capacities, Device};
use noescrow::error::AcceptError;
use noescrow::hazmat::{AcceptFromAnyone, Call, Intercept, Intercepted};
use noescrow::primitives::{EK_HEADER_LEN, EK_VECTOR_LEN, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN, Primitives, RustCrypto};
use noescrow::{Bundle, Capacity, InitiateOptions, Prekey, Secret, UnixSeconds};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

const START: u64 = 1_800_000_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const DAYS: u64 = 90;
/// The attacks end, and from the second day after that everything must be as if they had never been.
const ATTACKED: Range<u64> = 0..60;
const RECOVERED: u64 = ATTACKED.end + 2;

/// Space as on the heap, with a shorter replay record.
type Shipped = Capacity<400, 128, 15>;
/// One whose replay record is short enough to be filled within the test's time.
type ShortRecord = Capacity<400, 16, 15>;
/// What devices had: space for as many as are published, and for one predecessor.
type Former = Capacity<100, 16, 1>;

/// The KEM's public key is a digest of its seed, and a ciphertext contains the coins. Nothing is signed.
#[derive(Clone, Copy, Default)]
struct Cheap;

impl Intercept for Cheap {
    fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
        let shared = |key: &[u8], coins: &[u8]| Secret::new(primitives.sha256(&[key, coins]));
        let public = |seed: &[u8]| {
            let mut public = [0; KEM_PUBLIC_LEN];
            public[..32].copy_from_slice(&primitives.sha256(&[seed]));
            public
        };
        match call {
            Call::KemPublic { seed, public: out } => **out = public(seed.expose()),
            Call::KemPublicIsValid { verdict, .. } => **verdict = true,
            Call::Encapsulate { public, coins, output } => {
                let mut ciphertext = [0; KEM_CIPHERTEXT_LEN];
                ciphertext[..32].copy_from_slice(coins.expose());
                **output = (ciphertext, shared(&public[..32], coins.expose()));
            }
            Call::Decapsulate { seed, ciphertext, shared: out } => {
                **out = shared(&public(seed.expose())[..32], &ciphertext[..32]);
            }
            Call::IncrementalPublic { output, .. } => **output = ([0; EK_HEADER_LEN], [0; EK_VECTOR_LEN]),
            Call::Sign { signature, .. } => **signature = [0; 64],
            Call::Verify { verdict, .. } => **verdict = Ok(()),
            _ => call.perform(primitives),
        }
    }
}

type Owner<C> = Device<Intercepted<Cheap>, C>;

/// What happens to the device while it is attacked.
#[derive(Clone, Copy, Default)]
struct Attacks {
    /// A stranger fetches one-time prekeys as fast as the server hands them out, and uses none.
    drains: bool,
    /// A stranger sends so many first messages without a one-time prekey a day.
    last_resort_a_day: u64,
    /// The server tells the device that it has none of its prekeys.
    denies: bool,
    /// The server tells the device that it has all prekeys that it ever had.
    pretends: bool,
    /// Days on which the device is offline.
    offline: Offline,
}

/// The first day, and the first day after.
#[derive(Clone, Copy, Default)]
struct Offline(u64, u64);

/// How the device keeps its prekeys.
#[derive(Clone, Copy, PartialEq)]
enum Policy {
    /// `replenish`.
    Shipped,
    /// What devices did: fill up by the device's own count, and rotate weekly.
    OwnCount,
    /// `replenish`, and the caller does not report that an upload succeeded.
    Unreported,
    /// `replenish`, and every prekey that the device holds and the server lacks is uploaded again.
    OffersAgain,
}

/// The server of `relay`, in short.
struct Server {
    signed: Prekey,
    one_time: VecDeque<Prekey>,
    ever: BTreeSet<u32>,
    allowance: u64,
    counted_at: u64,
}

impl Server {
    fn fetch(&mut self, owner: &noescrow::Identity, now: u64) -> Bundle {
        let earned = (now - self.counted_at) / SERVER_INTERVAL.as_secs();
        self.allowance = (self.allowance + earned).min(SERVER_BURST.into());
        self.counted_at += earned * SERVER_INTERVAL.as_secs();
        self.one_time.retain(|prekey| prekey.expiry().0 >= now);
        let one_time = if self.allowance > 0 { self.one_time.pop_front() } else { None };
        self.allowance -= u64::from(one_time.is_some());
        Bundle::new(*owner, self.signed.clone(), one_time).unwrap()
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Report {
    /// First messages of honest strangers that did not open, after the attacks too.
    lost: u32,
    lost_after_recovery: u32,
    /// Bundles that honest strangers got without a one-time prekey after the attacks.
    without_after_recovery: u32,
    honest: u32,
    /// The most one-time prekeys made within a day.
    made_most: usize,
    /// Whether a one-time prekey was handed out twice.
    handed_out_twice: bool,
}

impl Report {
    fn is_fine(&self) -> bool {
        self.lost == 0 && self.recovers()
    }

    fn recovers(&self) -> bool {
        let bound = self.made_most <= 2 * MADE_A_DAY as usize && !self.handed_out_twice;
        self.honest > 100 && self.lost_after_recovery == 0 && self.without_after_recovery == 0 && bound
    }
}

struct World<C: Capacities> {
    owner: Owner<C>,
    stranger: Owner<Capacity<1, 1, 1>>,
    server: Server,
    rng: ChaCha20Rng,
    policy: Policy,
    attacks: Attacks,
    /// When each arrives, and whether it is an honest stranger's.
    mail: Vec<(u64, bool, Vec<u8>)>,
    /// Public keys: an id of 32 random bits can occur again once its prekey is gone.
    handed_out: BTreeSet<[u8; 32]>,
    published: Vec<Prekey>,
    rotated_at: u64,
    report: Report,
}

impl<C: Capacities> World<C> {
    fn new(policy: Policy, attacks: Attacks) -> Box<Self> {
        let mut rng = ChaCha20Rng::seed_from_u64(90);
        let owner = Owner::<C>::generate_with(Intercepted::default(), UnixSeconds(START), &mut rng);
        let stranger = Owner::generate_with(Intercepted::default(), UnixSeconds(START), &mut rng);
        let server = Server {
            signed: owner.signed_prekey(),
            one_time: VecDeque::new(),
            ever: BTreeSet::new(),
            allowance: SERVER_BURST.into(),
            counted_at: START,
        };
        let (mail, handed_out, published) = (Vec::new(), BTreeSet::new(), Vec::new());
        Box::new(Self {
            owner,
            stranger,
            server,
            rng,
            policy,
            attacks,
            mail,
            handed_out,
            published,
            rotated_at: START,
            report: Report::default(),
        })
    }

    #[expect(clippy::boxed_local, reason = "a world with devices in it is large for a thread's stack")]
    fn run(mut self: Box<Self>) -> Report {
        let mut made_today = 0;
        for hour in 0..DAYS * 24 {
            let (now, day) = (START + hour * HOUR, hour / 24);
            let is_attacked = ATTACKED.contains(&day);
            let is_online = !(self.attacks.offline.0..self.attacks.offline.1).contains(&day);
            if hour % 24 == 0 {
                made_today = 0;
            }
            if hour % 6 == 0 && is_online {
                made_today += self.connect(now, is_attacked);
                self.report.made_most = self.report.made_most.max(made_today);
            }
            if is_attacked && self.attacks.drains {
                while self.fetch(now).one_time_prekey().is_some() {}
            }
            if is_attacked && self.attacks.last_resort_a_day > hour % 24 {
                let bundle = Bundle::new(*self.owner.identity(), self.server.signed.clone(), None).unwrap();
                self.write(bundle, now, now, false);
            }
            if hour % 12 == 7 {
                let bundle = self.fetch(now);
                self.report.honest += 1;
                let is_late = day >= RECOVERED && bundle.one_time_prekey().is_none();
                self.report.without_after_recovery += u32::from(is_late);
                let arrives = now + self.rng.next_u64() % (36 * HOUR);
                self.write(bundle, now, arrives, true);
            }
        }
        self.report
    }

    fn fetch(&mut self, now: u64) -> Bundle {
        let bundle = self.server.fetch(self.owner.identity(), now);
        if let Some(prekey) = bundle.one_time_prekey() {
            self.report.handed_out_twice |= !self.handed_out.insert(*prekey.dh_key().as_bytes());
        }
        bundle
    }

    fn write(&mut self, bundle: Bundle, now: u64, arrives: u64, is_honest: bool) {
        let options = InitiateOptions::unverified(UnixSeconds(now));
        let message = self.stranger.initiate(bundle, b"hi", options, &mut self.rng).unwrap().1;
        self.mail.push((arrives, is_honest, message));
    }

    /// Uploads what is due and reads the mail. Returns how many one-time prekeys were made.
    fn connect(&mut self, now: u64, is_attacked: bool) -> usize {
        let (time, before) = (UnixSeconds(now), self.server.ever.len());
        let has = match self.attacks {
            Attacks { denies: true, .. } if is_attacked => Vec::new(),
            Attacks { pretends: true, .. } if is_attacked => self.server.ever.iter().copied().collect(),
            _ => self.server.one_time.iter().map(Prekey::id).collect(),
        };
        match self.policy {
            Policy::OwnCount => {
                if now - self.rotated_at >= ROTATION_INTERVAL.as_secs() {
                    self.owner.rotate(time, &mut self.rng);
                    self.rotated_at = now;
                }
                let count = AT_SERVER.saturating_sub(self.owner.one_time_prekeys_left());
                let made = self.owner.publish(count, time, &mut self.rng).unwrap();
                self.server.one_time.extend(made.one_time_prekeys);
            }
            Policy::Shipped | Policy::Unreported | Policy::OffersAgain => {
                let publication = self.owner.replenish(time, &has, &mut self.rng);
                // What the server has and the device does not is withdrawn.
                let unknown: Vec<_> = self.owner.unknown_one_time_prekeys(&has).collect();
                self.server.one_time.retain(|prekey| !unknown.contains(&prekey.id()));
                if self.policy == Policy::OffersAgain {
                    let mut held: Vec<_> = self.published.iter().map(Prekey::id).collect();
                    let gone: BTreeSet<_> = self.owner.unknown_one_time_prekeys(&held).collect();
                    held.retain(|id| !gone.contains(id) && !has.contains(id));
                    let again = self.published.iter().filter(|prekey| held.contains(&prekey.id()));
                    self.server.one_time.extend(again.cloned());
                    self.published.extend(publication.one_time_prekeys.iter().cloned());
                }
                self.server.one_time.extend(publication.one_time_prekeys);
                if self.policy != Policy::Unreported {
                    self.owner.upload_succeeded();
                }
            }
        }
        self.server.signed = self.owner.signed_prekey();
        self.server.ever.extend(self.server.one_time.iter().map(Prekey::id));
        let is_after = now >= START + RECOVERED * DAY;
        let (arrived, still): (Vec<_>, Vec<_>) = self.mail.drain(..).partition(|(arrives, ..)| *arrives <= now);
        self.mail = still;
        for (_, is_honest, message) in arrived {
            let accepted = self.owner.accept(&message);
            let is_lost = is_honest && accepted.is_err();
            self.report.lost += u32::from(is_lost);
            self.report.lost_after_recovery += u32::from(is_lost && is_after);
            if let Err(error) = accepted {
                assert!(matches!(error, AcceptError::PrekeyGone | AcceptError::ReplayRecordFull), "{error}");
            }
        }
        self.server.ever.len() - before
    }
}

fn shipped(attacks: Attacks) -> Report {
    World::<Shipped>::new(Policy::Shipped, attacks).run()
}

const DRAINS: Attacks =
    Attacks { drains: true, last_resort_a_day: 0, denies: false, pretends: false, offline: Offline(0, 0) };
/// Four weeks, and the week since the last rotation, are the life of a signed prekey.
const OFFLINE: Offline = Offline(20, 48);

#[test]
fn ninety_quiet_days_lose_nothing() {
    let report = shipped(Attacks::default());
    assert!(report.is_fine(), "{report:?}");
    // Control, faulty: one that rotates every day with space for one predecessor loses what is in transit.
    let mut hasty = World::<Former>::new(Policy::OwnCount, Attacks::default());
    let mut lost = 0;
    for day in 0..20 {
        let now = START + day * DAY;
        let bundle = Bundle::new(*hasty.owner.identity(), hasty.owner.signed_prekey(), None).unwrap();
        hasty.write(bundle, now, now + 2 * DAY, true);
        hasty.owner.rotate(UnixSeconds(now + HOUR), &mut hasty.rng);
        hasty.connect(now + 2 * HOUR, false);
        lost = hasty.report.lost;
    }
    assert!(lost > 10, "{lost}");
}

#[test]
fn a_stranger_who_drains_for_sixty_days_loses_no_message() {
    let report = shipped(DRAINS);
    assert!(report.is_fine(), "{report:?}");
    // Control, today's policy: once drained, there is no one-time prekey until the handed-out ones expire.
    let former = World::<Former>::new(Policy::OwnCount, DRAINS).run();
    assert!(!former.recovers() && former.without_after_recovery > 40, "{former:?}");
}

#[test]
fn last_resort_handshakes_every_day_lose_no_message() {
    let attacks = Attacks { last_resort_a_day: 12, ..DRAINS };
    let report = World::<ShortRecord>::new(Policy::Shipped, attacks).run();
    assert!(report.is_fine(), "{report:?}");
    // Control, today's policy: the record is full after two days, and the signed prekey is replaced after seven.
    let former = World::<Former>::new(Policy::OwnCount, attacks).run();
    assert!(former.lost > 40, "{former:?}");
}

#[test]
fn a_lying_server_gains_no_more_than_a_drainer() {
    for attacks in [Attacks { denies: true, ..DRAINS }, Attacks { pretends: true, ..DRAINS }] {
        let report = shipped(attacks);
        assert!(report.recovers(), "{report:?}");
    }
}

#[test]
fn a_month_offline_loses_no_message_even_under_attack() {
    for attacks in [Attacks { offline: OFFLINE, ..Attacks::default() }, Attacks { offline: OFFLINE, ..DRAINS }] {
        let report = shipped(attacks);
        assert!(report.is_fine(), "{report:?}");
    }
    let all = Attacks { offline: OFFLINE, denies: true, ..DRAINS };
    let report = shipped(all);
    assert!(report.recovers(), "{report:?}");
}

/// The rule about lost uploads decides without a report that an upload succeeded.
#[test]
fn no_prekey_is_handed_out_twice_without_reports_of_uploads() {
    let report = World::<Shipped>::new(Policy::Unreported, DRAINS).run();
    assert!(report.is_fine(), "{report:?}");
    // Control, faulty: everything that the device holds and the server lacks is uploaded again.
    let faulty = World::<Shipped>::new(Policy::OffersAgain, DRAINS).run();
    assert!(faulty.handed_out_twice, "{faulty:?}");
}
