//! The summary as text.

use std::fmt::{self, Write};

use super::summary::{DataRow, PeerRow, SaRow, SakRow, Summary};

/// Rows of a kind that are shown; JSON has all.
const SHOWN: usize = 40;

/// Displayed in lines, the last without an end.
pub(super) struct SummaryText<'a>(pub(super) &'a Summary);

impl fmt::Display for SummaryText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { capture, frames, duration, .. } = self.0;
        write!(f, "\n{capture}: {frames} frames in {duration:.6} s")?;
        self.counts(f)?;
        self.cas(f)?;
        several(f, &self.0.saks, |f, sak| write_sak(f, sak, self.0.start))?;
        several(f, &self.0.peers, write_peer)?;
        for hint in &self.0.hints {
            let mark = if hint.severe { "PROBLEM" } else { "note" };
            write!(f, "\n{mark}: {}", hint.line())?;
        }
        if let Some(reason) = &self.0.broken_off {
            write!(f, "\nPROBLEM: {reason}")?;
        }
        Ok(())
    }
}

impl SummaryText<'_> {
    fn counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { mkpdus, mkpdu_icv_ok, mkpdu_icv_bad, mkpdu_no_key, .. } = self.0;
        write!(
            f,
            "\n    MKPDUs  {mkpdus}: ICV ok {mkpdu_icv_ok}, ICV bad {mkpdu_icv_bad}, \
             no CAK {mkpdu_no_key}"
        )?;
        some(f, "malformed", self.0.mkpdu_malformed)?;
        let data = &self.0.data;
        let DataRow { data_frames, data_ok, data_bad, data_no_key, .. } = data;
        write!(
            f,
            "\n    MACsec  {data_frames}: opened {data_ok}, ICV bad {data_bad}, no SAK {data_no_key}"
        )?;
        some(f, "cut short by the capture", data.data_cut_short)?;
        some(f, "malformed", data.data_malformed)?;
        some(f, "replayed", data.data_replayed)?;
        some(f, "late", data.data_late)?;
        write!(f, "\n    other   {}", self.0.other_frames)?;
        some(f, "EAPOL that is not MKA", self.0.other_eapol)?;
        some(f, "not of an Ethernet, left alone", self.0.other_link_frames)?;
        some(f, "lost before they were read", self.0.lost)?;
        if let Some(written) = &self.0.written {
            write!(f, "\n    written {} frames in clear to {}", written.frames, written.file)?;
            some(f, "left out as they could not be opened", written.left_out)?;
        }
        Ok(())
    }

    fn cas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        several(f, &self.0.cas, |f, ca| {
            let known = if ca.cak_known { "" } else { ", whose CAK is not known" };
            write!(f, "\nCA under CKN {}{known}", ca.ckn)?;
            write!(f, "\n    MKPDUs {}, ICV ok {}, bad {}", ca.mkpdus, ca.icv_ok, ca.icv_bad)?;
            if let Some(server) = &ca.key_server {
                write!(f, "\n    key server {server}")?;
            }
            several(f, &ca.peers, |f, peer| {
                let state = format!("{:?}", peer.state).to_lowercase();
                write!(
                    f,
                    "\n    peer {} MI {}, priority {}, MKA version {}, {state}, MKPDUs {}",
                    peer.sci,
                    peer.mi,
                    peer.key_server_priority,
                    peer.mka_version_identifier,
                    peer.mkpdus
                )
            })
        })
    }
}

fn write_sak(f: &mut fmt::Formatter<'_>, row: &SakRow, start: f64) -> fmt::Result {
    f.write_str("\nSAK ")?;
    match &row.ki {
        Some(ki) => f.write_str(ki)?,
        None => f.write_str("given")?,
    }
    write!(f, " AN {}", row.an)?;
    if let Some(suite) = &row.suite {
        write!(f, " {suite}")?;
    }
    if let Some(report) = &row.mka {
        if report.integrity_only {
            f.write_str(", integrity only")?;
        }
        if let Some(offset @ 1..) = report.confidentiality_offset {
            write!(f, ", offset {offset}")?;
        }
        f.write_str(match report.unwrapped {
            Some(true) => "",
            Some(false) => ", DOES NOT UNWRAP",
            None => ", not known",
        })?;
        let life = [
            ("distributed", report.distributed),
            ("in use", report.in_use),
            ("replaced", report.replaced),
        ];
        for (name, at) in life {
            if let Some(at) = at {
                write!(f, ", {name} {:+.3} s", at.as_secs_f64() - start)?;
            }
        }
    }
    write!(f, ", opened {}", row.data_ok)?;
    if let Some(sak) = &row.sak {
        write!(f, "\n    key {sak}")?;
        if let Some(salt) = &row.salt {
            write!(f, " salt {salt}")?;
        }
    }
    Ok(())
}

fn write_peer(f: &mut fmt::Formatter<'_>, peer: &PeerRow) -> fmt::Result {
    if peer.sas.is_empty() {
        return Ok(());
    }
    let guessed = if peer.sci_guessed { " (guessed)" } else { "" };
    write!(f, "\nSC {}{guessed}: {}", peer.sci, peer.data)?;
    several(f, &peer.sas, |f, sa| {
        let SaRow { an, ki, sak_known, data, first, last, .. } = sa;
        write!(f, "\n    AN {an} ")?;
        match (ki, sak_known) {
            (Some(ki), _) => write!(f, "SAK {ki}")?,
            (None, true) => f.write_str("SAK given")?,
            (None, false) => f.write_str("no SAK")?,
        }
        write!(f, ": {data}")?;
        if let (Some(first), Some(highest)) = (sa.first_pn, sa.highest_pn) {
            write!(f, ", PN {first} to {highest}")?;
        }
        write!(f, ", +{first:.6} to +{last:.6} s")
    })
}

/// What there is, in words.
impl fmt::Display for DataRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frames {}, opened {}", self.data_frames, self.data_ok)?;
        some(f, "ICV bad", self.data_bad)?;
        some(f, "no SAK", self.data_no_key)?;
        some(f, "cut short", self.data_cut_short)?;
        some(f, "malformed", self.data_malformed)?;
        some(f, "replayed", self.data_replayed)?;
        some(f, "late", self.data_late)
    }
}

fn some(f: &mut fmt::Formatter<'_>, name: &str, count: u64) -> fmt::Result {
    if count == 0 { Ok(()) } else { write!(f, ", {name} {count}") }
}

/// Writes the first rows, and says how many more there are.
fn several<T>(
    f: &mut fmt::Formatter<'_>,
    rows: &[T],
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    rows.iter().take(SHOWN).try_for_each(|row| write(f, row))?;
    match rows.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => {
            f.write_char('\n')?;
            write!(f, "... and {more} more (--json has them all)")
        }
    }
}
