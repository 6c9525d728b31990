//! Whether the principal participant comes to nothing, so that the SAK of another's key server is the better one to have.
//!
//! In a group the members of one CAK may be fewer than those of another: some have a wrong CAK, and live on the fallback
//! with the others' key server. Who comes anew and finds the few first would wait for a SAK in vain, as their key server uses
//! the other CAK as well; or, being key server of the few, make SAKs that nobody takes.

use core::time::Duration;

use macsec::Ki;

use super::Kay;
use crate::{Agreement, KeyServer, Participant, Random};

/// Whether a live peer receives with the key `ki`.
fn is_received<R: Random>(participant: &Participant<R>, ki: Ki) -> bool {
    participant
        .peers()
        .filter(|peer| peer.live)
        .any(|peer| peer.key_use.is_some_and(|keys| keys.key(ki).is_some_and(|key| key.rx)))
}

impl<R: Random> Kay<R> {
    /// Whether nothing is lost by going over to the SAK of another participant: for a Life Time there has been no key in use,
    /// nor one to be had from the principal one; or nobody has had ours. Sooner, whoever has but the other CAK would get
    /// those over who are about to have a SAK.
    pub(super) fn is_stranded(&mut self, now: Duration) -> bool {
        self.in_vain_since = self.is_in_vain().then(|| self.in_vain_since.unwrap_or(now));
        let Some(in_vain_since) = self.in_vain_since else { return false };
        let since = self.pending_since.max(in_vain_since);
        let since = self.last_sak.map_or(since, |last| last.at.max(since));
        since.saturating_add(self.config.participant.life_time()) <= now
    }

    fn is_in_vain(&self) -> bool {
        let Some(participant) = self.principal() else { return false };
        match participant.sak() {
            Some(sak) if participant.key_server() == KeyServer::Us => {
                !is_received(participant, sak.ki)
            }
            _ => self.port.in_use().is_none() && participant.agreement() != Agreement::PlainText,
        }
    }
}
