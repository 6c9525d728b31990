//! What the counters are called elsewhere: the YANG model, the MIB of 2006, Linux.

use crate::Counters;

/// What a counter counts for (802.1AE-2018 clause 10.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterScope {
    /// The SecY's frame verification.
    Verification,
    /// The SecY's frame generation.
    Generation,
    /// A receive SC.
    ReceiveSc,
    /// The transmit SC.
    TransmitSc,
}

/// One counter of 802.1AE-2018 under all its names.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct CounterInfo {
    /// The name in 802.1AE-2018, such as `InPktsNoSAError`.
    pub name: &'static str,
    /// What it counts for.
    pub scope: CounterScope,
    /// The leaf in `ieee802-dot1ae-secy`.
    pub yang: &'static str,
    /// Objects of IEEE8021-SECY-MIB; the first is current, the others are those of 2006 that add up to it.
    pub mib: &'static [&'static str],
    /// The counters of Linux that add up to it, as `ip -s macsec` names them.
    pub linux: &'static [&'static str],
    /// The value of this counter.
    pub value: fn(&Counters) -> u64,
}

macro_rules! counters {
    ($($name:literal $scope:ident $yang:literal $mib:tt $linux:tt $group:ident . $field:ident;)*) => {
        /// Every counter of 802.1AE-2018, in the order of `ieee802-dot1ae-secy`.
        ///
        /// Two of them Linux and the 2006 MIB split by cause. Those parts can be had too: of InPktsNoSA,
        /// `InPktsUnknownSCI` is [`LocalCounters::in_unknown_sci`](crate::LocalCounters) and the rest
        /// `InPktsUnusedSA`; of InPktsNoSAError, `InPktsNoSCI` is
        /// [`LocalCounters::in_no_sci`](crate::LocalCounters) and the rest `InPktsNotUsingSA`.
        ///
        /// ```
        /// # let counters = macsec::Counters::default();
        /// for counter in macsec::COUNTERS {
        ///     println!("{:20} {}", counter.name, (counter.value)(&counters));
        /// }
        /// ```
        pub const COUNTERS: &[CounterInfo] = &[$(CounterInfo {
            name: $name,
            scope: CounterScope::$scope,
            yang: $yang,
            mib: &$mib,
            linux: &$linux,
            value: |counters| counters.$group.$field,
        }),*];
    };
}

counters! {
    "InPktsUntagged" Verification "in-pkts-untagged"
        ["secyStatsRxUntaggedPkts"] ["InPktsUntagged"] verification.in_pkts_untagged;
    "InPktsNoTag" Verification "in-pkts-no-tag"
        ["secyStatsRxNoTagPkts"] ["InPktsNoTag"] verification.in_pkts_no_tag;
    "InPktsBadTag" Verification "in-pkts-bad-tag"
        ["secyStatsRxBadTagPkts"] ["InPktsBadTag"] verification.in_pkts_bad_tag;
    "InPktsNoSA" Verification "in-pkts-no-sa"
        ["secyStatsRxNoSAPkts", "secyStatsRxUnknownSCIPkts", "secyRxSCStatsUnusedSAPkts"]
        ["InPktsUnknownSCI", "InPktsUnusedSA"] verification.in_pkts_no_sa;
    "InPktsNoSAError" Verification "in-pkts-no-sa-error"
        ["secyStatsRxNoSAErrorPkts", "secyStatsRxNoSCIPkts", "secyRxSCStatsNoUsingSAPkts"]
        ["InPktsNoSCI", "InPktsNotUsingSA"] verification.in_pkts_no_sa_error;
    "InPktsOverrun" Verification "in-pkts-overrun"
        ["secyStatsRxOverrunPkts"] ["InPktsOverrun"] verification.in_pkts_overrun;
    "InOctetsValidated" Verification "in-octets-validated"
        ["secyStatsRxOctetsValidated", "secyRxSCStatsOctetsValidated"]
        ["InOctetsValidated"] verification.in_octets_validated;
    "InOctetsDecrypted" Verification "in-octets-decrypted"
        ["secyStatsRxOctetsDecrypted", "secyRxSCStatsOctetsDecrypted"]
        ["InOctetsDecrypted"] verification.in_octets_decrypted;
    "InPktsOK" ReceiveSc "in-pkts-ok"
        ["secyRxSCStatsOKPkts"] ["InPktsOK"] receive_scs.in_pkts_ok;
    "InPktsUnchecked" ReceiveSc "in-pkts-unchecked"
        ["secyRxSCStatsUncheckedPkts"] ["InPktsUnchecked"] receive_scs.in_pkts_unchecked;
    "InPktsDelayed" ReceiveSc "in-pkts-delayed"
        ["secyRxSCStatsDelayedPkts"] ["InPktsDelayed"] receive_scs.in_pkts_delayed;
    "InPktsLate" ReceiveSc "in-pkts-late"
        ["secyRxSCStatsLatePkts"] ["InPktsLate"] receive_scs.in_pkts_late;
    "InPktsInvalid" ReceiveSc "in-pkts-invalid"
        ["secyRxSCStatsInvalidPkts"] ["InPktsInvalid"] receive_scs.in_pkts_invalid;
    "InPktsNotValid" ReceiveSc "in-pkts-not-valid"
        ["secyRxSCStatsNotValidPkts"] ["InPktsNotValid"] receive_scs.in_pkts_not_valid;
    "OutPktsUntagged" Generation "out-pkts-untagged"
        ["secyStatsTxUntaggedPkts"] ["OutPktsUntagged"] generation.out_pkts_untagged;
    "OutPktsTooLong" Generation "out-pkts-too-long"
        ["secyStatsTxTooLongPkts"] ["OutPktsTooLong"] generation.out_pkts_too_long;
    "OutOctetsProtected" Generation "out-octets-protected"
        ["secyStatsTxOctetsProtected", "secyTxSCStatsOctetsProtected"]
        ["OutOctetsProtected"] generation.out_octets_protected;
    "OutOctetsEncrypted" Generation "out-octets-encrypted"
        ["secyStatsTxOctetsEncrypted", "secyTxSCStatsOctetsEncrypted"]
        ["OutOctetsEncrypted"] generation.out_octets_encrypted;
    "OutPktsProtected" TransmitSc "out-pkts-protected"
        ["secyTSCStatsProtectedPkts", "secyTxSCStatsProtectedPkts"]
        ["OutPktsProtected"] transmit_sc.out_pkts_protected;
    "OutPktsEncrypted" TransmitSc "out-pkts-encrypted"
        ["secyTSCStatsEncryptedPkts", "secyTxSCStatsEncryptedPkts"]
        ["OutPktsEncrypted"] transmit_sc.out_pkts_encrypted;
}
