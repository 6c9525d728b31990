//! What there is to say of a whole capture, for JSON.

use std::{collections::HashMap, time::Duration};

use macsec::An;
use macsec_decode::{
    DataCounts, KnownSak, ScRow,
    mka::{CaReport, MkaReport, PeerReport, SakReport, StoryLine, Symptom},
};
use serde::Serialize;

use super::session::{Session, Tally};

/// A whole capture, as `macsec decode --json` prints it. There is no `Debug`: it may have keys in
/// it.
#[derive(Serialize)]
pub(super) struct Summary {
    /// What was read.
    pub(super) capture: String,
    /// All of it could be read.
    pub(super) complete: bool,
    /// If not, why.
    pub(super) broken_off: Option<String>,
    /// Frames in it.
    pub(super) frames: u64,
    /// Seconds from the first to the last.
    pub(super) duration: f64,
    /// When the first was captured, in seconds since 1970.
    pub(super) start: f64,
    /// Frames that are not of an Ethernet.
    pub(super) other_link_frames: u64,
    /// Frames that are neither EAPOL nor MACsec.
    pub(super) other_frames: u64,
    /// EAPOL that is not MKA.
    pub(super) other_eapol: u64,
    /// Frames lost on the way from an interface.
    pub(super) lost: u64,
    /// MKPDUs.
    pub(super) mkpdus: u64,
    /// Those whose ICV is right.
    pub(super) mkpdu_icv_ok: u64,
    /// Those whose ICV is wrong.
    pub(super) mkpdu_icv_bad: u64,
    /// Those whose CAK is not known.
    pub(super) mkpdu_no_key: u64,
    /// EAPOL-MKA that breaks a rule.
    pub(super) mkpdu_malformed: u64,
    #[serde(flatten)]
    pub(super) data: DataRow,
    /// Frames in the file in clear, and frames that are not, as they could not be opened.
    pub(super) written: Option<Written>,
    /// CAs.
    pub(super) cas: Vec<CaReport>,
    /// SAKs: those that MKA tells of, then those that were given.
    pub(super) saks: Vec<SakRow>,
    /// Whoever transmits, by SCI.
    pub(super) peers: Vec<PeerRow>,
    /// What has happened.
    pub(super) story: Vec<StoryLine>,
    /// What looks wrong.
    pub(super) hints: Vec<Symptom>,
    /// CAs, SAKs and lines of the story that there was no room for.
    pub(super) left_out: LeftOut,
}

/// What `--write` has done.
#[derive(Serialize)]
pub(super) struct Written {
    pub(super) file: String,
    pub(super) frames: u64,
    pub(super) left_out: u64,
}

/// What there was no room for.
#[derive(Serialize)]
pub(super) struct LeftOut {
    pub(super) cas: u64,
    pub(super) saks: u64,
    pub(super) story: u64,
}

/// A SAK.
#[derive(Serialize)]
pub(super) struct SakRow {
    /// Key Identifier; none if it was given.
    pub(super) ki: Option<String>,
    pub(super) an: u8,
    pub(super) suite: Option<String>,
    /// `given` or `distributed`.
    pub(super) source: &'static str,
    /// Whether it is there to open frames.
    pub(super) known: bool,
    /// Frames that it has opened.
    pub(super) data_ok: u64,
    /// The SAK, if it is to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sak: Option<String>,
    /// Its salt, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) salt: Option<String>,
    /// What MKA says of it.
    pub(super) mka: Option<SakReport>,
}

/// Somebody who transmits.
#[derive(Serialize)]
pub(super) struct PeerRow {
    pub(super) sci: String,
    /// No frame tells the SCI.
    pub(super) sci_guessed: bool,
    #[serde(flatten)]
    pub(super) data: DataRow,
    /// By AN and SAK.
    pub(super) sas: Vec<SaRow>,
    /// What MKA says of it: one for each MI that it had.
    pub(super) mka: Vec<PeerReport>,
}

/// Frames with a SecTAG, counted.
#[derive(Default, Serialize)]
pub(super) struct DataRow {
    /// Frames with a SecTAG.
    pub(super) data_frames: u64,
    /// Those that were opened.
    pub(super) data_ok: u64,
    /// Those whose ICV is wrong.
    pub(super) data_bad: u64,
    /// Those whose SAK is not known.
    pub(super) data_no_key: u64,
    /// Those of which too little was captured.
    pub(super) data_cut_short: u64,
    /// Those that break a rule.
    pub(super) data_malformed: u64,
    /// Opened, and seen before.
    pub(super) data_replayed: u64,
    /// Opened, and out of order.
    pub(super) data_late: u64,
}

/// The frames of somebody under one SAK.
#[derive(Serialize)]
pub(super) struct SaRow {
    pub(super) an: u8,
    /// The SAK's; none if it was given, or is not known.
    pub(super) ki: Option<String>,
    pub(super) sak_known: bool,
    #[serde(flatten)]
    pub(super) data: DataRow,
    pub(super) first_pn: Option<u64>,
    pub(super) highest_pn: Option<u64>,
    /// Seconds since the first frame of the capture.
    pub(super) first: f64,
    pub(super) last: f64,
}

impl DataRow {
    fn add(&mut self, counts: &DataCounts) {
        self.data_frames += counts.frames;
        self.data_ok += counts.ok;
        self.data_bad += counts.bad;
        self.data_no_key += counts.no_key;
        self.data_cut_short += counts.cut_short;
        self.data_malformed += counts.malformed;
        self.data_replayed += counts.replayed;
        self.data_late += counts.late;
    }

