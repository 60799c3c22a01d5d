//! The sign-ins of people from other machines. A challenge is a text with a MAC of this process,
//! so that nothing is kept for a client that only asks for one. Used challenges and sessions are
//! kept for enrolled people alone, a bounded number for each. A session reads; it approves
//! nothing, and ends with this process. Roles are read from the trust file at each use.

use cofferdam_core::journey::ports::SignInRefusal;
use cofferdam_core::model::console_role::{SignInKind, SignedIn};
use cofferdam_core::model::json;
use cofferdam_core::model::sign_in::{Challenge, Session, SessionKeeper, SignIn, SignedSignIn};
use cofferdam_core::model::trust::{Approver, Trust};
use cofferdam_core::policy::sign_in::{SignInError, verify_sign_in};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a challenge counts: a person enters a PIN and touches a key meanwhile.
const CHALLENGE: SignedDuration = SignedDuration::from_mins(2);

/// How long a session counts: a person reads a long change meanwhile.
const SESSION: SignedDuration = SignedDuration::from_mins(30);

/// The same for a browser on `http://localhost`: other ports of the machine get its cookie too.
const LOCAL_SESSION: SignedDuration = SignedDuration::from_mins(5);

/// Most used challenges of one person within [`CHALLENGE`]: more than a person signs, and enough
/// for a script.
const USED: usize = 64;

/// Most sessions of one person: a few machines and terminals. A further one ends the oldest.
const SESSIONS: usize = 8;

/// Most people with sessions at once, when one of the issuer enters: each cookie is looked up among
/// all sessions.
const PEOPLE: usize = 1_000;

/// Bound into each MAC, so that it is no MAC of anything else.
const PURPOSE: &[u8] = b"cofferdam.challenge.v1";

/// The sign-ins of this process.
pub struct SignIns {
    key: [u8; 32],
    people: Mutex<BTreeMap<String, Person>>,
}

/// The sign-ins of one person.
#[derive(Debug, Default)]
struct Person {
    /// Used challenges, with their ends.
    used: BTreeMap<String, Timestamp>,
    /// Sessions, oldest first.
    sessions: Vec<Open>,
}

/// A session that was begun. The secret itself is not kept.
#[derive(Debug)]
struct Open {
    secret: [u8; 32],
    /// The person by the issuer; for a person by a passkey, the roles are read at each use.
    by: Proof,
    keeper: SessionKeeper,
    expires: Timestamp,
}

/// The proof of a sign-in.
#[derive(Debug, Clone)]
enum Proof {
    /// The key of the trust file that signed.
    Key(String),
    /// The person, as the issuer of people named them with their roles.
    Issuer(SignedIn),
}

impl Person {
    /// Adds a session. A further one ends the oldest.
    fn open(&mut self, open: Open, now: Timestamp) {
        self.sessions.retain(|open| open.expires > now);
        if self.sessions.len() >= SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(open);
    }

    /// True while a session or a used challenge of this person counts.
    fn is_open(&self, now: Timestamp) -> bool {
        self.sessions.iter().any(|open| open.expires > now)
            || self.used.values().any(|expires| *expires > now)
    }
}

impl SignIns {
    /// Makes a key of 256 random bits.
    pub fn new(random: (u128, u128)) -> Self {
        let mut key = [0; 32];
        let bytes = random.0.to_le_bytes().into_iter().chain(random.1.to_le_bytes());
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Self { key, people: Mutex::default() }
    }

    /// A challenge with this nonce.
    pub fn challenge(&self, random: u128, now: Timestamp) -> Challenge {
        let expires = now.checked_add(CHALLENGE).unwrap_or(now);
        let nonce = format!("{random:032x}");
        let tag = HEXLOWER.encode(&self.mac(&nonce, expires));
        Challenge { challenge: format!("{nonce}.{tag}"), expires }
    }

