//! An MKPDU as text: in one line, or whole.

use core::fmt::Write;

use super::record::{
    DistributedSakRecord, IcvVerdict, KeyUseRecord, MkpduFields, MkpduRecord, MnVerdict,
    PeerListRecord, SakUseRecord,
};

/// The most characters of a summary.
const WIDTH: usize = 160;
/// The most characters of a CKN in a summary.
const CKN_WIDTH: usize = 16;
const EAPOL_MKA: u8 = 5;

impl MkpduRecord {
    /// Whether it is EAPOL of another type than MKA.
    #[must_use]
    pub fn is_other_eapol(&self) -> bool {
        self.eapol_type.is_some_and(|kind| kind != EAPOL_MKA)
    }

    /// One line of at most 160 columns, without number and time: who, under which CKN, what it
    /// carries, and whether it can be believed.
    #[must_use]
    pub fn summary(&self) -> String {
        // First what must not be cut off.
        let mut line = match &self.mkpdu {
            Some(mkpdu) => format!("MKA {} MN {}", mkpdu.sci, mkpdu.actor_mn),
            None => {
                let name = if self.is_other_eapol() { "EAPOL" } else { "MKA" };
                format!("{name} from {}", self.source.as_deref().unwrap_or("?"))
            }
        };
        if self.is_other_eapol() {
            line += &format!(" type {}", self.eapol_type.unwrap_or_default());
            return line;
        }
        if self.icv != IcvVerdict::NotTried {
            line = line + " " + self.icv.words();
        }
        if let Some(words) = self.mn.and_then(MnVerdict::marked) {
            line = line + " [" + words + "]";
        }
        if let Some(rule) = &self.malformed {
            line = line + " MALFORMED " + rule;
        }
        for remark in &self.remarks {
            line = line + " [" + remark + "]";
        }
        match (&self.mkpdu, &self.ckn) {
            (Some(mkpdu), _) => line = line + " " + &mkpdu.summary(),
            (None, Some(ckn)) => line = line + " CKN " + &shortened(ckn),
            (None, None) => {}
        }
        cut(line)
    }

    /// Every field under the name that the standard gives it, one a line, indented by two spaces
    /// below a first line of addresses. No line ends the last.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut text = Lines::default();
        let unknown = "?".to_owned();
        let (source, destination) = (
            self.source.as_ref().unwrap_or(&unknown),
            self.destination.as_ref().unwrap_or(&unknown),
        );
        let kind = self.eapol_type.map_or_else(|| unknown.clone(), |kind| kind.to_string());
        text.line(0, &format!("EAPOL {source} > {destination}, Packet Type: {kind}"));
        if let Some(mkpdu) = &self.mkpdu {
            mkpdu.lines(&mut text);
        } else if let Some(ckn) = &self.ckn {
            text.line(1, &format!("CAK Name: {ckn}"));
        }
        if let Some(rule) = self.malformed.as_ref().filter(|_| !self.is_other_eapol()) {
            text.line(1, &format!("Malformed: {rule}"));
        }
        if self.ckn.is_some() {
            text.line(1, &format!("ICV verdict: {}", self.icv.words()));
        }
        if let Some(words) = self.mn.and_then(MnVerdict::marked) {
            text.line(1, &format!("Remark: {words}"));
        }
        for remark in &self.remarks {
            text.line(1, &format!("Remark: {remark}"));
        }
        text.0
    }
}

impl IcvVerdict {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ok => "ICV ok",
            Self::Bad => "ICV BAD",
            Self::NoKey => "ICV unverified",
            Self::NotTried => "ICV not looked at",
        }
    }
}

impl MnVerdict {
    /// What is to be marked.
    #[must_use]
    pub const fn marked(self) -> Option<&'static str> {
        match self {
            Self::First | Self::Next => None,
            Self::Repeated => Some("MN repeated"),
            Self::Lower => Some("MN lower than before"),
        }
    }
}

