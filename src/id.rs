//! Identity: session ids, the locators drivers see instead, and the masked CSRF token.
//!
//! An id is 256 bits from the operating system, written as 43 characters of base64url. Drivers only ever see
//! `SHA-256("holdall/id/v1" || id)`, so a leaked directory, dump or log holds no usable cookie. Nothing here prints an id.

use crate::error::{Error, Result};
use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use std::ffi::CStr;
use std::fmt;
use subtle::ConstantTimeEq as _;

// 32 bytes: OWASP asks for at least 64 bits of entropy and ASVS 7.2.3 for 128; 256 leaves no room for argument,
// and 43 characters still fit any cookie.
const ID_BYTES: usize = 32;
const ID_CHARS: usize = 43;
const ID_LABEL: &[u8] = b"holdall/id/v1";
/// FIPS 180-4, section 5.3.3.
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const KEYED_LABEL: &[u8] = b"holdall/keyed/v1";
const SPILLED_LABEL: &[u8] = b"holdall/spilled/v1";

/// A session id: the secret that the cookie carries.
///
/// Compared and printed with care: `Debug` shows nothing of it, and there is no `Display`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    text: [u8; ID_CHARS],
    locator: Locator,
}

impl SessionId {
    /// Draws a new id. The hash runs over the 32 bytes and not over their 43 characters, which would cost a second block.
    pub(crate) fn generate() -> Result<SessionId> {
        Ok(SessionId::of_bytes(&random_bytes()?))
    }

    /// The id of these bytes, as a sealed token keeps it.
    pub(crate) fn of_bytes(bytes: &[u8; ID_BYTES]) -> SessionId {
        let mut text = [0; ID_CHARS];
        let _ = URL_SAFE_NO_PAD.encode(bytes, text.as_mut_slice().as_out());
        SessionId { text, locator: Locator::of(bytes) }
    }

    /// The bytes it was drawn as.
    pub(crate) fn bytes(&self) -> [u8; ID_BYTES] {
        let mut bytes = [0; ID_BYTES];
        URL_SAFE_NO_PAD
            .decode(&self.text, bytes.as_mut_slice().as_out())
            .expect("written by of_bytes, or read strictly");
        bytes
    }

    /// Reads an id as it came from outside. None unless it is exactly 43 base64url characters that encode 32 bytes.
    pub(crate) fn parse(text: &[u8]) -> Option<SessionId> {
        let text: [u8; ID_CHARS] = text.try_into().ok()?;
        let mut bytes = [0; ID_BYTES];
        // Strict: the two spare bits of the last character must be zero, so these are the only characters for these bytes.
        URL_SAFE_NO_PAD.decode(&text, bytes.as_mut_slice().as_out()).ok()?;
        Some(SessionId { text, locator: Locator::of(&bytes) })
    }

    /// The 43 characters that the cookie carries. A secret: keep it out of logs, pages and messages.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("base64url is ASCII")
    }

    pub(crate) fn locator(&self) -> Locator {
        self.locator
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// Where a driver keeps a record: the hash of the id, or of the application's key.
///
/// Not a secret in the sense of the id: no cookie can be made from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locator(pub(crate) [u8; 32]);

impl Locator {
    /// SHA-256 of the label and the id. They fill less than one block, which is written here as FIPS 180-4 pads it: a third of
    /// the time goes into feeding a hasher piece by piece, and this runs for every request.
    fn of(id: &[u8; ID_BYTES]) -> Locator {
        const BYTES: usize = ID_LABEL.len() + ID_BYTES;
        let mut block = [0; 64];
        block[..ID_LABEL.len()].copy_from_slice(ID_LABEL);
        block[ID_LABEL.len()..BYTES].copy_from_slice(id);
        block[BYTES] = 0x80;
        block[56..].copy_from_slice(&(8 * BYTES as u64).to_be_bytes());
        let mut state = SHA256_START;
        compress256(&mut state, &[block]);
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        Locator(hash)
    }

    /// The locator of an application key, under the configured secret and a label of its own: no cookie reaches it,
    /// and a leaked directory does not reveal which addresses were here.
    pub(crate) fn keyed(secret: &[u8], key: &[u8]) -> Locator {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(KEYED_LABEL);
        mac.update(key);
        Locator(mac.finalize().into_bytes().into())
    }

    /// Where a record is put that outgrew its cookie: of a random reference in the seal, under a label of its own, so that no
    /// cookie that carries an id reaches it.
    pub(crate) fn spilled(reference: &[u8; 32]) -> Locator {
        Locator(Sha256::new_with_prefix(SPILLED_LABEL).chain_update(reference).finalize().into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The name in 64 lower-case hexadecimal characters, as the file driver uses it.
    pub fn to_hex(&self) -> HexName {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 65];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        HexName(text)
    }

    /// Reads a name back. None unless it is 64 lower-case hexadecimal characters.
    pub fn from_hex(name: &[u8]) -> Option<Locator> {
        let name: &[u8; 64] = name.try_into().ok()?;
        // Without a branch in it, so that the compiler takes sixteen digits at once: a sweep does this for every file.
        let digits = name.map(|c| match (c.wrapping_sub(b'0'), c.wrapping_sub(b'a')) {
            (digit @ 0..=9, _) => digit,
            (_, letter @ 0..=5) => 10 + letter,
            _ => u8::MAX,
        });
        if digits.iter().fold(0, |all, digit| all | digit) > 15 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            *byte = high << 4 | low;
        }
        Some(Locator(bytes))
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locator({}..)", &self.to_hex().as_str()[..12])
    }
}

/// A locator in hexadecimal, without an allocation.
#[derive(Clone, Copy)]
pub struct HexName([u8; 65]);

impl HexName {
    /// The 64 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[..64]).expect("hexadecimal is ASCII")
    }

    /// The 64 characters and a NUL, as system calls want a name.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.0).expect("64 digits and a NUL")
    }
}

