//! Two SecYs that hear the same frames, one by one and in batches, and must agree.

use macsec::{
    Backend, CipherSuite, Config, Counters, ReceiveOutcome, ReceiveSa, Sci, ValidateFrames, Verdict,
};

use crate::{FuzzSecY, KI, RECEIVER, secy};

/// What became of a frame, kept for comparison.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    /// The outcome.
    pub outcome: ReceiveOutcome,
    /// The octets for the Controlled Port.
    pub delivered: Option<Vec<u8>>,
}

impl Heard {
    fn of(verdict: &Verdict<Vec<u8>>) -> Self {
        let delivered = verdict.delivered().map(<[u8]>::to_vec);
        assert_eq!(delivered.is_some(), verdict.outcome().is_delivered());
        Self { outcome: verdict.outcome(), delivered }
    }
}

/// Twins that hear the same frames.
pub struct Receiver<B: Backend> {
    single: FuzzSecY<B>,
    batched: FuzzSecY<B>,
    sas: Vec<(Sci, macsec::An)>,
}

impl<B: Backend + Copy> Receiver<B> {
    /// Twins with these controls, or `None` if they do not go together.
    pub fn new(backend: B, config: Config, suite: CipherSuite) -> Option<Self> {
        Some(Self {
            single: secy(backend, RECEIVER, config, suite)?,
            batched: secy(backend, RECEIVER, config, suite)?,
            sas: Vec::new(),
        })
    }

    /// Lets both accept frames of an SC. `false` if its SA cannot be installed.
    pub fn accept(&mut self, sci: Sci, mut sa: ReceiveSa) -> bool {
        sa.ki = KI;
        let mut installed = true;
        for secy in [&mut self.single, &mut self.batched] {
            installed &= secy.create_receive_sc(sci).is_ok();
            installed &= secy.install_receive_sa(sci, &sa).is_ok();
            installed &= secy.enable_receive_sa(sci, sa.an).is_ok();
        }
        self.sas.push((sci, sa.an));
        installed
    }

    /// lowestPN and nextPN of an SA, if it is installed.
    pub fn pns(&self, sci: Sci, an: macsec::An) -> Option<(u64, u64)> {
        let status = self.single.receive_sa(sci, an)?;
        Some((status.lowest_pn, status.next_pn))
    }

    /// Raises lowestPN of an SA in both.
    pub fn raise_lowest_pn(&mut self, sci: Sci, an: macsec::An, pn: u64) {
        for secy in [&mut self.single, &mut self.batched] {
            // A PN that the suite has not is refused, and nothing changes.
            let _ = secy.raise_receive_lowest_pn(sci, an, pn);
        }
    }

    /// Replaces the controls of both. Says whether they were taken; then no packet number below the
    /// new window is acceptable any more.
    pub fn set_config(&mut self, config: Config) -> bool {
        let taken = self.single.set_config(config);
        assert_eq!(taken, self.batched.set_config(config));
        if taken.is_ok() {
            for &(sci, an) in &self.sas {
                let (lowest, next) = self.pns(sci, an).unwrap_or((1, 1));
                assert!(lowest >= next.saturating_sub(config.replay_window.into()), "{config:?}");
            }
        }
        taken.is_ok()
    }

    /// Hears `frames`; checks the accounts of each, that no packet number falls back, and that the twins
    /// agree to the octet.
    pub fn hear(&mut self, frames: &[Vec<u8>]) -> Vec<Heard> {
        let heard: Vec<Heard> = frames.iter().map(|frame| self.hear_one(frame)).collect();
        let mut from_batch = Vec::new();
        self.batched.validate_batch(frames.iter().cloned(), |v| from_batch.push(Heard::of(&v)));
        assert_eq!(heard, from_batch, "single and batch differ");
        assert_eq!(self.single.counters(), self.batched.counters());
        for &(sci, an) in &self.sas {
            assert_eq!(self.single.receive_sa(sci, an), self.batched.receive_sa(sci, an));
        }
        heard
    }

    fn hear_one(&mut self, frame: &[u8]) -> Heard {
        let before = self.single.counters();
        let pns = |twins: &Self| -> Vec<_> {
            let sas = twins.sas.iter();
            sas.filter_map(|&(sci, an)| twins.pns(sci, an)).collect()
        };
        let pns_before = pns(self);
        let verdict = self.single.validate(frame.to_vec());
        let heard = Heard::of(&verdict);
        for ((lowest, next), now) in pns_before.into_iter().zip(pns(self)) {
            assert!(now.0 >= lowest && now.1 >= next, "a packet number fell");
            assert!(now.0 <= now.1, "lowestPN above nextPN");
        }
        self.check_accounts(&before, heard.outcome);
        heard
    }

    /// Every frame is one outcome, and that is one count.
    fn check_accounts(&self, before: &Counters, outcome: ReceiveOutcome) {
        let after = self.single.counters();
        if self.single.config().validate_frames == ValidateFrames::Null {
            assert_eq!(outcome, ReceiveOutcome::Null);
            assert_eq!(*before, after, "Null counts nothing");
            return;
        }
        assert_eq!(after.frames_in(), before.frames_in() + 1);
        let discarded = u64::from(!outcome.is_delivered());
        assert_eq!(after.discarded_in(), before.discarded_in() + discarded);
    }
}