impl MkpduFields {
    fn summary(&self) -> String {
        let mut line = format!("CKN {} prio {}", shortened(&self.ckn), self.key_server_priority);
        if self.key_server {
            line += " server";
        }
        let listed =
            |list: &Option<PeerListRecord>| list.as_ref().map_or(0, |list| list.peers.len());
        line += &format!(
            " live {} pot {}",
            listed(&self.live_peer_list),
            listed(&self.potential_peer_list)
        );
        if let Some(sak) = &self.distributed_sak {
            line = line + ", " + &sak.summary();
        }
        if let Some(keys) = self.macsec_sak_use.as_ref().and_then(SakUseRecord::summary) {
            line = line + ", " + &keys;
        }
        if self.distributed_cak.is_some() {
            line += ", CAK";
        }
        if let Some(xpn) = self.xpn.filter(|xpn| xpn.suspension_time > 0) {
            line += &format!(", suspension {} s", xpn.suspension_time);
        }
        line
    }

    fn lines(&self, text: &mut Lines) {
        text.field(1, "Protocol Version", self.eapol_version);
        text.field(1, "Packet Body Length", self.packet_body_length);
        text.line(1, "Basic Parameter set");
        text.field(2, "MKA Version Identifier", self.mka_version_identifier);
        text.field(2, "Key Server Priority", self.key_server_priority);
        text.field(2, "Key Server", self.key_server);
        text.field(2, "MACsec Desired", self.macsec_desired);
        let capability = match self.macsec_capability {
            0 => "0 (MACsec not implemented)",
            1 => "1 (integrity without confidentiality)",
            2 => "2 (integrity, and confidentiality with offset 0)",
            _ => "3 (integrity, and confidentiality with offset 0, 30 or 50)",
        };
        text.field(2, "MACsec Capability", capability);
        text.field(2, "SCI", &self.sci);
        text.field(2, "Actor's Member Identifier", &self.actor_mi);
        text.field(2, "Actor's Message Number", self.actor_mn);
        text.field(2, "Algorithm Agility", &self.algorithm_agility);
        text.field(2, "CAK Name", &self.ckn);
        for set in &self.parameter_sets {
            self.set(set.set_type, set.length, text);
        }
        text.field(1, "ICV", &self.icv);
    }

    /// A set by its type; of several of a type it is the first that counts.
    fn set(&self, set_type: u8, length: usize, text: &mut Lines) {
        let name = match set_type {
            1 => "Live Peer List",
            2 => "Potential Peer List",
            3 => "MACsec SAK Use",
            4 => "Distributed SAK",
            5 => "Distributed CAK",
            6 => "KMD",
            7 => "Announcement",
            8 => "XPN",
            255 => "ICV Indicator",
            _ => "Unknown",
        };
        text.line(1, &format!("{name} Parameter set: type {set_type}, length {length}"));
        match set_type {
            1 => self.live_peer_list.iter().for_each(|list| {
                text.field(2, "Key Server SSCI (LSB)", list.key_server_ssci);
                list.lines(text);
            }),
            2 => self.potential_peer_list.iter().for_each(|list| list.lines(text)),
            3 => self.macsec_sak_use.iter().for_each(|set| set.lines(text)),
            4 => self.distributed_sak.iter().for_each(|set| set.lines(text)),
            5 => self.distributed_cak.iter().for_each(|set| {
                text.field(2, "AES Key Wrap of CAK", &set.aes_key_wrap_of_cak);
                text.field(2, "CAK Name", &set.ckn);
            }),
            6 => self.kmd.iter().for_each(|kmd| text.field(2, "Key Management Domain", kmd)),
            7 => self.announcement.iter().flatten().for_each(|tlv| {
                text.line(2, &format!("TLV type {}: {}", tlv.tlv_type, tlv.value));
            }),
            8 => self.xpn.iter().for_each(|xpn| {
                text.field(2, "MKA Suspension Time", xpn.suspension_time);
                let (latest, old) =
                    (xpn.latest_lowest_acceptable_pn_upper, xpn.old_lowest_acceptable_pn_upper);
                text.field(2, "Latest Key Lowest Acceptable PN (MSB)", latest);
                text.field(2, "Old Key Lowest Acceptable PN (MSB)", old);
            }),
            _ => {}
        }
    }
}