/// Bytes from the operating system, drawn anew for every call: a generator in user space would give parent and
/// child the same bytes after fork.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::unavailable("the operating system gave no random bytes", true).with_source(error))?;
    Ok(bytes)
}

/// The CSRF secret of a record: 256 bits that never leave the engine unmasked.
pub(crate) type CsrfSecret = [u8; 32];

/// A token for one page: a fresh mask, then the secret under it. Equal secrets give unequal tokens, so that a
/// compressed page does not betray the secret byte by byte (BREACH).
pub(crate) fn csrf_token(secret: &CsrfSecret) -> Result<String> {
    let mask = random_bytes::<32>()?;
    let mut token = [0; 64];
    token[..32].copy_from_slice(&mask);
    for (byte, (m, s)) in token[32..].iter_mut().zip(mask.iter().zip(secret)) {
        *byte = m ^ s;
    }
    Ok(URL_SAFE_NO_PAD.encode_to_string(token))
}

/// Whether a token that came back is under this secret, compared in constant time.
pub(crate) fn csrf_matches(secret: &CsrfSecret, candidate: &str) -> bool {
    let mut token = [0; 64];
    // 86 characters: base64url of 64 bytes. Longer input would not fit the buffer.
    if candidate.len() != 86 || URL_SAFE_NO_PAD.decode(candidate.as_bytes(), token.as_mut_slice().as_out()).is_err() {
        return false;
    }
    let (mask, masked) = token.split_at_mut(32);
    for (byte, m) in masked.iter_mut().zip(mask.iter()) {
        *byte ^= m;
    }
    masked.ct_eq(secret).into()
}

/// The secret of keyed sessions, read from the configuration.
pub(crate) fn decode_secret(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok().filter(|secret| secret.len() >= 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_near_it_does() {
        let id = SessionId::generate().expect("random");
        let text = id.as_str().to_owned();

        assert_eq!(SessionId::parse(text.as_bytes()), Some(id));
        assert_eq!(text.len(), 43);
        assert!(SessionId::parse(&text.as_bytes()[..42]).is_none());
        assert!(SessionId::parse(format!("{text}A").as_bytes()).is_none());
        for bad in ["", ".", "..", "../etc/passwd", "%2e%2e", &"=".repeat(43), &"\0".repeat(43), &"A".repeat(5000)] {
            assert!(SessionId::parse(bad.as_bytes()).is_none(), "accepted {bad:?}");
        }
    }

    #[test]
    fn the_two_spare_bits_of_the_last_character_must_be_zero() {
        // Otherwise four different cookies would name one session.
        let mut text = [b'A'; 43];
        assert!(SessionId::parse(&text).is_some());
        text[42] = b'B';
        assert!(SessionId::parse(&text).is_none());
    }

    #[test]
    fn ids_are_unique_and_use_the_whole_alphabet() {
        let ids: Vec<String> =
            (0..10_000).map(|_| SessionId::generate().expect("random").as_str().to_owned()).collect();
        let unique: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
        for position in 0..42 {
            let used: std::collections::HashSet<u8> = ids.iter().map(|id| id.as_bytes()[position]).collect();
            assert_eq!(used.len(), 64, "position {position}");
        }
    }

    #[test]
    fn debug_shows_no_id() {
        let id = SessionId::generate().expect("random");
        assert_eq!(format!("{id:?}"), "SessionId(..)");
        assert_eq!(format!("{:?}", id.locator()).len(), "Locator(..)".len() + 12);
    }

    #[test]
    fn a_locator_is_the_labelled_hash_of_the_bytes() {
        // Golden: sha256("holdall/id/v1" || 32 zero bytes).
        let id = SessionId::parse(&[b'A'; 43]).expect("32 zero bytes");
        let expected: [u8; 32] = Sha256::digest([b"holdall/id/v1".as_slice(), &[0; 32]].concat()).into();
        assert_eq!(id.locator().as_bytes(), &expected);
        let random = random_bytes().expect("random");
        let expected: [u8; 32] = Sha256::digest([b"holdall/id/v1".as_slice(), &random].concat()).into();
        assert_eq!(Locator::of(&random).as_bytes(), &expected);
        assert_eq!(Locator::from_hex(id.locator().to_hex().as_str().as_bytes()), Some(id.locator()));
        assert_eq!(Locator::from_hex(&[b'A'; 64]), None);
    }

    #[test]
    fn csrf_tokens_differ_each_time_and_match_only_their_secret() {
        let (secret, other) = ([7; 32], [8; 32]);
        let (one, two) = (csrf_token(&secret).expect("random"), csrf_token(&secret).expect("random"));

        assert_ne!(one, two);
        assert!(csrf_matches(&secret, &one) && csrf_matches(&secret, &two));
        assert!(!csrf_matches(&other, &one));
        for bad in ["", "A", &one[..85], &format!("{one}A"), &"=".repeat(86)] {
            assert!(!csrf_matches(&secret, bad));
        }
    }
}
