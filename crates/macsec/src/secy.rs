//! The SecY: its controls, and the life of its keys, SCs and SAs (802.1AE clauses 10.5 to 10.7).
//!
//! Moving frames is next door: `protect` and `validate`.

use core::fmt;

use macsec_gcm::Backend;

use crate::{
    An, CipherSuite, Confidentiality, ConfidentialityOffset, Config, ConfigError, Counters,
    DataKey, InstallError, KeyError, KeySlot, Ki, LifeCycleError, ReceiveSa, ReceiveSaStatus,
    ReceiveScCounters, ReceiveScSlot, Sci, Ssci, Storage, TransmitSa, TransmitSaStatus,
    keys::{InstalledKey, KeyStore, PnHistory},
    nonce::NonceBase,
    receive::{InstalledReceiveSa, ReceiveSc, ReceiveScs},
    replay::ReplayState,
    transmit::{InstalledTransmitSa, SaTicket, TransmitSc},
};

/// A MAC Security Entity: one transmit SC, any number of receive SCs, the keys and the counters.
///
/// Keys and receive SCs live in storage that the caller lends or gives, so nothing is allocated:
/// - `S` holds [`KeySlot`]s, one for each SAK at a time;
/// - `R` holds [`ReceiveScSlot`]s, one for each peer.
///
/// To bring up an SA: [`install_key`](Self::install_key), then
/// [`install_receive_sa`](Self::install_receive_sa) and
/// [`enable_receive_sa`](Self::enable_receive_sa) for every peer, then
/// [`install_transmit_sa`](Self::install_transmit_sa) and
/// [`enable_transmit_sa`](Self::enable_transmit_sa).
///
/// To move frames: [`protect`](Self::protect) and [`validate`](Self::validate), or their batch
/// forms, or the three steps that these are made of.
///
/// A packet number is never used twice under a key. Reservations are move-only values; an SA cannot
/// be installed at a packet number that was used before (the last 16 SAs are remembered); one SAK serves one
/// transmit SA; and no two SAs may share key and SCI (or SSCI).
///
/// ```
/// use macsec::{An, CipherSuite, Config, DataKey, KeySlot, Ki, MacAddress, Portable, ReceiveSa};
/// use macsec::{ReceiveScSlot, Sak, Sci, SecY, TransmitSa};
///
/// let ours = Sci::new(MacAddress([2, 0, 0, 0, 0, 1]), 1);
/// let peer = Sci::new(MacAddress([2, 0, 0, 0, 0, 2]), 1);
/// let keys = [const { KeySlot::EMPTY }; 2];
/// let peers = [const { ReceiveScSlot::EMPTY }; 1];
/// let mut secy = SecY::new(Portable, ours, Config::default(), keys, peers)?;
///
/// let ki = Ki([1; 16]);
/// let an = An::default();
/// secy.install_key(&DataKey::new(ki, CipherSuite::GcmAes128, Sak::new(&[0x42; 16])?, None)?)?;
///
/// secy.create_receive_sc(peer)?;
/// let offset = Default::default();
/// secy.install_receive_sa(peer, &ReceiveSa { an, ki, ssci: None, lowest_pn: 1, offset })?;
/// secy.enable_receive_sa(peer, an)?;
///
/// let confidentiality = Default::default();
/// secy.install_transmit_sa(&TransmitSa { an, ki, ssci: None, next_pn: 1, confidentiality })?;
/// secy.enable_transmit_sa(an)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SecY<B: Backend, S, R> {
    pub(crate) backend: B,
    pub(crate) config: Config,
    pub(crate) keys: KeyStore<S>,
    pub(crate) transmit: TransmitSc,
    pub(crate) receive: ReceiveScs<R>,
    /// Everything but the receive SCs' own counters, which are added when somebody asks.
    pub(crate) counters: Counters,
    /// Whether a key with 64-bit PNs is installed: only then may a PN field be zero.
    pub(crate) any_xpn: bool,
    transmitted: PnHistory,
    received: PnHistory,
    /// How many SAs have been installed so far: every installation has a number of its own.
    installations: u32,
}