impl PeerListRecord {
    fn lines(&self, text: &mut Lines) {
        for peer in &self.peers {
            text.line(2, &format!("Member Identifier: {}, Message Number: {}", peer.mi, peer.mn));
        }
    }
}

impl SakUseRecord {
    /// The keys there are; `None` if there is none.
    fn summary(&self) -> Option<String> {
        let Some((latest, old)) = self.latest_key.as_ref().zip(self.old_key.as_ref()) else {
            return Some("no MACsec".to_owned());
        };
        let keys = [("latest", latest), ("old", old)];
        let keys: Vec<_> = keys
            .iter()
            .filter(|(_, key)| !key.is_none())
            .map(|(place, key)| format!("{place} {}", key.summary()))
            .collect();
        (!keys.is_empty()).then(|| keys.join(" "))
    }

    fn lines(&self, text: &mut Lines) {
        for (place, key) in [("Latest", &self.latest_key), ("Old", &self.old_key)] {
            let Some(key) = key else { continue };
            text.line(2, &format!("{place} Key AN: {}", key.an));
            text.line(2, &format!("{place} Key tx: {}", key.tx));
            text.line(2, &format!("{place} Key rx: {}", key.rx));
            text.line(
                2,
                &format!("{place} Key: Key Server Member Identifier: {}", key.key_server_mi),
            );
            text.line(2, &format!("{place} Key: Key Number: {}", key.key_number));
            text.line(
                2,
                &format!("{place} Key: Lowest Acceptable PN: {}", key.lowest_acceptable_pn),
            );
        }
        text.field(2, "Plain tx", self.plain_tx);
        text.field(2, "Plain rx", self.plain_rx);
        text.field(2, "Delay protect", self.delay_protect);
    }
}

impl KeyUseRecord {
    /// Whether there is no key: all is zero.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.key_number == 0 && self.key_server_mi.bytes().all(|digit| digit == b'0')
    }

    fn summary(&self) -> String {
        let mut words = format!("KN {} AN {}", self.key_number, self.an);
        for (set, name) in [(self.tx, " tx"), (self.rx, " rx")] {
            words += if set { name } else { "" };
        }
        words
    }
}

impl DistributedSakRecord {
    fn summary(&self) -> String {
        if self.plain_text {
            return "PLAIN TEXT decided".to_owned();
        }
        let mut words = format!(
            "SAK KN {} AN {} {}",
            self.key_number, self.distributed_an, self.macsec_cipher_suite
        );
        words += match self.confidentiality_offset {
            0 => " integrity only",
            1 => "",
            2 => " offset 30",
            _ => " offset 50",
        };
        words
    }

    fn lines(&self, text: &mut Lines) {
        if self.plain_text {
            return text.line(2, "no MACsec: the key server has decided on plain text");
        }
        text.field(2, "Distributed AN", self.distributed_an);
        let offset = match self.confidentiality_offset {
            0 => "0 (no confidentiality)",
            1 => "1 (offset 0)",
            2 => "2 (offset 30)",
            _ => "3 (offset 50)",
        };
        text.field(2, "Confidentiality Offset", offset);
        text.field(2, "Key Number", self.key_number);
        let implied = if self.cipher_suite_present { "" } else { " (not in the set: the default)" };
        text.line(2, &format!("MACsec Cipher Suite: {}{implied}", self.macsec_cipher_suite));
        text.field(2, "AES Key Wrap of SAK", &self.aes_key_wrap_of_sak);
    }
}

/// Lines of text, without an end of line behind the last.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, depth: usize, text: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        // Writing to a string does not fail.
        let _ = write!(self.0, "{:1$}{text}", "", depth * 2);
    }

    fn field(&mut self, depth: usize, name: &str, value: impl core::fmt::Display) {
        self.line(depth, &format!("{name}: {value}"));
    }
}

fn shortened(ckn: &str) -> String {
    match ckn.get(..CKN_WIDTH) {
        Some(start) if ckn.len() > CKN_WIDTH => format!("{start}.."),
        _ => ckn.to_owned(),
    }
}

fn cut(line: String) -> String {
    if line.chars().count() <= WIDTH {
        return line;
    }
    line.chars().take(WIDTH - 2).chain("..".chars()).collect()
}