    /// Begins a session with this secret, if the sign-in counts.
    ///
    /// # Errors
    /// The challenge is not an unused one of this process, the server is another, or the key is not
    /// enrolled.
    pub fn sign_in(
        &self,
        signed: &SignedSignIn,
        (is_own, keeper): (&dyn Fn(&str) -> bool, SessionKeeper),
        keys: impl FnOnce() -> Result<Vec<Approver>, SignInRefusal>,
        random: (u128, u128),
        now: Timestamp,
    ) -> Result<Session, SignInRefusal> {
        let refused = |why: &str| SignInRefusal::Refused(why.to_owned());
        let statement: SignIn = json::strict_into(signed.statement.as_bytes())
            .map_err(|error| SignInRefusal::Refused(SignInError::from(error).to_string()))?;
        if !is_own(&statement.server) {
            return Err(refused(
                "the sign-in is for another server; sign in at the address of this one",
            ));
        }
        if !self.is_own_challenge(&statement.challenge, statement.expires) {
            return Err(refused(
                "the challenge is not one of this server, or the server was started again; sign in \
                 again",
            ));
        }
        if statement.expires <= now {
            return Err(SignInRefusal::Refused(
                SignInError::Expired(statement.expires).to_string(),
            ));
        }
        // Only then the file and the signature: they cost more.
        let keys = keys()?;
        let verified = verify_sign_in(signed, &keys, now)
            .map_err(|error| SignInRefusal::Refused(error.to_string()))?;
        let statement = verified.statement();
        let Approver { name, key, .. } = verified.approver();
        let mut people = self.people();
        // Only enrolled people are kept, so a removed one leaves no rest.
        people.retain(|name, person| {
            keys.iter().any(|known| known.name == *name) || person.is_open(now)
        });
        let person = people.entry(name.clone()).or_default();
        person.used.retain(|_, expires| *expires > now);
        if person.used.contains_key(&statement.challenge) {
            return Err(refused("the challenge was used already; sign in again"));
        }
        if person.used.len() >= USED {
            return Err(SignInRefusal::Often);
        }
        person.used.insert(statement.challenge.clone(), statement.expires);
        let (session, expires) = begun(keeper, random, now);
        let by = Proof::Key(key.clone());
        person.open(Open { secret: digest(&session), by, keeper, expires }, now);
        Ok(Session { approver: name.clone(), session, expires })
    }

    /// Begins a session of a person whom the issuer of people named.
    ///
    /// # Errors
    /// Too many people have sessions.
    pub fn enter(
        &self,
        person: SignedIn,
        keeper: SessionKeeper,
        random: (u128, u128),
        now: Timestamp,
    ) -> Result<Session, SignInRefusal> {
        let mut people = self.people();
        people.retain(|_, person| person.is_open(now));
        // No name of the trust file has a blank.
        let place = format!("issuer {}", person.name);
        if people.len() >= PEOPLE && !people.contains_key(&place) {
            return Err(SignInRefusal::Often);
        }
        let (session, expires) = begun(keeper, random, now);
        let name = person.name.clone();
        let by = Proof::Issuer(person);
        let open = Open { secret: digest(&session), by, keeper, expires };
        people.entry(place).or_default().open(open, now);
        Ok(Session { approver: name, session, expires })
    }

    /// The person of a session, with the roles of its key by the trust file. Any other text costs no
    /// look at that file.
    ///
    /// # Errors
    /// The trust file cannot be read.
    pub fn person(
        &self,
        (session, keeper): (&str, SessionKeeper),
        trust: impl FnOnce() -> Result<Trust, SignInRefusal>,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, SignInRefusal> {
        let (name, own) = match self.owner(session, keeper, now) {
            None => return Ok(None),
            Some((_, Proof::Issuer(person))) => return Ok(Some(person)),
            Some((name, Proof::Key(key))) => (name, key),
        };
        let roles = trust()?.roles_of(&name, &own);
        let person = || SignedIn { name, roles: roles.clone(), by: SignInKind::Passkey };
        Ok((!roles.is_empty()).then(person))
    }

    /// Ends a session. Any other text ends nothing.
    pub fn sign_out(&self, session: &str, keeper: SessionKeeper) {
        let secret = digest(session);
        for person in self.people().values_mut() {
            person.sessions.retain(|open| open.secret != secret || open.keeper != keeper);
        }
    }

    /// The name and the proof of the person who began a session that has not ended.
    fn owner(
        &self,
        session: &str,
        keeper: SessionKeeper,
        now: Timestamp,
    ) -> Option<(String, Proof)> {
        // A comparison of digests: its time says nothing about the secret.
        let secret = digest(session);
        let people = self.people();
        people.iter().find_map(|(name, person)| {
            let open = person.sessions.iter().find(|open| open.secret == secret)?;
            (open.expires > now && open.keeper == keeper).then(|| (name.clone(), open.by.clone()))
        })
    }

    fn is_own_challenge(&self, challenge: &str, expires: Timestamp) -> bool {
        let Some((nonce, tag)) = challenge.split_once('.') else { return false };
        let Ok(tag) = HEXLOWER.decode(tag.as_bytes()) else { return false };
        self.keyed(nonce, expires).is_some_and(|mac| mac.verify_slice(&tag).is_ok())
    }

    fn mac(&self, nonce: &str, expires: Timestamp) -> Vec<u8> {
        let mac = self.keyed(nonce, expires);
        mac.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
    }

    /// `None` never happens: HMAC takes a key of any length.
    fn keyed(&self, nonce: &str, expires: Timestamp) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(PURPOSE);
        mac.update(&expires.as_nanosecond().to_be_bytes());
        mac.update(nonce.as_bytes());
        Some(mac)
    }