impl<B, S, R> SecY<B, S, R>
where
    B: Backend,
    S: Storage<KeySlot<B::Key>>,
    R: Storage<ReceiveScSlot>,
{
    /// A SecY that transmits as `sci`. What the storage held before is dropped.
    ///
    /// # Errors
    /// Controls that exclude each other, or do not suit `sci`.
    pub fn new(
        backend: B,
        sci: Sci,
        config: Config,
        keys: S,
        receive_scs: R,
    ) -> Result<Self, ConfigError> {
        config.check(sci)?;
        Ok(Self {
            backend,
            config,
            keys: KeyStore::new(keys),
            transmit: TransmitSc::new(sci),
            receive: ReceiveScs::new(receive_scs),
            counters: Counters::default(),
            any_xpn: false,
            transmitted: PnHistory::default(),
            received: PnHistory::default(),
            installations: 0,
        })
    }

    /// The name of the cipher backend.
    #[must_use]
    pub fn backend_name(&self) -> &'static str {
        self.backend.name()
    }

    /// The SCI of the transmit SC.
    #[must_use]
    pub fn sci(&self) -> Sci {
        self.transmit.sci
    }

    /// The controls.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Replaces the controls. All or nothing; takes effect with the next frame.
    ///
    /// A narrower replay window raises lowestPN at once; a wider one does not lower it. Switching
    /// duplicate detection on takes every packet number up to now for seen.
    ///
    /// # Errors
    /// Controls that exclude each other, or do not suit the SCI or the installed SAs.
    pub fn set_config(&mut self, config: Config) -> Result<(), ConfigError> {
        config.check(self.transmit.sci)?;
        if !config.window_fits(self.any_xpn) {
            return Err(ConfigError::XpnReplayWindow);
        }
        let starts_tracking = config.detect_duplicates && !self.config.detect_duplicates;
        for sa in self.receive.iter_mut().flat_map(|sc| sc.sas.iter_mut().flatten()) {
            sa.replay.narrow(config.replay_window);
            if starts_tracking {
                sa.replay.start_tracking();
            }
        }
        self.config = config;
        Ok(())
    }

    /// Every counter, receive SCs summed up. [`receive_sc_counters`](Self::receive_sc_counters) has
    /// them one by one.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.receive_scs = self.receive.former;
        self.receive.iter().for_each(|sc| counters.receive_scs.add(&sc.counters));
        counters
    }

    /// Expands a SAK into a free key slot.
    ///
    /// # Errors
    /// A KI or a SAK that is installed already, no free slot, or a replay window beyond what XPN allows.
    pub fn install_key(&mut self, key: &DataKey) -> Result<(), InstallError> {
        if !self.config.window_fits(key.suite.is_xpn()) {
            return Err(ConfigError::XpnReplayWindow.into());
        }
        self.keys.install(&self.backend, key)?;
        self.any_xpn |= key.suite.is_xpn();
        Ok(())
    }

    /// Erases a key that no SA uses any more. Clones of a [`Shared`](macsec_gcm::Shared) key, such
    /// as detached sealers hold, live on until they are dropped.
    ///
    /// # Errors
    /// [`KeyError::UnknownKi`]; [`KeyError::InUseBySa`].
    pub fn remove_key(&mut self, ki: Ki) -> Result<(), KeyError> {
        let (index, _) = self.keys.find(ki).ok_or(KeyError::UnknownKi)?;
        let mut transmit_keys = self.transmit.sas.iter().flatten().map(|sa| sa.key);
        let mut receive_keys =
            self.receive.iter().flat_map(|sc| sc.sas.iter().flatten()).map(|sa| sa.key);
        if transmit_keys.any(|key| key == index) || receive_keys.any(|key| key == index) {
            return Err(KeyError::InUseBySa);
        }
        self.keys.remove(index);
        self.any_xpn = self.keys.any_xpn();
        Ok(())
    }

    /// The suite of the key `ki`, if it is installed.
    #[must_use]
    pub fn key_suite(&self, ki: Ki) -> Option<CipherSuite> {
        self.keys.find(ki).map(|(_, key)| key.suite)
    }

    /// The KIs of all keys that are installed, be they in use or not.
    pub fn keys(&self) -> impl Iterator<Item = Ki> + '_ {
        self.keys.iter().map(|key| key.ki)
    }

    /// Installs a transmit SA, not in use yet.
    ///
    /// # Errors
    /// See [`InstallError`].
    pub fn install_transmit_sa(&mut self, sa: &TransmitSa) -> Result<(), InstallError> {
        let offset = match sa.confidentiality {
            Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
            Confidentiality::Encrypt(offset) => offset,
        };
        let sci = self.transmit.sci;
        let plan = self.plan(sci, sa.ki, sa.ssci, sa.next_pn, offset)?;
        if self.transmit.sa(sa.an).is_some() {
            return Err(InstallError::AnInUse);
        }
        if self.transmit.sas.iter().flatten().any(|other| other.key == plan.key)
            || self.receives_with(plan.key, plan.base)
        {
            return Err(InstallError::NonceInUse);
        }
        let check = &plan.installed.check;
        if self.transmitted.used_otherwise(check, plan.base)
            || self.received.knows(check, plan.base)
        {
            return Err(InstallError::NonceInUse);
        }
        if !self.transmitted.allows(check, plan.base, sa.next_pn) {
            return Err(InstallError::PnRegress);
        }
        let (suite, key, base) = (plan.installed.suite, plan.key, plan.base);
        let ticket = SaTicket { sci, ki: sa.ki, serial: self.next_serial()? };
        self.transmit.sas[sa.an.index()] =
            Some(InstalledTransmitSa::new(sa, ticket, suite, key, base));
        Ok(())
    }

    /// Makes the SA of `an` the encoding SA: frames are sent with it from now on, and with no other.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSa`].
    pub fn enable_transmit_sa(&mut self, an: An) -> Result<(), LifeCycleError> {
        self.transmit.sa(an).ok_or(LifeCycleError::NoSuchSa)?;
        self.transmit.encoding_sa = Some(an);
        Ok(())
    }

    /// Stops sending with the SA of `an`. If it was the encoding SA, nothing is sent until another
    /// is enabled. Packet numbers reserved before can still be sealed.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSa`].
    pub fn disable_transmit_sa(&mut self, an: An) -> Result<(), LifeCycleError> {
        self.transmit.sa(an).ok_or(LifeCycleError::NoSuchSa)?;
        if self.transmit.encoding_sa == Some(an) {
            self.transmit.encoding_sa = None;
        }
        Ok(())
    }

    /// Deletes the transmit SA of `an`, provided that it is the one with key `ki`: a late order to
    /// retire an old SA must not hit its successor.
    ///
    /// There is no [`sealer`](Self::sealer) any more for packet numbers reserved from it. One that
    /// was [detached](crate::Sealer::detach) before goes on until it is dropped; the numbers it
    /// seals are not handed out again.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSa`]; [`LifeCycleError::OtherKey`].
    pub fn delete_transmit_sa(&mut self, an: An, ki: Ki) -> Result<(), LifeCycleError> {
        let slot = &mut self.transmit.sas[an.index()];
        let sa = slot.as_ref().ok_or(LifeCycleError::NoSuchSa)?;
        if sa.ticket.ki != ki {
            return Err(LifeCycleError::OtherKey);
        }
        if let Some(key) = self.keys.get(sa.key) {
            self.transmitted.remember(&key.check, sa.base, sa.next_pn());
        }
        *slot = None;
        if self.transmit.encoding_sa == Some(an) {
            self.transmit.encoding_sa = None;
        }
        Ok(())
    }

    /// Raises nextPN of a transmit SA to `pn`; a lower value changes nothing.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSa`]; [`LifeCycleError::PnRange`] for a PN the suite does not have.
    pub fn raise_transmit_next_pn(&mut self, an: An, pn: u64) -> Result<(), LifeCycleError> {
        let sa = self.transmit.sas[an.index()].as_mut().ok_or(LifeCycleError::NoSuchSa)?;
        if pn > sa.suite.max_pn() {
            return Err(LifeCycleError::PnRange);
        }
        sa.raise_next_pn(pn);
        Ok(())
    }

    /// Withholds the packet numbers from `limit` on, or none of them: frames that would need one are
    /// refused as [`ProtectError::PnWithheld`](crate::ProtectError::PnWithheld).
    ///
    /// For keys that outlive a restart: numbers are released once a record that they are gone is
    /// durable, so that no crash makes an SA go through them again. Set it between installing the
    /// SA and enabling it.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSa`]; [`LifeCycleError::OtherKey`].
    pub fn limit_transmit_pn(
        &mut self,
        an: An,
        ki: Ki,
        limit: Option<u64>,
    ) -> Result<(), LifeCycleError> {
        let sa = self.transmit.sas[an.index()].as_mut().ok_or(LifeCycleError::NoSuchSa)?;
        if sa.ticket.ki != ki {
            return Err(LifeCycleError::OtherKey);
        }
        sa.limit_pn(limit);
        Ok(())
    }

    /// The AN that frames are sent with now.
    #[must_use]
    pub fn encoding_sa(&self) -> Option<An> {
        self.transmit.encoding_sa
    }

    /// The transmit SA of `an`.
    #[must_use]
    pub fn transmit_sa(&self, an: An) -> Option<TransmitSaStatus> {
        self.transmit.status(an)
    }

    /// Creates a receive SC, without SAs yet.
    ///
    /// # Errors
    /// [`LifeCycleError::ScExists`]; [`LifeCycleError::NoFreeSlot`].
    pub fn create_receive_sc(&mut self, sci: Sci) -> Result<(), LifeCycleError> {
        if self.receive.find(sci).is_some() {
            return Err(LifeCycleError::ScExists);
        }
        if self.receive.insert(ReceiveSc::new(sci)) {
            Ok(())
        } else {
            Err(LifeCycleError::NoFreeSlot)
        }
    }

    /// Deletes a receive SC and its SAs. What it counted stays in the sums of [`counters`](Self::counters).
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSc`].
    pub fn delete_receive_sc(&mut self, sci: Sci) -> Result<(), LifeCycleError> {
        let sc = self.receive.remove(sci).ok_or(LifeCycleError::NoSuchSc)?;
        sc.sas.iter().flatten().for_each(|sa| self.remember_received(sa));
        Ok(())
    }

    /// How many receive SCs there is room for (maxReceiveChannels).
    #[must_use]
    pub fn max_receive_channels(&self) -> usize {
        self.receive.capacity()
    }

    /// How many SAKs there is room for. SAs of either direction share them, so this is
    /// maxReceiveKeys and maxTransmitKeys too.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.keys.capacity()
    }

    /// Whether frames are sent: the transmit SC has an SA in use.
    #[must_use]
    pub fn is_transmitting(&self) -> bool {
        self.transmit.encoding().is_some_and(|(_, sa)| sa.next_pn().is_some())
    }

    /// Whether frames from `sci` are accepted: its SC has an SA in use.
    #[must_use]
    pub fn is_receiving(&self, sci: Sci) -> bool {
        self.receive.find(sci).is_some_and(|sc| sc.sas.iter().flatten().any(|sa| sa.in_use))
    }

    /// The SCIs of all receive SCs.
    pub fn receive_scs(&self) -> impl Iterator<Item = Sci> + '_ {
        self.receive.iter().map(|sc| sc.sci)
    }

    /// The counters of one receive SC.
    #[must_use]
    pub fn receive_sc_counters(&self, sci: Sci) -> Option<ReceiveScCounters> {
        self.receive.find(sci).map(|sc| sc.counters)
    }

    /// Installs a receive SA on the SC of `sci`, not in use yet.
    ///
    /// # Errors
    /// See [`InstallError`].
    pub fn install_receive_sa(&mut self, sci: Sci, sa: &ReceiveSa) -> Result<(), InstallError> {
        let sc = self.receive.find(sci).ok_or(InstallError::NoSuchSc)?;
        if sc.sas[sa.an.index()].is_some() {
            return Err(InstallError::AnInUse);
        }
        let plan = self.plan(sci, sa.ki, sa.ssci, sa.lowest_pn, sa.offset)?;
        let (key, base, suite) = (plan.key, plan.base, plan.installed.suite);
        let ours = self.transmit.sas.iter().flatten().any(|tx| tx.key == key && tx.base == base);
        let check = &plan.installed.check;
        if ours || self.receives_with(key, base) || self.transmitted.knows(check, base) {
            return Err(InstallError::NonceInUse);
        }
        if !self.received.allows(check, base, sa.lowest_pn) {
            return Err(InstallError::PnRegress);
        }
        let installed = InstalledReceiveSa {
            serial: self.next_serial()?,
            ki: sa.ki,
            suite,
            key,
            base,
            offset: sa.offset,
            in_use: false,
            replay: ReplayState::new(sa.lowest_pn),
        };
        let sc = self.receive.find_mut(sci).ok_or(InstallError::NoSuchSc)?;
        sc.sas[sa.an.index()] = Some(installed);
        Ok(())
    }

    /// Begins to accept frames with an SA.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSc`]; [`LifeCycleError::NoSuchSa`].
    pub fn enable_receive_sa(&mut self, sci: Sci, an: An) -> Result<(), LifeCycleError> {
        self.receive_sa_mut(sci, an)?.in_use = true;
        Ok(())
    }

    /// Ceases to accept frames with an SA.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSc`]; [`LifeCycleError::NoSuchSa`].
    pub fn disable_receive_sa(&mut self, sci: Sci, an: An) -> Result<(), LifeCycleError> {
        self.receive_sa_mut(sci, an)?.in_use = false;
        Ok(())
    }

    /// Deletes a receive SA, provided that it is the one with key `ki`.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSc`]; [`LifeCycleError::NoSuchSa`]; [`LifeCycleError::OtherKey`].
    pub fn delete_receive_sa(&mut self, sci: Sci, an: An, ki: Ki) -> Result<(), LifeCycleError> {
        let sc = self.receive.find_mut(sci).ok_or(LifeCycleError::NoSuchSc)?;
        let slot = &mut sc.sas[an.index()];
        let sa = slot.take_if(|sa| sa.ki == ki);
        let Some(sa) = sa else {
            let none = slot.is_none();
            return Err(if none { LifeCycleError::NoSuchSa } else { LifeCycleError::OtherKey });
        };
        self.remember_received(&sa);
        Ok(())
    }

    /// Raises lowestPN of a receive SA to `pn` (delay protection); a lower value changes nothing.
    ///
    /// # Errors
    /// [`LifeCycleError::NoSuchSc`]; [`LifeCycleError::NoSuchSa`]; [`LifeCycleError::PnRange`].
    pub fn raise_receive_lowest_pn(
        &mut self,
        sci: Sci,
        an: An,
        pn: u64,
    ) -> Result<(), LifeCycleError> {
        let sa = self.receive_sa_mut(sci, an)?;
        if pn > sa.suite.max_pn() {
            return Err(LifeCycleError::PnRange);
        }
        sa.replay.raise_lowest_pn(pn);
        Ok(())
    }

    /// The receive SA of `an` on the SC of `sci`.
    #[must_use]
    pub fn receive_sa(&self, sci: Sci, an: An) -> Option<ReceiveSaStatus> {
        self.receive.find(sci)?.status(an)
    }

    /// Checks what transmit and receive SAs have in common.
    fn plan(
        &self,
        sci: Sci,
        ki: Ki,
        ssci: Option<Ssci>,
        first_pn: u64,
        offset: ConfidentialityOffset,
    ) -> Result<SaPlan<'_, B::Key>, InstallError> {
        let (key, installed) = self.keys.find(ki).ok_or(KeyError::UnknownKi)?;
        let base = match (installed.suite.is_xpn(), ssci, installed.salt) {
            (false, None, _) => NonceBase::from_sci(sci),
            (true, Some(ssci), Some(salt)) => NonceBase::from_ssci(ssci, salt),
            (false, Some(_), _) => return Err(InstallError::SsciUnexpected),
            (true, ..) => return Err(InstallError::SsciMissing),
        };
        if installed.suite.is_xpn() && offset != ConfidentialityOffset::Zero {
            return Err(InstallError::XpnOffset);
        }
        if first_pn == 0 || first_pn > installed.suite.max_pn() {
            return Err(InstallError::PnRange);
        }
        Ok(SaPlan { key, installed, base })
    }

    fn receives_with(&self, key: u16, base: NonceBase) -> bool {
        let mut sas = self.receive.iter().flat_map(|sc| sc.sas.iter().flatten());
        sas.any(|sa| sa.key == key && sa.base == base)
    }

    fn remember_received(&mut self, sa: &InstalledReceiveSa) {
        if let Some(key) = self.keys.get(sa.key) {
            let from = sa.replay.acceptable_from(self.config.detect_duplicates);
            self.received.remember(&key.check, sa.base, from);
        }
    }

    fn receive_sa_mut(
        &mut self,
        sci: Sci,
        an: An,
    ) -> Result<&mut InstalledReceiveSa, LifeCycleError> {
        let sc = self.receive.find_mut(sci).ok_or(LifeCycleError::NoSuchSc)?;
        sc.sas[an.index()].as_mut().ok_or(LifeCycleError::NoSuchSa)
    }

    fn next_serial(&mut self) -> Result<u32, InstallError> {
        let serial = self.installations;
        self.installations = serial.checked_add(1).ok_or(InstallError::TooManyInstallations)?;
        Ok(serial)
    }
}

/// Shows neither keys nor storage.
impl<B: Backend, S, R> fmt::Debug for SecY<B, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecY")
            .field("backend", &self.backend.name())
            .field("sci", &self.transmit.sci)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// An SA to be, checked as far as both directions need it.
struct SaPlan<'a, K> {
    key: u16,
    installed: &'a InstalledKey<K>,
    base: NonceBase,
}
