// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Intercepted`]: the test double of [`Primitives`]. Every operation passes through an [`Intercept`].
//!
//! Tests use it to count operations, to record them, and to change their inputs and results: a device without one of
//! its defences, a device that attacks its peer, a device with a side channel. The protocol code is the shipped code.
//!
//! Not the concern of this module: what interceptors look for.

use crate::primitives::{
    CT1_LEN, CT2_LEN, Declassified, EK_HEADER_LEN, EK_VECTOR_LEN, Failed, KEM_CIPHERTEXT_LEN, KEM_PUBLIC_LEN,
    KEM_SEED_LEN, NONCE_LEN, PUBLIC_KEY_LEN, Primitives, RustCrypto, SIGNATURE_LEN, TAG_LEN,
};
use crate::secret::Secret;
use core::fmt;
use core::ops::Deref;

/// Code that runs around each operation of the primitives `P`. The default methods change nothing.
pub trait Intercept<P: Primitives = RustCrypto>: Clone {
    /// Answers one call. The default calls [`Call::perform`].
    ///
    /// An implementation can inspect and change the inputs before `perform`, and the outputs after it. It can also omit
    /// `perform` and answer the call itself: it writes the outputs, or calls a method of `primitives` with other
    /// inputs.
    ///
    /// # Security
    /// All secrets of a device pass through this method.
    #[inline]
    fn intercept(&self, primitives: &P, call: &mut Call<'_>) {
        call.perform(primitives);
    }

    /// Called at each [`Primitives::step`], before `P` is.
    #[inline]
    fn step(&self, label: &'static str) {
        let _ = label;
    }

    /// Called at each [`Primitives::fresh`], before `P` is.
    #[inline]
    fn fresh(&self, value: &[u8]) {
        let _ = value;
    }

    /// Called at each [`Primitives::declassify`], before `P` is.
    #[inline]
    fn declassify(&self, place: Declassified, value: &mut [u8]) {
        let _ = (place, value);
    }
}

/// The primitives `P`, each operation of which passes through the interceptor `I`.
///
/// ```
/// use noescrow::hazmat::{Call, Intercept, Intercepted};
/// use noescrow::primitives::{Primitives, RustCrypto};
/// use std::{cell::Cell, rc::Rc};
///
/// /// Counts Diffie-Hellman operations, and accepts every signature.
/// #[derive(Clone, Default)]
/// struct Gullible(Rc<Cell<usize>>);
///
/// impl Intercept for Gullible {
///     fn intercept(&self, primitives: &RustCrypto, call: &mut Call<'_>) {
///         call.perform(primitives);
///         match call {
///             Call::Dh { .. } => self.0.set(self.0.get() + 1),
///             Call::Verify { verdict, .. } => **verdict = Ok(()),
///             _ => {}
///         }
///     }
/// }
///
/// let primitives = Intercepted::<Gullible>::default();
/// assert!(primitives.verify(&[1; 32], b"message", &[0; 64]).is_ok());
/// assert!(RustCrypto.verify(&[1; 32], b"message", &[0; 64]).is_err());
/// assert_eq!(primitives.0.get(), 0);
/// ```
///
/// # Security
/// Never for production: the interceptor reads every secret and decides every check. Moving results through a [`Call`]
/// leaves copies of secrets on the stack that are not wiped.
#[derive(Clone, Copy, Default)]
pub struct Intercepted<I, P = RustCrypto> {
    interceptor: I,
    primitives: P,
}

impl<I: Intercept> Intercepted<I> {
    /// Intercepts the default primitives.
    pub const fn new(interceptor: I) -> Self {
        Self::over(RustCrypto, interceptor)
    }
}

impl<P: Primitives, I: Intercept<P>> Intercepted<I, P> {
    /// Intercepts `primitives`.
    pub const fn over(primitives: P, interceptor: I) -> Self {
        Self { interceptor, primitives }
    }

    /// The primitives that are intercepted.
    pub const fn primitives(&self) -> &P {
        &self.primitives
    }
}

/// Dereferences to the interceptor, so that a test that holds a device's primitives can read a log or set a fault.
impl<I, P> Deref for Intercepted<I, P> {
    type Target = I;