    fn of(counts: &DataCounts) -> Self {
        let mut this = Self::default();
        this.add(counts);
        this
    }
}

impl Summary {
    /// Of all that a pass has found. Keys are in it only if `shows_keys`.
    pub(super) fn new(capture: &str, session: &Session, shows_keys: bool) -> Self {
        let MkaReport {
            counts,
            cas,
            cas_left_out,
            saks,
            saks_left_out,
            story,
            story_left_out,
            symptoms,
        } = session.mka.report();
        let Tally { frames, other_links, other, .. } = session.tally;
        let data = session.opener.totals();
        let start = session.first_at.unwrap_or_default();
        Self {
            capture: capture.to_owned(),
            complete: true,
            broken_off: None,
            frames,
            duration: session.last_at.saturating_sub(start).as_secs_f64(),
            start: start.as_secs_f64(),
            other_link_frames: other_links,
            other_frames: other,
            other_eapol: counts.other_eapol,
            lost: 0,
            mkpdus: counts.mkpdus,
            mkpdu_icv_ok: counts.icv_ok,
            mkpdu_icv_bad: counts.icv_bad,
            mkpdu_no_key: counts.no_key,
            mkpdu_malformed: counts.malformed,
            data: DataRow::of(data),
            written: None,
            saks: sak_rows(session, saks, shows_keys),
            peers: peer_rows(session, &cas, start),
            cas,
            story,
            hints: symptoms,
            left_out: LeftOut { cas: cas_left_out, saks: saks_left_out, story: story_left_out },
        }
    }

    /// Whether everything could be read, verified and opened.
    pub(super) fn is_all_fine(&self) -> bool {
        self.complete
            && self.mkpdu_icv_bad + self.mkpdu_no_key + self.mkpdu_malformed == 0
            && self.data.data_ok == self.data.data_frames
    }
}

fn sak_rows(session: &Session, reports: Vec<SakReport>, shows_keys: bool) -> Vec<SakRow> {
    let rows = session.opener.rows();
    let opened = |index| {
        let of_it = rows.iter().filter(|row| row.sak == Some(index));
        of_it.map(|row| row.counts.ok).sum()
    };
    let row = |known: Option<(usize, &KnownSak)>, report: Option<SakReport>| {
        let sak = known.map(|(_, sak)| sak);
        let shown = sak.filter(|_| shows_keys);
        let of_report = report.as_ref();
        SakRow {
            ki: of_report.map(|report| report.ki.clone()),
            an: of_report.map_or_else(|| sak.map_or(0, |sak| sak.an.number()), |report| report.an),
            suite: of_report.map_or_else(
                || sak.map(|sak| sak.suite.to_string()),
                |report| report.suite.clone(),
            ),
            source: if report.is_some() { "distributed" } else { "given" },
            known: sak.is_some(),
            data_ok: known.map_or(0, |(index, _)| opened(index)),
            sak: shown.map(|sak| hex::encode(sak.sak.expose_octets())),
            salt: shown.and_then(|sak| sak.salt).map(|salt| hex::encode(salt.0)),
            mka: report,
        }
    };
    let all = || session.book.saks.iter().enumerate();
    let mut list: Vec<_> = reports
        .into_iter()
        .map(|report| {
            let is_it = |sak: &KnownSak| {
                sak.an.number() == report.an
                    && sak.ki().is_some_and(|ki| ki.to_string() == report.ki)
            };
            row(all().find(|(_, sak)| is_it(sak)), Some(report))
        })
        .collect();
    list.extend(all().filter(|(_, sak)| sak.ki().is_none()).map(|known| row(Some(known), None)));
    list
}

fn peer_rows(session: &Session, cas: &[CaReport], start: Duration) -> Vec<PeerRow> {
    let mut peers: Vec<PeerRow> = Vec::new();
    let mut places = HashMap::new();
    let mut place = |sci: String, sci_guessed: bool| {
        let index = *places.entry(sci.clone()).or_insert(peers.len());
        if index == peers.len() {
            let (data, sas, mka) = (DataRow::default(), Vec::new(), Vec::new());
            peers.push(PeerRow { sci, sci_guessed, data, sas, mka });
        }
        index
    };
    let heard: Vec<_> = cas
        .iter()
        .flat_map(|ca| &ca.peers)
        .map(|peer| (place(peer.sci.clone(), false), peer.clone()))
        .collect();
    // Of frames that were opened later an empty row is left.
    let rows = session.opener.rows().iter().filter(|row| row.counts.frames > 0);
    let rows: Vec<_> = rows.map(|row| (place(row.sci.to_string(), row.sci_guessed), row)).collect();
    for (index, peer) in heard {
        peers[index].mka.push(peer);
    }
    for (index, row) in rows {
        let peer = &mut peers[index];
        peer.sci_guessed |= row.sci_guessed && peer.mka.is_empty();
        peer.data.add(&row.counts);
        peer.sas.push(sa_row(session, row, start));
    }
    peers
}

fn sa_row(session: &Session, row: &ScRow, start: Duration) -> SaRow {
    let sak = row.sak.and_then(|index| session.book.saks.get(index));
    let since = |at: Duration| at.as_secs_f64() - start.as_secs_f64();
    SaRow {
        an: An::number(row.an),
        ki: sak.and_then(KnownSak::ki).map(|ki| ki.to_string()),
        sak_known: sak.is_some(),
        data: DataRow::of(&row.counts),
        first_pn: row.first_pn,
        highest_pn: row.highest_pn,
        first: since(row.first_at),
        last: since(row.last_at),
    }
}
