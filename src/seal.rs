//! Seal: bytes that leave this process and must come back as they were, unread by others.
//!
//! XAES-256-GCM under a ring of keys: each sealing draws a nonce of 192 bits, of which a key takes 2^80 before two are likely to
//! meet (NIST allows 2^32 of plain AES-GCM's 96 bits). Bound to a purpose, to fields of the configuration and to what the caller
//! names, so that what was sealed for one place opens in no other. Knows no cookie, no record, no clock.

use crate::error::{Error, Result};
use crate::id::random_bytes;
use crate::keys::Key;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::ops::Range;
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::AeadInOut as _;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// What stands before the sealed bytes: room that the caller leaves.
pub(crate) const HEAD_BYTES: usize = NONCE_BYTES;
/// How much longer the sealed form is.
pub(crate) const OVERHEAD_BYTES: usize = HEAD_BYTES + TAG_BYTES;

/// A ring of keys for one purpose.
pub(crate) struct Seal {
    ciphers: Vec<Xaes256Gcm>,
    associated: Vec<u8>,
}

/// What was sealed, and whether it should be sealed anew.
pub(crate) struct Opened {
    pub(crate) range: Range<usize>,
    /// It was under a key that no longer seals.
    pub(crate) is_stale: bool,
}

impl Seal {
    /// `purpose` derives keys of its own from the ring's, so that two purposes share none; `fields` are associated data,
    /// each with its length before it, or "ab" and "c" could pose as "a" and "bc".
    pub(crate) fn new(keys: &[Key], purpose: &str, fields: &[&str]) -> Seal {
        let ciphers = keys.iter().map(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
            mac.update(purpose.as_bytes());
            Xaes256Gcm::new(&mac.finalize().into_bytes())
        });
        let mut associated = purpose.as_bytes().to_vec();
        for field in fields {
            associated.extend_from_slice(&(field.len() as u64).to_le_bytes());
            associated.extend_from_slice(field.as_bytes());
        }
        Seal { ciphers: ciphers.collect(), associated }
    }

    /// Seals `buffer[start..]`, of which the first [`HEAD_BYTES`] are free for the nonce; the tag is appended. Bound to what
    /// `bound_to` says beside the fields.
    pub(crate) fn seal(&self, bound_to: &[u8], buffer: &mut Vec<u8>, start: usize) -> Result<()> {
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let (head, plain) = buffer[start..].split_at_mut(HEAD_BYTES);
        head.copy_from_slice(&nonce);
        let tag = self.with_associated(bound_to, |associated| {
            self.ciphers[0].encrypt_inout_detached(&nonce.into(), associated, plain.into())
        });
        let tag =
            tag.map_err(|_| Error::too_large("what is sealed, in bytes", isize::MAX.unsigned_abs(), plain.len()))?;
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens in place. None for anything that [`seal`](Seal::seal) did not make with a key of this ring, for this purpose,
    /// these fields and `bound_to`; which of these it was is told to nobody, and takes the same time.
    pub(crate) fn open(&self, bound_to: &[u8], sealed: &mut [u8]) -> Option<Opened> {
        let plain = HEAD_BYTES..sealed.len().checked_sub(TAG_BYTES)?;
        if plain.start > plain.end {
            return None;
        }
        let (head, rest) = sealed.split_at_mut(HEAD_BYTES);
        let (text, tag) = rest.split_at_mut(plain.len());
        let nonce: [u8; NONCE_BYTES] = (&*head).try_into().expect("cut to this length");
        let tag: [u8; TAG_BYTES] = (&*tag).try_into().expect("cut to this length");
        let key = self.with_associated(bound_to, |associated| {
            // A wrong tag leaves the text as it is, for the next key.
            self.ciphers.iter().position(|cipher| {
                let opened = cipher.decrypt_inout_detached(&nonce.into(), associated, (&mut *text).into(), &tag.into());
                opened.is_ok()
            })
        })?;
        Some(Opened { range: plain, is_stale: key > 0 })
    }

    fn with_associated<T>(&self, bound_to: &[u8], then: impl FnOnce(&[u8]) -> T) -> T {
        if bound_to.is_empty() { then(&self.associated) } else { then(&[&self.associated, bound_to].concat()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        Key([number; 32])
    }

    fn sealed(seal: &Seal, bound_to: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut buffer = [&[0; HEAD_BYTES], plain].concat();
        seal.seal(bound_to, &mut buffer, 0).expect("sealed");
        assert_eq!(buffer.len(), plain.len() + OVERHEAD_BYTES);
        buffer
    }

    fn opened(seal: &Seal, bound_to: &[u8], mut bytes: Vec<u8>) -> Option<(Vec<u8>, bool)> {
        let Opened { range, is_stale } = seal.open(bound_to, &mut bytes)?;
        Some((bytes[range].to_vec(), is_stale))
    }

    /// The vectors of C2SP's XAES-256-GCM.md: this is that cipher, and not something like it.
    #[test]
    fn the_cipher_is_xaes_256_gcm() {
        let hex = |text: &str| -> Vec<u8> {
            text.as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex"))
                .collect()
        };
        let nonce: [u8; 24] = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
        for (key, associated, wanted) in [
            (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let cipher = Xaes256Gcm::new(&[key; 32].into());
            let mut text = b"XAES-256-GCM".to_vec();
            let tag = cipher.encrypt_inout_detached(&nonce.into(), associated.as_bytes(), (&mut *text).into());
            text.extend_from_slice(&tag.expect("sealed"));
            assert_eq!(text, hex(wanted));
        }
    }

    #[test]
    fn it_opens_what_it_sealed_and_tells_an_old_key() {
        let (new, old) = (key(1), key(2));
        let before = Seal::new(std::slice::from_ref(&old), "test", &["app"]);
        let after = Seal::new(&[new, old], "test", &["app"]);
        let bytes = sealed(&before, b"here", b"text");

        assert_eq!(opened(&before, b"here", bytes.clone()), Some((b"text".to_vec(), false)));
        assert_eq!(opened(&after, b"here", bytes), Some((b"text".to_vec(), true)));
        assert_eq!(opened(&before, b"here", sealed(&after, b"here", b"text")), None);
    }

    #[test]
    fn every_bit_every_cut_and_every_binding_counts() {
        let seal = Seal::new(&[key(1)], "test", &["app", "name"]);
        let bytes = sealed(&seal, b"here", b"some text");
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&seal, b"here", altered).is_none(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(opened(&seal, b"here", bytes[..length].to_vec()).is_none(), "cut to {length}");
        }
        assert!(opened(&seal, b"here", [&*bytes, b"\0"].concat()).is_none());
        assert!(opened(&seal, b"there", bytes.clone()).is_none());
        for (keys, purpose, fields) in [
            ([key(9)], "test", ["app", "name"]),
            ([key(1)], "other", ["app", "name"]),
            ([key(1)], "test", ["other", "name"]),
            ([key(1)], "test", ["appn", "ame"]),
        ] {
            assert!(opened(&Seal::new(&keys, purpose, &fields), b"here", bytes.clone()).is_none());
        }
    }

    #[test]
    fn two_sealings_of_one_text_share_nothing() {
        let seal = Seal::new(&[key(1)], "test", &[]);
        let (one, two) = (sealed(&seal, b"", &[7; 64]), sealed(&seal, b"", &[7; 64]));
        assert_ne!(one[..HEAD_BYTES], two[..HEAD_BYTES]);
        for (block, other) in one[HEAD_BYTES..].chunks_exact(16).zip(two[HEAD_BYTES..].chunks_exact(16)) {
            assert_ne!(block, other);
        }
        assert_ne!(one[HEAD_BYTES..][..16], one[HEAD_BYTES..][16..32], "equal blocks look equal (CVE-2012-3458)");
    }
}
