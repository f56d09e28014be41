//! `masking`: which kinds are looked for, own patterns compiled, and the salt, from the configuration or the data folder.

use std::path::Path;

use anyhow::Context as _;
use plimsoll_rules::mask::{Kind, LEAST_SALT, MaskOptions, Masker, OwnPattern};

use super::checked::{Check, Secret};
use super::raw;
use crate::state::StateFiles;

/// How texts are masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masking {
    /// What is recognised.
    pub options: MaskOptions,
    /// The configured salt; without one, the data folder keeps a random one.
    pub salt: Option<Secret>,
}

impl Masking {
    /// The masker, under the configured salt or the one that `data` keeps (made at the first call).
    ///
    /// # Errors
    /// There is no salt and the folder cannot keep one.
    pub fn masker(&self, data: &Path) -> anyhow::Result<Masker> {
        let salt = match &self.salt {
            Some(Secret(salt)) => salt.clone(),
            None => StateFiles::new(data).salt().with_context(|| {
                format!("no masking.salt is configured, and {} cannot keep a random one", data.display())
            })?,
        };
        Masker::new(salt.as_bytes(), &self.options).context("masking")
    }
}

/// Compiles it; mistakes are noted in `c`.
pub(super) fn check(c: &mut Check<'_>, raw: &raw::Masking) -> Masking {
    let off = raw.off.iter().map(|kind| kind.meant()).collect();
    let own =
        raw.patterns.iter().map(|(name, regex)| OwnPattern { name: name.clone(), regex: regex.clone() }).collect();
    let digits = usize::try_from(raw.digits).unwrap_or(usize::MAX);
    let options = MaskOptions { off, own, digits };
    patterns(c, &options);
    let salt = raw.salt.as_ref().map(|text| salt(c, text));
    Masking { options, salt }
}

/// Each alone first, so that every mistake is named.
fn patterns(c: &mut Check<'_>, options: &MaskOptions) {
    let trial =
        |own: &[OwnPattern]| Masker::new(&[0; LEAST_SALT], &MaskOptions { own: own.to_vec(), ..options.clone() }).err();
    let mut wrong: Vec<_> = options.own.chunks(1).filter_map(trial).collect();
    if wrong.is_empty() {
        wrong.extend(trial(&options.own));
    }
    for error in wrong {
        let key = error.pattern().map_or_else(|| "masking".to_owned(), |name| format!("masking.patterns.{name}"));
        c.refuse(&key, error.to_string());
    }
}

fn salt(c: &mut Check<'_>, text: &str) -> Secret {
    let secret = c.secret("masking.salt", text);
    if !secret.0.is_empty() && secret.0.len() < LEAST_SALT {
        let have = secret.0.len();
        c.refuse("masking.salt", format!("has {have} characters; at least {LEAST_SALT} random ones are needed"));
    }
    secret
}

impl raw::MaskKind {
    /// The kind itself.
    fn meant(self) -> Kind {
        match self {
            Self::Email => Kind::Email,
            Self::Phone => Kind::Phone,
            Self::CnId => Kind::CnId,
            Self::Card => Kind::Card,
            Self::Iban => Kind::Iban,
            Self::Ip => Kind::Ip,
            Self::Jwt => Kind::Jwt,
            Self::ApiKey => Kind::ApiKey,
            Self::Secret => Kind::Secret,
            Self::PrivateKey => Kind::PrivateKey,
            Self::UrlCredentials => Kind::UrlCredentials,
            Self::Ssn => Kind::Ssn,
            Self::Passport => Kind::Passport,
            Self::Plate => Kind::Plate,
            Self::BirthDate => Kind::BirthDate,
        }
    }
}
