// SPDX-License-Identifier: MIT OR Apache-2.0
//! Welch's t of two classes of times, cropped at several percentiles: Reparaz, Balasch, Verbauwhede, "Dude, is my code
//! constant time?" (DATE 2017), §III.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Above this |t| the two classes take different times: the paper's own bound for "definitely".
pub const LEAK: f64 = 10.0;
/// Above this |t| they may take different times: one t of equal classes exceeds it with probability 1 in 100,000, and
/// there are 21 crops.
pub const LOOK_AGAIN: f64 = 4.5;
/// The |t| that a control must exceed.
pub const CONTROL: f64 = 2.0 * LEAK;
/// Crops in addition to the whole; the k-th keeps the fraction 1 - 2^(-k/2) of all times: 0.29, 0.50, 0.65, ..., 0.999.
const CROPS: i32 = 20;
/// The first 1 / `WARM_UP` of the samples warms up and determines where to crop; it is not tested.
const WARM_UP: usize = 20;
/// Least number of samples of a class for a test.
const ENOUGH: u64 = 200;

/// A sample: its class, 0 or 1, and nanoseconds.
pub type Sample = (usize, f64);

/// Count, mean and sum of squared deviations of the values so far (Welford 1962).
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    pub count: u64,
    pub mean: f64,
    squares: f64,
}

impl Moments {
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    /// The variance of the mean.
    fn variance_of_mean(&self) -> f64 {
        self.squares / (self.count as f64 - 1.0) / self.count as f64
    }
}

/// One test of two classes.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    pub classes: [Moments; 2],
    /// The fraction of the times that was kept.
    pub kept: f64,
}

impl Test {
    /// The second class's mean minus the first's.
    pub fn difference(&self) -> f64 {
        self.classes[1].mean - self.classes[0].mean
    }

    /// The standard error of that difference.
    pub fn error(&self) -> f64 {
        self.classes.iter().map(Moments::variance_of_mean).sum::<f64>().sqrt()
    }

    /// Welch's t.
    pub fn t(&self) -> f64 {
        // Avoids 0 / 0 on a clock without deviation.
        match (self.difference(), self.error()) {
            (0.0, _) => 0.0,
            (difference, error) => difference / error,
        }
    }
}

/// The test with the largest |t| of all crops that leave enough; `None` if no crop does.
pub fn largest(samples: &[Sample]) -> Option<Test> {
    let (warming_up, samples) = samples.split_at(samples.len() / WARM_UP);
    let mut sorted: Vec<f64> = warming_up.iter().map(|&(_, time)| time).collect();
    sorted.sort_by(f64::total_cmp);
    let crop = |k: i32| {
        let kept = 1.0 - 0.5f64.powf(f64::from(k) / 2.0);
        let at = (sorted.len() as f64 * kept) as usize;
        Some((kept, *sorted.get(at)?))
    };
    (1..=CROPS).filter_map(crop).chain([(1.0, f64::INFINITY)]).filter_map(|crop| test(samples, crop)).max_by(|a, b| {
        let [a, b] = [a, b].map(|test| test.t().abs());
        a.total_cmp(&b)
    })
}

/// Tests the times up to a bound.
fn test(samples: &[Sample], (kept, bound): (f64, f64)) -> Option<Test> {
    let mut classes = [Moments::default(); 2];
    samples.iter().filter(|(_, time)| *time <= bound).for_each(|&(class, time)| classes[class].add(time));
    classes.iter().all(|class| class.count >= ENOUGH).then_some(Test { classes, kept })
}

/// Checks the functions above on values with known results. It measures no time.
pub fn check() {
    let moments = |values: &[f64]| {
        let mut moments = Moments::default();
        values.iter().for_each(|&value| moments.add(value));
        moments
    };
    // By hand: means 5/2 and 6, variances 5/3 and 10, so t^2 = (7/2)^2 / (5/12 + 10/5) = 147/29.
    let by_hand = Test { classes: [moments(&[1.0, 2.0, 3.0, 4.0]), moments(&[2.0, 4.0, 6.0, 8.0, 10.0])], kept: 1.0 };
    assert!((by_hand.t() - (147.0f64 / 29.0).sqrt()).abs() < 1e-12, "{by_hand:?}");
    // The same t far from zero, where a plain sum of squares would lose every digit.
    let far = by_hand.classes.map(|class| class.mean + 1e9);
    assert_eq!(far, [1e9 + 2.5, 1e9 + 6.0]);
    let [a, b] = [&[1.0, 2.0, 3.0, 4.0][..], &[2.0, 4.0, 6.0, 8.0, 10.0]]
        .map(|values| moments(&values.iter().map(|value| value + 1e9).collect::<Vec<_>>()));
    assert!((Test { classes: [a, b], kept: 1.0 }.t() - by_hand.t()).abs() < 1e-6);

    let t = |shift, outliers| largest(&drawn(shift, outliers)).map_or(0.0, |test| test.t());
    assert!(t(0.0, false).abs() < LOOK_AGAIN && t(0.0, true).abs() < LOOK_AGAIN, "equal classes");
    assert!(t(1.0, false) > CONTROL && t(-1.0, false) < -CONTROL, "a shift by a tenth of the deviation, with its sign");
    // With outliers, the whole detects nothing and a crop detects the shift.
    let samples = drawn(1.0, true);
    let whole = test(&samples, (1.0, f64::INFINITY)).map_or(f64::NAN, |test| test.t());
    assert!(whole.abs() < LOOK_AGAIN && t(1.0, true) > CONTROL, "{whole}");
    assert!(largest(&samples[..100]).is_none(), "too few");
}

/// Times around 1,000 with a deviation of 10; those of the second class are longer by `shift`. With `outliers`, one
/// time in a hundred, of either class, is as long as if another process had run in between.
fn drawn(shift: f64, outliers: bool) -> Vec<Sample> {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut uniform = move || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    (0..200_000)
        .map(|_| {
            let class = usize::from(uniform() < 0.5);
            // Twelve uniform values have variance 1.
            let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
            let apart = if outliers && uniform() < 0.01 { 100_000.0 * uniform() } else { 0.0 };
            (class, 1_000.0 + 10.0 * normal + shift * class as f64 + apart)
        })
        .collect()
}