    fn people(&self) -> MutexGuard<'_, BTreeMap<String, Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret of a new session, and its end.
fn begun(keeper: SessionKeeper, random: (u128, u128), now: Timestamp) -> (String, Timestamp) {
    let length = match keeper {
        SessionKeeper::Command | SessionKeeper::Browser => SESSION,
        SessionKeeper::LocalBrowser => LOCAL_SESSION,
    };
    let session = format!("{:032x}{:032x}", random.0, random.1);
    (session, now.checked_add(length).unwrap_or(now))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use SessionKeeper::{Browser, Command, LocalBrowser};
    use cofferdam_core::model::console_role::{ConsoleEntry, ConsoleRole};
    use cofferdam_core::model::sign_in::{SIGN_IN_NAMESPACE, SIGN_IN_SCHEMA};
    use ssh_key::private::Ed25519Keypair;
    use ssh_key::{HashAlg, LineEnding, PrivateKey};

    fn noon() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    fn approvers(seeds: &[u8]) -> Vec<Approver> {
        let approver = |seed: &u8| {
            let key = key(*seed).public_key().to_openssh().unwrap();
            serde_json::from_value(serde_json::json!({"name": format!("p{seed}"), "key": key}))
                .unwrap()
        };
        seeds.iter().map(approver).collect()
    }

    /// A trust file with these approvers.
    fn of(approvers: &[Approver]) -> Trust {
        let digest = format!("sha256:{}", "0".repeat(64));
        serde_json::from_value(serde_json::json!({
            "environment": {"name": "lab", "id": "1"},
            "keys": {"gateway": "", "recorder": ""},
            "policy": digest,
            "floor": {"actions": [], "namespaces": []},
            "self_approval": false,
            "approver": approvers,
        }))
        .unwrap()
    }

    fn signed(seed: u8, server: &str, given: &Challenge) -> SignedSignIn {
        let Challenge { challenge, expires } = given.clone();
        let server = server.to_owned();
        let said = SignIn { schema: SIGN_IN_SCHEMA.to_owned(), server, challenge, expires };
        let statement = said.canonical().unwrap();
        let signature =
            key(seed).sign(SIGN_IN_NAMESPACE, HashAlg::Sha512, statement.as_bytes()).unwrap();
        SignedSignIn { statement, signature: signature.to_pem(LineEnding::LF).unwrap() }
    }

    fn enter(
        sign_ins: &SignIns,
        signed: &SignedSignIn,
        random: u128,
        now: Timestamp,
    ) -> Result<Session, String> {
        let own = |server: &str| server == "gate";
        sign_ins
            .sign_in(signed, (&own, Command), || Ok(approvers(&[1, 2])), (random, 0), now)
            .map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_challenge_counts_once_here_in_time_and_for_this_server() {
        let sign_ins = SignIns::new((1, 2));
        let challenge = sign_ins.challenge(7, noon());
        let refused = |signed: &SignedSignIn, now, expect: &str| {
            let told = enter(&sign_ins, signed, 1, now).unwrap_err();
            assert!(told.contains(expect), "{told}");
        };
        refused(&signed(1, "other", &challenge), noon(), "another server");
        refused(&signed(3, "gate", &challenge), noon(), "not enrolled");
        let late = noon().checked_add(CHALLENGE).unwrap();
        refused(&signed(1, "gate", &challenge), late, "ran out");
        let longer =
            Challenge { expires: late.checked_add(CHALLENGE).unwrap(), ..challenge.clone() };
        refused(&signed(1, "gate", &longer), late, "not one of this server");
        let own = |server: &str| server == "gate";
        let unread = || Err(SignInRefusal::Unavailable("it was read".to_owned()));
        let made_up = Challenge { challenge: "00.00".to_owned(), ..challenge.clone() };
        let told =
            sign_ins.sign_in(&signed(1, "gate", &made_up), (&own, Command), unread, (1, 0), noon());
        assert!(matches!(told, Err(SignInRefusal::Refused(_))), "the file is read last: {told:?}");
        let foreign = SignIns::new((3, 4)).challenge(7, noon());
        refused(&signed(1, "gate", &foreign), noon(), "not one of this server");
        let good = signed(1, "gate", &challenge);
        assert_eq!(enter(&sign_ins, &good, 1, noon()).unwrap().approver, "p1");
        refused(&good, noon(), "used already");
    }

    #[test]
    fn a_session_ends_with_its_time_its_key_and_its_person() {
        let sign_ins = SignIns::new((1, 2));
        let challenge = sign_ins.challenge(7, noon());
        let session = enter(&sign_ins, &signed(1, "gate", &challenge), 9, noon()).unwrap();
        let who = |approvers: &[Approver], now| {
            let person = sign_ins.person((&session.session, Command), || Ok(of(approvers)), now);
            person.unwrap().map(|person| person.name)
        };
        assert_eq!(who(&approvers(&[1, 2]), noon()).as_deref(), Some("p1"));
        assert_eq!(who(&approvers(&[2]), noon()), None, "the person was removed");
        let mut other = approvers(&[1, 2]);
        other[0].key = other[1].key.clone();
        assert_eq!(who(&other, noon()), None, "the key was removed");
        assert_eq!(who(&approvers(&[1]), session.expires), None, "it is over");
        let unread = || Err(SignInRefusal::Unavailable("it was read".to_owned()));
        assert_eq!(
            sign_ins.person(("", Command), unread, noon()),
            Ok(None),
            "the file is not read"
        );
        assert!(sign_ins.person((&session.session, Command), unread, noon()).is_err());
    }

    #[test]
    fn a_sign_out_ends_one_session_and_a_lost_role_ends_at_once() {
        let sign_ins = SignIns::new((1, 2));
        let begin = |number| {
            let challenge = sign_ins.challenge(number, noon());
            enter(&sign_ins, &signed(1, "gate", &challenge), number, noon()).unwrap().session
        };
        let (first, second) = (begin(7), begin(8));
        let trust = |roles: &[ConsoleRole]| {
            let Approver { name, key } = approvers(&[1]).remove(0);
            let entry = |role: &ConsoleRole| ConsoleEntry {
                name: name.clone(),
                role: *role,
                key: key.clone(),
            };
            Trust { console: roles.iter().map(entry).collect(), ..of(&[]) }
        };
        let roles = |session: &str, trust: Trust| {
            let person = sign_ins.person((session, Command), || Ok(trust), noon()).unwrap();
            person.map(|person| person.roles)
        };
        let both = [ConsoleRole::Auditor, ConsoleRole::Operator];
        assert_eq!(roles(&first, trust(&both)), Some(both.to_vec()));
        assert_eq!(roles(&first, trust(&both[..1])), Some(both[..1].to_vec()));
        assert_eq!(roles(&first, trust(&[])), None);
        sign_ins.sign_out(&first, Browser);
        assert!(roles(&first, trust(&both)).is_some(), "another keeper ends nothing");
        sign_ins.sign_out(&first, Command);
        assert_eq!(roles(&first, trust(&both)), None);
        assert!(roles(&second, trust(&both)).is_some());
    }

    #[test]
    fn a_session_counts_for_its_own_keeper_and_on_localhost_for_minutes() {
        let sign_ins = SignIns::new((1, 2));
        let keepers = [Command, Browser, LocalBrowser];
        for (number, keeper) in (7..).zip(keepers) {
            let given = signed(1, "gate", &sign_ins.challenge(number, noon()));
            let own = |server: &str| server == "gate";
            let known = || Ok(approvers(&[1]));
            let begun = sign_ins.sign_in(&given, (&own, keeper), known, (number, 0), noon());
            let session = begun.unwrap();
            let length = if keeper == LocalBrowser { LOCAL_SESSION } else { SESSION };
            assert_eq!(session.expires, noon() + length);
            for other in keepers {
                let trust = || Ok(of(&approvers(&[1])));
                let found = sign_ins.person((&session.session, other), trust, noon()).unwrap();
                assert_eq!(found.is_some(), other == keeper, "{keeper:?} {other:?}");
            }
        }
    }

    #[test]
    fn one_person_cannot_fill_the_memory_of_the_gateway() {
        let sign_ins = SignIns::new((1, 2));
        let mut sessions = Vec::new();
        for number in 0..USED as u128 {
            let challenge = sign_ins.challenge(number, noon());
            let begun = enter(&sign_ins, &signed(1, "gate", &challenge), number, noon());
            sessions.push(begun.unwrap().session);
        }
        let open = |session: &&String| sign_ins.owner(session, Command, noon()).is_some();
        assert_eq!(sessions.iter().filter(open).count(), SESSIONS);
        let challenge = sign_ins.challenge(1_000, noon());
        let often = enter(&sign_ins, &signed(1, "gate", &challenge), 1, noon()).unwrap_err();
        assert!(often.contains("too often"), "{often}");
        assert!(enter(&sign_ins, &signed(2, "gate", &challenge), 1, noon()).is_ok());
    }
}