    fn deref(&self) -> &I {
        &self.interceptor
    }
}

/// Omits the interceptor, which may hold secrets.
impl<I, P> fmt::Debug for Intercepted<I, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intercepted(..)")
    }
}

/// The value of a result before the call is answered: zero, `false` or [`Failed`].
trait Unanswered {
    fn unanswered() -> Self;
}

impl<const N: usize> Unanswered for [u8; N] {
    fn unanswered() -> Self {
        [0; N]
    }
}

impl<const N: usize> Unanswered for Secret<N> {
    fn unanswered() -> Self {
        Self::zero()
    }
}

impl<A: Unanswered, B: Unanswered> Unanswered for (A, B) {
    fn unanswered() -> Self {
        (A::unanswered(), B::unanswered())
    }
}

impl<T> Unanswered for Result<T, Failed> {
    fn unanswered() -> Self {
        Err(Failed)
    }
}

impl Unanswered for bool {
    fn unanswered() -> Self {
        false
    }
}

/// Generates from one list of the trait's operations the variants of [`Call`], [`Call::perform`], and the
/// implementation of [`Primitives`] for [`Intercepted`]. The syntax is `Variant = method(arguments) -> result: type`.
macro_rules! operations {
    ($($variant:ident = $method:ident($($input:ident: $type:ty),*) $(-> $result:ident: $output:ty)?;)*) => {
        /// One call of a method of [`Primitives`]: its arguments and its result.
        ///
        /// The fields of a variant are the arguments of its method, under the same names, and a mutable reference to
        /// the result. Until the call is answered, the result is all zero, `false` or [`Failed`]. The buffer of `seal`
        /// and of `open` holds the input before the call is performed and the output after it; that of `hkdf` and of
        /// `hkdf_expand` holds only output.
        pub enum Call<'a> {
            $(
                #[doc = concat!("[`Primitives::", stringify!($method), "`].")]
                $variant {
                    $(
                        #[doc = "An argument of the method."]
                        $input: $type,
                    )*
                    $(
                        #[doc = "What the method returns."]
                        $result: &'a mut $output,
                    )?
                },
            )*
        }

        impl Call<'_> {
            /// The names of all operations of [`Primitives`].
            pub const NAMES: &'static [&'static str] = &[$(stringify!($method)),*];

            /// The name of the called method.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($method),)*
                }
            }

            /// Performs the operation with `primitives` on the current inputs, and stores the result.
            #[inline]
            pub fn perform<P: Primitives>(&mut self, primitives: &P) {
                match self {
                    $(
                        Self::$variant { $($input,)* $($result)? } => {
                            $(**$result =)? primitives.$method($(*$input),*);
                        }
                    )*
                }
            }
        }

        #[deny(clippy::missing_trait_methods, reason = "a default method would bypass the interceptor")]
        impl<P: Primitives, I: Intercept<P>> Primitives for Intercepted<I, P> {
            #[inline]
            fn step(&self, label: &'static str) {
                self.interceptor.step(label);
                self.primitives.step(label);
            }

            #[inline]
            fn fresh(&self, value: &[u8]) {
                self.interceptor.fresh(value);
                self.primitives.fresh(value);
            }

            #[inline]
            fn declassify(&self, place: Declassified, value: &mut [u8]) {
                self.interceptor.declassify(place, value);
                self.primitives.declassify(place, value);
            }

            /// Each MAC is one `hmac`, which passes through the interceptor.
            #[inline]
            fn with_hmac<R>(&self, key: &Secret<32>, f: impl FnOnce(&dyn Fn(&[&[u8]]) -> Secret<32>) -> R) -> R {
                f(&|parts| self.hmac(key.expose(), parts))
            }

            $(
                #[inline]
                fn $method<'a>(&self, $($input: $type),*) $(-> $output)? {
                    $(let mut $result = <$output as Unanswered>::unanswered();)?
                    let mut call = Call::$variant { $($input,)* $($result: &mut $result)? };
                    self.interceptor.intercept(&self.primitives, &mut call);
                    $($result)?
                }
            )*
        }
    };
}

