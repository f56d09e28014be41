//! What can be recognised, and the words for it in tokens, configuration and reports.

/// A kind of private or secret text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number: E.164, Chinese mobile and landline, North American and other common national forms.
    Phone,
    /// A Chinese resident id: 18 characters with checksum, or the 15 digits used before 1999.
    CnId,
    /// A payment card number: known prefix, its length, Luhn checksum.
    Card,
    /// An International Bank Account Number: country's length, checksum modulo 97.
    Iban,
    /// An IPv4 or IPv6 address that says something about somebody (not loopback, not a netmask).
    Ip,
    /// A JSON Web Token.
    Jwt,
    /// A key in a vendor's own form (`sk-...`, `ghp_...`, `AKIA...`).
    ApiKey,
    /// A value that its name calls secret (`password: ...`, `api_key=...`, `Bearer ...`).
    Secret,
    /// A private key in PEM armour.
    PrivateKey,
    /// User and password inside a URL.
    UrlCredentials,
    /// A social security number of the United States.
    Ssn,
    /// A passport number, behind a word for it.
    Passport,
    /// A Chinese number plate.
    Plate,
    /// A date behind a word for birth.
    BirthDate,
    /// An own pattern, by its position in the options.
    Own(u16),
}

impl Kind {
    /// Every built-in kind.
    pub const BUILTIN: [Self; 15] = [
        Self::Email,
        Self::Phone,
        Self::CnId,
        Self::Card,
        Self::Iban,
        Self::Ip,
        Self::Jwt,
        Self::ApiKey,
        Self::Secret,
        Self::PrivateKey,
        Self::UrlCredentials,
        Self::Ssn,
        Self::Passport,
        Self::Plate,
        Self::BirthDate,
    ];

    /// The built-in kind of a name of the configuration, such as `email`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::BUILTIN.into_iter().find(|kind| kind.builtin_names().0 == name)
    }

    /// Name in the configuration and in reports, such as `email`; `own` for an own pattern, whose name the
    /// [`Masker`](super::Masker) knows.
    pub fn name(self) -> &'static str {
        self.builtin_names().0
    }

    /// Name in a token, such as `EMAIL`.
    pub(super) fn tag(self) -> &'static str {
        self.builtin_names().1
    }

    /// This kind's bit in a [`KindSet`]; own patterns have none.
    fn bit(self) -> u16 {
        Self::BUILTIN.iter().position(|kind| *kind == self).map_or(0, |at| 1 << at)
    }

    fn builtin_names(self) -> (&'static str, &'static str) {
        match self {
            Self::Email => ("email", "EMAIL"),
            Self::Phone => ("phone", "PHONE"),
            Self::CnId => ("cn_id", "CN_ID"),
            Self::Card => ("card", "CARD"),
            Self::Iban => ("iban", "IBAN"),
            Self::Ip => ("ip", "IP"),
            Self::Jwt => ("jwt", "JWT"),
            Self::ApiKey => ("api_key", "API_KEY"),
            Self::Secret => ("secret", "SECRET"),
            Self::PrivateKey => ("private_key", "PRIVATE_KEY"),
            Self::UrlCredentials => ("url_credentials", "URL_CREDENTIALS"),
            Self::Ssn => ("ssn", "SSN"),
            Self::Passport => ("passport", "PASSPORT"),
            Self::Plate => ("plate", "PLATE"),
            Self::BirthDate => ("birth_date", "BIRTH_DATE"),
            Self::Own(_) => ("own", "OWN"),
        }
    }
}

/// A set of built-in kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KindSet(u16);

impl KindSet {
    /// Every built-in kind.
    pub(super) const ALL: Self = Self(0x7fff);

    /// Without `kind`.
    pub(super) fn without(self, kind: Kind) -> Self {
        Self(self.0 & !kind.bit())
    }

    /// Whether `kind` is in it.
    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }
}
