//! Keys given by hand, and the peers that they are shared with.

use macsec::{An, CipherSuite, Sci, Ssci};

use super::{
    MAX_PEERS, Peer, Source, StaticKeys, key,
    key_text::SAK,
    port::SCI_RULE,
    reader::{Found, Report, Table, value_or},
    registry::{Registry, Taken},
};

/// Reads `[port.static_keys]`. None only if there is a fault.
pub(super) fn read(
    report: &mut Report,
    mut table: Table<'_>,
    suite: Option<CipherSuite>,
    sci: Option<&Found<Sci>>,
    source: &Source<'_>,
    registry: &mut Registry,
) -> Option<StaticKeys> {
    let first_use = table.boolean(report, "first_use");
    if let Some(first_use) = first_use.as_ref().filter(|found| found.value) {
        report
            .warn(&first_use.at, "remove it after the first start: it hides the loss of PN marks");
    }
    let an = value_or(an(report, &mut table), An::default());
    if !SAK.is_given(&table) {
        SAK.missing(report, &table);
    }
    let key = key::read(report, &mut table, suite, source, registry);
    let ssci = ssci(report, &mut table, suite);

    let mut scis = Taken::default();
    if let Some(sci) = sci {
        scis.claim(report, sci.value, &sci.at, "an SCI");
    }
    let mut sscis = Taken::default();
    if let Some(ssci) = &ssci {
        sscis.claim(report, ssci.value, &ssci.at, "an SSCI");
    }
    let peers: Vec<_> = table
        .tables(report, "peer", 1..=MAX_PEERS, "1 to 31 tables: [[port.static_keys.peer]]")
        .into_iter()
        .map(|mut table| {
            let has_own = SAK.is_given(&table);
            let sci = table.required(report, "sci", SCI_RULE, |text| text.parse::<Sci>().ok());
            if let Some(sci) = &sci {
                scis.claim(report, sci.value, &sci.at, "an SCI");
            }
            let ssci = self::ssci(report, &mut table, suite);
            // Under a key of its own it is alone.
            if let Some(ssci) = ssci.as_ref().filter(|_| !has_own) {
                sscis.claim(report, ssci.value, &ssci.at, "an SSCI");
            }
            let an = value_or(self::an(report, &mut table), an);
            let key = key::read(report, &mut table, suite.filter(|_| has_own), source, registry);
            table.finish(report);
            Some(Peer { sci: sci?.value, ssci: ssci.map(|found| found.value), an, key })
        })
        .collect();
    table.finish(report);

    Some(StaticKeys {
        first_use: value_or(first_use, false),
        an,
        ssci: ssci.map(|found| found.value),
        key: key?,
        peers: peers.into_iter().collect::<Option<_>>()?,
    })
}

fn an(report: &mut Report, table: &mut Table<'_>) -> Option<Found<An>> {
    table.whole(report, "an", "0 to 3", |number| An::new(u8::try_from(number).ok()?))
}

fn ssci(
    report: &mut Report,
    table: &mut Table<'_>,
    suite: Option<CipherSuite>,
) -> Option<Found<Ssci>> {
    let rule = "1 to 4294967295";
    key::for_xpn(report, table, suite, "ssci", rule, |report, table| {
        table.whole(report, "ssci", rule, |number| (number > 0).then_some(Ssci(number)))
    })
}