operations! {
    DhPublic = dh_public(secret: &'a Secret<32>) -> public: [u8; PUBLIC_KEY_LEN];
    Dh = dh(secret: &'a Secret<32>, public: &'a [u8; PUBLIC_KEY_LEN]) -> shared: Result<Secret<32>, Failed>;
    DhIsTorsionFree = dh_is_torsion_free(public: &'a [u8; PUBLIC_KEY_LEN]) -> verdict: bool;
    SigningPublic = signing_public(seed: &'a Secret<32>) -> public: [u8; PUBLIC_KEY_LEN];
    Sign = sign(seed: &'a Secret<32>, message: &'a [u8]) -> signature: [u8; SIGNATURE_LEN];
    SigningIsTorsionFree = signing_is_torsion_free(public: &'a [u8; PUBLIC_KEY_LEN]) -> verdict: bool;
    Verify = verify(public: &'a [u8; PUBLIC_KEY_LEN], message: &'a [u8], signature: &'a [u8; SIGNATURE_LEN])
        -> verdict: Result<(), Failed>;
    KemPublic = kem_public(seed: &'a Secret<KEM_SEED_LEN>) -> public: [u8; KEM_PUBLIC_LEN];
    KemPublicIsValid = kem_public_is_valid(public: &'a [u8; KEM_PUBLIC_LEN]) -> verdict: bool;
    Encapsulate = encapsulate(public: &'a [u8; KEM_PUBLIC_LEN], coins: &'a Secret<32>)
        -> output: ([u8; KEM_CIPHERTEXT_LEN], Secret<32>);
    Decapsulate = decapsulate(seed: &'a Secret<KEM_SEED_LEN>, ciphertext: &'a [u8; KEM_CIPHERTEXT_LEN])
        -> shared: Secret<32>;
    IncrementalPublic = incremental_public(seed: &'a Secret<KEM_SEED_LEN>)
        -> output: ([u8; EK_HEADER_LEN], [u8; EK_VECTOR_LEN]);
    Encaps1 = encaps1(header: &'a [u8; EK_HEADER_LEN], coins: &'a Secret<32>) -> output: ([u8; CT1_LEN], Secret<32>);
    Encaps2 = encaps2(header: &'a [u8; EK_HEADER_LEN], ek_vector: &'a [u8; EK_VECTOR_LEN], coins: &'a Secret<32>)
        -> ct2: Result<[u8; CT2_LEN], Failed>;
    IncrementalDecapsulate = incremental_decapsulate(
        seed: &'a Secret<KEM_SEED_LEN>, ct1: &'a [u8; CT1_LEN], ct2: &'a [u8; CT2_LEN]) -> shared: Secret<32>;
    Hmac = hmac(key: &'a [u8], parts: &'a [&'a [u8]]) -> mac: Secret<32>;
    HmacPair = hmac_pair(key: &'a Secret<32>, first: u8, second: u8) -> macs: (Secret<32>, Secret<32>);
    Hkdf = hkdf(salt: &'a [u8], ikm: &'a [&'a [u8]], info: &'a [&'a [u8]], out: &'a mut [u8]);
    HkdfExpand = hkdf_expand(prk: &'a Secret<32>, info: &'a [&'a [u8]], out: &'a mut [u8]);
    Sha256 = sha256(parts: &'a [&'a [u8]]) -> digest: [u8; 32];
    Sha512 = sha512(parts: &'a [&'a [u8]]) -> digest: [u8; 64];
    Seal = seal(key: &'a Secret<32>, nonce: &'a [u8; NONCE_LEN], ad: &'a [u8], buffer: &'a mut [u8])
        -> tag: Result<[u8; TAG_LEN], Failed>;
    Open = open(
        key: &'a Secret<32>, nonce: &'a [u8; NONCE_LEN], ad: &'a [u8], buffer: &'a mut [u8], tag: &'a [u8; TAG_LEN])
        -> verdict: Result<(), Failed>;
}

/// Shows only the method's name: arguments and results are secrets.
impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.name())
    }
}

#[cfg(test)]
mod tests;
